/*
 * plan.h: the plan object as the planner's files and the batch builder see it.
 */
#ifndef PPI_PLAN_H
#define PPI_PLAN_H

#include "internal.h"

#include <prepack/batch.h>

/* Places of prompts that are split or share prefixes. */
struct segments {
    int64_t *first_tokens; /* [n_segments] */
    int64_t *n_tokens;     /* [n_segments] */
    int64_t *after;        /* [n_segments] segment in an earlier bin, or -1 */
    int64_t *ends;         /* [n_prompts] segment of the prompt's last token */
};

struct pp_plan {
    struct ppi_mem mem;
    pp_plan_info info;
    pp_cost_model cost;
    int64_t prompt_alignment; /* at least 1 */
    int64_t bin_alignment;    /* at least 1 */
    int64_t *lengths;         /* [n_prompts] */
    int32_t *prompts;         /* [n_segments] prompt of each segment, bin after bin */
    int64_t *bin_starts;      /* [n_bins + 1] into the segments */
    int64_t *bin_tokens;      /* [n_bins] */
    int64_t *bin_capacities;  /* [n_bins], NULL: all have info.capacity */
    int32_t *bin_choices; /* [n_bins] of the capacities given to the packer, ascending; or NULL */
    struct segments segments; /* arrays NULL: each segment is a whole prompt */
};

/* A plan without bins, its arrays uninitialised, for n_prompts prompts, n_segments segments and at
 * most max_bins bins; `segments` and bin_capacities are NULL. Errors: PP_ERR_NOMEM. */
pp_status ppi_plan_create(const pp_allocator *allocator, int64_t n_prompts, int64_t n_segments,
                          int64_t max_bins, struct pp_plan **plan, pp_error *err);
/* Room for plan->segments. Errors: PP_ERR_NOMEM. */
pp_status ppi_plan_add_segments(struct pp_plan *plan, pp_error *err);

/* Are there segments that continue others? */
static inline bool ppi_plan_has_parts(const struct pp_plan *plan)
{
    return plan->segments.n_tokens != NULL;
}
static inline int64_t ppi_plan_segment_tokens(const struct pp_plan *plan, int64_t segment)
{
    return ppi_plan_has_parts(plan) ? plan->segments.n_tokens[segment]
                                    : plan->lengths[plan->prompts[segment]];
}
static inline int64_t ppi_plan_bin_capacity(const struct pp_plan *plan, int64_t bin)
{
    return plan->bin_capacities ? plan->bin_capacities[bin] : plan->info.capacity;
}
/* Tokens of a bin and what alignment adds to them. */
int64_t ppi_plan_bin_used(const struct pp_plan *plan, int64_t bin);
/* What a bin costs by the plan's model: a pass of its segments. */
double ppi_plan_bin_cost(const struct pp_plan *plan, int64_t bin);
/* Sets every figure of a plan that follows from its bins, segments and bounds: n_segments and
 * placed_tokens and all below but the bounds and limit_reached, waste, gap, proven_optimal. */
void ppi_plan_set_figures(struct pp_plan *plan);

/* Whether a plan is of what a caller has: PP_ERR_ARG unless there are n prompts; PP_ERR_ARG unless
 * prompt i has the tokens that the plan was made from (err->index is i). */
pp_status ppi_plan_match_number(const struct pp_plan *plan, int64_t n, pp_error *err);
pp_status ppi_plan_match_length(const struct pp_plan *plan, int64_t i, int64_t n_tokens,
                                pp_error *err);

#endif
