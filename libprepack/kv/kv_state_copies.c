/*
 * kv_state_copies.c: states of linear layers, copied to the host and from it.
 */
#include "kv/kv_states.h"

struct ppi_state_part ppi_state_part(const struct ppi_linear_shape *shape, int32_t which)
{
    int64_t s = (int64_t)shape->n_v_heads * shape->k_dim * shape->v_dim;
    if (which == PP_STATE_RECURRENT)
        return (struct ppi_state_part){0, 3, {shape->n_v_heads, shape->k_dim, shape->v_dim}};
    return (struct ppi_state_part){
        s * (int64_t)sizeof(float), 2, {shape->conv_kernel - 1, ppi_linear_channels(shape)}};
}

static char *place_of(const pp_kvcache *cache, int32_t layer, int64_t at)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    int64_t before = shape->places[layer].index * ppi_linear_state_bytes(shape->linear);
    return (char *)cache->state.page->data + before + at;
}

pp_status ppi_kvcache_get_state(const pp_kvcache *cache, int32_t layer, int64_t at, int64_t n,
                                void *dst, pp_error *err)
{
    const struct ppi_kv_store *store = cache->store;
    return store->ops->download_rows(store->backend, &dst, place_of(cache, layer, at), 1, (size_t)n,
                                     err);
}

pp_status ppi_kvcache_put_state(pp_kvcache *cache, int32_t layer, int64_t at, int64_t n,
                                const void *src, pp_error *err)
{
    const struct ppi_kv_store *store = cache->store;
    return store->ops->upload(store->backend, place_of(cache, layer, at), src, (size_t)n, err);
}

/* ---- the public calls ---- */

/* array: dst or src. */
static pp_status check(const pp_kvcache *cache, int32_t layer, int32_t which, const char *call,
                       const char *name, const void *array, size_t bytes, pp_error *err)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    if (layer < 0 || layer >= shape->n_layers)
        return ppi_error_at(err, PP_ERR_ARG, layer, "%s: layer %d is outside [0, %d)", call, layer,
                            shape->n_layers);
    if (shape->places[layer].page_class >= 0)
        return ppi_error_at(err, PP_ERR_ARG, layer,
                            "%s: layer %d attends: it has keys and values, and no state", call,
                            layer);
    if (which != PP_STATE_RECURRENT && which != PP_STATE_CONV)
        return ppi_error(err, PP_ERR_ARG,
                         "%s: which is %d; use PP_STATE_RECURRENT or PP_STATE_CONV", call, which);
    if (!cache->state.page)
        return ppi_error(err, PP_ERR_ARG, "%s: the cache is empty and has no states", call);
    struct ppi_state_part part = ppi_state_part(shape->linear, which);
    int64_t expected = ppi_state_part_bytes(&part);
    if (bytes != (size_t)expected || (!array && expected > 0))
        return ppi_error(err, PP_ERR_ARG, "%s: %s %s has %zu bytes; this state has %lld", call,
                         name, array ? "buffer" : "is NULL and", bytes, (long long)expected);
    return PP_OK;
}

pp_status pp_kvcache_read_state(const pp_kvcache *cache, int32_t layer, int32_t which, float *dst,
                                size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_read_state";
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_guard_enter(cache->store->guard, call, err));
    pp_status status = check(cache, layer, which, call, "dst", dst, bytes, err);
    if (status >= 0 && bytes > 0)
        status = ppi_kvcache_get_state(cache, layer,
                                       ppi_state_part(cache->store->shape.linear, which).at,
                                       (int64_t)bytes, dst, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}

/* The cache gets a block of its own in the place of one that others share. */
static pp_status own_state(pp_kvcache *cache, pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    struct ppi_page *copy;
    if (!ppi_pool_is_shared(&store->states, cache->state.page))
        return PP_OK;
    PP_TRY(ppi_store_take_states(store, 1, &copy, err));
    pp_status status = store->ops->copy(store->backend, copy->data, cache->state.page->data,
                                        (size_t)store->states.page_bytes, err);
    if (status < 0) {
        ppi_store_drop_state(store, copy);
        return status;
    }
    ppi_store_drop_state(store, cache->state.page);
    cache->state.page = copy;
    return PP_OK;
}

pp_status pp_kvcache_write_state(pp_kvcache *cache, int32_t layer, int32_t which, const float *src,
                                 size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_write_state";
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_guard_enter(cache->store->guard, call, err));
    pp_status status = check(cache, layer, which, call, "src", src, bytes, err);
    if (status >= 0)
        status = own_state(cache, err);
    if (status >= 0 && bytes > 0)
        status = ppi_kvcache_put_state(cache, layer,
                                       ppi_state_part(cache->store->shape.linear, which).at,
                                       (int64_t)bytes, src, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}
