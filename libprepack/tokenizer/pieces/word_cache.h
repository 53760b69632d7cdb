/*
 * word_cache.h: the tokens of words that came before, one thread's. A word has one place, and
 * whoever came last is there: bounded memory, and a cache line for a word.
 */
#ifndef PPI_WORD_CACHE_H
#define PPI_WORD_CACHE_H

#include "tokenizer/pieces/pieces.h"

#define PPI_CACHED_WORDS 16384
#define PPI_CACHED_BYTES 22
#define PPI_CACHED_IDS   10

struct ppi_cached_word {
    uint8_t n_bytes; /* 0: free */
    uint8_t n_ids;
    char bytes[PPI_CACHED_BYTES];
    int32_t ids[PPI_CACHED_IDS];
};

struct ppi_word_cache {
    struct ppi_cached_word words[PPI_CACHED_WORDS];
};

/* The place of a word, or NULL where it is too long for one. A cache does not know where in a word
 * a token stands, so that traced tokens do not come from one. */
static inline struct ppi_cached_word *ppi_word_cache_place(struct ppi_word_cache *cache,
                                                           const char *bytes, size_t n,
                                                           const struct ppi_tokens *tokens)
{
    if (n == 0 || n > PPI_CACHED_BYTES || tokens->traced)
        return NULL;
    return &cache->words[ppi_hash(bytes, n) % PPI_CACHED_WORDS];
}

/* Appends the tokens of a word that is in its place. */
static inline bool ppi_word_cache_get(const struct ppi_cached_word *place, const char *bytes,
                                      size_t n, struct ppi_tokens *tokens)
{
    if (place->n_bytes != n || memcmp(place->bytes, bytes, n) != 0)
        return false;
    if (tokens->room - tokens->n < PPI_CACHED_IDS && !ppi_tokens_reserve(tokens, PPI_CACHED_IDS))
        return true;
    memcpy(tokens->ids + tokens->n, place->ids, sizeof place->ids);
    tokens->n += place->n_ids;
    return true;
}

/* Keeps the tokens behind the first `begin` ones as those of the word. */
static inline void ppi_word_cache_put(struct ppi_cached_word *place, const char *bytes, size_t n,
                                      const struct ppi_tokens *tokens, size_t begin)
{
    size_t n_ids = tokens->n - begin;
    if (tokens->failed || n_ids > PPI_CACHED_IDS)
        return;
    memcpy(place->bytes, bytes, n);
    if (n_ids > 0)
        memcpy(place->ids, tokens->ids + begin, n_ids * sizeof *place->ids);
    place->n_bytes = (uint8_t)n;
    place->n_ids = (uint8_t)n_ids;
}

#endif
