/*
 * kv_read.c: keys and values of a cache, copied to the host.
 */
#include "kv/cache.h"

static pp_status check_choice(const struct ppi_kv_shape *shape, int32_t layer, int32_t which,
                              int32_t layout, int32_t dtype, pp_error *err)
{
    if (layer < 0 || layer >= shape->n_layers)
        return ppi_error_at(err, PP_ERR_ARG, layer, "pp_kvcache_read: layer %d is outside [0, %d)",
                            layer, shape->n_layers);
    if (which != PP_KV_K && which != PP_KV_V)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: which is %d; use PP_KV_K or PP_KV_V",
                         which);
    if (layout != PP_KV_NHD && layout != PP_KV_HND)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_read: layout is %d; use PP_KV_NHD or PP_KV_HND", layout);
    if (dtype != PP_DTYPE_F32 && dtype != shape->dtype)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: dtype is %s; use f32 or %s",
                         pp_dtype_name(dtype), pp_dtype_name(shape->dtype));
    return PP_OK;
}

static pp_status check_range(const pp_kvcache *cache, int32_t layer, int64_t first_token,
                             int64_t n_tokens, int32_t dtype, const void *dst, size_t bytes,
                             pp_error *err)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    int64_t held = pp_kvcache_first_token(cache, layer);
    if (first_token < held || n_tokens < 0 || first_token > cache->n_tokens ||
        n_tokens > cache->n_tokens - first_token)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_read: %lld tokens from %lld on; layer %d holds [%lld, %lld)",
                         (long long)n_tokens, (long long)first_token, layer, (long long)held,
                         (long long)cache->n_tokens);
    size_t expected = (size_t)n_tokens * (size_t)shape->n_kv_heads * (size_t)shape->head_dim *
                      pp_dtype_size(dtype);
    if (bytes != expected || (!dst && expected > 0))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_read: dst %s has %zu bytes; %lld tokens need %zu",
                         dst ? "buffer" : "is NULL and", bytes, (long long)n_tokens, expected);
    return PP_OK;
}

/* The addresses of the pages of a range, those before it NULL. */
static pp_status read_range(const pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                            int32_t dtype, int64_t first_token, int64_t n_tokens, void *dst,
                            pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    const struct ppi_page_list *list = &cache->lists[store->shape.places[layer].page_class];
    size_t n_pages = (size_t)ppi_store_pages(store, first_token + n_tokens);
    void **pages = ppi_zalloc(store->mem, n_pages, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "a KV page list", n_pages * sizeof *pages);
    for (size_t i = (size_t)(first_token / store->page_tokens); i < n_pages; i++)
        pages[i] = list->pages[i]->data;
    pp_status status = store->ops->kv_read(store->backend, pages, first_token, n_tokens, layer,
                                           which, layout, dtype, dst, err);
    ppi_free(store->mem, pages);
    return status;
}

pp_status pp_kvcache_read(const pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                          int32_t dtype, int64_t first_token, int64_t n_tokens, void *dst,
                          size_t bytes, pp_error *err)
{
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: cache is NULL");
    PP_TRY(ppi_guard_enter(cache->store->guard, "pp_kvcache_read", err));
    pp_status status = check_choice(&cache->store->shape, layer, which, layout, dtype, err);
    if (status >= 0)
        status = check_range(cache, layer, first_token, n_tokens, dtype, dst, bytes, err);
    if (status >= 0 && n_tokens > 0)
        status = read_range(cache, layer, which, layout, dtype, first_token, n_tokens, dst, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}
