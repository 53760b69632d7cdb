/*
 * kvcache.c: one prompt's cache: reserve, fork (shares pages, copies on write), truncate, read,
 * destroy.
 */
#include "kv/cache.h"
#include "model/session_impl.h"

#include <string.h>

static int64_t pages_for(const struct pp_session *session, int64_t n_tokens)
{
    return ppi_div_up(n_tokens, session->pool.page_tokens);
}

pp_status ppi_kvcache_create(struct pp_session *session, int64_t n_tokens, pp_kvcache **out,
                             pp_error *err)
{
    pp_kvcache *cache = ppi_zalloc(&session->mem, 1, sizeof *cache);
    if (!cache)
        return ppi_error_nomem(err, "a KV cache handle", sizeof *cache);
    cache->session = ppi_session_ref(session);
    pp_status status = ppi_kvcache_reserve(cache, n_tokens, err);
    if (status < 0) {
        pp_kvcache_destroy(cache);
        return status;
    }
    *out = cache;
    return PP_OK;
}

/* Room for n entries in pages[]. */
static pp_status grow_list(pp_kvcache *cache, int64_t n, pp_error *err)
{
    if (n <= cache->capacity)
        return PP_OK;
    struct ppi_mem *mem = &cache->session->mem;
    int64_t capacity = n + n / 4 + 4; /* decoding appends a page now and then */
    struct ppi_page **pages = ppi_alloc(mem, (size_t)capacity, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "a KV page list", (size_t)capacity * sizeof *pages);
    if (cache->n_pages > 0)
        memcpy(pages, cache->pages, (size_t)cache->n_pages * sizeof *pages);
    ppi_free(mem, cache->pages);
    cache->pages = pages;
    cache->capacity = capacity;
    return PP_OK;
}

/* Gives the cache a page of its own where it will write next. */
static pp_status own_last_page(pp_kvcache *cache, pp_error *err)
{
    struct pp_session *session = cache->session;
    int64_t i_page = cache->n_tokens / session->pool.page_tokens;
    if (i_page >= cache->n_pages || !ppi_pool_is_shared(&session->pool, cache->pages[i_page]))
        return PP_OK;
    struct ppi_page *copy;
    PP_TRY(ppi_pool_take(&session->pool, 1, &copy, err));
    pp_status status = session->ops->copy(session->backend, copy->data, cache->pages[i_page]->data,
                                          (size_t)session->pool.page_bytes, err);
    if (status < 0) {
        ppi_pool_drop(&session->pool, 1, &copy);
        return status;
    }
    ppi_pool_drop(&session->pool, 1, &cache->pages[i_page]);
    cache->pages[i_page] = copy;
    return PP_OK;
}

pp_status ppi_kvcache_reserve(pp_kvcache *cache, int64_t n_tokens, pp_error *err)
{
    int64_t needed = pages_for(cache->session, n_tokens);
    if (n_tokens > cache->n_tokens)
        PP_TRY(own_last_page(cache, err));
    if (needed <= cache->n_pages)
        return PP_OK;
    PP_TRY(grow_list(cache, needed, err));
    PP_TRY(ppi_pool_take(&cache->session->pool, needed - cache->n_pages,
                         cache->pages + cache->n_pages, err));
    cache->n_pages = needed;
    return PP_OK;
}

int64_t pp_kvcache_length(const pp_kvcache *cache)
{
    return cache ? cache->n_tokens : 0;
}

int64_t pp_kvcache_bytes(const pp_kvcache *cache)
{
    return cache ? cache->n_pages * cache->session->pool.page_bytes : 0;
}

static pp_status check_length(const pp_kvcache *cache, int64_t n_tokens, const char *call,
                              pp_error *err)
{
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "%s: cache is NULL", call);
    if (n_tokens < 0 || n_tokens > cache->n_tokens)
        return ppi_error(err, PP_ERR_ARG, "%s: n_tokens is %lld, the cache holds %lld", call,
                         (long long)n_tokens, (long long)cache->n_tokens);
    return PP_OK;
}

