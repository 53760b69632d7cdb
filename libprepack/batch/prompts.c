/*
 * prompts.c: checks prompts that came from a caller, with one sentence for the first that is wrong.
 */
#include "batch/prompts.h"

static pp_status check_one(const pp_prompt *prompt, size_t i, int32_t vocab_size,
                           int64_t max_tokens, pp_error *err)
{
    if (prompt->n_tokens < 1 || !prompt->tokens)
        return ppi_error_at(err, PP_ERR_ARG, (int64_t)i, "prompt %zu %s", i,
                            prompt->n_tokens < 1 ? "has no tokens; at least 1 is needed"
                                                 : "has a NULL token pointer");
    if (prompt->n_tokens > max_tokens)
        return ppi_error_at(err, PP_ERR_TOO_LONG, (int64_t)i,
                            "prompt %zu has %lld tokens, the model has positions for %lld", i,
                            (long long)prompt->n_tokens, (long long)max_tokens);
    for (int64_t j = 0; j < prompt->n_tokens; j++)
        if (prompt->tokens[j] < 0 || prompt->tokens[j] >= vocab_size)
            return ppi_error_at(err, PP_ERR_ARG, (int64_t)i,
                                "prompt %zu: token %lld is %d, outside [0, %d)", i, (long long)j,
                                prompt->tokens[j], vocab_size);
    return PP_OK;
}

pp_status ppi_prompts_check(const pp_prompt *prompts, size_t n, int32_t vocab_size,
                            int64_t max_tokens, pp_error *err)
{
    for (size_t i = 0; i < n; i++)
        PP_TRY(check_one(&prompts[i], i, vocab_size, max_tokens, err));
    return PP_OK;
}
