/*
 * amx_emulated.h: the instructions of cpu/amx_tile.h in plain C, after Intel's description of them.
 * What a processor would fault at, a tile without a shape or shapes that do not fit, ends the test.
 */
#ifndef TEST_AMX_EMULATED_H
#define TEST_AMX_EMULATED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILES 8

struct tile_emulated {
    int rows, row_bytes;
    char data[TILE_ROWS][TILE_BYTES];
};

static _Thread_local struct tile_emulated tile_state[TILES];

static inline void tile_fault(const char *what, int t)
{
    fprintf(stderr, "tile %d: %s\n", t, what);
    abort();
}

static inline struct tile_emulated *tile_of(int t)
{
    if (t < 0 || t >= TILES || tile_state[t].rows == 0)
        tile_fault("has no shape", t);
    return &tile_state[t];
}

/* Tiles that have a shape: none behind a kernel. */
static inline int tile_count(void)
{
    int n = 0;
    for (int t = 0; t < TILES; t++)
        n += tile_state[t].rows > 0;
    return n;
}

#define tile_memory_is_written() ((void)0)

static inline void tile_configure(const struct tile_shapes *shapes)
{
    memset(tile_state, 0, sizeof tile_state);
    if (shapes->palette != 1)
        tile_fault("palette", -1);
    for (int t = 0; t < TILES; t++) {
        int rows = shapes->n_rows[t], row_bytes = shapes->row_bytes[t];
        if (rows > TILE_ROWS || row_bytes > TILE_BYTES || (rows == 0) != (row_bytes == 0))
            tile_fault("cannot have such a shape", t);
        tile_state[t].rows = rows;
        tile_state[t].row_bytes = row_bytes;
    }
}

static inline void tile_release(void)
{
    memset(tile_state, 0, sizeof tile_state);
}

static inline void tile_zero(int t)
{
    memset(tile_of(t)->data, 0, sizeof tile_state[t].data);
}

static inline void tile_load(int t, const void *from, size_t stride)
{
    struct tile_emulated *tile = tile_of(t);
    memset(tile->data, 0, sizeof tile->data);
    for (int i = 0; i < tile->rows; i++)
        memcpy(tile->data[i], (const char *)from + (size_t)i * stride, (size_t)tile->row_bytes);
}

static inline void tile_store(int t, void *to, size_t stride)
{
    const struct tile_emulated *tile = tile_of(t);
    for (int i = 0; i < tile->rows; i++)
        memcpy((char *)to + (size_t)i * stride, tile->data[i], (size_t)tile->row_bytes);
}

static inline void tile_check_product(int sums, int a, int b)
{
    if (tile_of(sums)->rows != tile_of(a)->rows ||
        tile_of(sums)->row_bytes != tile_of(b)->row_bytes ||
        tile_of(a)->row_bytes != 4 * tile_of(b)->rows)
        tile_fault("is given a product of other shapes", sums);
}

/* Subnormal numbers are zeros, as operands and as results. */
static inline float tile_flush(float x)
{
    uint32_t bits = ppi_f32_bits(x);
    return (bits & 0x7f800000u) == 0 ? ppi_f32_from_bits(bits & 0x80000000u) : x;
}

static inline float tile_half(const char *pair, int half)
{
    uint16_t value;
    memcpy(&value, pair + 2 * half, sizeof value);
    return tile_flush(ppi_bf16_to_f32(value));
}

/* The halves of pairs are summed apart, then together, then added. */
static inline void tile_dot_bf16(int sums, int a, int b)
{
    tile_check_product(sums, a, b);
    for (int m = 0; m < tile_state[sums].rows; m++)
        for (int n = 0; n < tile_state[sums].row_bytes / 4; n++) {
            float part[2] = {0, 0}, sum;
            for (int k = 0; k < tile_state[b].rows; k++)
                for (int half = 0; half < 2; half++)
                    part[half] = tile_flush(fmaf(tile_half(&tile_state[a].data[m][4 * k], half),
                                                 tile_half(&tile_state[b].data[k][4 * n], half),
                                                 part[half]));
            memcpy(&sum, &tile_state[sums].data[m][4 * n], sizeof sum);
            sum = tile_flush(tile_flush(sum) + tile_flush(part[0] + part[1]));
            memcpy(&tile_state[sums].data[m][4 * n], &sum, sizeof sum);
        }
}

/* Signed bytes of a times unsigned bytes of b; sums of 32 bits wrap. */
static inline void tile_dot_codes(int sums, int a, int b)
{
    tile_check_product(sums, a, b);
    for (int m = 0; m < tile_state[sums].rows; m++)
        for (int n = 0; n < tile_state[sums].row_bytes / 4; n++) {
            uint32_t sum;
            memcpy(&sum, &tile_state[sums].data[m][4 * n], sizeof sum);
            for (int k = 0; k < tile_state[a].row_bytes; k++)
                sum += (uint32_t)((int32_t)(int8_t)tile_state[a].data[m][k] *
                                  (int32_t)(uint8_t)tile_state[b].data[k / 4][4 * n + k % 4]);
            memcpy(&tile_state[sums].data[m][4 * n], &sum, sizeof sum);
        }
}

#endif
