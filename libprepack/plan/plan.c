/*
 * plan.c: the plan object: what a packing gave, immutable once pp_packer_plan has returned it.
 */
#include "plan.h"

#include <string.h>

pp_status ppi_plan_create(const pp_allocator *allocator, int64_t n_prompts, int64_t n_segments,
                          int64_t max_bins, struct pp_plan **plan, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, allocator, 0, err));
    struct pp_plan *new_plan = ppi_zalloc(&mem, 1, sizeof *new_plan);
    if (!new_plan)
        return ppi_error_nomem(err, "a plan", sizeof *new_plan);
    new_plan->mem = mem;
    new_plan->info.struct_size = sizeof new_plan->info;
    new_plan->info.n_prompts = n_prompts;
    new_plan->info.n_segments = n_segments;
    new_plan->lengths = ppi_alloc(&new_plan->mem, (size_t)n_prompts, sizeof(int64_t));
    new_plan->prompts = ppi_alloc(&new_plan->mem, (size_t)n_segments, sizeof(int32_t));
    new_plan->bin_starts = ppi_alloc(&new_plan->mem, (size_t)max_bins + 1, sizeof(int64_t));
    new_plan->bin_tokens = ppi_alloc(&new_plan->mem, (size_t)max_bins, sizeof(int64_t));
    if (!new_plan->lengths || !new_plan->prompts || !new_plan->bin_starts ||
        !new_plan->bin_tokens) {
        pp_plan_destroy(new_plan);
        return ppi_error_nomem(err, "the bins of a plan",
                               (size_t)n_prompts * sizeof(int64_t) +
                                   (size_t)n_segments * sizeof(int32_t) +
                                   ((size_t)max_bins * 2 + 1) * sizeof(int64_t));
    }
    new_plan->bin_starts[0] = 0;
    *plan = new_plan;
    return PP_OK;
}

pp_status ppi_plan_add_segments(struct pp_plan *plan, pp_error *err)
{
    struct segments *segments = &plan->segments;
    size_t n = (size_t)plan->info.n_segments;
    size_t n_prompts = (size_t)plan->info.n_prompts;
    segments->first_tokens = ppi_alloc(&plan->mem, n, sizeof *segments->first_tokens);
    segments->n_tokens = ppi_alloc(&plan->mem, n, sizeof *segments->n_tokens);
    segments->after = ppi_alloc(&plan->mem, n, sizeof *segments->after);
    segments->ends = ppi_alloc(&plan->mem, n_prompts, sizeof *segments->ends);
    if (!segments->first_tokens || !segments->n_tokens || !segments->after || !segments->ends)
        return ppi_error_nomem(err, "the segments of a plan",
                               (3 * n + n_prompts) * sizeof(int64_t));
    return PP_OK;
}

void pp_plan_destroy(pp_plan *plan)
{
    if (!plan)
        return;
    ppi_free(&plan->mem, plan->segments.first_tokens);
    ppi_free(&plan->mem, plan->segments.n_tokens);
    ppi_free(&plan->mem, plan->segments.after);
    ppi_free(&plan->mem, plan->segments.ends);
    ppi_free(&plan->mem, plan->lengths);
    ppi_free(&plan->mem, plan->prompts);
    ppi_free(&plan->mem, plan->bin_starts);
    ppi_free(&plan->mem, plan->bin_tokens);
    ppi_free(&plan->mem, plan->bin_capacities);
    ppi_free(&plan->mem, plan->bin_choices);
    struct ppi_mem mem = plan->mem;
    ppi_free(&mem, plan);
}

pp_status pp_plan_get_info(const pp_plan *plan, pp_plan_info *info, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_get_info: plan is NULL");
    return ppi_struct_write(info, &plan->info, sizeof plan->info, "pp_plan_info", err);
}

static pp_status check_bin(const pp_plan *plan, int64_t bin, const char *function, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "%s: plan is NULL", function);
    if (bin < 0 || bin >= plan->info.n_bins)
        return ppi_error_at(err, PP_ERR_ARG, bin, "bin %lld is not in the plan, which has %lld",
                            (long long)bin, (long long)plan->info.n_bins);
    return PP_OK;
}

