/*
 * pages.c: takes pages from slabs of device memory and keeps the free ones for reuse. Slabs go back
 * to the device when the pool is trimmed or closed.
 */
#include "kv/pages.h"

#define SLAB_BYTES     ((int64_t)16 << 20)
#define MAX_SLAB_PAGES 256

struct ppi_slab {
    struct ppi_slab *next;
    int32_t n_pages;
    void *data;
    struct ppi_page pages[];
};

void ppi_pool_init(struct ppi_page_pool *pool, const struct ppi_backend_ops *ops,
                   struct ppi_backend *backend, struct ppi_mem *mem, const char *what,
                   int64_t page_bytes, pp_status no_memory)
{
    int64_t slab_pages = SLAB_BYTES / page_bytes;
    if (slab_pages > MAX_SLAB_PAGES)
        slab_pages = MAX_SLAB_PAGES;
    *pool = (struct ppi_page_pool){.ops = ops,
                                   .backend = backend,
                                   .mem = mem,
                                   .what = what,
                                   .page_bytes = page_bytes,
                                   .no_memory = no_memory,
                                   .slab_pages = slab_pages < 1 ? 1 : (int32_t)slab_pages};
    pthread_mutex_init(&pool->lock, NULL);
}

static void free_slab(struct ppi_page_pool *pool, struct ppi_slab *slab)
{
    if (!pool->is_hosts)
        pool->ops->release(pool->backend, slab->data,
                           (size_t)slab->n_pages * (size_t)pool->page_bytes);
    ppi_free(pool->mem, slab);
}

void ppi_pool_close(struct ppi_page_pool *pool)
{
    if (pool->zeros)
        pool->ops->release(pool->backend, pool->zeros, (size_t)pool->page_bytes);
    while (pool->slabs) {
        struct ppi_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        free_slab(pool, slab);
    }
    pthread_mutex_destroy(&pool->lock);
}

static bool is_unused(const struct ppi_slab *slab)
{
    for (int32_t i = 0; i < slab->n_pages; i++)
        if (slab->pages[i].n_owners > 0)
            return false;
    return true;
}

/* The free pages of a slab join the list. */
static void list_free_pages(struct ppi_page_pool *pool, struct ppi_slab *slab)
{
    for (int32_t i = slab->n_pages - 1; i >= 0; i--) {
        if (slab->pages[i].n_owners > 0)
            continue;
        slab->pages[i].next_free = pool->free_pages;
        pool->free_pages = &slab->pages[i];
    }
}

int64_t ppi_pool_trim(struct ppi_page_pool *pool)
{
    if (pool->is_hosts)
        return 0;
    pthread_mutex_lock(&pool->lock);
    int64_t n_before = pool->n_pages;
    pool->free_pages = NULL;
    for (struct ppi_slab **link = &pool->slabs; *link;) {
        struct ppi_slab *slab = *link;
        if (is_unused(slab)) {
            *link = slab->next;
            pool->n_pages -= slab->n_pages;
            pool->n_free -= slab->n_pages;
            free_slab(pool, slab);
        } else {
            list_free_pages(pool, slab);
            link = &slab->next;
        }
    }
    int64_t n_after = pool->n_pages;
    pthread_mutex_unlock(&pool->lock);
    return (n_before - n_after) * pool->page_bytes;
}

pp_status ppi_pool_use_blocks(struct ppi_page_pool *pool, void *memory, int32_t n, pp_error *err)
{
    size_t bytes = sizeof(struct ppi_slab) + (size_t)n * sizeof(struct ppi_page);
    struct ppi_slab *slab = ppi_zalloc(pool->mem, 1, bytes);
    if (!slab)
        return ppi_error_nomem(err, "a table of the host's blocks", bytes);
    slab->n_pages = n;
    slab->data = memory;
    for (int32_t i = 0; i < n; i++)
        slab->pages[i].data = (char *)memory + i * pool->page_bytes;
    pool->slabs = slab;
    pool->n_pages = pool->n_free = n;
    pool->is_hosts = true;
    return PP_OK;
}

/* A block that is nobody's, or NULL. The lock is held. */
static struct ppi_page *find_block(const struct ppi_page_pool *pool, int32_t i)
{
    if (i < 0 || i >= pool->slabs->n_pages)
        return NULL;
    struct ppi_page *page = &pool->slabs->pages[i];
    return page->n_owners == 0 && !page->is_pools ? page : NULL;
}

struct ppi_page *ppi_pool_claim(struct ppi_page_pool *pool, int32_t i)
{
    pthread_mutex_lock(&pool->lock);
    struct ppi_page *page = find_block(pool, i);
    if (page) {
        page->n_owners = 1;
        pool->n_free--;
    }
    pthread_mutex_unlock(&pool->lock);
    return page;
}

bool ppi_pool_add_block(struct ppi_page_pool *pool, int32_t i)
{
    pthread_mutex_lock(&pool->lock);
    struct ppi_page *page = find_block(pool, i);
    if (page) {
        page->is_pools = true;
        page->next_free = pool->free_pages;
        pool->free_pages = page;
        pool->n_listed++;
    }
    pthread_mutex_unlock(&pool->lock);
    return page != NULL;
}

