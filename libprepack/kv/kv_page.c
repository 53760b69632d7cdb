/*
 * kv_page.c: the pages of a cache as they lie in memory, for hosts that read them without a copy.
 */
#include "kv/cache.h"

static pp_status check_place(const pp_kvcache *cache, int32_t layer, int32_t which, int64_t token,
                             pp_error *err)
{
    const struct ppi_kv_shape *shape = &cache->store->shape;
    if (layer < 0 || layer >= shape->n_layers)
        return ppi_error_at(err, PP_ERR_ARG, layer,
                            "pp_kvcache_get_page: layer %d is outside [0, %d)", layer,
                            shape->n_layers);
    PP_TRY(ppi_kvcache_check_keys(cache, layer, "pp_kvcache_get_page", err));
    if (which != PP_KV_K && which != PP_KV_V)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_get_page: which is %d; use PP_KV_K or PP_KV_V", which);
    int64_t held = pp_kvcache_first_token(cache, layer);
    if (token < held || token >= cache->n_tokens)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_get_page: token %lld; layer %d holds [%lld, %lld)",
                         (long long)token, layer, (long long)held, (long long)cache->n_tokens);
    return PP_OK;
}

static pp_status get_page(const pp_kvcache *cache, int32_t layer, int32_t which, int64_t token,
                          pp_kvcache_page *page, pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    PP_TRY(check_place(cache, layer, which, token, err));
    const struct ppi_page_list *list = &cache->lists[store->shape.places[layer].page_class];
    int64_t i_page = token / store->page_tokens, first = i_page * store->page_tokens;
    int64_t left = cache->n_tokens - first;
    struct ppi_kv_layout layout;
    store->ops->kv_layout(store->backend, layer, which, &layout);
    const pp_kvcache_page filled = {
        .struct_size = sizeof filled,
        .dtype = store->shape.dtype,
        .data = (const char *)list->pages[i_page]->data + layout.offset,
        .first_token = first,
        .n_tokens = left < store->page_tokens ? left : store->page_tokens,
        .head_stride = layout.head_stride,
        .slot_stride = layout.slot_stride,
        .dim_stride = layout.dim_stride,
        .slot_group = layout.slot_group,
        .dim_group = layout.dim_group,
        .on_device = store->no_memory == PP_ERR_DEVICE_NOMEM,
    };
    return ppi_struct_write(page, &filled, sizeof filled, "pp_kvcache_page", err);
}

pp_status pp_kvcache_get_page(const pp_kvcache *cache, int32_t layer, int32_t which, int64_t token,
                              pp_kvcache_page *page, pp_error *err)
{
    if (!cache || !page)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_get_page: %s is NULL",
                         cache ? "page" : "cache");
    PP_TRY(ppi_guard_enter(cache->store->guard, "pp_kvcache_get_page", err));
    pp_status status = get_page(cache, layer, which, token, page, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}
