/*
 * whole.c: plans in which no prompt is split: prompts become items, the policy packs them, and the
 * bins of items become bins of prompts.
 */
#include "items.h"

#include <string.h>

/* Where the bins of a plan are whole prompts, its arrays are the solution's. */
static struct bins bins_in_plan(struct pp_plan *plan, int32_t policy)
{
    return (struct bins){.items = plan->prompts,
                         .starts = plan->bin_starts,
                         .sizes = plan->bin_tokens,
                         .capacities = plan->bin_capacities,
                         .policy = policy};
}

/* What the solution says about itself. */
static void set_bounds(pp_plan_info *info, const struct bins *bins)
{
    info->policy = ppi_public_policy(bins->policy);
    info->n_bins = bins->n;
    info->bound_l1 = bins->bound_l1;
    info->bound_l2 = bins->bound_l2;
    info->bound_dff = bins->bound_dff;
    info->bound_lp = bins->bound_lp;
    info->cost_bound = bins->cost_bound;
    info->limit_reached = bins->limit_reached;
    const int64_t bounds[] = {info->bound_l1,    info->bound_l2,    info->bound_dff,
                              info->bound_lp,    bins->bound_order, bins->bound_limits,
                              bins->bound_search};
    for (size_t i = 0; i < PPI_COUNT(bounds); i++)
        info->lower_bound = bounds[i] > info->lower_bound ? bounds[i] : info->lower_bound;
}

static int64_t largest(const int64_t *values, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* Room for the plan of a packing of n prompts. */
static pp_status create_plan(const pp_packer *packer, const struct packing *packing, int64_t n,
                             struct pp_plan **plan, pp_error *err)
{
    int32_t objective = packer->settings.objective;
    int64_t max_bins = n > 0 ? ppi_max_bins(objective, packing) : 0;
    struct pp_plan *new_plan;
    PP_TRY(ppi_plan_create(&packer->mem.allocator, n, n, max_bins, &new_plan, err));
    if (objective == PP_OBJECTIVE_CHEAPEST) {
        new_plan->bin_capacities =
            ppi_alloc(&new_plan->mem, (size_t)max_bins, sizeof *new_plan->bin_capacities);
        if (!new_plan->bin_capacities) {
            pp_plan_destroy(new_plan);
            return ppi_error_nomem(err, "the capacities of bins",
                                   (size_t)max_bins * sizeof(int64_t));
        }
    }
    *plan = new_plan;
    return PP_OK;
}

static int64_t most_used(const struct pp_plan *plan)
{
    int64_t most = 0;
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        int64_t used = ppi_plan_bin_used(plan, bin);
        most = used > most ? used : most;
    }
    return most;
}

/* Where bins differ, what each of them holds: the capacity that was given, or all of a prompt that
 * is longer than the bins. */
static pp_status set_capacities(struct pp_plan *plan, const struct settings *settings,
                                const struct items *items, pp_error *err)
{
    size_t n = (size_t)plan->info.n_bins;
    if (!items->oversize && !plan->bin_choices)
        return PP_OK;
    plan->bin_capacities = ppi_alloc(&plan->mem, n, sizeof *plan->bin_capacities);
    if (!plan->bin_capacities)
        return ppi_error_nomem(err, "the capacities of bins", n * sizeof *plan->bin_capacities);
    for (size_t bin = 0; bin < n; bin++) {
        int64_t used = ppi_plan_bin_used(plan, (int64_t)bin);
        int64_t capacity =
            plan->bin_choices ? settings->capacities[plan->bin_choices[bin]] : plan->info.capacity;
        plan->bin_capacities[bin] = used > capacity ? used : capacity;
    }
    plan->info.capacity = largest(plan->bin_capacities, (int64_t)n);
    return PP_OK;
}

