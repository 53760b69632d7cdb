/*
 * kv_states.h: states of linear layers, which caches have in the place of keys and values. Those of
 * all linear layers after the same tokens are one block, a page of the store's pool of states, and
 * counted as pages are: forks share it. A run writes only blocks that no cache has, so that what a
 * cache has never changes under it.
 */
#ifndef PPI_KV_STATES_H
#define PPI_KV_STATES_H

#include "kv/cache.h"

/* Takes n blocks with one owner each; memory of free pages makes room for them if it must. Errors:
 * PP_ERR_NOMEM or PP_ERR_DEVICE_NOMEM. */
pp_status ppi_store_take_states(struct ppi_kv_store *store, int64_t n, struct ppi_page **blocks,
                                pp_error *err);
/* One more owner for a block, which is returned, and one less; NULL is passed over. */
struct ppi_page *ppi_store_share_state(struct ppi_kv_store *store, struct ppi_page *block);
void ppi_store_drop_state(struct ppi_kv_store *store, struct ppi_page *block);

/* Gives an empty cache a block of n_tokens tokens, contents undefined. */
pp_status ppi_kvcache_take_state(pp_kvcache *cache, int64_t n_tokens, pp_error *err);
/* The states of all linear layers become zeros. */
pp_status ppi_kvcache_zero_state(pp_kvcache *cache, pp_error *err);

/* n_appended tokens more: `block`, which the cache owns from now on, is the state of all n_tokens.
 */
void ppi_kvcache_advance_state(pp_kvcache *cache, struct ppi_page *block, int64_t n_tokens,
                               int64_t n_appended);
/* An empty cache gets the states of another's first n_tokens tokens; that of n_tokens is there. */
void ppi_kvcache_copy_states(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache *copy);
/* Drops the states of more than n_tokens tokens. */
void ppi_kvcache_cut_states(pp_kvcache *cache, int64_t n_tokens);

/* Bytes of the states that a cache has. */
int64_t ppi_kvcache_state_bytes(const pp_kvcache *cache);

/* kv_state_copies.c: n bytes from byte `at` on of a layer's state at the end of a cache, copied to
 * the host, and from it into a block that nobody else has. */
pp_status ppi_kvcache_get_state(const pp_kvcache *cache, int32_t layer, int64_t at, int64_t n,
                                void *dst, pp_error *err);
pp_status ppi_kvcache_put_state(pp_kvcache *cache, int32_t layer, int64_t at, int64_t n,
                                const void *src, pp_error *err);

/* A part of a layer's state, PP_STATE_*: where it begins, and its shape, f32. */
struct ppi_state_part {
    int64_t at; /* bytes */
    int32_t rank;
    int64_t shape[3];
};
struct ppi_state_part ppi_state_part(const struct ppi_linear_shape *shape, int32_t which);
static inline int64_t ppi_state_part_bytes(const struct ppi_state_part *part)
{
    int64_t n = (int64_t)sizeof(float);
    for (int32_t i = 0; i < part->rank; i++)
        n *= part->shape[i];
    return n;
}

#endif
