/*
 * packer.c: limits and policy, and the way from lengths to a plan: check every length, set the
 * figures, let the policy fill the bins.
 */
#include "policies.h"

#include <time.h>

struct pp_packer {
    struct ppi_mem mem;
    int32_t policy;
    int64_t capacity; /* 0: the longest prompt of each call */
};

static const pp_packer_params default_params = {.struct_size = sizeof(pp_packer_params),
                                                .policy = PP_POLICY_FFD};

typedef pp_status (*pack_fn)(struct pp_plan *plan, const int64_t *lengths, int64_t shortest,
                             pp_error *err);

/* NULL for an unknown policy. */
static pack_fn find_policy(int32_t policy)
{
    switch (policy) {
    case PP_POLICY_FFD:
        return ppi_pack_ffd;
    case PP_POLICY_BFD:
        return ppi_pack_bfd;
    case PP_POLICY_ARRIVAL:
        return ppi_pack_arrival;
    }
    return NULL;
}

void pp_packer_params_init(pp_packer_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

pp_status pp_packer_create(const pp_packer_params *params, pp_packer **packer, pp_error *err)
{
    pp_packer_params chosen = default_params;
    PP_TRY(ppi_struct_read(&chosen, sizeof chosen, params, "pp_packer_params", err));
    if (!packer)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_create: packer is NULL");
    if (!find_policy(chosen.policy))
        return ppi_error(err, PP_ERR_ARG,
                         "policy %d is unknown; there are %d (FFD) to %d (ARRIVAL)", chosen.policy,
                         PP_POLICY_FFD, PP_POLICY_ARRIVAL);
    if (chosen.capacity < 0)
        return ppi_error(
            err, PP_ERR_ARG,
            "capacity is %lld tokens; it must be positive, or 0 for the longest prompt",
            (long long)chosen.capacity);
    PP_TRY(
        ppi_reserved_check(chosen.reserved, PPI_COUNT(chosen.reserved), "pp_packer_params", err));
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, chosen.allocator, 0, err));
    pp_packer *new_packer = ppi_alloc(&mem, 1, sizeof *new_packer);
    if (!new_packer)
        return ppi_error_nomem(err, "a packer", sizeof *new_packer);
    *new_packer = (pp_packer){.policy = chosen.policy, .capacity = chosen.capacity};
    new_packer->mem = mem;
    *packer = new_packer;
    return PP_OK;
}

void pp_packer_destroy(pp_packer *packer)
{
    if (!packer)
        return;
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

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The figures that follow from the number of bins. */
static void set_figures(pp_plan_info *info, double started)
{
    if (info->n_bins > 0) {
        double slots = (double)info->n_bins * (double)info->capacity;
        double filled = (double)info->tokens / slots;
        info->waste = filled < 1.0 ? 1.0 - filled : 0.0;
        info->gap = (double)(info->n_bins - info->lower_bound) / (double)info->lower_bound;
    }
    info->proven_optimal = info->n_bins == info->lower_bound;
    info->seconds = now() - started;
}

pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, size_t n, pp_plan **plan,
                         pp_error *err)
{
    double started = now();
    if (!packer || !plan)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_plan: %s is NULL", packer ? "plan" : "packer");
    if (n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "%zu prompts; a plan has at most %d", n, INT32_MAX);
    if (!lengths && n > 0)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_plan: lengths is NULL, but there are %zu", n);
    struct survey survey;
    PP_TRY(survey_lengths(lengths, (int64_t)n, packer->capacity, &survey, err));

    int64_t capacity = packer->capacity ? packer->capacity : survey.longest;
    int64_t lower_bound = ppi_bound_l1(survey.tokens, capacity);
    pp_plan *new_plan;
    PP_TRY(ppi_plan_create(&packer->mem.allocator, (int64_t)n,
                           ppi_bound_bins(lower_bound, (int64_t)n), &new_plan, err));
    pp_plan_info *info = &new_plan->info;
    info->struct_size = sizeof *info;
    info->policy = packer->policy;
    info->capacity = capacity;
    info->tokens = survey.tokens;
    info->longest_prompt = survey.longest;
    info->lower_bound = lower_bound;
    if (n > 0) {
        pp_status status = find_policy(packer->policy)(new_plan, lengths, survey.shortest, err);
        if (status < 0) {
            pp_plan_destroy(new_plan);
            return status;
        }
    }
    set_figures(info, started);
    *plan = new_plan;
    return PP_OK;
}
