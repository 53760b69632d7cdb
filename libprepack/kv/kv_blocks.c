/*
 * kv_blocks.c: blocks of the host's memory as pages: who may use them, and where tokens are.
 */
#include "kv/kv_blocks.h"

#include <string.h>

pp_status ppi_store_use_blocks(struct ppi_kv_store *store, const pp_kv_blocks *caller_blocks,
                               pp_error *err)
{
    pp_kv_blocks blocks = {.struct_size = sizeof blocks};
    PP_TRY(ppi_struct_read(&blocks, sizeof blocks, caller_blocks, "pp_kv_blocks", err));
    size_t alignment = store->no_memory == PP_ERR_DEVICE_NOMEM ? 256 : 64;
    if (blocks.n_classes != store->shape.n_classes)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_kv_blocks.n_classes is %d; the model has %d classes of pages",
                         blocks.n_classes, store->shape.n_classes);
    for (int32_t c = 0; c < blocks.n_classes; c++) {
        if (!blocks.memory[c] || (uintptr_t)blocks.memory[c] % alignment != 0 ||
            blocks.n_blocks[c] < 1 || blocks.n_blocks[c] > INT32_MAX)
            return ppi_error_at(err, PP_ERR_ARG, c,
                                "pp_kv_blocks: class %d has %lld blocks at %p; 1 to %d are needed, "
                                "at an address that is a multiple of %zu",
                                c, (long long)blocks.n_blocks[c], blocks.memory[c], INT32_MAX,
                                alignment);
        PP_TRY(ppi_pool_use_blocks(&store->pools[c], blocks.memory[c], (int32_t)blocks.n_blocks[c],
                                   err));
    }
    store->on_blocks = true;
    return PP_OK;
}

/* ---- pages of a cache ---- */

pp_status ppi_kvcache_take(pp_kvcache *cache, int32_t page_class, int64_t n,
                           struct ppi_page **pages, pp_error *err)
{
    struct ppi_page_list *list = &cache->lists[page_class];
    if (!cache->store->on_blocks)
        return ppi_pool_take(&cache->store->pools[page_class], n, pages, err);
    struct ppi_page_pool *pool = &cache->store->pools[page_class];
    int64_t n_own = list->n_spare < n ? list->n_spare : n;
    if (n_own < n && ppi_pool_take(pool, n - n_own, pages + n_own, NULL) < 0) {
        int64_t n_there = n_own + ppi_pool_n_listed(pool);
        return ppi_error(err, PP_ERR_ARG,
                         "the cache needs %lld more blocks of class %d and has %lld spare ones; "
                         "give it at least %lld with pp_kvcache_add_blocks",
                         (long long)n, page_class, (long long)n_there, (long long)(n - n_there));
    }
    for (int64_t i = 0; i < n_own; i++) {
        pages[i] = list->spare;
        list->spare = list->spare->next_free;
    }
    list->n_spare -= n_own;
    return PP_OK;
}

void ppi_kvcache_give(pp_kvcache *cache, int32_t page_class, int64_t n,
                      struct ppi_page *const *pages)
{
    struct ppi_page_pool *pool = &cache->store->pools[page_class];
    struct ppi_page_list *list = &cache->lists[page_class];
    if (!cache->store->on_blocks) {
        ppi_pool_drop(pool, n, pages);
        return;
    }
    for (int64_t i = n - 1; i >= 0; i--) { /* so that they are used in the same order again */
        if (!pages[i])
            continue;
        if (pages[i]->is_pools || ppi_pool_is_shared(pool, pages[i])) {
            ppi_pool_drop(pool, 1, &pages[i]);
            continue;
        }
        pages[i]->next_free = list->spare;
        list->spare = pages[i];
        list->n_spare++;
    }
}

void ppi_kvcache_drop_spare(pp_kvcache *cache)
{
    for (int32_t c = 0; c < cache->store->shape.n_classes; c++)
        for (struct ppi_page *page = cache->lists[c].spare, *next; page; page = next) {
            next = page->next_free;
            ppi_pool_drop(&cache->store->pools[c], 1, &page);
        }
}

/* ---- blocks of the session ---- */

static pp_status check_class(const struct ppi_kv_store *store, int32_t page_class, const char *call,
                             pp_error *err)
{
    if (!store->on_blocks)
        return ppi_error(err, PP_ERR_ARG,
                         "%s: the session has pages of its own; pp_session_params.kv_blocks gives "
                         "it the host's",
                         call);
    if (page_class < 0 || page_class >= store->shape.n_classes)
        return ppi_error(err, PP_ERR_ARG, "%s: class %d is outside [0, %d)", call, page_class,
                         store->shape.n_classes);
    return PP_OK;
}

pp_status ppi_store_add_blocks(struct ppi_kv_store *store, int32_t page_class,
                               const int32_t *blocks, int64_t n, const char *call, pp_error *err)
{
    PP_TRY(check_class(store, page_class, call, err));
    struct ppi_page_pool *pool = &store->pools[page_class];
    if (n < 0 || (n > 0 && !blocks))
        return ppi_error(err, PP_ERR_ARG, "%s: blocks is %s and n is %lld", call,
                         blocks ? "an array" : "NULL", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (ppi_pool_add_block(pool, blocks[i]))
            continue;
        while (i-- > 0)
            ppi_pool_remove_block(pool); /* the last one that was added */
        return ppi_error(err, PP_ERR_ARG,
                         "%s: a block is outside [0, %lld), given twice, or somebody has it", call,
                         (long long)pool->n_pages);
    }
    return PP_OK;
}

