/*
 * plan_check.c: every token in one place, every bin within its capacity. Linear in the plan, and
 * no sum can overflow, whatever the numbers are.
 */
#include "plan_check.h"

/* ---- whole prompts ---- */

/* bin_of: [n_prompts] scratch. */
static pp_status check_whole(const struct pp_plan *plan, int64_t *bin_of, pp_error *err)
{
    for (int64_t prompt = 0; prompt < plan->info.n_prompts; prompt++)
        bin_of[prompt] = -1;
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++)
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++) {
            int32_t prompt = plan->prompts[i];
            if (bin_of[prompt] >= 0)
                return ppi_error_at(err, PP_ERR_FORMAT, prompt,
                                    "plan: prompt %d lies in bin %lld and again in bin %lld",
                                    prompt, (long long)bin_of[prompt], (long long)bin);
            bin_of[prompt] = bin;
        }
    for (int64_t prompt = 0; prompt < plan->info.n_prompts; prompt++)
        if (bin_of[prompt] < 0)
            return ppi_error_at(err, PP_ERR_FORMAT, prompt, "plan: prompt %lld lies in no bin",
                                (long long)prompt);
    return PP_OK;
}

/* ---- prompts in parts ---- */

/* A segment lies within its prompt and begins where the one that it continues ends. first_in_bin:
 * the first segment of its bin; all before lie in earlier bins. */
static pp_status check_segment(const struct pp_plan *plan, int64_t i, int64_t first_in_bin,
                               pp_error *err)
{
    const struct segments *segments = &plan->segments;
    int64_t first = segments->first_tokens[i], n = segments->n_tokens[i];
    int64_t length = plan->lengths[plan->prompts[i]], after = segments->after[i];
    if (n < 1 || first < 0 || first > length || n > length - first)
        return ppi_error_at(err, PP_ERR_FORMAT, plan->prompts[i],
                            "plan: segment %lld has %lld tokens from token %lld on, but prompt %d "
                            "has %lld",
                            (long long)i, (long long)n, (long long)first, plan->prompts[i],
                            (long long)length);
    if (after < -1 || after >= first_in_bin)
        return ppi_error_at(err, PP_ERR_FORMAT, plan->prompts[i],
                            "plan: segment %lld continues segment %lld, which is not in an "
                            "earlier bin",
                            (long long)i, (long long)after);
    int64_t end = after < 0 ? 0 : segments->first_tokens[after] + segments->n_tokens[after];
    if (first != end)
        return ppi_error_at(
            err, PP_ERR_FORMAT, plan->prompts[i],
            "plan: segment %lld begins with token %lld, but what it continues ends at %lld",
            (long long)i, (long long)first, (long long)end);
    return PP_OK;
}

/* The segments of a prompt, from its end back through `after`, hold tokens 0 to length - 1 once
 * each, because each begins where the one before ends. What is left to see: each prompt has an end,
 * each segment is some prompt's, and under the name of the lowest that shares it. lowest:
 * [n_segments] scratch. */
static pp_status check_ends(const struct pp_plan *plan, int64_t *lowest, pp_error *err)
{
    const struct segments *segments = &plan->segments;
    int64_t n_segments = plan->info.n_segments;
    for (int64_t i = 0; i < n_segments; i++)
        lowest[i] = INT64_MAX;
    for (int64_t prompt = 0; prompt < plan->info.n_prompts; prompt++) {
        int64_t end = segments->ends[prompt];
        bool is_segment = end >= 0 && end < n_segments;
        if (!is_segment ||
            plan->lengths[prompt] != segments->first_tokens[end] + segments->n_tokens[end])
            return ppi_error_at(err, PP_ERR_FORMAT, prompt,
                                "plan: prompt %lld of %lld tokens does not end with segment %lld%s",
                                (long long)prompt, (long long)plan->lengths[prompt], (long long)end,
                                is_segment ? "" : ", which is not there");
        lowest[end] = prompt < lowest[end] ? prompt : lowest[end];
    }
    for (int64_t i = n_segments - 1; i >= 0; i--) { /* `after` is always a lower number */
        int64_t after = segments->after[i];
        if (lowest[i] != plan->prompts[i])
            return ppi_error_at(
                err, PP_ERR_FORMAT, plan->prompts[i],
                lowest[i] == INT64_MAX
                    ? "plan: segment %lld is listed for prompt %d, but no prompt needs it"
                    : "plan: segment %lld is listed for prompt %d, which is not the lowest of "
                      "those that share it",
                (long long)i, plan->prompts[i]);
        if (after >= 0)
            lowest[after] = lowest[i] < lowest[after] ? lowest[i] : lowest[after];
    }
    return PP_OK;
}

