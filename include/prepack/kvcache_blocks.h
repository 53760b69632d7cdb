/*
 * prepack/kvcache_blocks.h: caches on the host's own memory, for engines that have a block
 * allocator. The host gives a session memory for blocks (pp_session_params.kv_blocks) and each
 * cache the blocks that it may use; the session takes none by itself, so that the host's table is
 * always the truth.
 *
 *     pp_session_estimate(model, &params, &info, &err);      info.class_page_bytes, page_tokens
 *     params.kv_blocks = &(pp_kv_blocks){.struct_size = sizeof(pp_kv_blocks), .n_classes = 1,
 *                                        .memory = {memory}, .n_blocks = {1000}};
 *     pp_session_create(model, &params, &session, &err);
 *     pp_kvcache_create_on_blocks(session, &cache, &err);
 *     pp_kvcache_add_blocks(cache, 0, (int32_t[]){7, 2, 93}, 3, &err);
 *     pp_run(session, ...);                                  an item with that cache
 *
 * A block is a page: page_tokens slots of the keys and values of all layers of a class. A cache
 * uses its blocks in the order in which they came; those that it has not used yet, and those that
 * truncation or a window frees, are its spare ones. A run that needs more than the spare blocks of
 * a cache is refused with PP_ERR_ARG and leaves everything as it was; without windows it is before
 * anything runs. A fork shares the blocks of its source; it needs a spare block of its own before
 * it writes to a block that is shared, which is its last one if that is not full.
 *
 * Blocks can be given to the session too: any cache takes them when it has no spare ones of its
 * own, and those that calls make by themselves (pp_kvcache_load, pp_kvcache_create, new items of a
 * run) have no others. When the last cache that has one lets it go it is the session's again.
 *
 * Bits are those of a session with pages of its own.
 *
 * Thread-safety: as kvcache.h.
 */
#ifndef PREPACK_KVCACHE_BLOCKS_H
#define PREPACK_KVCACHE_BLOCKS_H

#include "kvcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of a session's device, the host's, which outlives the session and its caches. */
typedef struct pp_kv_blocks {
    uint32_t struct_size;
    int32_t n_classes;   /* pp_session_info.n_page_classes */
    void *memory[4];     /* of each class n_blocks blocks of class_page_bytes bytes without gap, the
                            first aligned to 64 bytes, on a GPU to 256 */
    int64_t n_blocks[4]; /* 1 .. 2^31 - 1 */
} pp_kv_blocks;

/* An empty cache without blocks. The caller destroys *cache; its blocks, but those that others
 * share or that are the session's, are then nobody's. Errors: PP_ERR_ARG (the session has pages of
 * its own), PP_ERR_NOMEM. */
PP_API pp_status pp_kvcache_create_on_blocks(struct pp_session *session, pp_kvcache **cache,
                                             pp_error *err);

/* Gives a cache n blocks of a class, by their numbers from 0, behind its other spare ones. Errors:
 * PP_ERR_ARG (err->index: the block; a number that there is not, a block that a cache has), and
 * then none is given. */
PP_API pp_status pp_kvcache_add_blocks(pp_kvcache *cache, int32_t page_class, const int32_t *blocks,
                                       int64_t n, pp_error *err);

/* Gives a session n blocks of a class, for caches without spare ones. Errors: PP_ERR_ARG, and then
 * none is given. */
PP_API pp_status pp_session_add_blocks(struct pp_session *session, int32_t page_class,
                                       const int32_t *blocks, int64_t n, pp_error *err);
/* Takes up to n of them back that no cache uses, into blocks[]; returns how many. */
PP_API int64_t pp_session_remove_blocks(struct pp_session *session, int32_t page_class,
                                        int32_t *blocks, int64_t n);

/* Takes up to n spare blocks of a cache back, the last ones first, into blocks[]; returns how many.
 * They are nobody's then. */
PP_API int64_t pp_kvcache_remove_blocks(pp_kvcache *cache, int32_t page_class, int32_t *blocks,
                                        int64_t n);

/* Blocks of a class that a cache may still use. */
PP_API int64_t pp_kvcache_n_spare_blocks(const pp_kvcache *cache, int32_t page_class);

/*
 * The block table of a cache: entry i, of [0, n), is the number of the block of tokens i
 * page_tokens and on; -1 where a window gave it back, and behind the last. Errors: PP_ERR_ARG.
 */
PP_API pp_status pp_kvcache_block_table(const pp_kvcache *cache, int32_t page_class, int32_t *table,
                                        int64_t n, pp_error *err);

/*
 * Where tokens first_token .. first_token + n - 1 are: block * page_tokens + slot each, or -1 where
 * a window gave them back. Errors: PP_ERR_ARG (tokens that the cache does not have).
 */
PP_API pp_status pp_kvcache_slot_mapping(const pp_kvcache *cache, int32_t page_class,
                                         int64_t first_token, int64_t n, int64_t *slots,
                                         pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