pp_status pp_kvcache_fork(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache **fork,
                          pp_error *err)
{
    PP_TRY(check_length(cache, n_tokens, "pp_kvcache_fork", err));
    if (!fork)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_fork: fork is NULL");
    pp_kvcache *copy;
    PP_TRY(ppi_kvcache_create(cache->session, 0, &copy, err));
    int64_t n_pages = pages_for(cache->session, n_tokens);
    pp_status status = grow_list(copy, n_pages, err);
    if (status < 0) {
        pp_kvcache_destroy(copy);
        return status;
    }
    if (n_pages > 0)
        memcpy(copy->pages, cache->pages, (size_t)n_pages * sizeof *copy->pages);
    ppi_pool_share(&cache->session->pool, n_pages, copy->pages);
    copy->n_pages = n_pages;
    copy->n_tokens = n_tokens;
    *fork = copy;
    return PP_OK;
}

pp_status pp_kvcache_truncate(pp_kvcache *cache, int64_t n_tokens, pp_error *err)
{
    PP_TRY(check_length(cache, n_tokens, "pp_kvcache_truncate", err));
    int64_t n_pages = pages_for(cache->session, n_tokens);
    ppi_pool_drop(&cache->session->pool, cache->n_pages - n_pages, cache->pages + n_pages);
    cache->n_pages = n_pages;
    cache->n_tokens = n_tokens;
    return PP_OK;
}

pp_status pp_kvcache_read(const pp_kvcache *cache, int32_t layer, int32_t which, int32_t layout,
                          int32_t dtype, void *dst, size_t bytes, pp_error *err)
{
    PP_TRY(check_length(cache, 0, "pp_kvcache_read", err));
    struct pp_session *session = cache->session;
    const pp_model_config *config = &session->model->config;
    if (layer < 0 || layer >= config->n_layers)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: layer %d is outside [0, %d)", layer,
                         config->n_layers);
    if (which != PP_KV_K && which != PP_KV_V)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: which is %d; use PP_KV_K or PP_KV_V",
                         which);
    if (layout != PP_KV_NHD && layout != PP_KV_HND)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kvcache_read: layout is %d; use PP_KV_NHD or PP_KV_HND", layout);
    if (dtype != PP_DTYPE_F32 && dtype != session->dtype)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_read: dtype is %s; use f32 or %s",
                         pp_dtype_name(dtype), pp_dtype_name(session->dtype));
    size_t expected = (size_t)cache->n_tokens * (size_t)config->n_kv_heads *
                      (size_t)config->head_dim * pp_dtype_size(dtype);
    if (bytes != expected || (!dst && expected > 0))
        return ppi_error(
            err, PP_ERR_ARG, "pp_kvcache_read: dst %s has %zu bytes; %lld tokens need %zu",
            dst ? "buffer" : "is NULL and", bytes, (long long)cache->n_tokens, expected);
    if (cache->n_tokens == 0)
        return PP_OK;
    size_t n_pages = (size_t)pages_for(session, cache->n_tokens);
    void **pages = ppi_alloc(&session->mem, n_pages, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "a KV page list", n_pages * sizeof *pages);
    for (size_t i = 0; i < n_pages; i++)
        pages[i] = cache->pages[i]->data;
    pp_status status = session->ops->kv_read(session->backend, pages, 0, cache->n_tokens, layer,
                                             which, layout, dtype, dst, err);
    ppi_free(&session->mem, pages);
    return status;
}

void pp_kvcache_destroy(pp_kvcache *cache)
{
    if (!cache)
        return;
    struct pp_session *session = cache->session;
    ppi_pool_drop(&session->pool, cache->n_pages, cache->pages);
    ppi_free(&session->mem, cache->pages);
    ppi_free(&session->mem, cache);
    ppi_session_unref(session);
}
