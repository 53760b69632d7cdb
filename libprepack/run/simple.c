/*
 * simple.c: the short forms of pp_run: prefill and decode, with logits or with tokens.
 */
#include "run/run_impl.h"

#include <string.h>

static const pp_sample_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_sample_params_init(pp_sample_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

/* One call of a short form. */
struct call {
    const char *name;
    const char *noun;
    struct pp_session *session;
    const pp_plan *plan;
    bool is_prefill;           /* else decode */
    const pp_prompt *prompts;  /* [n] of prefill */
    pp_kvcache *const *caches; /* [n] of decode */
    const int32_t *tokens;     /* [n] of decode */
    int64_t n;
    const pp_sample_params *sampling; /* read; NULL: no tokens are drawn */
    bool wants_logits;
};

static pp_status check_arrays(const struct call *call, const void *results,
                              const char *results_name, pp_error *err)
{
    if (call->n < 0 || call->n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "%s: %lld %ss; 0 to %d are allowed", call->name,
                         (long long)call->n, call->noun, INT32_MAX);
    const char *missing = call->is_prefill && !call->prompts   ? "prompts"
                          : !call->is_prefill && !call->caches ? "caches"
                          : !call->is_prefill && !call->tokens ? "tokens"
                          : !results                           ? results_name
                                                               : NULL;
    if (call->n > 0 && missing)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call->name, missing);
    for (int64_t i = 0; !call->is_prefill && i < call->n; i++)
        if (!call->caches[i])
            return ppi_error_at(err, PP_ERR_ARG, i, "%s: cache %lld is NULL", call->name,
                                (long long)i);
    return PP_OK;
}

/* Room for n rows of logits on the host, which the session keeps. */
static pp_status reserve_logits(struct pp_session *session, int64_t n, pp_error *err)
{
    if (n <= session->logits_rows && session->logits)
        return PP_OK;
    size_t row_bytes = (size_t)session->model->spec.vocab_size * sizeof(float);
    float *logits = ppi_alloc(&session->mem, (size_t)n, row_bytes);
    if (!logits)
        return ppi_error(err, PP_ERR_NOMEM, "no memory for logits of %lld prompts (%zu bytes each)",
                         (long long)n, row_bytes);
    ppi_free(&session->mem, session->logits);
    session->logits = logits;
    session->logits_rows = n;
    return PP_OK;
}

static pp_item make_item(const struct call *call, int64_t i)
{
    pp_item item = {.struct_size = sizeof item};
    if (call->is_prefill) {
        item.tokens = call->prompts[i].tokens;
        item.n_tokens = call->prompts[i].n_tokens;
    } else {
        item.cache = call->caches[i];
        item.tokens = &call->tokens[i];
        item.n_tokens = 1;
    }
    if (call->sampling) {
        item.output = PP_OUTPUT_TOKEN;
        item.temperature = call->sampling->temperature;
        item.top_k = call->sampling->top_k;
        item.top_p = call->sampling->top_p;
        item.min_p = call->sampling->min_p;
        item.seed = call->sampling->seeds ? call->sampling->seeds[i] : 0;
    } else if (call->wants_logits) {
        item.output = PP_OUTPUT_LAST_LOGITS;
        item.logits = call->session->logits + i * call->session->model->spec.vocab_size;
    }
    return item;
}

