/*
 * kv_blocks.h: pools whose pages are blocks of the host's memory. No such pool gives out pages:
 * each cache has spare ones, which the host gave it.
 */
#ifndef PPI_KV_BLOCKS_H
#define PPI_KV_BLOCKS_H

#include "kv/cache.h"

#include <prepack/kvcache_blocks.h>

/* Makes the pools of a new store such pools. Errors: PP_ERR_ARG, PP_ERR_NOMEM. */
pp_status ppi_store_use_blocks(struct ppi_kv_store *store, const pp_kv_blocks *blocks,
                               pp_error *err);

/* Takes n pages for a cache: of the pool, or of the cache's spare ones. Errors: PP_ERR_ARG (too few
 * spare ones), and those of ppi_pool_take. */
pp_status ppi_kvcache_take(pp_kvcache *cache, int32_t page_class, int64_t n,
                           struct ppi_page **pages, pp_error *err);
/* Gives n pages back, NULL passed over: to the pool, or, where nobody else has them, to the front
 * of the spare ones. */
void ppi_kvcache_give(pp_kvcache *cache, int32_t page_class, int64_t n,
                      struct ppi_page *const *pages);
/* A cache goes: its spare blocks become nobody's. */
void ppi_kvcache_drop_spare(pp_kvcache *cache);

#endif
