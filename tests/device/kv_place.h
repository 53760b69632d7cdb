/*
 * kv_place.h: memory of the device for keys and values, in each of the ways that kernels find them,
 * and the host's image of it.
 */
#ifndef TEST_KV_PLACE_H
#define TEST_KV_PLACE_H

#include "under_test.h"

#include <prepack/common.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum mode { PAGES, TABLE, ROWS, N_MODES };

/*
 * Slots 0 .. n_slots - 1. PAGES: n_pages blocks of memory, each with two layers of which the second
 * is used. TABLE: one block of pages for keys, one for values, numbered at random. ROWS: one row
 * for each slot. The host keeps an image of all that memory: block after block.
 */
struct place {
    struct ppi_cuda_kv kv;
    enum mode mode;
    int32_t n_kv_heads, head_dim, page_tokens, n_pages, n_slots;
    int32_t *numbers; /* TABLE: of pages */
    int32_t n_blocks;
    size_t block_bytes;
    char **blocks; /* device */
    char *image;
    void *table; /* device: pages or block_table */
};

/* Device and image are full of 0xff. */
struct place make_place(struct rng *rng, enum mode mode, int32_t n_kv_heads, int32_t head_dim,
                        int32_t page_tokens, int32_t n_slots);
/* Where slot and head are in the image. */
uint16_t *image_at(struct place *p, bool value, int64_t slot, int32_t head);
void download_place(struct place *p);
void free_place(struct place *p);

struct shape {
    int32_t n_heads, n_kv_heads, head_dim;
};

#define N_PLACE_SHAPES 12
extern const struct shape place_shapes[N_PLACE_SHAPES];
#define N_PAGE_SIZES 5
extern const int32_t page_sizes[N_PAGE_SIZES];

#endif
