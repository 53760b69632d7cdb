/*
 * packer.c: limits and policy, and the way from lengths to a plan: check every length, let the
 * policy fill the bins, set the figures.
 */
#include "bounds.h"
#include "histogram.h"
#include "packing.h"
#include "packer_impl.h"
#include "parts.h"
#include "plan.h"

#include "stream/queue.h"

#include <string.h>
#include <time.h>

double ppi_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Puts the lengths that rows may have in ascending order, each once. */
static pp_status sort_capacities(struct pp_packer *packer, pp_error *err)
{
    int64_t *capacities = packer->capacities;
    int64_t n = packer->params.n_capacities;
    int64_t least = INT64_MAX, most = 0;
    for (int64_t i = 0; i < n; i++) {
        least = capacities[i] < least ? capacities[i] : least;
        most = capacities[i] > most ? capacities[i] : most;
    }
    struct histogram sorted = {0};
    PP_TRY(ppi_histogram_create(&sorted, capacities, n, least, most, &packer->mem, err));
    packer->params.n_capacities = 0;
    for (int64_t slot = 0; slot < sorted.n_slots; slot++)
        if (sorted.buckets[slot].next < sorted.buckets[slot].end)
            capacities[packer->params.n_capacities++] = ppi_histogram_length(&sorted, slot);
    packer->params.capacity = most;
    ppi_histogram_destroy(&sorted, &packer->mem);
    return PP_OK;
}

static pp_status copy_capacities(struct pp_packer *packer, const int64_t *capacities, pp_error *err)
{
    size_t n = (size_t)packer->params.n_capacities;
    packer->params.capacities = NULL;
    if (n == 0)
        return PP_OK;
    packer->capacities = ppi_alloc(&packer->mem, n, sizeof *packer->capacities);
    if (!packer->capacities)
        return ppi_error_nomem(err, "the capacities of a packer", n * sizeof(int64_t));
    memcpy(packer->capacities, capacities, n * sizeof(int64_t));
    packer->params.capacities = packer->capacities;
    return packer->params.objective == PP_OBJECTIVE_CHEAPEST ? sort_capacities(packer, err) : PP_OK;
}

pp_status pp_packer_create(const pp_packer_params *params, pp_packer **packer, pp_error *err)
{
    if (!packer)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_create: packer is NULL");
    pp_packer_params chosen;
    pp_cost_model cost;
    PP_TRY(ppi_packer_params_read(params, &chosen, &cost, err));
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, chosen.allocator, 0, err));
    pp_packer *new_packer = ppi_zalloc(&mem, 1, sizeof *new_packer);
    if (!new_packer)
        return ppi_error_nomem(err, "a packer", sizeof *new_packer);
    new_packer->mem = mem;
    new_packer->params = chosen;
    new_packer->cost = cost;
    new_packer->params.cost = &new_packer->cost;
    pp_status status = copy_capacities(new_packer, chosen.capacities, err);
    if (status >= 0 && chosen.max_waiting > 0)
        status = ppi_queue_create(&new_packer->params, &new_packer->cost, NULL, &new_packer->mem,
                                  &new_packer->queue, err);
    if (status < 0) {
        pp_packer_destroy(new_packer);
        return status;
    }
    *packer = new_packer;
    return PP_OK;
}

void pp_packer_destroy(pp_packer *packer)
{
    if (!packer)
        return;
    ppi_queue_destroy(packer->queue, &packer->mem);
    ppi_free(&packer->mem, packer->capacities);
    struct ppi_mem mem = packer->mem;
    ppi_free(&mem, packer);
}

struct survey {
    int64_t shortest;
    int64_t longest;
    int64_t tokens;
};

