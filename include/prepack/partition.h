/*
 * prepack/partition.h: the bins of a plan spread over workers, for hosts that run one plan on
 * several devices or machines.
 *
 *     int32_t *worker_of_bin = malloc(plan_info.n_bins * sizeof *worker_of_bin);
 *     pp_partition_info info = {.struct_size = sizeof info};
 *     pp_plan_partition(plan, 8, worker_of_bin, plan_info.n_bins, &info, &err);
 *
 * A worker's cost is the sum of its bins' costs by the plan's cost model; without one, of their
 * tokens. The dearest worker, for which the others wait, is made as cheap as possible.
 */
#ifndef PREPACK_PARTITION_H
#define PREPACK_PARTITION_H

#include "packer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Figures of a partition. Costs are in units of the plan's cost model. */
typedef struct pp_partition_info {
    uint32_t struct_size;
    int32_t proven_optimal; /* 1: no partition's dearest worker is cheaper, rounding aside */
    int32_t limit_reached;  /* 1: the search ended before it was done */
    int64_t n_workers;
    int64_t max_bins;  /* of a worker */
    double max_cost;   /* of a worker */
    double mean_cost;  /* of a worker */
    double cost_bound; /* in no partition is the dearest worker cheaper */
    double gap;        /* max_cost / cost_bound - 1 */
} pp_partition_info;

/*
 * Gives every bin a worker in [0, n_workers); a worker may stay without bins. The worker of the
 * dearest bin is 0. Deterministic. Time: O(bins log bins + bins n_workers).
 *
 * worker_of_bin: [n], caller-owned; n is the plan's n_bins. *info is filled unless NULL; the caller
 * sets info->struct_size. Both are untouched on failure. Thread-safety: as the plan's.
 * Errors: PP_ERR_ARG (n_workers outside [1, 2^31 - 1], another n), PP_ERR_UNSUPPORTED (bins that
 * continue prompts of other bins: these must run in one place), PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM.
 */
PP_API pp_status pp_plan_partition(const pp_plan *plan, int64_t n_workers, int32_t *worker_of_bin,
                                   int64_t n, pp_partition_info *info, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
