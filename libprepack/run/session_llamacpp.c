/*
 * session_llamacpp.c: the public calls of kvcache_llamacpp.h: which models can travel, and in which
 * order the elements of their keys stand there.
 */
#include "kv/kv_llamacpp.h"
#include "model/gguf_arch.h"
#include "run/session_impl.h"

#include <prepack/kvcache_llamacpp.h>

static const pp_llamacpp_params DEFAULT_PARAMS = {
    .struct_size = sizeof DEFAULT_PARAMS,
    .key_dtype = PP_DTYPE_F16,
    .value_dtype = PP_DTYPE_F16,
    .n_streams = 1,
};

#define MAX_STREAMS 256 /* sequences that a context of llama.cpp may have */

void pp_llamacpp_params_init(pp_llamacpp_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status check_model(const struct ppi_model_spec *spec, const char *caller, pp_error *err)
{
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].window > 0)
            return ppi_error_at(err, PP_ERR_UNSUPPORTED, i,
                                "%s: layer %d has a sliding window of %d tokens; llama.cpp keeps "
                                "the layers of such models in two caches, which is not supported",
                                caller, i, spec->layers[i].window);
    if (spec->n_linear > 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: %d of the model's layers are linear and have states; llama.cpp keeps "
                         "the layers of such models in two caches, which is not supported",
                         caller, spec->n_linear);
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (spec->n_page_classes > 1 || spec->layers[i].kv_layer != i)
            return ppi_error_at(err, PP_ERR_UNSUPPORTED, i,
                                "%s: layers differ in the shape of their heads, or one sees the "
                                "keys of another; such caches are not exchanged",
                                caller);
    if (ppi_spec_rope_depends_on_length(spec))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: the model's rotary embedding depends on the length of the prompt, in "
                         "llama.cpp on the size of the context: keys may be rotated otherwise",
                         caller);
    return PP_OK;
}

static pp_status find_order(const struct ppi_model_spec *spec, int32_t order, const char *caller,
                            bool *pairs, pp_error *err)
{
    if (order < PP_LLAMACPP_ORDER_AUTO || order > PP_LLAMACPP_ORDER_PAIRS)
        return ppi_error(err, PP_ERR_ARG, "%s: order is %d; use PP_LLAMACPP_ORDER_*", caller,
                         order);
    *pairs = order == PP_LLAMACPP_ORDER_PAIRS;
    if (order != PP_LLAMACPP_ORDER_AUTO)
        return PP_OK;
    const char *model_type = pp_arch_name(spec->arch);
    const struct ppi_gguf_arch *gguf = ppi_gguf_arch_of_class(model_type);
    if (!gguf)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: in which order llama.cpp has the keys of architecture %s is not "
                         "known; set pp_llamacpp_params.order",
                         caller, model_type);
    *pairs = gguf->permuted;
    return PP_OK;
}

static pp_status check_dtype(const char *name, int32_t *dtype, const char *caller, pp_error *err)
{
    if (*dtype == PP_DTYPE_AUTO)
        *dtype = PP_DTYPE_F16;
    if (ppi_llamacpp_type(*dtype) >= 0)
        return PP_OK;
    return ppi_error(err, PP_ERR_ARG, "%s: %s is %s (%d); allowed: auto, f16, f32 and bf16", caller,
                     name, pp_dtype_name(*dtype), *dtype);
}

/* The form that params ask for. */
static pp_status read_params(const struct ppi_model_spec *spec, const pp_llamacpp_params *params,
                             const char *caller, struct ppi_llamacpp *form, pp_error *err)
{
    pp_llamacpp_params read = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&read, sizeof read, params, "pp_llamacpp_params", err));
    PP_TRY(check_dtype("key_dtype", &read.key_dtype, caller, err));
    PP_TRY(check_dtype("value_dtype", &read.value_dtype, caller, err));
    if (read.v_trans != 0 && read.v_trans != 1)
        return ppi_error(err, PP_ERR_ARG, "%s: v_trans is %d; allowed: 0 and 1", caller,
                         read.v_trans);
    if (read.n_streams < 1 || read.n_streams > MAX_STREAMS)
        return ppi_error(err, PP_ERR_ARG, "%s: n_streams is %d; allowed: 1 to %d", caller,
                         read.n_streams, MAX_STREAMS);
    *form = (struct ppi_llamacpp){.caller = caller,
                                  .key_dtype = read.key_dtype,
                                  .value_dtype = read.value_dtype,
                                  .transposed = read.v_trans == 1,
                                  .n_streams = read.n_streams};
    PP_TRY(check_model(spec, caller, err));
    return find_order(spec, read.order, caller, &form->pairs, err);
}

pp_status pp_kvcache_llamacpp_size(const pp_kvcache *cache, const pp_llamacpp_params *params,
                                   size_t *bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_llamacpp_size";
    pp_session *session = pp_kvcache_session(cache);
    struct ppi_llamacpp form;
    if (!cache || !bytes)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "bytes" : "cache");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = read_params(&session->model->spec, params, call, &form, err);
    if (status >= 0)
        *bytes = ppi_llamacpp_bytes(cache, &form);
    ppi_session_leave(session);
    return status;
}

static pp_status write_to(const pp_kvcache *cache, const struct ppi_llamacpp *form, void *memory,
                          size_t bytes, pp_error *err)
{
    size_t needed = ppi_llamacpp_bytes(cache, form);
    if (bytes != needed)
        return ppi_error(err, PP_ERR_ARG, "%s: the memory has %zu bytes; %zu are needed",
                         form->caller, bytes, needed);
    return ppi_llamacpp_write(cache, form, memory, err);
}

pp_status pp_kvcache_to_llamacpp(const pp_kvcache *cache, const pp_llamacpp_params *params,
                                 void *memory, size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_to_llamacpp";
    pp_session *session = pp_kvcache_session(cache);
    struct ppi_llamacpp form;
    if (!cache || !memory)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "memory" : "cache");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = read_params(&session->model->spec, params, call, &form, err);
    if (status >= 0)
        status = write_to(cache, &form, memory, bytes, err);
    ppi_session_leave(session);
    return status;
}

pp_status pp_kvcache_from_llamacpp(pp_session *session, const void *memory, size_t bytes,
                                   const pp_llamacpp_params *params, pp_kvcache **cache,
                                   pp_error *err)
{
    static const char call[] = "pp_kvcache_from_llamacpp";
    struct ppi_llamacpp form;
    if (!memory || !cache)
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, memory ? "cache" : "memory");
    PP_TRY(ppi_session_enter(session, call, true, err));
    pp_status status = read_params(&session->model->spec, params, call, &form, err);
    if (status >= 0)
        status = ppi_llamacpp_read(&session->store, &session->model->spec, &form, memory, bytes,
                                   cache, err);
    ppi_session_leave(session);
    return status;
}