/* From bins of items to bins of prompts; in_bins: the items, NULL: they are the plan's prompts. */
static pp_status finish_bins(struct pp_plan *plan, const struct settings *settings,
                             const struct items *items, const int32_t *in_bins, pp_error *err)
{
    plan->prompt_alignment = settings->prompt_alignment;
    plan->bin_alignment = settings->bin_alignment;
    if (in_bins)
        ppi_items_expand(items, in_bins, plan);
    if (items->sizes)
        for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
            plan->bin_tokens[bin] = 0;
            for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++)
                plan->bin_tokens[bin] += plan->lengths[plan->prompts[i]];
        }
    return set_capacities(plan, settings, items, err);
}

/* Packs items into the bins of a plan that is all but empty. */
static pp_status pack_items(struct pp_plan *plan, const pp_packer *packer,
                            const struct items *items, pp_error *err)
{
    const struct settings *settings = &packer->settings;
    const struct packing *packing = &items->packing;
    struct bins bins = bins_in_plan(plan, settings->policy);
    int32_t *in_bins = NULL;
    if (items->starts) {
        in_bins = ppi_alloc(&plan->mem, (size_t)packing->n, sizeof *in_bins);
        if (!in_bins)
            return ppi_error_nomem(err, "the items in bins", (size_t)packing->n * sizeof *in_bins);
        bins.items = in_bins;
    }
    if (ppi_has_given_bins(settings)) {
        size_t n = (size_t)packing->n_capacities;
        plan->bin_choices = ppi_alloc(&plan->mem, n, sizeof *plan->bin_choices);
        if (!plan->bin_choices) {
            ppi_free(&plan->mem, in_bins);
            return ppi_error_nomem(err, "the choice of bins", n * sizeof *plan->bin_choices);
        }
        bins.choices = plan->bin_choices;
    }
    pp_status status = ppi_pack(settings->objective, packing, &bins, &plan->mem, err);
    if (status == PP_OK) {
        plan->info.capacity = settings->capacity > 0 ? settings->capacity : packing->capacity;
        set_bounds(&plan->info, &bins);
        status = finish_bins(plan, settings, items, in_bins, err);
        if (settings->capacity == 0 && settings->objective == PP_OBJECTIVE_BALANCED)
            plan->info.capacity = most_used(plan);
        else if (settings->objective == PP_OBJECTIVE_CHEAPEST)
            plan->info.capacity = largest(plan->bin_capacities, plan->info.n_bins);
    }
    ppi_free(&plan->mem, in_bins);
    return status;
}

/* The capacity of a plan without prompts. */
static int64_t idle_capacity(const struct settings *settings)
{
    return ppi_has_given_bins(settings) ? largest(settings->capacities, settings->n_capacities)
                                        : settings->capacity;
}

pp_status ppi_plan_whole(const pp_packer *packer, const pp_plan_input *input,
                         const struct survey *survey, struct pp_plan **plan, pp_error *err)
{
    const struct settings *settings = &packer->settings;
    int64_t n = input->n;
    struct items items = {0};
    struct pp_plan *new_plan = NULL;
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, &packer->mem.allocator, 0, err));
    pp_status status = PP_OK;
    if (n > 0)
        status = ppi_items_create(&items, settings, input, survey, &mem, err);
    items.packing.cost = &packer->settings.cost;
    if (status == PP_OK)
        status = create_plan(packer, &items.packing, n, &new_plan, err);
    if (status == PP_OK) {
        if (n > 0)
            memcpy(new_plan->lengths, input->lengths, (size_t)n * sizeof *input->lengths);
        new_plan->info.policy = ppi_public_policy(settings->policy);
        new_plan->info.capacity = idle_capacity(settings);
        new_plan->info.tokens = survey->tokens;
        new_plan->info.longest_prompt = survey->longest;
    }
    if (status == PP_OK && n > 0)
        status = pack_items(new_plan, packer, &items, err);
    ppi_items_destroy(&items, &mem);
    if (status < 0)
        pp_plan_destroy(new_plan);
    else
        *plan = new_plan;
    return status;
}
