/*
 * prepack/kvcache_llamacpp.h: caches to and from llama.cpp, as the bytes of one sequence's state:
 * what llama_state_seq_get_data gives and llama_state_seq_set_data takes. So a prompt can be
 * prefilled here and decoded there, and the other way round.
 *
 *     pp_kvcache_llamacpp_size(cache, NULL, &bytes, &err);
 *     pp_kvcache_to_llamacpp(cache, NULL, memory, bytes, &err);
 *     llama_state_seq_set_data(context, memory, bytes, 0);
 *
 * The form has no public description and no version of its own; it is that of llama.cpp since 2026,
 * which begins with 0xaf143cd8 (docs/caches.md). Nothing in it names the model: that both sides run
 * the same weights is the caller's duty. Refused, because it would not be right: models with
 * sliding windows, whose state has two parts there, and models whose rotary embedding depends on
 * the length of a prompt here and on the size of the context there.
 *
 * Thread-safety: as kvcache.h. May change with llama.cpp.
 */
#ifndef PREPACK_KVCACHE_LLAMACPP_H
#define PREPACK_KVCACHE_LLAMACPP_H

#include "kvcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In which order the elements of a key's head stand there. Values are frozen. */
enum {
    PP_LLAMACPP_ORDER_AUTO = 0,   /* as its converter writes the architecture of the model */
    PP_LLAMACPP_ORDER_HALVES = 1, /* as here: elements i and i + head_dim / 2 rotate together
                                     (qwen2, qwen3, phi3, olmo2, ...) */
    PP_LLAMACPP_ORDER_PAIRS = 2,  /* neighbours do: files of llama, mistral, granite, smollm3 */
    PP_LLAMACPP_ORDER_INT32 = -1, /* no value: see common.h */
};

typedef struct pp_llamacpp_params {
    uint32_t struct_size;
    int32_t key_dtype;   /* type_k and type_v of llama_context_params: PP_DTYPE_F16, F32 or BF16; */
    int32_t value_dtype; /* AUTO: F16, its default. Not looked at by pp_kvcache_from_llamacpp */
    int32_t v_trans;     /* 1: values transposed, as in a context without flash attention; default
                            0. Not looked at by pp_kvcache_from_llamacpp */
    int32_t n_streams;   /* of the context: 1, the default, with kv_unified or n_seq_max 1, else
                            n_seq_max. Not looked at by pp_kvcache_from_llamacpp */
    int32_t order;       /* PP_LLAMACPP_ORDER_* */
} pp_llamacpp_params;

PP_API void pp_llamacpp_params_init(pp_llamacpp_params *params, size_t struct_size);

/* The bytes that pp_kvcache_to_llamacpp writes. Errors: as that. */
PP_API pp_status pp_kvcache_llamacpp_size(const pp_kvcache *cache, const pp_llamacpp_params *params,
                                          size_t *bytes, pp_error *err);

/*
 * Writes the state of a sequence to caller-owned memory of exactly that size. Numbers that the
 * session has wider round to nearest even. Errors: PP_ERR_ARG, PP_ERR_UNSUPPORTED (the model; an
 * order that is not known; a number too large for f16), PP_ERR_NOMEM, PP_ERR_DEVICE,
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_kvcache_to_llamacpp(const pp_kvcache *cache, const pp_llamacpp_params *params,
                                        void *memory, size_t bytes, pp_error *err);

/*
 * A new cache of the session from a sequence's state, of any of the types above, transposed or not;
 * what is wider than the session's dtype rounds to nearest even. The positions must be 0 to some
 * n - 1, each once, in any order. memory: caller-owned, only read. The caller destroys *cache.
 * Errors: PP_ERR_ARG, PP_ERR_FORMAT (not such a state, cut off, or of other shapes than the
 * model's), PP_ERR_UNSUPPORTED (the model; a quantised type; positions with gaps), PP_ERR_TOO_LONG,
 * PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_kvcache_from_llamacpp(struct pp_session *session, const void *memory,
                                          size_t bytes, const pp_llamacpp_params *params,
                                          pp_kvcache **cache, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