/* Names the first prompt that is wrong, if one is. capacity 0: no limit. */
static pp_status check_lengths(const int64_t *lengths, int64_t n, int64_t capacity, pp_error *err)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < n; i++) {
        if (lengths[i] < 1)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "prompt %lld has a length of %lld tokens; it must have at least 1",
                                (long long)i, (long long)lengths[i]);
        if (capacity > 0 && lengths[i] > capacity)
            return ppi_error_at(err, PP_ERR_TOO_LONG, i,
                                "prompt %lld has %lld tokens, but a bin holds %lld", (long long)i,
                                (long long)lengths[i], (long long)capacity);
        if (__builtin_add_overflow(tokens, lengths[i], &tokens))
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "prompts 0 to %lld have more than 2^63 - 1 tokens together",
                                (long long)i);
    }
    return PP_OK;
}

static pp_status survey_lengths(const int64_t *lengths, int64_t n, int64_t capacity,
                                struct survey *survey, pp_error *err)
{
    int64_t shortest = INT64_MAX;
    int64_t longest = 0;
    uint64_t tokens = 0; /* may wrap around; that is found below */
    for (int64_t i = 0; i < n; i++) {
        shortest = lengths[i] < shortest ? lengths[i] : shortest;
        longest = lengths[i] > longest ? lengths[i] : longest;
        tokens += (uint64_t)lengths[i];
    }
    int64_t most;
    if (shortest < 1 || (capacity > 0 && longest > capacity) ||
        __builtin_mul_overflow(longest, n, &most))
        PP_TRY(check_lengths(lengths, n, capacity, err));
    *survey = (struct survey){.shortest = shortest, .longest = longest, .tokens = (int64_t)tokens};
    return PP_OK;
}

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
    info->policy = bins->policy;
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

static int64_t choose_capacity(const pp_packer_params *params, const struct survey *survey)
{
    if (params->capacity > 0)
        return params->capacity;
    return params->objective == PP_OBJECTIVE_BALANCED ? INT64_MAX : survey->longest;
}

