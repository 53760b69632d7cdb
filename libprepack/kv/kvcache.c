/*
 * kvcache.c: one prompt's cache: reserve, release what is out of sight, fork (shares pages, copies
 * on write), truncate, destroy. Copies to and from the host are in kv_copies.c, states of linear
 * layers in kv_states.c.
 */
#include "kv/kv_blocks.h"
#include "kv/kv_states.h"

#include <string.h>

pp_status ppi_kvcache_create(struct ppi_kv_store *store, pp_kvcache **out, pp_error *err)
{
    pp_kvcache *cache = ppi_zalloc(store->mem, 1, sizeof *cache);
    if (!cache)
        return ppi_error_nomem(err, "a KV cache handle", sizeof *cache);
    ppi_store_ref(store);
    cache->store = store;
    *out = cache;
    return PP_OK;
}

/* Room for n entries in pages[]. */
static pp_status grow_list(struct ppi_mem *mem, struct ppi_page_list *list, int64_t n,
                           pp_error *err)
{
    if (n <= list->capacity)
        return PP_OK;
    int64_t capacity = n + n / 4 + 4; /* decoding appends a page now and then */
    struct ppi_page **pages = ppi_alloc(mem, (size_t)capacity, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "a KV page list", (size_t)capacity * sizeof *pages);
    if (list->n_pages > 0)
        memcpy(pages, list->pages, (size_t)list->n_pages * sizeof *pages);
    ppi_free(mem, list->pages);
    list->pages = pages;
    list->capacity = capacity;
    return PP_OK;
}

/* No page before entry `first` is held. */
static void mark_gone(struct ppi_page_list *list, int64_t first)
{
    if (first > 0)
        memset(list->pages, 0, (size_t)first * sizeof *list->pages);
    list->first = first;
}

pp_status ppi_kvcache_own_page(pp_kvcache *cache, int32_t page_class, int64_t i_page, pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    struct ppi_page_pool *pool = &store->pools[page_class];
    struct ppi_page_list *list = &cache->lists[page_class];
    /* a run gives pages back before it moves the length: a page that is gone was the cache's own */
    if (i_page >= list->n_pages || !list->pages[i_page] ||
        !ppi_pool_is_shared(pool, list->pages[i_page]))
        return PP_OK;
    struct ppi_page *copy;
    PP_TRY(ppi_kvcache_take(cache, page_class, 1, &copy, err));
    pp_status status = store->ops->copy(store->backend, copy->data, list->pages[i_page]->data,
                                        (size_t)pool->page_bytes, err);
    if (status < 0) {
        ppi_kvcache_give(cache, page_class, 1, &copy);
        return status;
    }
    ppi_pool_drop(pool, 1, &list->pages[i_page]);
    list->pages[i_page] = copy;
    return PP_OK;
}

static pp_status reserve_class(pp_kvcache *cache, int32_t page_class, int64_t from,
                               int64_t n_tokens, pp_error *err)
{
    struct ppi_page_list *list = &cache->lists[page_class];
    int64_t needed = ppi_store_pages(cache->store, n_tokens);
    if (n_tokens > from)
        PP_TRY(ppi_kvcache_own_page(cache, page_class, from / cache->store->page_tokens, err));
    if (needed <= list->n_pages)
        return PP_OK;
    PP_TRY(grow_list(cache->store->mem, list, needed, err));
    int64_t begin = list->n_pages;
    if (begin == 0) /* what is before is still to be adopted */
        begin = ppi_store_pages(cache->store, from);
    if (needed <= begin)
        return PP_OK;
    PP_TRY(ppi_kvcache_take(cache, page_class, needed - begin, list->pages + begin, err));
    if (list->n_pages == 0)
        mark_gone(list, begin);
    list->n_pages = needed;
    return PP_OK;
}

pp_status ppi_kvcache_reserve(pp_kvcache *cache, int64_t from, int64_t n_tokens, pp_error *err)
{
    for (int32_t c = 0; c < cache->store->shape.n_classes; c++)
        PP_TRY(reserve_class(cache, c, from, n_tokens, err));
    return PP_OK;
}

pp_status ppi_kvcache_reserve_full(pp_kvcache *cache, int64_t from, int64_t n_tokens, pp_error *err)
{
    for (int32_t c = 0; c < cache->store->shape.n_classes; c++)
        if (cache->store->shape.classes[c].window == 0)
            PP_TRY(reserve_class(cache, c, from, n_tokens, err));
    return PP_OK;
}

pp_status ppi_kvcache_adopt(pp_kvcache *cache, const pp_kvcache *from, int64_t n_tokens,
                            pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    int64_t n_pages = ppi_store_pages(store, n_tokens);
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        const struct ppi_page_list *theirs = &from->lists[c];
        struct ppi_page_list *list = &cache->lists[c];
        PP_TRY(grow_list(store->mem, list, n_pages, err));
        memcpy(list->pages + theirs->first, theirs->pages + theirs->first,
               (size_t)(n_pages - theirs->first) * sizeof *list->pages);
        ppi_pool_share(&store->pools[c], n_pages - theirs->first, list->pages + theirs->first);
        mark_gone(list, theirs->first);
        if (list->n_pages < n_pages)
            list->n_pages = n_pages;
    }
    return PP_OK;
}

