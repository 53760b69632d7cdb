/*
 * prepack/sample.h: the next token instead of logits. The choice is made on the session's device,
 * so that no logits travel.
 *
 *     pp_prefill_sample(session, plan, prompts, n, NULL, caches, next, &err);
 *     pp_decode_sample(session, caches, next, n, NULL, next, &err);
 *
 * A token is drawn from softmax(logits / temperature) by the Gumbel-max method (Gumbel 1954;
 * Maddison et al., arXiv 1411.0030) with noise that is a function of the prompt's seed, the token's
 * position and the token id alone: the same prompt with the same seed gets the same tokens in any
 * company.
 */
#ifndef PREPACK_SAMPLE_H
#define PREPACK_SAMPLE_H

#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_sample_params {
    uint32_t struct_size;
    float temperature;     /* at least 0; 0, the default: the most likely token, the smallest id of
                              equals */
    const uint64_t *seeds; /* [n], one per prompt; NULL: 0 for each. Read during the call */
    int64_t reserved[4];
} pp_sample_params;

PP_API void pp_sample_params_init(pp_sample_params *params, size_t struct_size);

/* pp_prefill that writes the token after prompt i to next[i]. next: [n]. Errors: as pp_prefill, and
 * PP_ERR_ARG (params). */
PP_API pp_status pp_prefill_sample(pp_session *session, const pp_plan *plan,
                                   const pp_prompt *prompts, size_t n,
                                   const pp_sample_params *params, pp_kvcache **caches,
                                   int32_t *next, pp_error *err);

/* pp_decode that writes the token after tokens[i] of cache i to next[i]. next: [n], may be tokens.
 * Errors: as pp_decode, and PP_ERR_ARG (params). */
PP_API pp_status pp_decode_sample(pp_session *session, pp_kvcache *const *caches,
                                  const int32_t *tokens, size_t n, const pp_sample_params *params,
                                  int32_t *next, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
