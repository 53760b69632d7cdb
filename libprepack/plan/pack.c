/*
 * pack.c: from an objective, a policy and constraints to the algorithm that serves them.
 */
#include "bounds.h"
#include "policies.h"

int64_t ppi_max_bins(int32_t objective, const struct packing *packing)
{
    if (objective == PP_OBJECTIVE_BALANCED)
        return packing->n_bins;
    if (packing->max_prompts < packing->n)
        return packing->n;
    return ppi_bound_bins(ppi_bound_l1(packing->total, packing->capacity), packing->n);
}

static ppi_pack_fn find_fewest(int32_t policy)
{
    switch (policy) {
    case PP_POLICY_BFD:
        return ppi_pack_bfd;
    case PP_POLICY_ARRIVAL:
        return ppi_pack_arrival;
    case PP_POLICY_FIRST_FIT:
        return ppi_pack_first_fit;
    case PP_POLICY_BEST_FIT:
        return ppi_pack_best_fit;
    default:
        return ppi_pack_ffd;
    }
}

pp_status ppi_pack(int32_t objective, const struct packing *packing, struct bins *bins,
                   struct ppi_mem *mem, pp_error *err)
{
    bins->bound_l1 = ppi_bound_l1(packing->total, packing->capacity);
    if (objective == PP_OBJECTIVE_BALANCED && packing->apart)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "prompts that shall be apart can be packed for FEWEST_BINS only");
    if (objective == PP_OBJECTIVE_BALANCED)
        return (packing->keep_order ? ppi_pack_runs : ppi_pack_balanced)(packing, bins, mem, err);
    if (packing->keep_order)
        bins->policy = PP_POLICY_ARRIVAL;
    return find_fewest(bins->policy)(packing, bins, mem, err);
}
