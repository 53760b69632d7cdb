/*
 * kv_blocks.h: pools whose pages are blocks of the host's memory. Such a pool gives out only what
 * the host has given it; each cache has spare ones, which the host gave to that one.
 */
#ifndef PPI_KV_BLOCKS_H
#define PPI_KV_BLOCKS_H

#include "kv/cache.h"

#include <prepack/kvcache_blocks.h>

/* Makes the pools of a new store such pools. Errors: PP_ERR_ARG, PP_ERR_NOMEM. */
pp_status ppi_store_use_blocks(struct ppi_kv_store *store, const pp_kv_blocks *blocks,
                               pp_error *err);

/* What the public calls for a session do. */
pp_status ppi_store_add_blocks(struct ppi_kv_store *store, int32_t page_class,
                               const int32_t *blocks, int64_t n, const char *call, pp_error *err);
int64_t ppi_store_remove_blocks(struct ppi_kv_store *store, int32_t page_class, int32_t *blocks,
                                int64_t n);

/* Takes n pages for a cache: of the pool; of the host's blocks first the cache's spare ones.
 * Errors: PP_ERR_ARG (too few blocks), and those of ppi_pool_take. */
pp_status ppi_kvcache_take(pp_kvcache *cache, int32_t page_class, int64_t n,
                           struct ppi_page **pages, pp_error *err);
/* Gives n pages back, NULL passed over: to the pool, or, where nobody else has them, to the front
 * of the spare ones. */
void ppi_kvcache_give(pp_kvcache *cache, int32_t page_class, int64_t n,
                      struct ppi_page *const *pages);
/* A cache goes: its spare blocks become nobody's. */
void ppi_kvcache_drop_spare(pp_kvcache *cache);

#endif
