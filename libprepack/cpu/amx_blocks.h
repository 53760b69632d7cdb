/*
 * amx_blocks.h: products on tiles: what those of bf16 and those of bytes share.
 *
 * 16 columns of 16 groups of a panel are a tile of b as it lies, 64 bytes of 16 rows of `a` one of
 * a. A step takes up to 32 rows times 32 columns: four tiles of sums, two of a, two of b. Tiles
 * have as many rows as there are. So a sum is the same chain of steps, from zero, whatever the
 * number of rows.
 */
#ifndef PPI_CPU_AMX_BLOCKS_H
#define PPI_CPU_AMX_BLOCKS_H

#include "cpu/amx_tile.h"
#include "cpu/vec_products.h"

#define STEP_BYTES (TILE_ROWS * GROUP_BYTES) /* of a panel */
#define BLOCK_ROWS (2 * TILE_ROWS)

/* Tiles: sums of [row tile][column tile], then a and b. */
#define SUMS_00 0
#define SUMS_01 1
#define SUMS_10 2
#define SUMS_11 3
#define A_0     4
#define A_1     5
#define B_0     6
#define B_1     7

/* Up to 32 rows times a panel. */
struct tile_block {
    const char *a;  /* first row */
    size_t a_bytes; /* of a row */
    const char *panel;
    int64_t n_steps;
    const char *tail_rows, *tail_panel; /* a last step, rows of 64 bytes; or NULL */
};

/* Says the shapes for a block of `rows` rows: 16 in the first tiles, or all, and the rest in the
 * second. Only those exist. */
static void configure_tiles(int rows)
{
    struct tile_shapes shapes = {.palette = 1};
    int first = rows < TILE_ROWS ? rows : TILE_ROWS, second = rows - first;
    static const uint8_t of_first[] = {SUMS_00, SUMS_01, A_0},
                         of_second[] = {SUMS_10, SUMS_11, A_1}, whole[] = {B_0, B_1};
    for (int i = 0; i < 3; i++) {
        shapes.n_rows[of_first[i]] = (uint8_t)first;
        shapes.n_rows[of_second[i]] = (uint8_t)second;
        shapes.row_bytes[of_first[i]] = TILE_BYTES;
        shapes.row_bytes[of_second[i]] = second > 0 ? TILE_BYTES : 0;
    }
    for (int i = 0; i < 2; i++) {
        shapes.n_rows[whole[i]] = TILE_ROWS;
        shapes.row_bytes[whole[i]] = TILE_BYTES;
    }
    tile_memory_is_written();
    tile_configure(&shapes);
}

/* sums += a b */
#define TILE_DOT(codes, sums, a, b)                                                                \
    do {                                                                                           \
        if (codes)                                                                                 \
            tile_dot_codes(sums, a, b);                                                            \
        else                                                                                       \
            tile_dot_bf16(sums, a, b);                                                             \
    } while (0)

/* One step: 64 bytes of the rows from `a` on times 32 columns from `b` on. */
PPI_INLINE void add_step(bool codes, bool two, const char *a, size_t a_bytes, const char *b)
{
    tile_load(A_0, a, a_bytes);
    tile_load(B_0, b, GROUP_BYTES);
    TILE_DOT(codes, SUMS_00, A_0, B_0);
    tile_load(B_1, b + TILE_BYTES, GROUP_BYTES);
    TILE_DOT(codes, SUMS_01, A_0, B_1);
    if (two) {
        tile_load(A_1, a + TILE_ROWS * a_bytes, a_bytes);
        TILE_DOT(codes, SUMS_10, A_1, B_0);
        TILE_DOT(codes, SUMS_11, A_1, B_1);
    }
}

/* sums [rows][64], of 32 bits. two: there are more than 16 rows. */
PPI_INLINE void sum_block(bool codes, bool two, const struct tile_block *block, void *sums)
{
    size_t stride = PPI_CPU_PANEL * sizeof(float);
    char *to = sums;
    for (int half = 0; half < 2; half++, to += 2 * TILE_BYTES) {
        const char *b = block->panel + half * 2 * TILE_BYTES;
        tile_zero(SUMS_00);
        tile_zero(SUMS_01);
        if (two) {
            tile_zero(SUMS_10);
            tile_zero(SUMS_11);
        }
        for (int64_t step = 0; step < block->n_steps; step++)
            add_step(codes, two, block->a + step * TILE_BYTES, block->a_bytes,
                     b + step * STEP_BYTES);
        if (block->tail_rows)
            add_step(codes, two, block->tail_rows, TILE_BYTES,
                     block->tail_panel + half * 2 * TILE_BYTES);
        tile_store(SUMS_00, to, stride);
        tile_store(SUMS_01, to + TILE_BYTES, stride);
        if (two) {
            tile_store(SUMS_10, to + TILE_ROWS * stride, stride);
            tile_store(SUMS_11, to + TILE_ROWS * stride + TILE_BYTES, stride);
        }
    }
}

/* sums [rows][64] of a block whose tiles are configured. */
PPI_INLINE void sum_rows_of_block(bool codes, const struct tile_block *block, int rows, void *sums)
{
    tile_memory_is_written();
    if (rows > TILE_ROWS)
        sum_block(codes, true, block, sums);
    else
        sum_block(codes, false, block, sums);
}

#endif