pp_status pp_plan_get_bin(const pp_plan *plan, int64_t bin, const int32_t **prompts,
                          int64_t *n_prompts, int64_t *tokens, pp_error *err)
{
    PP_TRY(check_bin(plan, bin, "pp_plan_get_bin", err));
    if (prompts)
        *prompts = plan->prompts + plan->bin_starts[bin];
    if (n_prompts)
        *n_prompts = plan->bin_starts[bin + 1] - plan->bin_starts[bin];
    if (tokens)
        *tokens = plan->bin_tokens[bin];
    return PP_OK;
}

pp_status pp_plan_get_bin_info(const pp_plan *plan, int64_t bin, pp_bin_info *info, pp_error *err)
{
    PP_TRY(check_bin(plan, bin, "pp_plan_get_bin_info", err));
    pp_bin_info found = {.struct_size = sizeof found,
                         .choice = plan->bin_choices ? plan->bin_choices[bin] : -1,
                         .first_segment = plan->bin_starts[bin],
                         .n_segments = plan->bin_starts[bin + 1] - plan->bin_starts[bin],
                         .tokens = plan->bin_tokens[bin],
                         .used = ppi_plan_bin_used(plan, bin),
                         .capacity = ppi_plan_bin_capacity(plan, bin),
                         .cost = ppi_plan_bin_cost(plan, bin)};
    return ppi_struct_write(info, &found, sizeof found, "pp_bin_info", err);
}

/* The bin of a segment. */
static int64_t find_bin(const pp_plan *plan, int64_t segment)
{
    int64_t low = 0, high = plan->info.n_bins - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (plan->bin_starts[middle] <= segment)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

pp_status pp_plan_get_segment(const pp_plan *plan, int64_t segment, pp_segment *out, pp_error *err)
{
    if (!plan || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_get_segment: %s is NULL", plan ? "out" : "plan");
    if (segment < 0 || segment >= plan->info.n_segments)
        return ppi_error_at(err, PP_ERR_ARG, segment,
                            "segment %lld is not in the plan, which has %lld", (long long)segment,
                            (long long)plan->info.n_segments);
    bool has_parts = ppi_plan_has_parts(plan);
    pp_segment found = {.prompt = plan->prompts[segment],
                        .first_token = has_parts ? plan->segments.first_tokens[segment] : 0,
                        .n_tokens = ppi_plan_segment_tokens(plan, segment),
                        .after = has_parts ? plan->segments.after[segment] : -1};
    for (int64_t i = plan->bin_starts[find_bin(plan, segment)]; i < segment; i++)
        found.start += ppi_round_up(ppi_plan_segment_tokens(plan, i), plan->prompt_alignment);
    *out = found;
    return PP_OK;
}

pp_status pp_plan_get_ends(const pp_plan *plan, int64_t *segments, int64_t n, pp_error *err)
{
    if (!plan || (!segments && n != 0))
        return ppi_error(err, PP_ERR_ARG, "pp_plan_get_ends: %s is NULL",
                         plan ? "segments" : "plan");
    if (n != plan->info.n_prompts)
        return ppi_error(err, PP_ERR_ARG,
                         "room for the ends of %lld prompts, but the plan has %lld", (long long)n,
                         (long long)plan->info.n_prompts);
    if (ppi_plan_has_parts(plan) && n > 0)
        memcpy(segments, plan->segments.ends, (size_t)n * sizeof *segments);
    else
        for (int64_t i = 0; i < plan->info.n_segments; i++)
            segments[plan->prompts[i]] = i;
    return PP_OK;
}

pp_status ppi_plan_match_number(const struct pp_plan *plan, int64_t n, pp_error *err)
{
    if (n != plan->info.n_prompts)
        return ppi_error(err, PP_ERR_ARG, "%lld prompts given, but the plan was made from %lld",
                         (long long)n, (long long)plan->info.n_prompts);
    return PP_OK;
}

pp_status ppi_plan_match_length(const struct pp_plan *plan, int64_t i, int64_t n_tokens,
                                pp_error *err)
{
    if (n_tokens != plan->lengths[i])
        return ppi_error_at(err, PP_ERR_ARG, i,
                            "prompt %lld has %lld tokens, but the plan was made from one of %lld",
                            (long long)i, (long long)n_tokens, (long long)plan->lengths[i]);
    return PP_OK;
}