int64_t ppi_store_remove_blocks(struct ppi_kv_store *store, int32_t page_class, int32_t *blocks,
                                int64_t n)
{
    struct ppi_page *page;
    int64_t i = 0;
    if (check_class(store, page_class, "", NULL) < 0)
        return 0;
    for (; i < n && (page = ppi_pool_remove_block(&store->pools[page_class])); i++)
        blocks[i] = ppi_pool_number(&store->pools[page_class], page);
    return i;
}

/* ---- the public calls ---- */

static pp_status add_blocks(pp_kvcache *cache, int32_t page_class, const int32_t *blocks, int64_t n,
                            pp_error *err)
{
    static const char call[] = "pp_kvcache_add_blocks";
    PP_TRY(check_class(cache->store, page_class, call, err));
    struct ppi_page_pool *pool = &cache->store->pools[page_class];
    if (n < 0 || (n > 0 && !blocks))
        return ppi_error(err, PP_ERR_ARG, "%s: blocks is %s and n is %lld", call,
                         blocks ? "an array" : "NULL", (long long)n);
    struct ppi_page **end = &cache->lists[page_class].spare;
    while (*end)
        end = &(*end)->next_free;
    struct ppi_page **begin = end;
    for (int64_t i = 0; i < n; i++) {
        struct ppi_page *page = ppi_pool_claim(pool, blocks[i]);
        if (!page) {
            for (page = *begin; page; page = page->next_free)
                ppi_pool_drop(pool, 1, &page);
            *begin = NULL;
            return ppi_error_at(err, PP_ERR_ARG, blocks[i],
                                "%s: block %d is outside [0, %lld), or a cache has it", call,
                                blocks[i], (long long)pool->n_pages);
        }
        page->next_free = NULL;
        *end = page;
        end = &page->next_free;
    }
    cache->lists[page_class].n_spare += n;
    return PP_OK;
}

pp_status pp_kvcache_add_blocks(pp_kvcache *cache, int32_t page_class, const int32_t *blocks,
                                int64_t n, pp_error *err)
{
    if (!cache)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_add_blocks: cache is NULL");
    PP_TRY(ppi_guard_enter(cache->store->guard, "pp_kvcache_add_blocks", err));
    pp_status status = add_blocks(cache, page_class, blocks, n, err);
    ppi_guard_leave(cache->store->guard);
    return status;
}

int64_t pp_kvcache_remove_blocks(pp_kvcache *cache, int32_t page_class, int32_t *blocks, int64_t n)
{
    static const char call[] = "pp_kvcache_remove_blocks";
    int64_t n_removed = 0;
    if (!cache || !blocks || ppi_guard_enter(cache->store->guard, call, NULL) < 0)
        return 0;
    if (check_class(cache->store, page_class, call, NULL) >= 0) {
        struct ppi_page_list *list = &cache->lists[page_class];
        for (; n_removed < n && list->n_spare > 0; n_removed++, list->n_spare--) {
            struct ppi_page **last = &list->spare;
            while ((*last)->next_free)
                last = &(*last)->next_free;
            blocks[n_removed] = ppi_pool_number(&cache->store->pools[page_class], *last);
            ppi_pool_drop(&cache->store->pools[page_class], 1, last);
            *last = NULL;
        }
    }
    ppi_guard_leave(cache->store->guard);
    return n_removed;
}

int64_t pp_kvcache_n_spare_blocks(const pp_kvcache *cache, int32_t page_class)
{
    return cache && page_class >= 0 && page_class < cache->store->shape.n_classes
               ? cache->lists[page_class].n_spare
               : 0;
}

/* The block of entry i of a cache's list; -1: none. */
static int32_t block_at(const pp_kvcache *cache, int32_t page_class, int64_t i)
{
    const struct ppi_page_list *list = &cache->lists[page_class];
    if (i < list->first || i >= list->n_pages || !list->pages[i])
        return -1;
    return ppi_pool_number(&cache->store->pools[page_class], list->pages[i]);
}

pp_status pp_kvcache_block_table(const pp_kvcache *cache, int32_t page_class, int32_t *table,
                                 int64_t n, pp_error *err)
{
    static const char call[] = "pp_kvcache_block_table";
    if (!cache || n < 0 || (n > 0 && !table))
        return ppi_error(err, PP_ERR_ARG, "%s: %s", call,
                         !cache  ? "cache is NULL"
                         : n < 0 ? "n is negative"
                                 : "table is NULL");
    PP_TRY(check_class(cache->store, page_class, call, err));
    for (int64_t i = 0; i < n; i++)
        table[i] = block_at(cache, page_class, i);
    return PP_OK;
}

pp_status pp_kvcache_slot_mapping(const pp_kvcache *cache, int32_t page_class, int64_t first_token,
                                  int64_t n, int64_t *slots, pp_error *err)
{
    static const char call[] = "pp_kvcache_slot_mapping";
    if (!cache || (n > 0 && !slots))
        return ppi_error(err, PP_ERR_ARG, "%s: %s is NULL", call, cache ? "slots" : "cache");
    PP_TRY(check_class(cache->store, page_class, call, err));
    if (first_token < 0 || n < 0 || first_token > cache->n_tokens ||
        n > cache->n_tokens - first_token)
        return ppi_error(err, PP_ERR_ARG, "%s: %lld tokens from %lld on; the cache has %lld", call,
                         (long long)n, (long long)first_token, (long long)cache->n_tokens);
    for (int64_t i = 0; i < n; i++) {
        int64_t token = first_token + i, page_tokens = cache->store->page_tokens;
        int64_t block = block_at(cache, page_class, token / page_tokens);
        slots[i] = block < 0 ? -1 : block * page_tokens + token % page_tokens;
    }
    return PP_OK;
}
