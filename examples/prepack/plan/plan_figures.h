/* plan_figures.h: what `plan` found out, summed over the batches. */
#ifndef PREPACK_PLAN_FIGURES_H
#define PREPACK_PLAN_FIGURES_H

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdbool.h>
#include <stdio.h>

struct plan_figures {
    int64_t batches, batches_proven;
    int64_t prompts, bins, segments;
    int64_t tokens, placed_tokens, used;
    int64_t capacity;      /* of a bin; the largest if it differs from batch to batch */
    bool same_capacity;    /* in every batch */
    double total_capacity; /* of all bins */
    int64_t padded_tokens; /* what full batching would compute */
    int64_t lower_bound, bound_l1, bound_l2, bound_dff, bound_lp;
    bool has_l2, has_dff, has_lp; /* for every batch */
    int64_t max_bin_prompts;
    double cost;               /* what the objective makes small, but for the number of bins */
    double cost_bound;         /* of that */
    double max_cost, cost_sum; /* of a bin, of all bins */
    double seconds;
    int32_t objective, policy; /* policy 0: not the same in every batch */
    int32_t limit_reached;     /* in any batch */
    double gap, waste;         /* set by plan_figures_finish */
};

void plan_figures_add(struct plan_figures *figures, const pp_plan_info *info);
/* After the last batch. */
void plan_figures_finish(struct plan_figures *figures);
/* From "tokens" on; cost_unit: of costs. */
void plan_figures_print(const struct plan_figures *figures, const char *cost_unit, FILE *out);
/* Keys are an interface: they are added to, never renamed. NULL without memory. */
json_t *plan_figures_json(const struct plan_figures *figures);

#endif
