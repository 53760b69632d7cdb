/*
 * session_caches.c: caches that a session gets from elsewhere than a run: its share of the public
 * calls whose work is kv/'s.
 */
#include "kv/kv_blocks.h"
#include "kv/kv_save.h"
#include "model/identity.h"
#include "run/session_impl.h"

#include <prepack/kvcache_blocks.h>
#include <prepack/kvcache_save.h>

#include <string.h>

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

pp_status pp_kvcache_create_on_blocks(pp_session *session, pp_kvcache **cache, pp_error *err)
{
    static const char call[] = "pp_kvcache_create_on_blocks";
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = PP_OK;
    if (!session->store.on_blocks)
        status = ppi_error(err, PP_ERR_ARG,
                           "%s: the session has pages of its own; pp_session_params.kv_blocks "
                           "gives it the host's",
                           call);
    else
        status = ppi_kvcache_create(&session->store, cache, err);
    ppi_session_leave(session);
    return status;
}

pp_status pp_session_add_blocks(pp_session *session, int32_t page_class, const int32_t *blocks,
                                int64_t n, pp_error *err)
{
    static const char call[] = "pp_session_add_blocks";
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = ppi_store_add_blocks(&session->store, page_class, blocks, n, call, err);
    ppi_session_leave(session);
    return status;
}

int64_t pp_session_remove_blocks(pp_session *session, int32_t page_class, int32_t *blocks,
                                 int64_t n)
{
    if (!blocks || ppi_session_enter(session, "pp_session_remove_blocks", true, NULL) < 0)
        return 0;
    int64_t n_removed = ppi_store_remove_blocks(&session->store, page_class, blocks, n);
    ppi_session_leave(session);
    return n_removed;
}

/* ---- saved caches ---- */

static const pp_kvcache_save_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_kvcache_save_params_init(pp_kvcache_save_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status origin_of(const pp_session *session, const char *caller,
                           struct ppi_kv_origin *origin, pp_error *err)
{
    *origin = (struct ppi_kv_origin){.caller = caller,
                                     .model = session->model,
                                     .weights = session->weights_wanted,
                                     .device = session->info.name,
                                     .log = &session->log};
    return ppi_model_identity(session->model, &origin->identity, err);
}

/* What is to be saved, checked; the session has been entered. */
static pp_status begin_saving(const pp_session *session, const pp_kvcache_save_params *params,
                              const pp_kvcache *cache, const char *caller,
                              struct ppi_kv_origin *origin, struct ppi_kv_saving *saving,
                              pp_error *err)
{
    pp_kvcache_save_params read = DEFAULT_PARAMS;
    int32_t vocab_size = session->model->spec.vocab_size;
    PP_TRY(ppi_struct_read(&read, sizeof read, params, "pp_kvcache_save_params", err));
    for (int64_t i = 0; read.tokens && i < cache->n_tokens; i++)
        if (read.tokens[i] < 0 || read.tokens[i] >= vocab_size)
            return ppi_error(err, PP_ERR_ARG, "%s: token %d at %lld is outside [0, %d)", caller,
                             read.tokens[i], (long long)i, vocab_size);
    PP_TRY(origin_of(session, caller, origin, err));
    *saving = (struct ppi_kv_saving){.cache = cache, .tokens = read.tokens, .origin = origin};
    return PP_OK;
}

pp_status pp_kvcache_save(const pp_kvcache *cache, const char *path,
                          const pp_kvcache_save_params *params, pp_error *err)
{
    static const char call[] = "pp_kvcache_save";
    pp_session *session = pp_kvcache_session(cache);
    struct ppi_kv_origin origin;
    struct ppi_kv_saving saving;
    if (!cache || !path)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "path" : "cache");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = begin_saving(session, params, cache, call, &origin, &saving, err);
    if (status >= 0)
        status = ppi_kv_save_file(&saving, path, err);
    ppi_session_leave(session);
    return status;
}

pp_status pp_kvcache_export_size(const pp_kvcache *cache, const pp_kvcache_save_params *params,
                                 size_t *bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_export_size";
    pp_session *session = pp_kvcache_session(cache);
    struct ppi_kv_origin origin;
    struct ppi_kv_saving saving;
    if (!cache || !bytes)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "bytes" : "cache");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = begin_saving(session, params, cache, call, &origin, &saving, err);
    if (status >= 0)
        *bytes = ppi_kv_saved_bytes(&saving);
    ppi_session_leave(session);
    return status;
}

static pp_status put_to_memory(void *user, const void *bytes, size_t n, pp_error *err)
{
    char **at = user;
    (void)err;
    memcpy(*at, bytes, n);
    *at += n;
    return PP_OK;
}

static pp_status export_to(const struct ppi_kv_saving *saving, void *memory, size_t bytes,
                           pp_error *err)
{
    size_t needed = ppi_kv_saved_bytes(saving);
    char *at = memory;
    if (bytes != needed)
        return ppi_error(err, PP_ERR_ARG, "%s: the memory has %zu bytes; %zu are needed",
                         saving->origin->caller, bytes, needed);
    const struct ppi_kv_sink sink = {put_to_memory, &at};
    return ppi_kv_save(saving, &sink, err);
}

pp_status pp_kvcache_export(const pp_kvcache *cache, const pp_kvcache_save_params *params,
                            void *memory, size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_export";
    pp_session *session = pp_kvcache_session(cache);
    struct ppi_kv_origin origin;
    struct ppi_kv_saving saving;
    if (!cache || !memory)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "memory" : "cache");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = begin_saving(session, params, cache, call, &origin, &saving, err);
    if (status >= 0)
        status = export_to(&saving, memory, bytes, err);
    ppi_session_leave(session);
    return status;
}

static pp_status load_from(pp_session *session, const struct ppi_kv_source *source,
                           const char *caller, pp_kvcache **cache, pp_error *err)
{
    struct ppi_kv_origin origin;
    PP_TRY(origin_of(session, caller, &origin, err));
    return ppi_kv_load(&session->store, source, &origin, cache, err);
}

pp_status pp_kvcache_load(pp_session *session, const char *path, pp_kvcache **cache, pp_error *err)
{
    static const char call[] = "pp_kvcache_load";
    struct ppi_file file;
    if (!path || !cache)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, path ? "cache" : "path");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = ppi_file_open(path, &file, err);
    if (status >= 0) {
        const struct ppi_kv_source source = {
            .file = &file, .bytes = file.size, .label = file.label.text};
        status = load_from(session, &source, call, cache, err);
        ppi_file_close(&file);
    }
    ppi_session_leave(session);
    return status;
}

pp_status pp_kvcache_import(pp_session *session, const void *memory, size_t bytes,
                            pp_kvcache **cache, pp_error *err)
{
    static const char call[] = "pp_kvcache_import";
    if (!memory || !cache || bytes > INT64_MAX)
        return ppi_error(err, PP_ERR_ARG, "%s: %s", call,
                         !memory  ? "memory is NULL"
                         : !cache ? "cache is NULL"
                                  : "more bytes than there can be");
    PP_TRY(ppi_session_enter(session, call, true, err));
    const struct ppi_kv_source source = {
        .memory = memory, .bytes = (int64_t)bytes, .label = "the memory of the saved cache"};
    pp_status status = load_from(session, &source, call, cache, err);
    ppi_session_leave(session);
    return status;
}
