/*
 * gguf_merges.c: the merges of a GGUF file's BPE: listed, or as the scores of tokens rank them.
 */
#include "tokenizer/source/gguf_source.h"

#include <stdlib.h>

#define MERGES "tokenizer.ggml.merges"

/* ---- by scores ---- */

static int by_score(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* The rank of a token: how many scores are higher. Of equal scores the leftmost pair goes first, so
 * that they have one rank. */
static uint32_t rank_of(const float *sorted, int32_t n, float score)
{
    int32_t low = 0, high = n;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (sorted[middle] > score)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* Bytes and special tokens are never put together from others. */
static void fill_ranks(const struct ppi_gguf_tokens *tokens, float *sorted, uint32_t *ranks)
{
    memcpy(sorted, tokens->scores, (size_t)tokens->n * sizeof *sorted);
    qsort(sorted, (size_t)tokens->n, sizeof *sorted, by_score);
    for (int32_t id = 0; id < tokens->n; id++) {
        const uint8_t type = tokens->types[id];
        const bool made =
            type == PPI_GGUF_NORMAL || type == PPI_GGUF_UNUSED || type == PPI_GGUF_UNDEFINED;
        ranks[id] = made ? rank_of(sorted, tokens->n, tokens->scores[id]) : UINT32_MAX;
    }
}

pp_status ppi_gguf_merges_by_score(const struct ppi_gguf_tokens *tokens,
                                   const struct ppi_vocab *vocab, struct ppi_merge **merges,
                                   size_t *n)
{
    const size_t n_tokens = (size_t)tokens->n;
    float *sorted = ppi_alloc(tokens->mem, n_tokens, sizeof *sorted);
    uint32_t *ranks = ppi_alloc(tokens->mem, n_tokens, sizeof *ranks);
    pp_status status = PP_OK;
    if (sorted && ranks) {
        fill_ranks(tokens, sorted, ranks);
        status = ppi_bpe_merges_by_rank(vocab, ranks, tokens->mem, merges, n, tokens->err);
    } else {
        status = ppi_error_nomem(tokens->err, "the ranks of tokens", n_tokens * sizeof *ranks);
    }
    ppi_free(tokens->mem, sorted);
    ppi_free(tokens->mem, ranks);
    return status;
}

/* ---- as the file lists them ---- */

/* "left right"; the left one may begin with a space. */
static pp_status read_merge(const struct ppi_gguf_tokens *tokens, const struct ppi_vocab *vocab,
                            const char *text, size_t n, uint32_t rank, struct ppi_text *joined,
                            struct ppi_merge *merge)
{
    const char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
    const size_t n_left = space ? (size_t)(space - text) : n, n_right = space ? n - n_left - 1 : 0;
    *merge = (struct ppi_merge){-1, -1, rank, -1};
    joined->n = 0;
    if (space) {
        ppi_text_put(joined, text, n_left, (struct ppi_span){0, 0});
        ppi_text_put(joined, space + 1, n_right, (struct ppi_span){0, 0});
        if (joined->failed)
            return ppi_error_nomem(tokens->err, "a merge", n);
        merge->left = ppi_vocab_find(vocab, text, n_left);
        merge->right = ppi_vocab_find(vocab, space + 1, n_right);
        merge->id = ppi_vocab_find(vocab, joined->bytes, joined->n);
    }
    if (merge->left >= 0 && merge->right >= 0 && merge->id >= 0)
        return PP_OK;
    return ppi_error(tokens->err, PP_ERR_FORMAT,
                     "%s: \"" MERGES "\": number %u is \"%.*s\"; two tokens with a space "
                     "between them, which make a third, are needed",
                     tokens->label, rank, n < 64 ? (int)n : 64, text);
}

/* Of equal pairs the first counts here and the last in ppi_bpe_create: they are put backwards. */
static pp_status read_merges(const struct ppi_gguf_tokens *tokens, const struct ppi_vocab *vocab,
                             const struct ppi_gguf_value *array, struct ppi_merge *merges)
{
    struct ppi_text joined = ppi_text_start(tokens->mem, false);
    struct ppi_gguf_cursor cursor = {0};
    const char *text;
    size_t n;
    pp_status status = PP_OK;
    for (uint32_t i = 0; status >= 0 && ppi_gguf_next_string(array, &cursor, &text, &n); i++)
        status = read_merge(tokens, vocab, text, n, i, &joined, &merges[array->len - 1 - i]);
    ppi_text_free(&joined);
    return status;
}

pp_status ppi_gguf_merges(const struct ppi_gguf_tokens *tokens, const struct ppi_vocab *vocab,
                          struct ppi_merge **merges, size_t *n)
{
    const struct ppi_gguf_value *array = ppi_gguf_find(tokens->gguf, MERGES);
    if (!ppi_gguf_is_array(array, PPI_GGUF_STRING))
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, MERGES,
                                      "an array of merges is needed");
    struct ppi_merge *read = ppi_alloc(tokens->mem, array->len, sizeof *read);
    if (!read)
        return ppi_error_nomem(tokens->err, "merges", array->len * sizeof *read);
    const pp_status status = read_merges(tokens, vocab, array, read);
    if (status < 0)
        ppi_free(tokens->mem, read);
    *merges = status < 0 ? NULL : read;
    *n = array->len;
    return status;
}
