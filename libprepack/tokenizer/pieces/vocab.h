/*
 * vocab.h: tokens by id, and ids by token. Tokens are bytes of any kind, NUL included.
 */
#ifndef PPI_VOCAB_H
#define PPI_VOCAB_H

#include "internal.h"

struct ppi_token {
    const char *text; /* NUL-ended; NULL: no token has this id */
    uint32_t n;
};

struct ppi_vocab {
    struct ppi_mem *mem;
    struct ppi_token *tokens; /* [n_ids] by id */
    int32_t n_ids;            /* one more than the largest id */
    char *texts;              /* owns them */
    int32_t *table;           /* [mask + 1] ids by hash; -1: free */
    uint32_t mask;
};

#define PPI_VOCAB_MAX_IDS (1 << 24)

/* A hash of bytes; the same on every run. */
uint64_t ppi_hash(const char *bytes, size_t n);

/* Takes tokens[n_ids] over (memory of mem, also on failure) and makes the table; `texts` is a block
 * that holds their texts, or NULL. Where two ids have one text, the first is found. Errors:
 * PP_ERR_NOMEM. */
pp_status ppi_vocab_build(struct ppi_vocab *vocab, struct ppi_mem *mem, struct ppi_token *tokens,
                          int32_t n_ids, char *texts, pp_error *err);
void ppi_vocab_free(struct ppi_vocab *vocab);

/* The id of a token, or -1. */
int32_t ppi_vocab_find(const struct ppi_vocab *vocab, const char *text, size_t n);

#endif
