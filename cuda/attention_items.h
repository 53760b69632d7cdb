/*
 * attention_items.h: work lists for the attention kernels, made on the host from lengths alone.
 * Plain C; needs no part of CUDA.
 */
#ifndef PPI_CUDA_ATTENTION_ITEMS_H
#define PPI_CUDA_ATTENTION_ITEMS_H

#include "cuda/kernels_attention.h"

#include <stdbool.h>

/* A prompt's query rows: the last n_rows of n_keys positions. Its packed rows (n_rows times the
 * group) are fewer than 2^31. */
struct ppi_cuda_span {
    int32_t q_row, n_rows, n_keys, first;
};

/* Packed rows of tiles. Prompts of at most few_rows have one in a list of their own; 0: there is no
 * such list. */
struct ppi_cuda_tiles {
    int32_t rows, few_rows;
};

/* Items that the spans make: prompts of at most tiles.few_rows packed rows go to *n_few, the others
 * to *n_items; a prompt without rows makes none. */
void ppi_cuda_count_items(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                          int32_t n_spans, int32_t group, int64_t *n_items, int64_t *n_few);

/* Writes them, those whose tile reads the most blocks of keys first, because the last items to
 * start should be short; ties in the order of the spans. Time is linear in the number of items, and
 * in the longest prompt / 64 Ki keys. */
void ppi_cuda_make_items(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                         int32_t n_spans, int32_t group, int32_t window_left, int32_t window_right,
                         struct ppi_cuda_attention_item *items,
                         struct ppi_cuda_attention_item *few_items);

#endif
