/*
 * prepack/kvcache.h: one prompt's KV cache, over counted pages of its session's pool.
 *
 *     pp_kvcache_fork(cache, pp_kvcache_length(cache), &branch, &err);   shares every page
 *     pp_kvcache_read(cache, layer, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, 0, n, dst, bytes, &err);
 *     pp_kvcache_destroy(cache);                                          in any order
 *
 * Layers with a sliding window give the pages behind it back, all but those of some 64 tokens: such
 * a layer holds the tokens from pp_kvcache_first_token on, and a cache can be forked and truncated
 * only to lengths at which every window is still held. pp_session_params.keep_window_pages keeps
 * all.
 *
 * Thread-safety: as the session's (one thread at a time for a session and its caches), except
 * pp_kvcache_destroy, which is safe from any thread.
 */
#ifndef PREPACK_KVCACHE_H
#define PREPACK_KVCACHE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_kvcache pp_kvcache;

/* Which half. Values are frozen. */
enum {
    PP_KV_K = 0,      /* keys, after the rotary embedding */
    PP_KV_V = 1,      /* values */
    PP_KV_INT32 = -1, /* no value: see common.h */
};

/* Layouts of a copy. Values are frozen. */
enum {
    PP_KV_NHD = 1,           /* [tokens, n_kv_heads, head_dim] */
    PP_KV_HND = 2,           /* [n_kv_heads, tokens, head_dim] */
    PP_KV_LAYOUT_INT32 = -1, /* no value: see common.h */
};

/* Tokens in the cache. */
PP_API int64_t pp_kvcache_length(const pp_kvcache *cache);
/* The first token whose keys and values a layer holds; 0 for layers without a window. */
PP_API int64_t pp_kvcache_first_token(const pp_kvcache *cache, int32_t layer);

/*
 * A new cache that holds the first n_tokens tokens of this one. Pages are shared and copied when
 * one of the two is written to. The caller destroys *fork. Errors: PP_ERR_ARG (n_tokens outside [0,
 * length], or a window of which pages were given back), PP_ERR_NOMEM.
 */
PP_API pp_status pp_kvcache_fork(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache **fork,
                                 pp_error *err);

/* Drops all tokens from n_tokens on; pages that become empty go back to the pool.
 * Errors: PP_ERR_ARG (n_tokens outside [0, length], or a window of which pages were given back). */
PP_API pp_status pp_kvcache_truncate(pp_kvcache *cache, int64_t n_tokens, pp_error *err);

/*
 * Copies keys or values of one layer out: of tokens first_token .. first_token + n_tokens - 1.
 * dst: caller-owned, exactly n_tokens * n_kv_heads * head_dim elements of dtype (PP_DTYPE_F32
 * always; the session's own dtype for a copy of the bits) in the given layout. Errors: PP_ERR_ARG
 * (also for tokens that the layer does not hold), PP_ERR_NOMEM, PP_ERR_DEVICE.
 */
PP_API pp_status pp_kvcache_read(const pp_kvcache *cache, int32_t layer, int32_t which,
                                 int32_t layout, int32_t dtype, int64_t first_token,
                                 int64_t n_tokens, void *dst, size_t bytes, pp_error *err);

/* Bytes of the pages this cache refers to; shared pages count fully. */
PP_API int64_t pp_kvcache_bytes(const pp_kvcache *cache);

/* The session that it belongs to, alive as long as the cache; not a reference. */
PP_API struct pp_session *pp_kvcache_session(const pp_kvcache *cache);

/* Thread-safety: safe. In a child after fork it does nothing. */
PP_API void pp_kvcache_destroy(pp_kvcache *cache);

#ifdef __cplusplus
}
#endif
#endif
