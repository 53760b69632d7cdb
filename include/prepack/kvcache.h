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
 * Linear layers have a state in the place of keys and values, of all tokens that the cache holds,
 * from which none of fewer tokens can be computed. A cache keeps one more: of the length at which
 * the last run began that appended several tokens, and, when single ones have followed, of that at
 * which it ended, the prompt. So it can go back to that length, to 0, and to its own;
 * pp_kvcache_kept says where a cut would end, and a cut that ends elsewhere than asked returns
 * PP_SHORTER.
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
/* The first token whose keys and values a layer holds; 0 for layers without a window. A linear
 * layer holds none: the cache's length. */
PP_API int64_t pp_kvcache_first_token(const pp_kvcache *cache, int32_t layer);

/*
 * The length that truncating to n_tokens, or a fork of n_tokens, would have: n_tokens, or in models
 * with linear layers the longest below it of which there are states. -1 where pp_kvcache_truncate
 * would refuse (n_tokens outside [0, length], or a window of which pages were given back).
 */
PP_API int64_t pp_kvcache_kept(const pp_kvcache *cache, int64_t n_tokens);

/*
 * A new cache that holds the first n_tokens tokens of this one. Pages are shared and copied when
 * one of the two is written to. The caller destroys *fork. PP_SHORTER: it holds fewer,
 * pp_kvcache_kept tokens, since there are no states of n_tokens; it has to be given the missing
 * ones. Errors: PP_ERR_ARG (n_tokens outside [0, length], or a window of which pages were given
 * back), PP_ERR_NOMEM.
 */
PP_API pp_status pp_kvcache_fork(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache **fork,
                                 pp_error *err);

/* Drops all tokens from n_tokens on; pages that become empty go back to the pool. PP_SHORTER: and
 * some before it, down to pp_kvcache_kept tokens, since there are no states of n_tokens.
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

/*
 * The other way: overwrites keys or values of one layer, of tokens that the layer holds, from
 * caller-owned src in the same form; f32 rounds to the session's dtype, to nearest even. Pages that
 * other caches share are copied first: what a fork holds stays. What the numbers mean is the
 * caller's business: keys are after the rotary embedding, in the order of the checkpoint.
 * Errors: PP_ERR_ARG, PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE (the range may be written in
 * part then).
 */
PP_API pp_status pp_kvcache_write(pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                                  int32_t dtype, int64_t first_token, int64_t n_tokens,
                                  const void *src, size_t bytes, pp_error *err);

struct pp_session;

/*
 * A new cache of n_tokens tokens whose keys, values and states are zeros, to be written to with
 * pp_kvcache_write and pp_kvcache_write_state; layers with a window hold the tokens that they would
 * hold after a run. tokens: their ids, caller-owned [n_tokens]; may be NULL unless the model's
 * rotary embedding depends on the length of a prompt (PP_ROPE_LONGROPE, PP_ROPE_DYNAMIC): then what
 * is written must be rotated as for a prompt of n_tokens tokens, and a run that makes it longer may
 * compute all of it anew. The caller destroys *cache. Errors: PP_ERR_ARG, PP_ERR_TOO_LONG,
 * PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE.
 */
PP_API pp_status pp_kvcache_create(struct pp_session *session, int64_t n_tokens,
                                   const int32_t *tokens, pp_kvcache **cache, pp_error *err);

/*
 * One page of a layer's keys or values as it lies in memory, to be read without a copy. Element d
 * of the token first_token + s in kv head h is
 *     data[h head_stride + s / slot_group slot_stride + s % slot_group
 *                        + d / dim_group dim_stride + d % dim_group]
 */
typedef struct pp_kvcache_page {
    uint32_t struct_size;
    int32_t dtype;       /* of the elements: the session's */
    const void *data;    /* of the session */
    int64_t first_token; /* in slot 0 */
    int64_t n_tokens;    /* slots that hold tokens; what is behind them is undefined */
    int64_t head_stride; /* in elements, as the other strides */
    int64_t slot_stride; /* from slot_group neighbouring slots to the next */
    int64_t dim_stride;  /* from dim_group neighbouring elements of a head to the next */
    int32_t slot_group;  /* slots that are neighbours: 1 or 2 */
    int32_t dim_group;   /* elements of a head that are neighbours: 1 or 2 */
    int32_t on_device;   /* 1: data is an address of the GPU, whose contents are there for work
                            behind that of the session's stream */
} pp_kvcache_page;

/*
 * Fills *page with the page of a layer that holds a token; the caller sets page->struct_size. The
 * memory is to be read only; it stays as it is until the cache is run, written to, truncated or
 * destroyed. Errors: PP_ERR_ARG (also for a token that the layer does not hold),
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_kvcache_get_page(const pp_kvcache *cache, int32_t layer, int32_t which,
                                     int64_t token, pp_kvcache_page *page, pp_error *err);

/* The parts of a linear layer's state. Values are frozen. */
enum {
    PP_STATE_RECURRENT = 0, /* S: [n_v_heads, k_dim, v_dim] */
    PP_STATE_CONV = 1,      /* the last inputs of the convolution, the latest last, zeros before the
                               first token: [kernel - 1, channels], channels of q, k, then v */
    PP_STATE_INT32 = -1,    /* no value: see common.h */
};

/*
 * Copies a part of a linear layer's state behind the cache's last token out, f32. dst:
 * caller-owned, exactly as many bytes as the part has. Errors: PP_ERR_ARG (also for layers that
 * attend, and an empty cache, which has no states), PP_ERR_DEVICE.
 */
PP_API pp_status pp_kvcache_read_state(const pp_kvcache *cache, int32_t layer, int32_t which,
                                       float *dst, size_t bytes, pp_error *err);
/*
 * The other way: overwrites it. Other caches that share the state keep what they hold, and so does
 * the earlier length that the cache can go back to. Errors: PP_ERR_ARG, PP_ERR_NOMEM,
 * PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE (it may be written in part then).
 */
PP_API pp_status pp_kvcache_write_state(pp_kvcache *cache, int32_t layer, int32_t which,
                                        const float *src, size_t bytes, pp_error *err);

/* Bytes of the pages and states this cache refers to; shared ones count fully. */
PP_API int64_t pp_kvcache_bytes(const pp_kvcache *cache);

/* The session that it belongs to, alive as long as the cache; not a reference. */
PP_API struct pp_session *pp_kvcache_session(const pp_kvcache *cache);

/* Thread-safety: safe. In a child after fork it does nothing. */
PP_API void pp_kvcache_destroy(pp_kvcache *cache);

#ifdef __cplusplus
}
#endif
#endif
