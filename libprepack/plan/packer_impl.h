/*
 * packer_impl.h: the packer as the planner's files see it.
 */
#ifndef PPI_PACKER_IMPL_H
#define PPI_PACKER_IMPL_H

#include "internal.h"

#include <prepack/packer.h>

struct pp_packer {
    struct ppi_mem mem;
    pp_packer_params params; /* checked; policy is set, alignments are at least 1 */
    pp_cost_model cost;      /* params.cost points here */
    int64_t *capacities;     /* params.capacities, or NULL */
};

/* Reads and checks a caller's params: *chosen (pointers still the caller's) and *cost. */
pp_status ppi_packer_params_read(const pp_packer_params *params, pp_packer_params *chosen,
                                 pp_cost_model *cost, pp_error *err);

/* Are there no bins but those of the capacities? */
static inline bool ppi_has_given_bins(const pp_packer_params *params)
{
    return params->n_capacities > 0 && params->objective == PP_OBJECTIVE_FEWEST_BINS;
}

#endif
