/*
 * prefill.c: pp_prefill: walks the bins of a plan, fills passes up to the session's token budget,
 * and hands one cache per prompt back. Bins stay whole where they fit; a prompt longer than what a
 * pass can hold is cut at multiples of the backend's chunk (no bit of its result depends on the
 * cut).
 */
#include "model/session_impl.h"

#include "batch/prompts.h"
#include "plan/plan.h"

/* One call of pp_prefill. */
struct prefill {
    struct pp_session *session;
    const pp_prompt *prompts;
    pp_kvcache **caches; /* [n] created, not yet the caller's */
    const struct ppi_sink *sink;
    pp_error *err;
};

static pp_status create_caches(struct prefill *prefill, size_t n)
{
    for (size_t i = 0; i < n; i++)
        PP_TRY(ppi_kvcache_create(prefill->session, prefill->prompts[i].n_tokens,
                                  &prefill->caches[i], prefill->err));
    return PP_OK;
}

/* How many of `missing` tokens starting at `begin` go into a pass with `room` rows left; 0: none.
 */
static int64_t chunk_rows(const struct pp_session *session, int64_t begin, int64_t missing,
                          int64_t room)
{
    if (missing <= room)
        return missing;
    int64_t chunk = session->info.chunk_tokens;
    return (begin + room) / chunk * chunk - begin;
}

/* Adds a whole prompt, running passes as they fill. */
static pp_status add_prompt(struct prefill *prefill, int32_t i_prompt)
{
    struct pp_session *session = prefill->session;
    const pp_prompt *prompt = &prefill->prompts[i_prompt];
    int64_t begin = 0;
    while (begin < prompt->n_tokens) {
        int64_t missing = prompt->n_tokens - begin;
        int64_t room = session->info.max_pass_tokens - session->draft.n_rows;
        int64_t n = chunk_rows(session, begin, missing, room);
        if (n <= 0) {
            PP_TRY(ppi_pass_run(session, prefill->sink, prefill->err));
            continue;
        }
        PP_TRY(ppi_pass_add(session, prefill->caches[i_prompt], prompt->tokens + begin, begin, n,
                            n == missing ? i_prompt : -1, prefill->err));
        begin += n;
    }
    return PP_OK;
}

/* A bin that does not fit into what is left of the pass but would fit into an empty one starts one.
 */
static pp_status start_bin(struct prefill *prefill, int64_t bin_tokens)
{
    struct pp_session *session = prefill->session;
    if (session->draft.n_rows + bin_tokens > session->info.max_pass_tokens &&
        bin_tokens <= session->info.max_pass_tokens)
        return ppi_pass_run(session, prefill->sink, prefill->err);
    return PP_OK;
}

static pp_status run_all(struct prefill *prefill, const pp_plan *plan, size_t n)
{
    ppi_pass_reset(prefill->session);
    if (!plan) { /* every prompt is a bin of its own, in the order given */
        for (size_t i = 0; i < n; i++) {
            PP_TRY(start_bin(prefill, prefill->prompts[i].n_tokens));
            PP_TRY(add_prompt(prefill, (int32_t)i));
        }
        return ppi_pass_run(prefill->session, prefill->sink, prefill->err);
    }
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        PP_TRY(start_bin(prefill, plan->bin_tokens[bin]));
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++)
            PP_TRY(add_prompt(prefill, plan->prompts[i]));
    }
    return ppi_pass_run(prefill->session, prefill->sink, prefill->err);
}

static pp_status check_arguments(const pp_session *session, const pp_plan *plan,
                                 const pp_prompt *prompts, size_t n, pp_kvcache **caches,
                                 pp_error *err)
{
    PP_TRY(ppi_session_check(session, "pp_prefill", err));
    if (n > 0 && (!prompts || !caches))
        return ppi_error(err, PP_ERR_ARG, "pp_prefill: %s is NULL", prompts ? "caches" : "prompts");
    if (n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "pp_prefill: %zu prompts; at most %d", n, INT32_MAX);
    const pp_model_config *config = &session->model->config;
    PP_TRY(ppi_prompts_check(prompts, n, config->vocab_size, config->max_position, err));
    return plan ? ppi_plan_match(plan, prompts, n, err) : PP_OK;
}

pp_status ppi_prefill(pp_session *session, const pp_plan *plan, const pp_prompt *prompts, size_t n,
                      const struct ppi_sink *sink, pp_kvcache **caches, pp_error *err)
{
    PP_TRY(check_arguments(session, plan, prompts, n, caches, err));
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (prompts[i].n_tokens > longest)
            longest = prompts[i].n_tokens;
    PP_TRY(ppi_rope_reserve(session, longest, err));

    struct prefill prefill = {session, prompts, NULL, sink, err};
    prefill.caches = ppi_zalloc(&session->mem, n, sizeof *prefill.caches);
    if (!prefill.caches)
        return ppi_error_nomem(err, "a list of caches", n * sizeof *prefill.caches);
    pp_status status = create_caches(&prefill, n);
    if (status >= 0)
        status = run_all(&prefill, plan, n);
    for (size_t i = 0; i < n; i++) {
        if (status >= 0) {
            prefill.caches[i]->n_tokens = prompts[i].n_tokens;
            caches[i] = prefill.caches[i];
        } else {
            pp_kvcache_destroy(prefill.caches[i]);
        }
    }
    ppi_free(&session->mem, prefill.caches);
    return status;
}

pp_status pp_prefill(pp_session *session, const pp_plan *plan, const pp_prompt *prompts, size_t n,
                     pp_kvcache **caches, const float **logits, pp_error *err)
{
    if (!logits)
        return ppi_prefill(session, plan, prompts, n, NULL, caches, err);
    struct ppi_sink sink = {0};
    PP_TRY(ppi_logits_reserve(session, n, "pp_prefill", &sink.logits, err));
    PP_TRY(ppi_prefill(session, plan, prompts, n, &sink, caches, err));
    *logits = sink.logits;
    return PP_OK;
}
