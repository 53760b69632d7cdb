/*
 * figures.c: the figures of a plan: what its bins hold and cost, and how far that is from the
 * bounds.
 */
#include "plan.h"

#include "plan/cost/cost_impl.h"

int64_t ppi_plan_bin_used(const struct pp_plan *plan, int64_t bin)
{
    int64_t used = plan->bin_tokens[bin];
    if (plan->prompt_alignment > 1) {
        used = 0;
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++)
            used += ppi_round_up(ppi_plan_segment_tokens(plan, i), plan->prompt_alignment);
    }
    return plan->bin_alignment > 1 ? ppi_round_up(used, plan->bin_alignment) : used;
}

/* A bin without segments is no pass; a row of CHEAPEST is computed in full. A segment that
 * continues another sees that one's tokens too: its squares are those of the whole less those of
 * what was there. */
double ppi_plan_bin_cost(const struct pp_plan *plan, int64_t bin)
{
    if (plan->bin_starts[bin] == plan->bin_starts[bin + 1])
        return 0;
    if (plan->info.objective == PP_OBJECTIVE_CHEAPEST)
        return ppi_row_cost(&plan->cost, ppi_plan_bin_capacity(plan, bin),
                            plan->bin_starts[bin + 1] - plan->bin_starts[bin]);
    double squares = 0; /* left out where nothing depends on them: they are read out of order */
    int64_t first = plan->cost.per_square > 0 ? plan->bin_starts[bin] : plan->bin_starts[bin + 1];
    for (int64_t i = first; i < plan->bin_starts[bin + 1]; i++) {
        double n = (double)ppi_plan_segment_tokens(plan, i);
        double before = ppi_plan_has_parts(plan) ? (double)plan->segments.first_tokens[i] : 0;
        squares += n * (n + 2 * before);
    }
    return ppi_cost(&plan->cost, plan->bin_tokens[bin], squares,
                    plan->bin_starts[bin + 1] - plan->bin_starts[bin]);
}

/* Returns the capacity of all bins, which may be above 2^63. */
static double set_sums(struct pp_plan *plan)
{
    pp_plan_info *info = &plan->info;
    double sum = 0, slots = 0;
    for (int64_t bin = 0; bin < info->n_bins; bin++) {
        int64_t n_segments = plan->bin_starts[bin + 1] - plan->bin_starts[bin];
        double cost = ppi_plan_bin_cost(plan, bin);
        info->placed_tokens += plan->bin_tokens[bin];
        if (__builtin_add_overflow(info->used, ppi_plan_bin_used(plan, bin), &info->used))
            info->used = INT64_MAX;
        int64_t capacity = ppi_plan_bin_capacity(plan, bin);
        slots += (double)capacity;
        if (__builtin_add_overflow(info->total_capacity, capacity, &info->total_capacity))
            info->total_capacity = INT64_MAX;
        info->max_bin_prompts =
            n_segments > info->max_bin_prompts ? n_segments : info->max_bin_prompts;
        info->max_cost = cost > info->max_cost ? cost : info->max_cost;
        sum += cost;
    }
    info->mean_cost = sum / (double)info->n_bins;
    info->mean_bin_prompts = (double)info->n_segments / (double)info->n_bins;
    return slots;
}

void ppi_plan_set_figures(struct pp_plan *plan)
{
    pp_plan_info *info = &plan->info;
    info->placed_tokens = info->used = info->total_capacity = info->max_bin_prompts = 0;
    info->max_cost = info->mean_cost = info->mean_bin_prompts = info->waste = info->gap = 0;
    if (info->n_bins > 0) {
        double slots = set_sums(plan);
        double filled = (double)info->placed_tokens / slots;
        info->waste = filled < 1.0 ? 1.0 - filled : 0.0;
    }
    if (info->objective == PP_OBJECTIVE_FEWEST_BINS) {
        info->gap = info->n_bins > 0
                        ? (double)(info->n_bins - info->lower_bound) / (double)info->lower_bound
                        : 0;
        info->proven_optimal = info->n_bins == info->lower_bound;
    } else {
        double cost = info->objective == PP_OBJECTIVE_BALANCED
                          ? info->max_cost
                          : info->mean_cost * (double)info->n_bins;
        /* Both are sums of doubles; one that is equal but for rounding is optimal. */
        double rounding = 0x1p-52 * (double)(info->n_prompts + 64);
        info->proven_optimal = cost <= info->cost_bound * (1 + rounding);
        info->gap = info->proven_optimal || info->cost_bound <= 0 ? 0 : cost / info->cost_bound - 1;
    }
}