/* The first page that a class keeps of a cache of n_tokens tokens. */
static int64_t first_kept(const struct ppi_kv_store *store, int32_t page_class, int64_t n_tokens)
{
    int64_t window = store->shape.keep_all ? 0 : store->shape.classes[page_class].window;
    return ppi_kv_first_needed(window, n_tokens, store->page_tokens);
}

pp_status ppi_kvcache_hold(pp_kvcache *cache, int64_t n_tokens, const int64_t *first_tokens,
                           pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    int64_t n_pages = ppi_store_pages(store, n_tokens);
    for (int32_t c = 0; c < store->shape.n_classes && n_pages > 0; c++) {
        struct ppi_page_list *list = &cache->lists[c];
        int64_t first = first_kept(store, c, n_tokens);
        if (first_tokens && first_tokens[c] / store->page_tokens > first)
            first = first_tokens[c] / store->page_tokens;
        PP_TRY(grow_list(store->mem, list, n_pages, err));
        PP_TRY(ppi_kvcache_take(cache, c, n_pages - first, list->pages + first, err));
        mark_gone(list, first);
        list->n_pages = n_pages;
    }
    if (n_tokens > 0 && store->shape.linear)
        PP_TRY(ppi_kvcache_take_state(cache, n_tokens, err));
    cache->n_tokens = n_tokens;
    return PP_OK;
}

void ppi_kvcache_release(pp_kvcache *cache, int64_t n_tokens, int64_t keep)
{
    struct ppi_kv_store *store = cache->store;
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        struct ppi_page_list *list = &cache->lists[c];
        int64_t end = first_kept(store, c, n_tokens);
        /* pages with tokens below `keep` lie before those without */
        int64_t begin = keep > 0 ? ppi_store_pages(store, keep) : list->first;
        if (begin < list->first)
            begin = list->first;
        if (end <= begin)
            continue;
        ppi_kvcache_give(cache, c, end - begin, list->pages + begin);
        memset(list->pages + begin, 0, (size_t)(end - begin) * sizeof *list->pages);
        if (begin == list->first)
            list->first = end;
    }
}

void ppi_kvcache_cut(pp_kvcache *cache, int64_t n_tokens)
{
    struct ppi_kv_store *store = cache->store;
    int64_t n_pages = ppi_store_pages(store, n_tokens);
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        struct ppi_page_list *list = &cache->lists[c];
        int64_t from = n_pages > list->first ? n_pages : list->first;
        if (from < list->n_pages)
            ppi_kvcache_give(cache, c, list->n_pages - from, list->pages + from);
        if (n_pages < list->n_pages)
            list->n_pages = n_pages;
        if (list->first > n_pages)
            list->first = n_pages;
    }
    ppi_kvcache_cut_states(cache, n_tokens);
    cache->n_tokens = n_tokens;
}

pp_status ppi_kvcache_reserve_tokens(pp_kvcache *cache, int64_t n, pp_error *err)
{
    int64_t needed = cache->n_tokens + n;
    if (needed <= cache->tokens_capacity)
        return PP_OK;
    int64_t capacity = needed + needed / 4 + 64;
    int32_t *tokens = ppi_alloc(cache->store->mem, (size_t)capacity, sizeof *tokens);
    if (!tokens)
        return ppi_error_nomem(err, "the tokens of a cache", (size_t)capacity * sizeof *tokens);
    if (cache->n_tokens > 0)
        memcpy(tokens, cache->tokens, (size_t)cache->n_tokens * sizeof *tokens);
    ppi_free(cache->store->mem, cache->tokens);
    cache->tokens = tokens;
    cache->tokens_capacity = capacity;
    return PP_OK;
}

void ppi_kvcache_swap(pp_kvcache *a, pp_kvcache *b)
{
    pp_kvcache held = *a;
    *a = *b;
    *b = held;
}

/* ---- the public calls ---- */

int64_t pp_kvcache_length(const pp_kvcache *cache)
{
    return cache ? cache->n_tokens : 0;
}

int64_t pp_kvcache_bytes(const pp_kvcache *cache)
{
    int64_t bytes = 0;
    for (int32_t c = 0; cache && c < cache->store->shape.n_classes; c++)
        bytes +=
            (cache->lists[c].n_pages - cache->lists[c].first) * cache->store->pools[c].page_bytes;
    return cache ? bytes + ppi_kvcache_state_bytes(cache) : 0;
}

int64_t pp_kvcache_first_token(const pp_kvcache *cache, int32_t layer)
{
    if (!cache || layer < 0 || layer >= cache->store->shape.n_layers)
        return 0;
    const struct ppi_kv_store *store = cache->store;
    int32_t page_class = store->shape.places[layer].page_class;
    return page_class < 0 ? cache->n_tokens : cache->lists[page_class].first * store->page_tokens;
}

