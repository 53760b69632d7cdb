/*
 * cache.h: a cache is a list of pages and a length. Slot i of the list of pages holds
 * token i; slots past the length are undefined.
 */
#ifndef PPI_CACHE_H
#define PPI_CACHE_H

#include "kv/pages.h"

#include <prepack/kvcache.h>

struct pp_session;

struct pp_kvcache {
    struct pp_session *session; /* counted */
    int64_t n_tokens;
    int64_t n_pages;  /* at least what n_tokens needs */
    int64_t capacity; /* of pages[] */
    struct ppi_page **pages;
};

/* An empty cache of the session with room for n_tokens. */
pp_status ppi_kvcache_create(struct pp_session *session, int64_t n_tokens, pp_kvcache **cache,
                             pp_error *err);

/* Makes the slots up to n_tokens (at least the length) writable: takes pages and copies a shared
 * last one. The length stays. On an error the cache is as before. */
pp_status ppi_kvcache_reserve(pp_kvcache *cache, int64_t n_tokens, pp_error *err);

#endif