/* Runs the items; caches and next, where wanted, are written when all have succeeded. */
static pp_status run_items(const struct call *call, pp_kvcache **caches, int32_t *next,
                           pp_error *err)
{
    struct ppi_mem *mem = &call->session->mem;
    const pp_run_params params = {.struct_size = sizeof params};
    if (call->wants_logits)
        PP_TRY(reserve_logits(call->session, call->n, err));
    pp_item *items = ppi_alloc(mem, (size_t)call->n, sizeof *items);
    if (!items)
        return ppi_error_nomem(err, "the items of a run", (size_t)call->n * sizeof *items);
    for (int64_t i = 0; i < call->n; i++)
        items[i] = make_item(call, i);
    struct ppi_items list = {.base = (char *)items,
                             .step = sizeof *items,
                             .n = call->n,
                             .caller = call->name,
                             .noun = call->noun};
    pp_status status = ppi_run_items(call->session, call->plan, &list, &params, err);
    for (int64_t i = 0; status >= 0 && i < call->n; i++) {
        if (caches)
            caches[i] = items[i].cache;
        if (next)
            next[i] = items[i].next;
    }
    ppi_free(mem, items);
    return status;
}

/* A call that hands back logits, or nothing, of a session that has been entered. */
static pp_status call_for_logits(struct call *call, pp_kvcache **caches, const float **logits,
                                 pp_error *err)
{
    call->wants_logits = logits != NULL;
    PP_TRY(
        check_arrays(call, call->is_prefill ? (const void *)caches : call->caches, "caches", err));
    PP_TRY(run_items(call, caches, NULL, err));
    if (logits)
        *logits = call->session->logits;
    return PP_OK;
}

/* A call that hands back tokens. */
static pp_status call_for_tokens(struct call *call, const pp_sample_params *caller_params,
                                 pp_kvcache **caches, int32_t *next, pp_error *err)
{
    pp_sample_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_sample_params", err));
    call->sampling = &params;
    PP_TRY(ppi_session_enter(call->session, call->name, true, err));
    pp_status status = check_arrays(call, next, "next", err);
    if (status >= 0 && call->is_prefill)
        status = check_arrays(call, caches, "caches", err);
    if (status >= 0)
        status = run_items(call, caches, next, err);
    ppi_session_leave(call->session);
    return status;
}

pp_status ppi_prefill(struct pp_session *session, const pp_plan *plan, const pp_prompt *prompts,
                      int64_t n, pp_kvcache **caches, const float **logits, pp_error *err)
{
    struct call call = {.name = "pp_prefill",
                        .noun = "prompt",
                        .session = session,
                        .plan = plan,
                        .is_prefill = true,
                        .prompts = prompts,
                        .n = n};
    return call_for_logits(&call, caches, logits, err);
}

pp_status pp_prefill(pp_session *session, const pp_plan *plan, const pp_prompt *prompts, int64_t n,
                     pp_kvcache **caches, const float **logits, pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_prefill", true, err));
    pp_status status = ppi_prefill(session, plan, prompts, n, caches, logits, err);
    ppi_session_leave(session);
    return status;
}

pp_status pp_decode(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                    int64_t n, const float **logits, pp_error *err)
{
    struct call call = {.name = "pp_decode",
                        .noun = "cache",
                        .session = session,
                        .caches = caches,
                        .tokens = tokens,
                        .n = n};
    PP_TRY(ppi_session_enter(session, "pp_decode", true, err));
    pp_status status = call_for_logits(&call, NULL, logits, err);
    ppi_session_leave(session);
    return status;
}

pp_status pp_prefill_sample(pp_session *session, const pp_plan *plan, const pp_prompt *prompts,
                            int64_t n, const pp_sample_params *params, pp_kvcache **caches,
                            int32_t *next, pp_error *err)
{
    struct call call = {.name = "pp_prefill_sample",
                        .noun = "prompt",
                        .session = session,
                        .plan = plan,
                        .is_prefill = true,
                        .prompts = prompts,
                        .n = n};
    return call_for_tokens(&call, params, caches, next, err);
}

pp_status pp_decode_sample(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                           int64_t n, const pp_sample_params *params, int32_t *next, pp_error *err)
{
    struct call call = {.name = "pp_decode_sample",
                        .noun = "cache",
                        .session = session,
                        .caches = caches,
                        .tokens = tokens,
                        .n = n};
    return call_for_tokens(&call, params, NULL, next, err);
}
