/*
 * continuations.c: continuations as items: all tokens but the last go through the model, and each
 * token of the continuation is a target in the row before it.
 */
#include "run/run_impl.h"

#include <prepack/continuations.h>

#define MIN_SHARED_PREFIX 16 /* tokens; what a pass of its own is worth */

struct call {
    pp_continuation *all; /* [n] the caller's */
    int64_t n;
    pp_item *items;   /* [n] */
    pp_score *scores; /* one for each token of a continuation, one behind the other */
};

static pp_status check(const pp_continuation *all, int64_t n, int64_t *n_scores, pp_error *err)
{
    if (n < 0 || n > INT32_MAX || (n > 0 && !all))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_score_continuations: all is %s and n is %lld; 0 to %d are allowed",
                         all ? "an array" : "NULL", (long long)n, INT32_MAX);
    *n_scores = 0;
    for (int64_t i = 0; i < n; i++) {
        const pp_continuation *c = &all[i];
        if (!c->tokens || c->n_context < 1 || c->n_context >= c->n_tokens)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "pp_score_continuations: continuation %lld has %s%lld tokens, %lld "
                                "of them context; at least one of each is needed",
                                (long long)i, c->tokens ? "" : "tokens NULL, ",
                                (long long)c->n_tokens, (long long)c->n_context);
        if (__builtin_add_overflow(*n_scores, c->n_tokens - c->n_context, n_scores))
            return ppi_error_at(err, PP_ERR_TOO_LONG, i,
                                "pp_score_continuations: more than 2^63 - 1 tokens");
    }
    return PP_OK;
}

static pp_status check_last_tokens(const struct pp_session *session, const pp_continuation *all,
                                   int64_t n, pp_error *err)
{
    int32_t vocab = session->model->spec.vocab_size;
    for (int64_t i = 0; i < n; i++) { /* no item has them: pp_run looks at them as targets */
        int32_t last = all[i].tokens[all[i].n_tokens - 1];
        if (last < 0 || last >= vocab)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "pp_score_continuations: continuation %lld: token %d at %lld is "
                                "outside [0, %d)",
                                (long long)i, last, (long long)(all[i].n_tokens - 1), vocab);
    }
    return PP_OK;
}

static void make_items(struct call *call)
{
    pp_score *score = call->scores;
    for (int64_t i = 0; i < call->n; i++) {
        const pp_continuation *c = &call->all[i];
        call->items[i] = (pp_item){.struct_size = sizeof *call->items,
                                   .tokens = c->tokens,
                                   .n_tokens = c->n_tokens - 1,
                                   .discard_cache = 1,
                                   .scores = score,
                                   .n_scores = c->n_tokens - c->n_context};
        for (int64_t t = c->n_context; t < c->n_tokens; t++)
            *score++ = (pp_score){.token = t - 1, .target = c->tokens[t]};
    }
}

static void give(struct call *call)
{
    for (int64_t i = 0; i < call->n; i++) {
        const pp_item *item = &call->items[i];
        pp_continuation *c = &call->all[i];
        c->logprob = 0;
        c->is_greedy = 1;
        for (int64_t j = 0; j < item->n_scores; j++) {
            c->logprob += item->scores[j].logprob;
            c->is_greedy &= item->scores[j].rank == 0;
        }
    }
}

static pp_status run(struct pp_session *session, struct call *call, int64_t n_scores,
                     const pp_run_params *params, pp_error *err)
{
    struct ppi_mem *mem = &session->mem;
    struct ppi_items list = {.step = sizeof *call->items,
                             .n = call->n,
                             .caller = "pp_score_continuations",
                             .noun = "continuation"};
    call->items = ppi_alloc(mem, (size_t)call->n, sizeof *call->items);
    call->scores = ppi_alloc(mem, (size_t)n_scores, sizeof *call->scores);
    pp_status status = PP_OK;
    if (!call->items || !call->scores)
        status = ppi_error_nomem(err, "scores of continuations",
                                 (size_t)n_scores * sizeof *call->scores);
    if (status >= 0) {
        make_items(call);
        list.base = (char *)call->items;
        status = ppi_run_items(session, NULL, &list, params, err);
    }
    if (status >= 0)
        give(call);
    ppi_free(mem, call->items);
    ppi_free(mem, call->scores);
    return status;
}

pp_status pp_score_continuations(pp_session *session, pp_continuation *all, int64_t n,
                                 const pp_run_params *caller_params, pp_error *err)
{
    struct call call = {.all = all, .n = n};
    pp_run_params params;
    int64_t n_scores = 0;
    PP_TRY(ppi_run_params_read(&params, caller_params, NULL, "pp_score_continuations", err));
    if (!caller_params)
        params.min_shared_prefix = MIN_SHARED_PREFIX;
    PP_TRY(ppi_session_enter(session, "pp_score_continuations", true, err));
    pp_status status = check(all, n, &n_scores, err);
    if (status >= 0)
        status = check_last_tokens(session, all, n, err);
    if (status >= 0)
        status = run(session, &call, n_scores, &params, err);
    ppi_session_leave(session);
    return status;
}