static int64_t largest(const int64_t *values, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* Room for the plan of a packing whose items are whole prompts. */
static pp_status create_plan(const pp_packer *packer, const struct packing *packing,
                             struct pp_plan **plan, pp_error *err)
{
    int32_t objective = packer->params.objective;
    int64_t max_bins = packing->n > 0 ? ppi_max_bins(objective, packing) : 0;
    struct pp_plan *new_plan;
    PP_TRY(
        ppi_plan_create(&packer->mem.allocator, packing->n, packing->n, max_bins, &new_plan, err));
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

/* A plan in which each prompt is one item. */
static pp_status plan_whole_prompts(const pp_packer *packer, const int64_t *lengths, int64_t n,
                                    const struct survey *survey, struct pp_plan **plan,
                                    pp_error *err)
{
    const pp_packer_params *params = &packer->params;
    struct packing packing = {.n = n,
                              .sizes = lengths,
                              .shortest = survey->shortest,
                              .longest = survey->longest,
                              .total = survey->tokens,
                              .capacity = choose_capacity(params, survey),
                              .max_prompts =
                                  params->max_prompts > 0 ? params->max_prompts : INT64_MAX,
                              .n_bins = params->n_bins,
                              .capacities = params->capacities,
                              .n_capacities = params->n_capacities,
                              .keep_order = params->keep_order != 0,
                              .cost = &packer->cost,
                              .policy = params->policy,
                              .max_steps = params->max_steps,
                              .max_seconds = params->max_seconds};
    struct pp_plan *new_plan = NULL;
    PP_TRY(create_plan(packer, &packing, &new_plan, err));
    struct bins bins = bins_in_plan(new_plan, params->policy);
    if (n > 0) {
        memcpy(new_plan->lengths, lengths, (size_t)n * sizeof *lengths);
        pp_status status = ppi_pack(params->objective, &packing, &bins, &new_plan->mem, err);
        if (status < 0) {
            pp_plan_destroy(new_plan);
            return status;
        }
    }
    pp_plan_info *info = &new_plan->info;
    info->capacity = packing.capacity;
    if (params->capacity == 0 && params->objective == PP_OBJECTIVE_BALANCED)
        info->capacity = largest(bins.sizes, bins.n);
    else if (params->objective == PP_OBJECTIVE_CHEAPEST)
        info->capacity = largest(bins.capacities, bins.n);
    info->tokens = survey->tokens;
    info->longest_prompt = survey->longest;
    set_bounds(info, &bins);
    *plan = new_plan;
    return PP_OK;
}

/* A plan of whole prompts, or of parts of them where these need fewer bins, or as many and fewer
 * tokens. input: checked. */
static pp_status plan_prompts(const pp_packer *packer, const pp_plan_input *input,
                              const struct survey *survey, struct pp_plan **plan, pp_error *err)
{
    bool needed = ppi_parts_needed(&packer->params, survey->longest);
    struct pp_plan *parts = NULL;
    int64_t bound = 0;
    if (input->n > 0 && (needed || packer->params.share_prefixes))
        PP_TRY(ppi_plan_parts(packer, input, survey->longest, &parts, &bound, err));
    if (parts &&
        (needed || parts->info.n_bins <= ppi_bound_l1(survey->tokens, parts->info.capacity))) {
        *plan = parts;
        return PP_OK;
    }
    struct pp_plan *whole;
    pp_status status = plan_whole_prompts(packer, input->lengths, input->n, survey, &whole, err);
    if (status < 0) {
        pp_plan_destroy(parts);
        return status;
    }
    bool keep_whole = !parts || whole->info.n_bins < parts->info.n_bins;
    if (keep_whole && bound > 0) { /* bounds of whole prompts are none for prompts in parts */
        pp_plan_info *info = &whole->info;
        info->bound_l1 = info->lower_bound = bound;
        info->bound_l2 = info->bound_dff = info->bound_lp = 0;
    }
    pp_plan_destroy(keep_whole ? parts : whole);
    *plan = keep_whole ? whole : parts;
    return PP_OK;
}

pp_status pp_packer_plan_input(const pp_packer *packer, const pp_plan_input *input, pp_plan **plan,
                               pp_error *err)
{
    double started = ppi_seconds();
    if (!packer || !plan || !input)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_plan: %s is NULL",
                         !packer ? "packer"
                         : !plan ? "plan"
                                 : "input");
    pp_plan_input given = {.struct_size = sizeof given};
    PP_TRY(ppi_struct_read(&given, sizeof given, input, "pp_plan_input", err));
    PP_TRY(ppi_reserved_check(given.reserved, PPI_COUNT(given.reserved), "pp_plan_input", err));
    if (given.n < 0 || given.n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "%lld prompts; a plan has 0 to %d", (long long)given.n,
                         INT32_MAX);
    if (!given.lengths && given.n > 0)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_plan: lengths is NULL, but there are %lld",
                         (long long)given.n);
    struct survey survey;
    int64_t longest = packer->params.oversize == PP_OVERSIZE_SPLIT ? 0 : packer->params.capacity;
    PP_TRY(survey_lengths(given.lengths, given.n, longest, &survey, err));
    struct pp_plan *new_plan;
    PP_TRY(plan_prompts(packer, &given, &survey, &new_plan, err));
    new_plan->cost = packer->cost;
    new_plan->bin_alignment = packer->params.bin_alignment;
    new_plan->prompt_alignment = packer->params.prompt_alignment;
    new_plan->info.objective = packer->params.objective;
    ppi_plan_set_figures(new_plan);
    new_plan->info.seconds = ppi_seconds() - started;
    *plan = new_plan;
    return PP_OK;
}

pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, size_t n, pp_plan **plan,
                         pp_error *err)
{
    if (n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "%zu prompts; a plan has at most %d", n, INT32_MAX);
    pp_plan_input input = {.struct_size = sizeof input, .n = (int64_t)n, .lengths = lengths};
    return pp_packer_plan_input(packer, &input, plan, err);
}
