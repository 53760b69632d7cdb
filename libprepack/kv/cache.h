/*
 * cache.h: a cache is a length and, for each class of layers, a list of pages. Entry i of a list
 * holds tokens i * page_tokens and on; slots past the length are undefined, and entries before
 * `first` were given back, because no token to come can see them.
 */
#ifndef PPI_CACHE_H
#define PPI_CACHE_H

#include "kv/store.h"

#include <prepack/kvcache.h>

struct ppi_page_list {
    int64_t first;    /* pages before it are not held */
    int64_t n_pages;  /* entries, those before `first` included */
    int64_t capacity; /* of pages[] */
    struct ppi_page **pages;
    struct ppi_page *spare; /* of a store on the host's blocks: those that the cache may use, linked
                               by next_free, the next first */
    int64_t n_spare;
};

/* What the linear layers of a model have made of a prompt's first n_tokens tokens: kv_states.h. */
struct ppi_kv_state {
    struct ppi_page *page; /* of the store's states, counted; NULL: none */
    int64_t n_tokens;
};

struct pp_kvcache {
    struct ppi_kv_store *store; /* counted */
    int64_t n_tokens;
    struct ppi_page_list lists[PPI_MAX_PAGE_CLASSES];
    /* Where rotations depend on a prompt's length: the set that keys were rotated by, and the
     * tokens, so that they can be computed anew when it changes. Else 0, NULL. */
    int64_t rope_set;
    int32_t *tokens; /* [tokens_capacity], the first n_tokens are set */
    int64_t tokens_capacity;
    /* Where a model has linear layers: the state of all tokens, none while there are none, and that
     * of the first ones of them. stays: when tokens are appended, the state of all takes the place
     * of the earlier one. */
    struct ppi_kv_state state, earlier;
    bool stays;
};

/* An empty cache without pages. */
pp_status ppi_kvcache_create(struct ppi_kv_store *store, pp_kvcache **cache, pp_error *err);

/* Makes the slots from..n_tokens - 1 writable, from the first that will be written on: takes pages
 * and copies a shared one that is partly behind it. The length stays. On an error the cache is as
 * before. */
pp_status ppi_kvcache_reserve(pp_kvcache *cache, int64_t from, int64_t n_tokens, pp_error *err);
/* The same in the classes that see every token, where those before `from` may be still to be
 * adopted: a page that holds some of them is left out. */
pp_status ppi_kvcache_reserve_full(pp_kvcache *cache, int64_t from, int64_t n_tokens,
                                   pp_error *err);

/* The first n_tokens tokens, at least 1, of another cache become those of this one, which holds
 * none but may have reserved slots behind them. Pages are shared, and copied when one of the two
 * reserves slots in them. The length stays. On an error the cache is as before in the classes that
 * are left. */
pp_status ppi_kvcache_adopt(pp_kvcache *cache, const pp_kvcache *from, int64_t n_tokens,
                            pp_error *err);

/* Gives the cache a page of its own in the place of one that it shares; it may have none there. */
pp_status ppi_kvcache_own_page(pp_kvcache *cache, int32_t page_class, int64_t i_page,
                               pp_error *err);

/* Gives an empty cache a length and the pages that it needs then, their slots undefined.
 * first_tokens: for each class, tokens before it are not wanted; NULL: all. After an error the
 * cache can only be destroyed. */
pp_status ppi_kvcache_hold(pp_kvcache *cache, int64_t n_tokens, const int64_t *first_tokens,
                           pp_error *err);

/* Refuses a linear layer, for a public function that is after keys or values. */
pp_status ppi_kvcache_check_keys(const pp_kvcache *cache, int32_t layer, const char *call,
                                 pp_error *err);

/* Tokens of a layer that are copied to the host or from it: arguments of pp_kvcache_read. */
struct ppi_kv_range {
    int32_t layer, which, layout, dtype;
    int64_t first_token, n_tokens;
};
/* kv_copies.c: what pp_kvcache_read and pp_kvcache_write do, of a range that is held. */
pp_status ppi_kvcache_get(const pp_kvcache *cache, const struct ppi_kv_range *range, void *dst,
                          pp_error *err);
pp_status ppi_kvcache_put(pp_kvcache *cache, const struct ppi_kv_range *range, const void *src,
                          pp_error *err);

/* Gives back the pages that a cache of n_tokens tokens needs no more, but none that holds a token
 * below keep. */
void ppi_kvcache_release(pp_kvcache *cache, int64_t n_tokens, int64_t keep);

/* Keeps the first n_tokens tokens and the pages that they are in; of states that of n_tokens, which
 * is there. */
void ppi_kvcache_cut(pp_kvcache *cache, int64_t n_tokens);

/* Room for the ids of n more tokens. */
pp_status ppi_kvcache_reserve_tokens(pp_kvcache *cache, int64_t n, pp_error *err);

/* Exchanges what two caches of one store hold. */
void ppi_kvcache_swap(pp_kvcache *a, pp_kvcache *b);

#endif
