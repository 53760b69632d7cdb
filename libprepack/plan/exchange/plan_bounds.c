/*
 * plan_bounds.c: the bounds of a plan whose makers are not believed. They know lengths and
 * the capacity: a plan that had to keep more (an order, prompts apart), or that shares prefixes as
 * far as they go, may be the best there is and yet be above them.
 */
#include "plan_check.h"
#include "plan/balance/balance.h"
#include "plan/fewest/bounds.h"

/* What each segment takes, rounded up to `alignment`. *packing gets sizes, to be freed, and their
 * range. */
static pp_status measure(const struct pp_plan *plan, int64_t alignment, struct packing *packing,
                         struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)plan->info.n_segments;
    int64_t *sizes = ppi_alloc(mem, n, sizeof *sizes);
    if (!sizes)
        return ppi_error_nomem(err, "the bounds of a plan", n * sizeof *sizes);
    packing->n = plan->info.n_segments;
    packing->sizes = sizes;
    packing->shortest = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        sizes[i] = ppi_round_up(ppi_plan_segment_tokens(plan, (int64_t)i), alignment);
        packing->shortest = sizes[i] < packing->shortest ? sizes[i] : packing->shortest;
        packing->longest = sizes[i] > packing->longest ? sizes[i] : packing->longest;
    }
    return PP_OK;
}

static pp_status bound_bins(struct pp_plan *plan, int64_t capacity, int64_t room,
                            struct ppi_mem *mem, pp_error *err)
{
    pp_plan_info *info = &plan->info;
    struct packing packing = {.total = room, .capacity = capacity};
    struct bins bins = {.n = info->n_bins, .bound_l1 = info->bound_l1};
    PP_TRY(measure(plan, plan->prompt_alignment, &packing, mem, err));
    pp_status status = ppi_bounds_set(&bins, &packing, NULL, mem, err);
    ppi_free(mem, (void *)packing.sizes);
    info->bound_l2 = bins.bound_l2;
    info->bound_dff = bins.bound_dff;
    info->lower_bound = bins.bound_l2 > info->lower_bound ? bins.bound_l2 : info->lower_bound;
    info->lower_bound = bins.bound_dff > info->lower_bound ? bins.bound_dff : info->lower_bound;
    return status;
}

/* Costs follow tokens, not room, and whether a capacity limited the bins is not known. */
static pp_status bound_cost(struct pp_plan *plan, struct ppi_mem *mem, pp_error *err)
{
    struct balance balance;
    struct packing packing = {.total = plan->info.tokens,
                              .capacity = INT64_MAX,
                              .max_prompts = INT64_MAX,
                              .n_bins = plan->info.n_bins,
                              .cost = &plan->cost};
    PP_TRY(measure(plan, 1, &packing, mem, err));
    pp_status status = ppi_balance_create(&balance, &packing, mem, err);
    if (status >= 0) {
        plan->info.cost_bound = balance.bound;
        ppi_balance_destroy(&balance, mem);
    } else if (status == PP_ERR_ARG) { /* costs that are not finite have no bound */
        status = PP_OK;
    }
    ppi_free(mem, (void *)packing.sizes);
    return status;
}

/* What must be placed, however prompts are split and prefixes shared: all tokens, or, as others
 * could share more than these do, those of one prompt. */
static int64_t least_room(const struct pp_plan *plan)
{
    int64_t placed = 0;
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++)
        placed += plan->bin_tokens[bin];
    return placed < plan->info.tokens ? plan->info.longest_prompt : plan->info.tokens;
}

pp_status ppi_plan_find_bounds(struct pp_plan *plan, int64_t room, struct ppi_mem *mem,
                               pp_error *err)
{
    pp_plan_info *info = &plan->info;
    if (info->n_segments == 0)
        return PP_OK;
    bool has_parts = ppi_plan_has_parts(plan);
    /* what alignment leaves of a bin's capacity can hold nothing */
    int64_t capacity = info->capacity - info->capacity % plan->bin_alignment;
    info->bound_l1 = ppi_bound_l1(has_parts ? least_room(plan) : room, capacity);
    info->lower_bound = info->bound_l1;
    if (has_parts)
        return PP_OK;
    if (info->objective == PP_OBJECTIVE_FEWEST_BINS)
        return bound_bins(plan, capacity, room, mem, err);
    if (info->objective == PP_OBJECTIVE_BALANCED)
        return bound_cost(plan, mem, err);
    return PP_OK;
}
