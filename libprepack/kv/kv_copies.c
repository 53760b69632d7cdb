/*
 * kv_copies.c: keys and values of a cache, copied to the host and from it.
 */
#include "kv/cache.h"

pp_status ppi_kvcache_check_keys(const pp_kvcache *cache, int32_t layer, const char *call,
                                 pp_error *err)
{
    if (cache->store->shape.places[layer].page_class >= 0)
        return PP_OK;
    return ppi_error_at(
        err, PP_ERR_ARG, layer,
        "%s: layer %d is linear: it has a state (pp_kvcache_read_state) in the place "
        "of keys and values",
        call, layer);
}

static pp_status check_choice(const pp_kvcache *cache, const struct ppi_kv_range *r,
                              const char *call, pp_error *err)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    if (r->layer < 0 || r->layer >= shape->n_layers)
        return ppi_error_at(err, PP_ERR_ARG, r->layer, "%s: layer %d is outside [0, %d)", call,
                            r->layer, shape->n_layers);
    PP_TRY(ppi_kvcache_check_keys(cache, r->layer, call, err));
    if (r->which != PP_KV_K && r->which != PP_KV_V)
        return ppi_error(err, PP_ERR_ARG, "%s: which is %d; use PP_KV_K or PP_KV_V", call,
                         r->which);
    if (r->layout != PP_KV_NHD && r->layout != PP_KV_HND)
        return ppi_error(err, PP_ERR_ARG, "%s: layout is %d; use PP_KV_NHD or PP_KV_HND", call,
                         r->layout);
    if (r->dtype != PP_DTYPE_F32 && r->dtype != shape->dtype)
        return ppi_error(err, PP_ERR_ARG, "%s: dtype is %s; use f32 or %s", call,
                         pp_dtype_name(r->dtype), pp_dtype_name(shape->dtype));
    return PP_OK;
}

/* array: dst or src. */
static pp_status check_range(const pp_kvcache *cache, const struct ppi_kv_range *r,
                             const char *call, const char *name, const void *array, size_t bytes,
                             pp_error *err)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    int64_t held = pp_kvcache_first_token(cache, r->layer);
    if (r->first_token < held || r->n_tokens < 0 || r->first_token > cache->n_tokens ||
        r->n_tokens > cache->n_tokens - r->first_token)
        return ppi_error(err, PP_ERR_ARG,
                         "%s: %lld tokens from %lld on; layer %d holds [%lld, %lld)", call,
                         (long long)r->n_tokens, (long long)r->first_token, r->layer,
                         (long long)held, (long long)cache->n_tokens);
    size_t row = (size_t)ppi_kv_row(ppi_kv_class_of(shape, r->layer));
    size_t expected = (size_t)r->n_tokens * row * pp_dtype_size(r->dtype);
    if (bytes != expected || (!array && expected > 0))
        return ppi_error(err, PP_ERR_ARG, "%s: %s %s has %zu bytes; %lld tokens need %zu", call,
                         name, array ? "buffer" : "is NULL and", bytes, (long long)r->n_tokens,
                         expected);
    return PP_OK;
}

/* The addresses of the pages of a range, those before it NULL; released with ppi_free. */
static pp_status list_pages(const pp_kvcache *cache, const struct ppi_kv_range *r, void ***out,
                            pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    const struct ppi_page_list *list = &cache->lists[store->shape.places[r->layer].page_class];
    size_t n_pages = (size_t)ppi_store_pages(store, r->first_token + r->n_tokens);
    void **pages = ppi_zalloc(store->mem, n_pages, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "a KV page list", n_pages * sizeof *pages);
    for (size_t i = (size_t)(r->first_token / store->page_tokens); i < n_pages; i++)
        pages[i] = list->pages[i]->data;
    *out = pages;
    return PP_OK;
}

pp_status ppi_kvcache_get(const pp_kvcache *cache, const struct ppi_kv_range *r, void *dst,
                          pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    void **pages;
    if (r->n_tokens == 0)
        return PP_OK;
    PP_TRY(list_pages(cache, r, &pages, err));
    pp_status status = store->ops->kv_read(store->backend, pages, r->first_token, r->n_tokens,
                                           r->layer, r->which, r->layout, r->dtype, dst, err);
    ppi_free(store->mem, pages);
    return status;
}

pp_status ppi_kvcache_put(pp_kvcache *cache, const struct ppi_kv_range *r, const void *src,
                          pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    int32_t page_class = store->shape.places[r->layer].page_class;
    void **pages;
    if (r->n_tokens == 0)
        return PP_OK;
    for (int64_t i = r->first_token / store->page_tokens;
         i < ppi_store_pages(store, r->first_token + r->n_tokens); i++)
        PP_TRY(ppi_kvcache_own_page(cache, page_class, i, err));
    PP_TRY(list_pages(cache, r, &pages, err));
    pp_status status = store->ops->kv_write(store->backend, pages, r->first_token, r->n_tokens,
                                            r->layer, r->which, r->layout, r->dtype, src, err);
    ppi_free(store->mem, pages);
    return status;
}

pp_status pp_kvcache_read(const pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                          int32_t dtype, int64_t first_token, int64_t n_tokens, void *dst,
                          size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_read";
    const struct ppi_kv_range range = {layer, which, layout, dtype, first_token, n_tokens};
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_guard_enter(cache->store->guard, call, err));
    pp_status status = check_choice(cache, &range, call, err);
    if (status >= 0)
        status = check_range(cache, &range, call, "dst", dst, bytes, err);
    if (status >= 0)
        status = ppi_kvcache_get(cache, &range, dst, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}

pp_status pp_kvcache_write(pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                           int32_t dtype, int64_t first_token, int64_t n_tokens, const void *src,
                           size_t bytes, pp_error *err)
{
    static const char call[] = "pp_kvcache_write";
    const struct ppi_kv_range range = {layer, which, layout, dtype, first_token, n_tokens};
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    PP_TRY(ppi_guard_enter(cache->store->guard, call, err));
    pp_status status = check_choice(cache, &range, call, err);
    if (status >= 0)
        status = check_range(cache, &range, call, "src", src, bytes, err);
    if (status >= 0)
        status = ppi_kvcache_put(cache, &range, src, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}
