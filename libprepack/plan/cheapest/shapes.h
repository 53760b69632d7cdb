/*
 * shapes.h: CHEAPEST: rows of a few allowed lengths (*shapes*), each computed in full, as its
 * algorithms see it. A row of shape C costs a pass of one prompt of C tokens, and per_prompt for
 * each of its prompts; the latter is the same for every packing.
 */
#ifndef PPI_SHAPES_H
#define PPI_SHAPES_H

#include "plan/histogram.h"
#include "plan/packing.h"

struct shapes {
    const struct packing *packing;
    int64_t n;
    const int64_t *capacities; /* [n] ascending */
    double *row_costs;         /* [n] of a row, per_prompt apart; ascending */
    double prompts_cost;       /* per_prompt for all */
    bool has_whole_costs;      /* all are whole numbers that a double holds */
};

/* Errors: PP_ERR_NOMEM, PP_ERR_ARG (costs that are not finite). */
pp_status ppi_shapes_create(struct shapes *shapes, const struct packing *packing,
                            struct ppi_mem *mem, pp_error *err);
void ppi_shapes_destroy(struct shapes *shapes, struct ppi_mem *mem);
/* The smallest shape that holds so much; there is one. */
int64_t ppi_shapes_find(const struct shapes *shapes, int64_t size);

/* No rows hold the packing's items for less; `sorted` has them by size. Errors: PP_ERR_NOMEM. */
pp_status ppi_shapes_bound(const struct shapes *shapes, const struct histogram *sorted,
                           double *bound, struct ppi_mem *mem, pp_error *err);

/* The cheapest rows that keep the order of arrival; sets bins->cost_bound to their cost. */
pp_status ppi_shapes_runs(const struct shapes *shapes, struct bins *bins, struct ppi_mem *mem,
                          pp_error *err);

#endif
