/*
 * pages.h: a pool of KV pages of one class. A page holds a fixed number of token slots, keys and
 * values of every layer of the class, in the backend's own layout. Pages are counted: caches that
 * forked share them.
 */
#ifndef PPI_PAGES_H
#define PPI_PAGES_H

#include "backend.h"

#include <pthread.h>

struct ppi_page {
    void *data;       /* device memory of page_bytes */
    int32_t n_owners; /* caches that refer to it; guarded by the pool's lock */
    struct ppi_page *next_free;
    bool is_pools; /* of the host's blocks: the pool may give it out, and gets it back */
};

struct ppi_slab;

/* Thread-safety: taking, sharing, dropping, counting and trimming pages take the lock; the others
 * belong to the thread that is in the session. */
struct ppi_page_pool {
    const struct ppi_backend_ops *ops;
    struct ppi_backend *backend;
    struct ppi_mem *mem;
    int64_t page_bytes;
    const char *what;    /* its pages are, for sentences */
    int32_t slab_pages;  /* pages allocated at once */
    pp_status no_memory; /* when none is left */
    pthread_mutex_t lock;
    struct ppi_slab *slabs;
    struct ppi_page *free_pages;
    int64_t n_pages; /* in all slabs */
    int64_t n_free;
    bool is_hosts;    /* the only slab is the host's memory; what has no owner is free only if it
                         is the pool's */
    int64_t n_listed; /* free pages of such a pool that are the pool's */
    void *zeros;      /* page_bytes of zeros, which stand for pages given back; NULL until needed */
};

/* what: its pages are, "KV pages". */
void ppi_pool_init(struct ppi_page_pool *pool, const struct ppi_backend_ops *ops,
                   struct ppi_backend *backend, struct ppi_mem *mem, const char *what,
                   int64_t page_bytes, pp_status no_memory);
/* Makes pages of the host's memory, n of them, those of an empty pool: there will be no others.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_pool_use_blocks(struct ppi_page_pool *pool, void *memory, int32_t n, pp_error *err);
/* Page number i of those, with one owner now; NULL where there is none or it is somebody's. */
struct ppi_page *ppi_pool_claim(struct ppi_page_pool *pool, int32_t i);
/* The same page becomes the pool's; false where there is none or it is somebody's. And back: a free
 * page of the pool that is nobody's then, or NULL. */
bool ppi_pool_add_block(struct ppi_page_pool *pool, int32_t i);
struct ppi_page *ppi_pool_remove_block(struct ppi_page_pool *pool);
int64_t ppi_pool_n_listed(struct ppi_page_pool *pool);
int32_t ppi_pool_number(const struct ppi_page_pool *pool, const struct ppi_page *page);
/* Every page must be free. */
void ppi_pool_close(struct ppi_page_pool *pool);

/* Gives slabs that hold no page in use back to the device; returns the bytes. */
int64_t ppi_pool_trim(struct ppi_page_pool *pool);

/* Takes n pages with one owner each into pages[]; all or none. Errors: PP_ERR_NOMEM or
 * PP_ERR_DEVICE_NOMEM. */
pp_status ppi_pool_take(struct ppi_page_pool *pool, int64_t n, struct ppi_page **pages,
                        pp_error *err);
/* One more owner for each of n pages. */
void ppi_pool_share(struct ppi_page_pool *pool, int64_t n, struct ppi_page *const *pages);
/* One owner less for each; pages without owner become free. NULL is passed over. */
void ppi_pool_drop(struct ppi_page_pool *pool, int64_t n, struct ppi_page *const *pages);
/* A page of zeros that nobody writes. Errors: PP_ERR_NOMEM or PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE.
 */
pp_status ppi_pool_zeros(struct ppi_page_pool *pool, void **zeros, pp_error *err);
/* Pages in all slabs, and the free ones of them. */
void ppi_pool_count(const struct ppi_page_pool *pool, int64_t *n_pages, int64_t *n_free);
/* true when a page has several owners. */
bool ppi_pool_is_shared(struct ppi_page_pool *pool, const struct ppi_page *page);

#endif
