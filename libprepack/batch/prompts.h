/*
 * prompts.h: checks prompts that came from a caller.
 */
#ifndef PPI_PROMPTS_H
#define PPI_PROMPTS_H

#include "internal.h"

#include <prepack/batch.h>

/* Every prompt has 1 .. max_tokens ids in [0, vocab_size). Errors: PP_ERR_ARG, PP_ERR_TOO_LONG,
 * with err->index the prompt. */
pp_status ppi_prompts_check(const pp_prompt *prompts, size_t n, int32_t vocab_size,
                            int64_t max_tokens, pp_error *err);

#endif
