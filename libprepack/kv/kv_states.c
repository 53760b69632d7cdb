/*
 * kv_states.c: which states of linear layers a cache has: that of all its tokens, and one more, so
 * that it can go back where no state can be computed from a later one: to where the last run began
 * that appended several tokens, and, when single ones have followed, to where it ended.
 */
#include "kv/kv_states.h"

pp_status ppi_store_take_states(struct ppi_kv_store *store, int64_t n, struct ppi_page **blocks,
                                pp_error *err)
{
    pp_status status = ppi_pool_take(&store->states, n, blocks, NULL);
    if (status >= 0)
        return status;
    ppi_store_trim(store);
    return ppi_pool_take(&store->states, n, blocks, err);
}

struct ppi_page *ppi_store_share_state(struct ppi_kv_store *store, struct ppi_page *block)
{
    if (block)
        ppi_pool_share(&store->states, 1, &block);
    return block;
}

void ppi_store_drop_state(struct ppi_kv_store *store, struct ppi_page *block)
{
    if (block)
        ppi_pool_drop(&store->states, 1, &block);
}

static void drop(const pp_kvcache *cache, struct ppi_kv_state *state)
{
    ppi_store_drop_state(cache->store, state->page);
    *state = (struct ppi_kv_state){NULL, 0};
}

pp_status ppi_kvcache_take_state(pp_kvcache *cache, int64_t n_tokens, pp_error *err)
{
    PP_TRY(ppi_store_take_states(cache->store, 1, &cache->state.page, err));
    cache->state.n_tokens = n_tokens;
    cache->stays = true;
    return PP_OK;
}

pp_status ppi_kvcache_zero_state(pp_kvcache *cache, pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    void *zeros;
    if (!cache->state.page)
        return PP_OK;
    PP_TRY(ppi_pool_zeros(&store->states, &zeros, err));
    return store->ops->copy(store->backend, cache->state.page->data, zeros,
                            (size_t)store->states.page_bytes, err);
}

void ppi_kvcache_advance_state(pp_kvcache *cache, struct ppi_page *block, int64_t n_tokens,
                               int64_t n_appended)
{
    bool several = n_appended > 1 || n_appended == n_tokens;
    if (cache->state.page && (several || cache->stays)) {
        drop(cache, &cache->earlier);
        cache->earlier = cache->state;
    } else {
        drop(cache, &cache->state);
    }
    cache->state = (struct ppi_kv_state){block, n_tokens};
    cache->stays = several;
}

static struct ppi_kv_state share(const pp_kvcache *cache, const struct ppi_kv_state *state)
{
    return (struct ppi_kv_state){ppi_store_share_state(cache->store, state->page), state->n_tokens};
}

void ppi_kvcache_copy_states(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache *copy)
{
    bool whole = n_tokens == cache->n_tokens;
    if (n_tokens == 0)
        return;
    copy->state = share(cache, whole ? &cache->state : &cache->earlier);
    if (whole)
        copy->earlier = share(cache, &cache->earlier);
    copy->stays = !whole || cache->stays;
}

void ppi_kvcache_cut_states(pp_kvcache *cache, int64_t n_tokens)
{
    if (cache->state.n_tokens <= n_tokens)
        return;
    drop(cache, &cache->state);
    if (cache->earlier.n_tokens > n_tokens)
        drop(cache, &cache->earlier);
    cache->state = cache->earlier;
    cache->earlier = (struct ppi_kv_state){NULL, 0};
    cache->stays = true;
}

int64_t ppi_kvcache_state_bytes(const pp_kvcache *cache)
{
    int64_t n = (cache->state.page != NULL) + (cache->earlier.page != NULL);
    return n * ppi_store_state_bytes(cache->store);
}
