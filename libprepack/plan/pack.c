/*
 * pack.c: from an objective, a policy and constraints to the algorithm that serves them.
 */
#include "policies.h"
#include "plan/fewest/bounds.h"
#include "plan/fewest/constrained.h"

int64_t ppi_max_bins(int32_t objective, const struct packing *packing)
{
    if (objective == PP_OBJECTIVE_BALANCED)
        return packing->n_bins;
    if (objective == PP_OBJECTIVE_CHEAPEST || ppi_is_constrained(packing))
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
    case PPI_POLICY_MBS:
    case PP_POLICY_EXACT:
    case PP_POLICY_AUTO:
        return ppi_pack_auto;
    default:
        return ppi_pack_ffd;
    }
}

/* Without the constraints first: bins that keep them are what the policy would have filled with
 * them, and the bounds hold whatever the constraints are. */
static pp_status pack_relaxed(const struct packing *packing, struct bins *bins, bool *keep,
                              struct ppi_mem *mem, pp_error *err)
{
    struct packing relaxed = *packing;
    relaxed.max_prompts = INT64_MAX;
    relaxed.apart = NULL;
    PP_TRY(find_fewest(relaxed.policy)(&relaxed, bins, mem, err));
    return ppi_bins_keep_limits(packing, bins, keep, mem, err);
}

static pp_status pack_fewest(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                             pp_error *err)
{
    if (!ppi_is_constrained(packing))
        return find_fewest(bins->policy)(packing, bins, mem, err);
    PP_TRY(ppi_bound_limits(packing, &bins->bound_limits, mem, err));
    if (bins->policy == PP_POLICY_ARRIVAL)
        return ppi_pack_arrival(packing, bins, mem, err);
    if (packing->n_capacities > 0) {
        PP_TRY(ppi_pack_constrained(packing, bins, mem, err));
        return ppi_bounds_set(bins, packing, NULL, mem, err);
    }
    bool keep;
    PP_TRY(pack_relaxed(packing, bins, &keep, mem, err));
    return keep ? PP_OK : ppi_pack_constrained(packing, bins, mem, err);
}

pp_status ppi_pack(int32_t objective, const struct packing *packing, struct bins *bins,
                   struct ppi_mem *mem, pp_error *err)
{
    bins->bound_l1 = ppi_bound_l1(packing->total, packing->capacity);
    if (objective != PP_OBJECTIVE_FEWEST_BINS && packing->apart)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "prompts that shall be apart can be packed for FEWEST_BINS only");
    if (objective == PP_OBJECTIVE_BALANCED)
        return (packing->keep_order ? ppi_pack_runs : ppi_pack_balanced)(packing, bins, mem, err);
    if (objective == PP_OBJECTIVE_CHEAPEST)
        return ppi_pack_shapes(packing, bins, mem, err);
    if (packing->keep_order)
        bins->policy = PP_POLICY_ARRIVAL;
    return pack_fewest(packing, bins, mem, err);
}
