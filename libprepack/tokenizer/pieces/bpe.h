/*
 * bpe.h: byte pair encoding (Sennrich, Haddow, Birch, ACL 2016, arXiv 1508.07909): a word begins as
 * its bytes or characters, and the pair of neighbours with the lowest rank becomes one token, the
 * leftmost of equal ones first, until no pair has a rank.
 */
#ifndef PPI_BPE_H
#define PPI_BPE_H

#include "tokenizer/pieces/pieces.h"

/* Two tokens that become one. */
struct ppi_merge {
    int32_t left, right; /* ids */
    uint32_t rank;
    int32_t id; /* of both together */
};

/* What is added to the characters of a word before they are looked up. */
struct ppi_affix {
    char bytes[64];
    uint32_t n;
};

struct ppi_bpe_spec {
    const struct ppi_merge *merges; /* [n_merges] copied; of equal pairs the last counts */
    size_t n_merges;
    bool byte_level;    /* words are bytes, and tokens spell them (byte_level.h) */
    bool raw_bytes;     /* words are bytes, and tokens are bytes, too */
    bool byte_fallback; /* a character that no token has becomes tokens <0xNN>, if all are there */
    bool fuse_unk;      /* unknown characters beside one another are one unknown token */
    bool ignore_merges; /* a word that is a token is that token */
    int32_t unk;        /* -1: what no token has is dropped */
    struct ppi_affix prefix; /* of characters behind the first of a word */
    struct ppi_affix suffix; /* of the last character of a word */
};

/* Errors: PP_ERR_NOMEM. */
pp_status ppi_bpe_create(const struct ppi_bpe_spec *spec, const struct ppi_vocab *vocab,
                         struct ppi_mem *mem, struct ppi_pieces **pieces, pp_error *err);

/* The merges of vocabularies that only rank their tokens: each way to put a token together from two
 * others, by the token's rank. ranks: [n_ids], UINT32_MAX: nothing makes this token. The caller
 * frees *merges. Errors: PP_ERR_NOMEM. (bpe_ranks.c) */
pp_status ppi_bpe_merges_by_rank(const struct ppi_vocab *vocab, const uint32_t *ranks,
                                 struct ppi_mem *mem, struct ppi_merge **merges, size_t *n,
                                 pp_error *err);

/* ---- between the files of bpe ---- */

/* A table of merges: by pair, with open addresses. */
struct ppi_merge_table {
    struct ppi_merge *slots; /* [mask + 1]; left -1: free */
    uint32_t mask;
};

static inline uint32_t ppi_merge_slot(const struct ppi_merge_table *table, int32_t left,
                                      int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t slot = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & table->mask;
    while (table->slots[slot].left >= 0 &&
           (table->slots[slot].left != left || table->slots[slot].right != right))
        slot = (slot + 1) & table->mask;
    return slot;
}

/* The merge of a pair, or NULL. */
static inline const struct ppi_merge *ppi_merge_find(const struct ppi_merge_table *table,
                                                     int32_t left, int32_t right)
{
    const struct ppi_merge *merge = &table->slots[ppi_merge_slot(table, left, right)];
    return merge->left < 0 ? NULL : merge;
}

/* A token of a word on its way, and where it ends in the word. */
struct ppi_symbol {
    int32_t id;
    uint32_t begin, end;
};

/* Memory for words of any length; one thread's. */
struct ppi_merge_work {
    struct ppi_mem *mem;
    struct ppi_symbol *symbols; /* [room] */
    void *links, *heap;         /* [room], [3 room] */
    size_t room;
};

/* Room for the symbols of a word; what is there is lost. */
bool ppi_merge_reserve(struct ppi_merge_work *work, size_t n);
void ppi_merge_work_free(struct ppi_merge_work *work);
/* Merges symbols[n] of the work in place: how many are left. (bpe_merge.c) */
size_t ppi_merge_all(const struct ppi_merge_table *table, struct ppi_merge_work *work, size_t n);

#endif
