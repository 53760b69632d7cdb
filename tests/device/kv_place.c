/*
 * kv_place.c: places of keys and values; kv_place.h says what they are.
 */
#include "kv_place.h"

#include <stdlib.h>
#include <string.h>

/* One head; one group of heads; more heads than a block has at once; half heads of odd quads. */
const struct shape place_shapes[N_PLACE_SHAPES] = {
    {1, 1, 8},  {3, 1, 16},   {4, 2, 24},  {5, 5, 40},   {14, 2, 64}, {6, 2, 80},
    {9, 3, 96}, {32, 8, 128}, {7, 1, 256}, {20, 4, 256}, {3, 2, 200}, {90, 6, 32}};
const int32_t page_sizes[N_PAGE_SIZES] = {1, 5, 16, 64, 128};

struct place make_place(struct rng *rng, enum mode mode, int32_t n_kv_heads, int32_t head_dim,
                        int32_t page_tokens, int32_t n_slots)
{
    struct place p = {.mode = mode,
                      .n_kv_heads = n_kv_heads,
                      .head_dim = head_dim,
                      .page_tokens = mode == ROWS ? 1 : page_tokens,
                      .n_slots = n_slots};
    p.n_pages = (n_slots + p.page_tokens - 1) / p.page_tokens;
    int64_t head_bytes = 2 * head_dim, token_bytes = n_kv_heads * head_bytes;
    int64_t page_bytes = token_bytes * p.page_tokens;
    bool token_major = rng_between(rng, 0, 1) || mode == ROWS;
    p.kv.page_tokens = p.page_tokens;
    /* Values have the other order within a page, so that strides cannot be mixed up. */
    p.kv.k_token_stride = token_major ? token_bytes : head_bytes;
    p.kv.k_head_stride = token_major ? head_bytes : head_bytes * p.page_tokens;
    p.kv.v_token_stride = token_major && mode != ROWS ? head_bytes : token_bytes;
    p.kv.v_head_stride = token_major && mode != ROWS ? head_bytes * p.page_tokens : head_bytes;

    int32_t n_spare = 2; /* pages that nothing points to */
    p.n_blocks = mode == PAGES ? p.n_pages + n_spare : 2;
    p.block_bytes = (size_t)(mode == PAGES ? 4 * page_bytes : (p.n_pages + n_spare) * page_bytes);
    p.blocks = device_host((size_t)p.n_blocks * sizeof *p.blocks);
    for (int32_t i = 0; i < p.n_blocks; i++)
        p.blocks[i] = device_alloc(p.block_bytes);
    p.image = device_host((size_t)p.n_blocks * p.block_bytes);
    memset(p.image, 0xff, (size_t)p.n_blocks * p.block_bytes);

    p.numbers = device_host((size_t)(p.n_pages + n_spare) * sizeof *p.numbers);
    for (int32_t i = 0; i < p.n_pages + n_spare; i++) {
        int32_t j = (int32_t)rng_between(rng, 0, i);
        p.numbers[i] = p.numbers[j];
        p.numbers[j] = i;
    }
    if (mode == PAGES) {
        uint64_t *pages = device_host((size_t)p.n_pages * sizeof *pages);
        for (int32_t i = 0; i < p.n_pages; i++)
            pages[i] = (uint64_t)(uintptr_t)p.blocks[p.numbers[i]];
        p.table = device_upload(pages, (size_t)p.n_pages * sizeof *pages);
        free(pages);
        p.kv.pages = p.table;
        p.kv.k = (uint64_t)(2 * page_bytes); /* the second layer */
        p.kv.v = (uint64_t)(3 * page_bytes);
    } else {
        p.kv.k = (uint64_t)(uintptr_t)p.blocks[0];
        p.kv.v = (uint64_t)(uintptr_t)p.blocks[1];
        p.kv.k_page_stride = p.kv.v_page_stride = page_bytes;
        if (mode == TABLE) {
            p.table = device_upload(p.numbers, (size_t)p.n_pages * sizeof *p.numbers);
            p.kv.block_table = p.table;
        }
    }
    return p;
}

uint16_t *image_at(struct place *p, bool value, int64_t slot, int32_t head)
{
    int64_t token_stride = value ? p->kv.v_token_stride : p->kv.k_token_stride;
    int64_t head_stride = value ? p->kv.v_head_stride : p->kv.k_head_stride;
    int64_t page = slot / p->page_tokens, at = slot % p->page_tokens * token_stride;
    int64_t page_bytes = (int64_t)p->page_tokens * p->n_kv_heads * p->head_dim * 2;
    if (p->mode == PAGES)
        at += p->numbers[page] * (int64_t)p->block_bytes + (value ? 3 : 2) * page_bytes;
    else
        at += (value ? (int64_t)p->block_bytes : 0) +
              (p->mode == TABLE ? p->numbers[page] : page) * page_bytes;
    return (uint16_t *)(void *)(p->image + at + head * head_stride);
}

void download_place(struct place *p)
{
    for (int32_t i = 0; i < p->n_blocks; i++)
        device_download(p->image + (size_t)i * p->block_bytes, p->blocks[i], p->block_bytes);
}

void free_place(struct place *p)
{
    for (int32_t i = 0; i < p->n_blocks; i++)
        device_free(p->blocks[i]);
    if (p->table)
        device_free(p->table);
    free(p->numbers);
    free(p->blocks);
    free(p->image);
}
