/*
 * prepack/kvcache.h: one prompt's KV cache, over counted pages of its session's pool.
 *
 *     pp_kvcache_fork(cache, pp_kvcache_length(cache), &branch, &err);   shares every page
 *     pp_kvcache_read(cache, layer, PP_KV_K, PP_KV_NHD, PP_DTYPE_F32, dst, bytes, &err);
 *     pp_kvcache_destroy(cache);                                          in any order
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
#define PP_KV_K 0 /* keys, after the rotary embedding */
#define PP_KV_V 1 /* values */

/* Layouts of a copy. Values are frozen. */
#define PP_KV_NHD 1 /* [tokens, n_kv_heads, head_dim] */
#define PP_KV_HND 2 /* [n_kv_heads, tokens, head_dim] */

/* Tokens in the cache. */
PP_API int64_t pp_kvcache_length(const pp_kvcache *cache);

/*
 * A new cache that holds the first n_tokens tokens of this one. Pages are shared and copied when
 * one of the two is written to. The caller destroys *fork. Errors: PP_ERR_ARG (n_tokens outside [0,
 * length]), PP_ERR_NOMEM.
 */
PP_API pp_status pp_kvcache_fork(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache **fork,
                                 pp_error *err);

/* Drops all tokens from n_tokens on; pages that become empty go back to the pool.
 * Errors: PP_ERR_ARG (n_tokens outside [0, length]). */
PP_API pp_status pp_kvcache_truncate(pp_kvcache *cache, int64_t n_tokens, pp_error *err);

/*
 * Copies the keys or values of one layer out. dst: caller-owned, exactly
 * length * n_kv_heads * head_dim elements of dtype (PP_DTYPE_F32 always; the session's own dtype
 * for a copy of the bits) in the given layout. Errors: PP_ERR_ARG.
 */
PP_API pp_status pp_kvcache_read(const pp_kvcache *cache, int32_t layer, int32_t which,
                                 int32_t layout, int32_t dtype, void *dst, size_t bytes,
                                 pp_error *err);

/* Bytes of the pages this cache refers to; shared pages count fully. */
PP_API int64_t pp_kvcache_bytes(const pp_kvcache *cache);

/* Thread-safety: safe. */
PP_API void pp_kvcache_destroy(pp_kvcache *cache);

#ifdef __cplusplus
}
#endif
#endif
