/*
 * packing.h: a packing problem as the algorithms see it, and its solution. Algorithms know items
 * and sizes: an item is a prompt, or several that stay together, or a chunk; its size is the room
 * it takes, alignment included.
 */
#ifndef PPI_PACKING_H
#define PPI_PACKING_H

#include "internal.h"

#include <prepack/packer.h>

/* Policies that callers cannot ask for: parts of AUTO, and what tests compare it with. They stand
 * above the public ones; a plan says AUTO of what they found.
 *  MBS: minimum bin slack, bin after bin the prompts that fill it best (Gupta, Ho 1999).
 *  LPT: BALANCED: longest processing time first, at most 4/3 OPT (Graham 1969). Also what FFD, BFD
 *      and those that search have become where max_prompts made them mix long and short.
 *  KK: BALANCED: largest differencing method (Karmarkar, Karp 1982).
 *  ORDERED: CHEAPEST: one prompt a row, like lengths together (length-ordered batching).
 * CHEAPEST also knows FFD: rows of one length, filled by it. */
enum ppi_policy {
    PPI_POLICY_MBS = 1001,
    PPI_POLICY_LPT,
    PPI_POLICY_KK,
    PPI_POLICY_ORDERED,
};

static inline int32_t ppi_public_policy(int32_t policy)
{
    return policy >= PPI_POLICY_MBS ? PP_POLICY_AUTO : policy;
}

struct packing {
    int64_t n;                /* items, at least 1 */
    const int64_t *sizes;     /* [n], each in [shortest, longest] and within the capacity */
    const int32_t *n_prompts; /* [n] prompts of each item; NULL: one each */
    const int64_t *tokens; /* [n] of each item, where alignment makes its size more; NULL: sizes */
    const double *squares; /* [n] sum of its prompts' squared lengths; NULL: of one prompt */
    const int32_t *apart;  /* items with the same number in [0, n) share no bin (apart.h); NULL: any
                              may. [n], one of each item, or -1 */
    const int64_t *apart_starts; /* or, where not NULL, item i has apart[apart_starts[i] ..
                                    apart_starts[i + 1]) */
    int64_t shortest, longest;
    int64_t total;             /* sum of the sizes */
    int64_t capacity;          /* of a bin; INT64_MAX: no limit (BALANCED); CHEAPEST: the largest */
    int64_t max_prompts;       /* of a bin; INT64_MAX: no limit */
    int64_t n_bins;            /* BALANCED: bins to make */
    const int64_t *capacities; /* [n_capacities] FEWEST_BINS: of bin 0, 1, ..., `capacity` is the
                                  largest of them; CHEAPEST: lengths a
                                  row may have, ascending; NULL: all bins have `capacity` */
    int64_t n_capacities;
    bool keep_order;
    const pp_cost_model *cost; /* not NULL */
    int32_t policy;            /* PP_POLICY_*, PPI_POLICY_*: one that suits the objective */
    int64_t max_steps;         /* of a search; 0: what suits the policy, -1: no limit */
    double max_seconds;        /* of a search; 0: no limit */
};

/* Room for the bins of a solution, and what the algorithm found. */
struct bins {
    int32_t *items;  /* [packing n] bin after bin */
    int64_t *starts; /* [max_bins + 1] into items */
    int64_t *sizes;  /* [max_bins] sum of the items' sizes */
    int64_t
        *capacities;  /* [max_bins] where the algorithm chooses them (CHEAPEST); otherwise NULL */
    int32_t *choices; /* [max_bins] FEWEST_BINS with capacities: which of them; otherwise NULL */
    int64_t n;
    int32_t policy;                                  /* that found them */
    int32_t limit_reached;                           /* as in pp_plan_info */
    int64_t bound_l1, bound_l2, bound_dff, bound_lp; /* as in pp_plan_info */
    int64_t bound_order;                             /* fewest runs in order of arrival; or 0 */
    int64_t bound_limits; /* what constraints besides the capacity ask; or 0 */
    int64_t bound_search; /* n where a complete search found nothing better; 0: none did */
    double cost_bound;    /* as in pp_plan_info */
};

/*
 * An algorithm. It fills bins->items, starts, sizes and n; policy and limit_reached are
 * preset to the packing's policy and 0, bounds to 0. No bin is empty but for BALANCED. Scratch
 * memory comes from mem and is given back. Errors: PP_ERR_NOMEM; PP_ERR_TOO_LONG where there are
 * not enough bins; PP_ERR_ARG where costs are not finite; PP_ERR_UNSUPPORTED.
 */
typedef pp_status (*ppi_pack_fn)(const struct packing *packing, struct bins *bins,
                                 struct ppi_mem *mem, pp_error *err);

/* The most bins that the objective's algorithms can open: the room that `bins` needs. */
int64_t ppi_max_bins(int32_t objective, const struct packing *packing);

/* The objective's algorithm for the packing's policy and constraints. */
pp_status ppi_pack(int32_t objective, const struct packing *packing, struct bins *bins,
                   struct ppi_mem *mem, pp_error *err);

#endif
