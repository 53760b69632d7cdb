/*
 * plan.c: the plan object: what a packing gave, immutable once pp_packer_plan has returned it.
 */
#include "policies.h"

pp_status ppi_plan_create(const pp_allocator *allocator, int64_t n_prompts, int64_t max_bins,
                          struct pp_plan **plan, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, allocator, 0, err));
    struct pp_plan *new_plan = ppi_zalloc(&mem, 1, sizeof *new_plan);
    if (!new_plan)
        return ppi_error_nomem(err, "a plan", sizeof *new_plan);
    new_plan->mem = mem;
    new_plan->info.n_prompts = n_prompts;
    new_plan->prompts = ppi_alloc(&new_plan->mem, (size_t)n_prompts, sizeof(int32_t));
    new_plan->bin_starts = ppi_alloc(&new_plan->mem, (size_t)max_bins + 1, sizeof(int64_t));
    new_plan->bin_tokens = ppi_alloc(&new_plan->mem, (size_t)max_bins, sizeof(int64_t));
    if (!new_plan->prompts || !new_plan->bin_starts || !new_plan->bin_tokens) {
        pp_plan_destroy(new_plan);
        return ppi_error_nomem(err, "the bins of a plan",
                               (size_t)n_prompts * sizeof(int32_t) +
                                   ((size_t)max_bins * 2 + 1) * sizeof(int64_t));
    }
    new_plan->bin_starts[0] = 0;
    *plan = new_plan;
    return PP_OK;
}

void pp_plan_destroy(pp_plan *plan)
{
    if (!plan)
        return;
    ppi_free(&plan->mem, plan->prompts);
    ppi_free(&plan->mem, plan->bin_starts);
    ppi_free(&plan->mem, plan->bin_tokens);
    struct ppi_mem mem = plan->mem;
    ppi_free(&mem, plan);
}

pp_status pp_plan_get_info(const pp_plan *plan, pp_plan_info *info, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_get_info: plan is NULL");
    return ppi_struct_write(info, &plan->info, sizeof plan->info, "pp_plan_info", err);
}

pp_status pp_plan_get_bin(const pp_plan *plan, int64_t bin, const int32_t **prompts,
                          int64_t *n_prompts, int64_t *tokens, pp_error *err)
{
    if (!plan)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_get_bin: plan is NULL");
    if (bin < 0 || bin >= plan->info.n_bins)
        return ppi_error_at(err, PP_ERR_ARG, bin, "bin %lld is not in the plan, which has %lld",
                            (long long)bin, (long long)plan->info.n_bins);
    if (prompts)
        *prompts = plan->prompts + plan->bin_starts[bin];
    if (n_prompts)
        *n_prompts = plan->bin_starts[bin + 1] - plan->bin_starts[bin];
    if (tokens)
        *tokens = plan->bin_tokens[bin];
    return PP_OK;
}

pp_status ppi_plan_match_bin(const struct pp_plan *plan, int64_t bin, const pp_prompt *prompts,
                             pp_error *err)
{
    int64_t sum = 0;
    for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++) {
        int32_t i_prompt = plan->prompts[i];
        int64_t n_tokens = prompts[i_prompt].n_tokens;
        if (n_tokens < 1 || __builtin_add_overflow(sum, n_tokens, &sum))
            return ppi_error_at(err, PP_ERR_ARG, i_prompt,
                                "prompt %d has %lld tokens, not what the plan was made from",
                                i_prompt, (long long)n_tokens);
    }
    if (sum != plan->bin_tokens[bin])
        return ppi_error_at(err, PP_ERR_ARG, bin,
                            "the prompts of bin %lld have %lld tokens, but the plan was made from "
                            "prompts with %lld there",
                            (long long)bin, (long long)sum, (long long)plan->bin_tokens[bin]);
    return PP_OK;
}

pp_status ppi_plan_match_number(const struct pp_plan *plan, const pp_prompt *prompts, size_t n,
                                pp_error *err)
{
    if (n != (size_t)plan->info.n_prompts)
        return ppi_error(err, PP_ERR_ARG, "%zu prompts given, but the plan was made from %lld", n,
                         (long long)plan->info.n_prompts);
    if (!prompts && n > 0)
        return ppi_error(err, PP_ERR_ARG, "prompts is NULL, but there are %zu", n);
    return PP_OK;
}

pp_status ppi_plan_match(const struct pp_plan *plan, const pp_prompt *prompts, size_t n,
                         pp_error *err)
{
    PP_TRY(ppi_plan_match_number(plan, prompts, n, err));
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++)
        PP_TRY(ppi_plan_match_bin(plan, bin, prompts, err));
    return PP_OK;
}