struct ppi_page *ppi_pool_remove_block(struct ppi_page_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct ppi_page *page = pool->n_listed > 0 ? pool->free_pages : NULL;
    if (page) {
        pool->free_pages = page->next_free;
        page->is_pools = false;
        pool->n_listed--;
    }
    pthread_mutex_unlock(&pool->lock);
    return page;
}

int64_t ppi_pool_n_listed(struct ppi_page_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int64_t n = pool->n_listed;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

int32_t ppi_pool_number(const struct ppi_page_pool *pool, const struct ppi_page *page)
{
    return (int32_t)(page - pool->slabs->pages);
}

/* Adds one slab of n pages; false when memory is out. The lock is held. */
static bool add_slab(struct ppi_page_pool *pool, int32_t n)
{
    struct ppi_slab *slab =
        ppi_alloc(pool->mem, 1, sizeof *slab + (size_t)n * sizeof slab->pages[0]);
    if (!slab)
        return false;
    slab->data = pool->ops->alloc(pool->backend, (size_t)n * (size_t)pool->page_bytes);
    if (!slab->data) {
        ppi_free(pool->mem, slab);
        return false;
    }
    for (int32_t i = n - 1; i >= 0; i--) {
        slab->pages[i] = (struct ppi_page){.data = (char *)slab->data + i * pool->page_bytes,
                                           .next_free = pool->free_pages};
        pool->free_pages = &slab->pages[i];
    }
    slab->n_pages = n;
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->n_pages += n;
    pool->n_free += n;
    return true;
}

pp_status ppi_pool_take(struct ppi_page_pool *pool, int64_t n, struct ppi_page **pages,
                        pp_error *err)
{
    pthread_mutex_lock(&pool->lock);
    while ((pool->is_hosts ? pool->n_listed : pool->n_free) < n) {
        int64_t missing = n - pool->n_free;
        if (!pool->is_hosts && add_slab(pool, pool->slab_pages))
            continue;
        if (!pool->is_hosts && missing < pool->slab_pages && add_slab(pool, (int32_t)missing))
            continue;
        int64_t held = pool->n_pages - pool->n_free;
        pthread_mutex_unlock(&pool->lock);
        return ppi_error(
            err, pool->no_memory, "no memory for %lld more %s of %lld bytes (%lld in use)",
            (long long)missing, pool->what, (long long)pool->page_bytes, (long long)held);
    }
    for (int64_t i = 0; i < n; i++) {
        pages[i] = pool->free_pages;
        pool->free_pages = pages[i]->next_free;
        pages[i]->n_owners = 1;
    }
    pool->n_free -= n;
    pool->n_listed -= pool->is_hosts ? n : 0;
    pthread_mutex_unlock(&pool->lock);
    return PP_OK;
}

pp_status ppi_pool_zeros(struct ppi_page_pool *pool, void **zeros, pp_error *err)
{
    if (!pool->zeros) {
        size_t bytes = (size_t)pool->page_bytes;
        void *host = ppi_zalloc(pool->mem, 1, bytes);
        void *device = pool->ops->alloc(pool->backend, bytes);
        pp_status status = pool->no_memory;
        if (host && device)
            status = pool->ops->upload(pool->backend, device, host, bytes, err);
        else
            ppi_error(err, status, "no memory for a page of zeros (%zu bytes)", bytes);
        ppi_free(pool->mem, host);
        if (status < 0) {
            pool->ops->release(pool->backend, device, bytes);
            return status;
        }
        pool->zeros = device;
    }
    *zeros = pool->zeros;
    return PP_OK;
}

void ppi_pool_share(struct ppi_page_pool *pool, int64_t n, struct ppi_page *const *pages)
{
    pthread_mutex_lock(&pool->lock);
    for (int64_t i = 0; i < n; i++)
        pages[i]->n_owners++;
    pthread_mutex_unlock(&pool->lock);
}

void ppi_pool_drop(struct ppi_page_pool *pool, int64_t n, struct ppi_page *const *pages)
{
    pthread_mutex_lock(&pool->lock);
    for (int64_t i = n - 1; i >= 0; i--) {
        if (!pages[i] || --pages[i]->n_owners > 0)
            continue;
        pool->n_free++;
        if (pool->is_hosts && !pages[i]->is_pools)
            continue;
        pool->n_listed += pool->is_hosts;
        pages[i]->next_free = pool->free_pages;
        pool->free_pages = pages[i];
    }
    pthread_mutex_unlock(&pool->lock);
}

void ppi_pool_count(const struct ppi_page_pool *pool, int64_t *n_pages, int64_t *n_free)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&pool->lock; /* all that changes */
    pthread_mutex_lock(lock);
    *n_pages = pool->n_pages;
    *n_free = pool->n_free;
    pthread_mutex_unlock(lock);
}

bool ppi_pool_is_shared(struct ppi_page_pool *pool, const struct ppi_page *page)
{
    pthread_mutex_lock(&pool->lock);
    bool shared = page->n_owners > 1;
    pthread_mutex_unlock(&pool->lock);
    return shared;
}
