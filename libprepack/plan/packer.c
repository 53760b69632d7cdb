/*
 * packer.c: limits and policy, and the way from lengths to a plan: check every length, let the
 * policy fill the bins, set the figures.
 */
#include "histogram.h"
#include "items.h"
#include "settings.h"
#include "plan.h"
#include "plan/fewest/bounds.h"
#include "plan/parts/parts.h"

#include <string.h>

/* Puts the lengths that rows may have in ascending order, each once. */
static pp_status sort_capacities(struct pp_packer *packer, pp_error *err)
{
    int64_t *capacities = packer->capacities;
    int64_t n = packer->settings.n_capacities;
    int64_t least = INT64_MAX, most = 0;
    for (int64_t i = 0; i < n; i++) {
        least = capacities[i] < least ? capacities[i] : least;
        most = capacities[i] > most ? capacities[i] : most;
    }
    struct histogram sorted = {0};
    PP_TRY(ppi_histogram_create(&sorted, capacities, n, least, most, &packer->mem, err));
    packer->settings.n_capacities = 0;
    for (int64_t slot = 0; slot < sorted.n_slots; slot++)
        if (sorted.buckets[slot].next < sorted.buckets[slot].end)
            capacities[packer->settings.n_capacities++] = ppi_histogram_length(&sorted, slot);
    packer->settings.capacity = most;
    ppi_histogram_destroy(&sorted, &packer->mem);
    return PP_OK;
}

static pp_status copy_capacities(struct pp_packer *packer, const int64_t *capacities, pp_error *err)
{
    size_t n = (size_t)packer->settings.n_capacities;
    packer->settings.capacities = NULL;
    if (n == 0)
        return PP_OK;
    packer->capacities = ppi_alloc(&packer->mem, n, sizeof *packer->capacities);
    if (!packer->capacities)
        return ppi_error_nomem(err, "the capacities of a packer", n * sizeof(int64_t));
    memcpy(packer->capacities, capacities, n * sizeof(int64_t));
    packer->settings.capacities = packer->capacities;
    return packer->settings.objective == PP_OBJECTIVE_CHEAPEST ? sort_capacities(packer, err)
                                                               : PP_OK;
}

pp_status ppi_packer_create(const struct settings *settings, pp_packer **packer, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, settings->allocator, 0, err));
    pp_packer *new_packer = ppi_zalloc(&mem, 1, sizeof *new_packer);
    if (!new_packer)
        return ppi_error_nomem(err, "a packer", sizeof *new_packer);
    new_packer->mem = mem;
    new_packer->settings = *settings;
    new_packer->settings.allocator = NULL; /* the caller's, and copied to mem */
    pp_status status = copy_capacities(new_packer, settings->capacities, err);
    if (status < 0) {
        pp_packer_destroy(new_packer);
        return status;
    }
    *packer = new_packer;
    return PP_OK;
}

pp_status pp_packer_create(const pp_packer_params *params, pp_packer **packer, pp_error *err)
{
    if (!packer)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_create: packer is NULL");
    struct settings settings;
    PP_TRY(ppi_settings_read(params, &settings, err));
    return ppi_packer_create(&settings, packer, err);
}

void pp_packer_destroy(pp_packer *packer)
{
    if (!packer)
        return;
    ppi_free(&packer->mem, packer->capacities);
    struct ppi_mem mem = packer->mem;
    ppi_free(&mem, packer);
}

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

/* A plan of whole prompts, or of parts of them where these need fewer bins, or as many and fewer
 * tokens. input: checked. */
static pp_status plan_prompts(const pp_packer *packer, const pp_plan_input *input,
                              const struct survey *survey, struct pp_plan **plan, pp_error *err)
{
    bool needed = ppi_parts_needed(&packer->settings, survey->longest);
    struct pp_plan *parts = NULL;
    int64_t bound = 0;
    if (input->n > 0 && (needed || packer->settings.min_shared_prefix > 0))
        PP_TRY(ppi_plan_parts(packer, input, survey->longest, &parts, &bound, err));
    if (parts &&
        (needed || parts->info.n_bins <= ppi_bound_l1(survey->tokens, parts->info.capacity))) {
        *plan = parts;
        return PP_OK;
    }
    struct pp_plan *whole;
    pp_status status = ppi_plan_whole(packer, input, survey, &whole, err);
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

/* input->lengths, if they are not given: those of the prompts, *own_lengths. */
static pp_status read_lengths(pp_plan_input *input, int64_t **own_lengths, struct ppi_mem *mem,
                              pp_error *err)
{
    size_t n = (size_t)input->n;
    if (input->lengths && input->prompts)
        for (int64_t i = 0; i < input->n; i++)
            if (input->lengths[i] != input->prompts[i].n_tokens)
                return ppi_error_at(err, PP_ERR_ARG, i,
                                    "prompt %lld has %lld tokens, but its length is given as %lld",
                                    (long long)i, (long long)input->prompts[i].n_tokens,
                                    (long long)input->lengths[i]);
    if (input->lengths || n == 0)
        return PP_OK;
    if (!input->prompts)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_plan: lengths is NULL, but there are %zu", n);
    *own_lengths = ppi_alloc(mem, n, sizeof **own_lengths);
    if (!*own_lengths)
        return ppi_error_nomem(err, "the lengths of prompts", n * sizeof **own_lengths);
    for (size_t i = 0; i < n; i++)
        (*own_lengths)[i] = input->prompts[i].n_tokens;
    input->lengths = *own_lengths;
    return PP_OK;
}

/* input: read, with lengths. */
static pp_status plan_input(const pp_packer *packer, const pp_plan_input *input,
                            struct pp_plan **plan, pp_error *err)
{
    const struct settings *settings = &packer->settings;
    struct survey survey;
    bool simple = ppi_items_are_lengths(settings, input) && settings->oversize == PP_OVERSIZE_ERROR;
    PP_TRY(survey_lengths(input->lengths, input->n, simple ? settings->capacity : 0, &survey, err));
    PP_TRY(plan_prompts(packer, input, &survey, plan, err));
    struct pp_plan *new_plan = *plan;
    new_plan->cost = packer->settings.cost;
    new_plan->bin_alignment = settings->bin_alignment;
    new_plan->prompt_alignment = settings->prompt_alignment;
    new_plan->info.objective = settings->objective;
    ppi_plan_set_figures(new_plan);
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
    if (given.n < 0 || given.n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "%lld prompts; a plan has 0 to %d", (long long)given.n,
                         INT32_MAX);
    int64_t *own_lengths = NULL;
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, &packer->mem.allocator, 0, err));
    PP_TRY(read_lengths(&given, &own_lengths, &mem, err));
    struct pp_plan *new_plan;
    pp_status status = plan_input(packer, &given, &new_plan, err);
    ppi_free(&mem, own_lengths);
    if (status < 0)
        return status;
    new_plan->info.seconds = ppi_seconds() - started;
    *plan = new_plan;
    return PP_OK;
}

pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, int64_t n, pp_plan **plan,
                         pp_error *err)
{
    pp_plan_input input = {.struct_size = sizeof input, .n = n, .lengths = lengths};
    return pp_packer_plan_input(packer, &input, plan, err);
}