static pp_status check_parts(const struct pp_plan *plan, int64_t *scratch, pp_error *err)
{
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++)
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++)
            PP_TRY(check_segment(plan, i, plan->bin_starts[bin], err));
    return check_ends(plan, scratch, err);
}

pp_status ppi_plan_check_segments(const struct pp_plan *plan, struct ppi_mem *mem, pp_error *err)
{
    bool has_parts = ppi_plan_has_parts(plan);
    size_t n = (size_t)(has_parts ? plan->info.n_segments : plan->info.n_prompts);
    int64_t *scratch = ppi_alloc(mem, n, sizeof *scratch);
    if (!scratch)
        return ppi_error_nomem(err, "checking a plan", n * sizeof *scratch);
    pp_status status =
        has_parts ? check_parts(plan, scratch, err) : check_whole(plan, scratch, err);
    ppi_free(mem, scratch);
    return status;
}

/* ---- bins ---- */

/* *sum += tokens, rounded up; false where that, or ppi_round_up on the way, is above 2^63 - 1. */
static bool add_rounded(int64_t *sum, int64_t tokens, int64_t alignment)
{
    return tokens <= INT64_MAX - alignment &&
           !__builtin_add_overflow(*sum, ppi_round_up(tokens, alignment), sum);
}

static pp_status check_bin(struct pp_plan *plan, int64_t bin, int64_t *room, pp_error *err)
{
    int64_t capacity = ppi_plan_bin_capacity(plan, bin), tokens = 0, used = 0;
    int64_t begin = plan->bin_starts[bin], end = plan->bin_starts[bin + 1];
    if (capacity < 0 || capacity > plan->info.capacity)
        return ppi_error_at(err, PP_ERR_FORMAT, bin,
                            "plan: bin %lld has a capacity of %lld tokens; the plan's is %lld",
                            (long long)bin, (long long)capacity, (long long)plan->info.capacity);
    if (begin == end && plan->info.objective != PP_OBJECTIVE_BALANCED)
        return ppi_error_at(err, PP_ERR_FORMAT, bin, "plan: bin %lld is empty", (long long)bin);
    bool fits = true;
    for (int64_t i = begin; i < end && fits; i++) {
        tokens += ppi_plan_segment_tokens(plan, i); /* at most the sum of all lengths */
        fits = add_rounded(&used, ppi_plan_segment_tokens(plan, i), plan->prompt_alignment);
    }
    int64_t rounded = 0;
    fits = fits && add_rounded(&rounded, used, plan->bin_alignment) && rounded <= capacity;
    if (!fits)
        return ppi_error_at(err, PP_ERR_FORMAT, bin,
                            "plan: bin %lld holds more than its capacity of %lld tokens, alignment "
                            "included",
                            (long long)bin, (long long)capacity);
    if (tokens > INT64_MAX - plan->cost.tile)
        return ppi_error_at(err, PP_ERR_FORMAT, bin,
                            "plan: bin %lld has %lld tokens, too many for a cost model with tiles "
                            "of %lld",
                            (long long)bin, (long long)tokens, (long long)plan->cost.tile);
    plan->bin_tokens[bin] = tokens;
    *room = used;
    return PP_OK;
}

pp_status ppi_plan_check_bins(struct pp_plan *plan, int64_t *room, pp_error *err)
{
    int64_t all = 0; /* what the bins use, also rounded up to bin_alignment */
    *room = 0;
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        int64_t bin_room = 0;
        PP_TRY(check_bin(plan, bin, &bin_room, err));
        if (!add_rounded(&all, bin_room, plan->bin_alignment))
            return ppi_error_at(err, PP_ERR_FORMAT, bin,
                                "plan: bins 0 to %lld use more than 2^63 - 1 tokens together, "
                                "alignment included",
                                (long long)bin);
        *room += bin_room; /* at most `all` */
    }
    return PP_OK;
}