/* A class that does not hold the whole window of the token behind n_tokens; -1: there is none. */
static int32_t class_that_lacks(const pp_kvcache *cache, int64_t n_tokens)
{
    const struct ppi_kv_store *store = cache->store;
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        int64_t first = cache->lists[c].first * store->page_tokens;
        if (first > 0 && n_tokens > 0 && n_tokens - store->shape.classes[c].window + 1 < first)
            return c;
    }
    return -1;
}

/* The length that a cut to n_tokens leaves; -1: it cannot be cut so. */
static int64_t length_kept(const pp_kvcache *cache, int64_t n_tokens)
{
    const int64_t lengths[] = {cache->n_tokens, cache->earlier.page ? cache->earlier.n_tokens : 0,
                               0};
    if (n_tokens < 0 || n_tokens > cache->n_tokens)
        return -1;
    if (!cache->store->shape.linear)
        return class_that_lacks(cache, n_tokens) < 0 ? n_tokens : -1;
    size_t i = 0;
    while (lengths[i] > n_tokens || class_that_lacks(cache, lengths[i]) >= 0)
        i++; /* 0 tokens are always there */
    return lengths[i];
}

int64_t pp_kvcache_kept(const pp_kvcache *cache, int64_t n_tokens)
{
    return cache ? length_kept(cache, n_tokens) : -1;
}

/* The status of a cut to n_tokens that leaves length_kept. */
static pp_status check_cut(const pp_kvcache *cache, int64_t n_tokens, const char *call,
                           pp_error *err)
{
    const struct ppi_kv_store *store = cache->store;
    int64_t kept = length_kept(cache, n_tokens);
    if (kept >= 0)
        return kept < n_tokens ? PP_SHORTER : PP_OK;
    if (n_tokens < 0 || n_tokens > cache->n_tokens)
        return ppi_error(err, PP_ERR_ARG, "%s: n_tokens is %lld, the cache holds %lld", call,
                         (long long)n_tokens, (long long)cache->n_tokens);
    int32_t c = class_that_lacks(cache, n_tokens);
    int64_t first = cache->lists[c].first * store->page_tokens;
    return ppi_error(
        err, PP_ERR_ARG,
        "%s: n_tokens is %lld; layers with a window of %d tokens have given back those "
        "before %lld, so it may be 0 or %lld to %lld (pp_session_params.keep_window_pages "
        "keeps all)",
        call, (long long)n_tokens, store->shape.classes[c].window, (long long)first,
        (long long)(first + store->shape.classes[c].window - 1), (long long)cache->n_tokens);
}

static pp_status copy_cache(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache *copy,
                            pp_error *err)
{
    if (n_tokens > 0)
        PP_TRY(ppi_kvcache_adopt(copy, cache, n_tokens, err));
    if (cache->tokens && n_tokens > 0) {
        PP_TRY(ppi_kvcache_reserve_tokens(copy, n_tokens, err));
        memcpy(copy->tokens, cache->tokens, (size_t)n_tokens * sizeof *copy->tokens);
    }
    ppi_kvcache_copy_states(cache, n_tokens, copy);
    copy->n_tokens = n_tokens;
    copy->rope_set = cache->rope_set;
    return PP_OK;
}

pp_status pp_kvcache_fork(const pp_kvcache *cache, int64_t n_tokens, pp_kvcache **fork,
                          pp_error *err)
{
    if (!cache || !fork)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_fork: %s is NULL", cache ? "fork" : "cache");
    PP_TRY(ppi_guard_enter(cache->store->guard, "pp_kvcache_fork", err));
    pp_kvcache *copy = NULL;
    pp_status cut = check_cut(cache, n_tokens, "pp_kvcache_fork", err), status = cut;
    if (status >= 0)
        status = ppi_kvcache_create(cache->store, &copy, err);
    if (status >= 0)
        status = copy_cache(cache, length_kept(cache, n_tokens), copy, err);
    if (status >= 0)
        *fork = copy;
    else
        pp_kvcache_destroy(copy);
    ppi_guard_leave(cache->store->guard);
    return status < 0 ? status : cut;
}

pp_status pp_kvcache_truncate(pp_kvcache *cache, int64_t n_tokens, pp_error *err)
{
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_truncate: cache is NULL");
    PP_TRY(ppi_guard_enter(cache->store->guard, "pp_kvcache_truncate", err));
    pp_status status = check_cut(cache, n_tokens, "pp_kvcache_truncate", err);
    if (status >= 0)
        ppi_kvcache_cut(cache, length_kept(cache, n_tokens));
    ppi_guard_leave(cache->store->guard);
    return status;
}

void pp_kvcache_destroy(pp_kvcache *cache)
{
    if (!cache)
        return;
    struct ppi_kv_store *store = cache->store;
    if (ppi_guard_is_foreign(store->guard))
        return; /* a lock of the pool may be held for ever in this process */
    ppi_kvcache_drop_spare(cache);
    ppi_kvcache_cut_states(cache, 0);
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        struct ppi_page_list *list = &cache->lists[c];
        ppi_pool_drop(&store->pools[c], list->n_pages - list->first, list->pages + list->first);
        ppi_free(store->mem, list->pages);
    }
    ppi_free(store->mem, cache->tokens);
    ppi_free(store->mem, cache);
    ppi_store_unref(store);
}
