/*
 * session_caches.c: caches that a session gets from elsewhere than a run: its share of the public
 * calls whose work is kv/'s.
 */
#include "kv/kv_create.h"
#include "run/session_impl.h"

pp_status pp_kvcache_create(pp_session *session, int64_t n_tokens, const int32_t *tokens,
                            pp_kvcache **cache, pp_error *err)
{
    static const char call[] = "pp_kvcache_create";
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_session_enter(session, call, true, err));
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_new_cache new = {.caller = call,
                                      .spec = spec,
                                      .n_tokens = n_tokens,
                                      .tokens = tokens,
                                      .rope_set = ppi_spec_rope_set(spec, n_tokens),
                                      .zeroed = true};
    pp_status status = ppi_kvcache_new(&session->store, &new, cache, err);
    ppi_session_leave(session);
    return status;
}
