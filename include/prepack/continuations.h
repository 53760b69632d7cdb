/*
 * prepack/continuations.h: how likely texts go on in given ways: what evaluation, ranking and
 * multiple choice ask. Contexts that continuations have in common are computed once.
 *
 *     pp_continuation all[2] = {{.tokens = a, .n_tokens = 310, .n_context = 308},
 *                               {.tokens = b, .n_tokens = 311, .n_context = 308}};
 *     pp_score_continuations(session, all, 2, NULL, &err);
 *     ... all[0].logprob > all[1].logprob: the first is the likelier
 *
 * A short form of pp_run (run.h), which gives every token's log-probability, ranks and the most
 * likely alternatives.
 */
#ifndef PREPACK_CONTINUATIONS_H
#define PREPACK_CONTINUATIONS_H

#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens, the first n_context of which are given and the others continue them. A plain record: it
 * will never grow. */
typedef struct pp_continuation {
    const int32_t *tokens; /* [n_tokens] context, then continuation; borrowed for the call */
    int64_t n_tokens;
    int64_t n_context; /* 1 .. n_tokens - 1: no token is likely or not without one before it */
    double logprob;    /* given: log p(continuation | context), natural: the sum over its tokens */
    int32_t is_greedy; /* given: 1 when every token of it was the most likely one */
} pp_continuation;

/*
 * Scores n continuations in one run; no cache is kept. all: [n], the caller's, filled where the
 * call succeeds and else as before. params: as for pp_run (its sink is not used); NULL: defaults,
 * and prefixes of 16 tokens or more are shared. What is given for a continuation is bitwise the
 * same whatever the others are and whether prefixes are shared. Errors: as pp_run (err->index: the
 * continuation); PP_ERR_ARG (n_context outside its range).
 */
PP_API pp_status pp_score_continuations(pp_session *session, pp_continuation *all, int64_t n,
                                        const pp_run_params *params, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
