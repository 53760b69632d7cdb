/*
 * cost_impl.h: the cost model as the planner uses it.
 */
#ifndef PPI_COST_IMPL_H
#define PPI_COST_IMPL_H

#include "internal.h"

#include <prepack/cost.h>

/* A caller's model, checked; NULL: a pass costs its tokens. Errors: PP_ERR_ARG,
 * PP_ERR_STRUCT_SIZE. */
pp_status ppi_cost_read(pp_cost_model *cost, const pp_cost_model *given, pp_error *err);

/* The cost of a pass of so many tokens in n_prompts prompts; squares: the sum of the squares of
 * their lengths. cost has been read by ppi_cost_read. */
static inline double ppi_cost(const pp_cost_model *cost, int64_t tokens, double squares,
                              int64_t n_prompts)
{
    double computed = (double)tokens;
    if (cost->tile > 1) /* rounded up in double: it may pass 2^63 */
        computed = (double)(tokens / cost->tile + (tokens % cost->tile != 0)) * (double)cost->tile;
    return cost->per_pass + cost->per_token * computed + cost->per_square * squares +
           cost->per_prompt * (double)n_prompts;
}

/* The cost of a row of a dense batch: the padding is computed, too, and every token attends to the
 * whole row. */
static inline double ppi_row_cost(const pp_cost_model *cost, int64_t row_len, int64_t n_prompts)
{
    return ppi_cost(cost, row_len, (double)row_len * (double)row_len, n_prompts);
}

/* pp_cost_from_json with memory from elsewhere; fills all of *cost. */
pp_status ppi_cost_parse(const char *text, size_t n_bytes, struct ppi_mem *mem, pp_cost_model *cost,
                         pp_error *err);

#endif
