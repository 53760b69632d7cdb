/*
 * plan_check.h: whether a plan object that came from outside keeps what every plan promises, and
 * how good it provably is.
 */
#ifndef PPI_PLAN_CHECK_H
#define PPI_PLAN_CHECK_H

#include "plan/plan.h"

/* PP_ERR_FORMAT unless the prompts of plan->lengths lie in the segments: each token of each prompt
 * in exactly one place, what a segment continues in an earlier bin, each segment under the lowest
 * of the prompts that share it. plan->prompts are below n_prompts; any values may stand in
 * plan->segments. Scratch memory from mem. Errors: also PP_ERR_NOMEM. */
pp_status ppi_plan_check_segments(const struct pp_plan *plan, struct ppi_mem *mem, pp_error *err);

/* Sets bin_tokens. *room: what the segments of all bins take, alignment of prompts included.
 * PP_ERR_FORMAT where a bin is empty (BALANCED: may be) or holds more than its capacity, alignment
 * included. The segments have been checked. */
pp_status ppi_plan_check_bins(struct pp_plan *plan, int64_t *room, pp_error *err);

/* Sets the bounds of a checked plan as far as they follow from it and take no solver: L1; where
 * prompts are whole, for FEWEST_BINS L2 and the dual feasible functions, for BALANCED cost_bound.
 * All others stay 0. room: what the segments take. Errors: PP_ERR_NOMEM. */
pp_status ppi_plan_find_bounds(struct pp_plan *plan, int64_t room, struct ppi_mem *mem,
                               pp_error *err);

#endif
