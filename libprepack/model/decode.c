/*
 * decode.c: pp_decode: one more token for each of many caches, padding-free, in passes of at most
 * max_pass_tokens rows. Lengths move only when every pass has succeeded.
 */
#include "model/session_impl.h"

/* Finds a cache that was given twice in one walk: the lengths of caches seen are made negative, and
 * restored before returning. */
static pp_status check_distinct(pp_kvcache *const *caches, size_t n, pp_error *err)
{
    size_t seen = 0;
    pp_status status = PP_OK;
    for (; seen < n; seen++) {
        if (caches[seen]->n_tokens < 0) {
            status = ppi_error_at(err, PP_ERR_ARG, (int64_t)seen,
                                  "pp_decode: cache %zu was given before in the same call", seen);
            break;
        }
        caches[seen]->n_tokens = -1 - caches[seen]->n_tokens;
    }
    for (size_t i = 0; i < seen; i++)
        caches[i]->n_tokens = -1 - caches[i]->n_tokens;
    return status;
}

static pp_status check_arguments(const pp_session *session, pp_kvcache *const *caches,
                                 const int32_t *tokens, size_t n, pp_error *err)
{
    PP_TRY(ppi_session_check(session, "pp_decode", err));
    if (n > 0 && (!caches || !tokens))
        return ppi_error(err, PP_ERR_ARG, "pp_decode: %s is NULL", caches ? "tokens" : "caches");
    if (n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "pp_decode: %zu caches; at most %d", n, INT32_MAX);
    const pp_model_config *config = &session->model->config;
    for (size_t i = 0; i < n; i++) {
        if (!caches[i] || caches[i]->session != session)
            return ppi_error_at(err, PP_ERR_ARG, (int64_t)i, "pp_decode: cache %zu %s", i,
                                caches[i] ? "belongs to another session" : "is NULL");
        if (tokens[i] < 0 || tokens[i] >= config->vocab_size)
            return ppi_error_at(err, PP_ERR_ARG, (int64_t)i,
                                "pp_decode: token %d for cache %zu is outside [0, %d)", tokens[i],
                                i, config->vocab_size);
        if (caches[i]->n_tokens >= config->max_position)
            return ppi_error_at(
                err, PP_ERR_TOO_LONG, (int64_t)i,
                "pp_decode: cache %zu holds %lld tokens, the model has positions for %d", i,
                (long long)caches[i]->n_tokens, config->max_position);
    }
    return check_distinct(caches, n, err);
}

pp_status ppi_decode(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                     size_t n, const struct ppi_sink *sink, pp_error *err)
{
    PP_TRY(check_arguments(session, caches, tokens, n, err));
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        PP_TRY(ppi_kvcache_reserve(caches[i], caches[i]->n_tokens + 1, err));
        if (caches[i]->n_tokens + 1 > longest)
            longest = caches[i]->n_tokens + 1;
    }
    PP_TRY(ppi_rope_reserve(session, longest, err));

    ppi_pass_reset(session);
    for (size_t i = 0; i < n; i++) {
        PP_TRY(
            ppi_pass_add(session, caches[i], &tokens[i], caches[i]->n_tokens, 1, (int32_t)i, err));
        if (session->draft.n_rows == session->info.max_pass_tokens)
            PP_TRY(ppi_pass_run(session, sink, err));
    }
    PP_TRY(ppi_pass_run(session, sink, err));
    for (size_t i = 0; i < n; i++)
        caches[i]->n_tokens++;
    return PP_OK;
}

pp_status pp_decode(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens, size_t n,
                    const float **logits, pp_error *err)
{
    if (!logits)
        return ppi_decode(session, caches, tokens, n, NULL, err);
    struct ppi_sink sink = {0};
    PP_TRY(ppi_logits_reserve(session, n, "pp_decode", &sink.logits, err));
    PP_TRY(ppi_decode(session, caches, tokens, n, &sink, err));
    *logits = sink.logits;
    return PP_OK;
}
