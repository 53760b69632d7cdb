/*
 * bpe_ranks.c: merges of vocabularies that come without: SentencePiece's and tiktoken's rank
 * tokens, not pairs.
 */
#include "tokenizer/pieces/bpe.h"

/* Appends the ways to make a token from two others, or counts them where merges is NULL. */
static void split(const struct ppi_vocab *vocab, int32_t id, uint32_t rank,
                  struct ppi_merge *merges, size_t *n)
{
    const struct ppi_token *token = &vocab->tokens[id];
    for (uint32_t i = 1; i < token->n; i++) {
        int32_t left = ppi_vocab_find(vocab, token->text, i);
        if (left < 0)
            continue;
        int32_t right = ppi_vocab_find(vocab, token->text + i, token->n - i);
        if (right < 0)
            continue;
        if (merges)
            merges[*n] = (struct ppi_merge){left, right, rank, id};
        ++*n;
    }
}

pp_status ppi_bpe_merges_by_rank(const struct ppi_vocab *vocab, const uint32_t *ranks,
                                 struct ppi_mem *mem, struct ppi_merge **merges, size_t *n,
                                 pp_error *err)
{
    struct ppi_merge *found = NULL;
    size_t room = 0;
    for (int pass = 0; pass < 2; pass++) {
        *n = 0;
        for (int32_t id = 0; id < vocab->n_ids; id++)
            if (ranks[id] != UINT32_MAX)
                split(vocab, id, ranks[id], found, n);
        if (pass == 0) {
            room = *n;
            found = ppi_alloc(mem, room, sizeof *found);
            if (!found)
                return ppi_error_nomem(err, "the merges of a vocabulary", room * sizeof *found);
        }
    }
    *merges = found;
    return PP_OK;
}
