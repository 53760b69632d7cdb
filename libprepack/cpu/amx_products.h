/*
 * amx_products.h: the product kernels for bf16 on tiles. Their meaning is ref_products.c's.
 *
 * 16 columns of 16 groups of a panel are a tile of b as it lies, 16 rows of 32 values of `a` one of
 * a. A step takes up to 32 rows times 32 columns: four tiles of sums, two of a, two of b. The last
 * step of a k that is no multiple of 32 reads copies with zeros behind them, and tiles have as many
 * rows as there are. So a sum is the same chain over k in steps of 32, from zero, whatever the
 * number of rows; inside a step the instruction sums the first and the second halves of pairs
 * apart, in order.
 */
#ifndef PPI_CPU_AMX_PRODUCTS_H
#define PPI_CPU_AMX_PRODUCTS_H

#include "cpu/amx_tile.h"
#include "cpu/x86_products.h"

#define TILE_K            32                        /* values of a row of a tile of a */
#define TILE_GROUPS_BYTES (TILE_ROWS * GROUP_BYTES) /* of a panel, in a step */
#define BLOCK_ROWS        (2 * TILE_ROWS)

/* Tiles: sums of [row tile][column tile], then a and b. */
#define SUMS_00 0
#define SUMS_01 1
#define SUMS_10 2
#define SUMS_11 3
#define A_0     4
#define A_1     5
#define B_0     6
#define B_1     7

/* The last groups of a panel and of the rows of a block, with zeros behind them. */
struct product_tail {
    _Alignas(64) char panel[TILE_GROUPS_BYTES];
    _Alignas(64) char rows[BLOCK_ROWS * TILE_BYTES];
};

static void copy_panel_tail(const struct ppi_cpu_product *p, struct product_tail *tail)
{
    int64_t whole = p->k / TILE_K, groups = (p->k % TILE_K + 1) / 2;
    memset(tail->panel, 0, sizeof tail->panel);
    memcpy(tail->panel, (const char *)p->panel + (size_t)whole * TILE_GROUPS_BYTES,
           (size_t)groups * GROUP_BYTES);
}

static void copy_row_tails(const struct ppi_cpu_product *p, const char *a, int rows,
                           struct product_tail *tail)
{
    size_t row_bytes = (size_t)p->k * sizeof(uint16_t);
    size_t whole_bytes = (size_t)(p->k / TILE_K) * TILE_BYTES;
    memset(tail->rows, 0, sizeof tail->rows);
    for (int i = 0; i < rows; i++)
        memcpy(tail->rows + i * TILE_BYTES, a + (size_t)i * row_bytes + whole_bytes,
               row_bytes - whole_bytes);
}

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

/* One step: 32 values of the rows from `a` on times 32 columns from `b` on. */
PPI_INLINE void add_step(bool two, const char *a, size_t a_stride, const char *b)
{
    tile_load(A_0, a, a_stride);
    tile_load(B_0, b, GROUP_BYTES);
    tile_dot_bf16(SUMS_00, A_0, B_0);
    tile_load(B_1, b + TILE_BYTES, GROUP_BYTES);
    tile_dot_bf16(SUMS_01, A_0, B_1);
    if (two) {
        tile_load(A_1, a + TILE_ROWS * a_stride, a_stride);
        tile_dot_bf16(SUMS_10, A_1, B_0);
        tile_dot_bf16(SUMS_11, A_1, B_1);
    }
}

/* sums [rows][64] of a block; two: it has more than 16 rows. */
PPI_INLINE void sum_block(bool two, const struct ppi_cpu_product *p, const char *a,
                          const struct product_tail *tail, float *sums)
{
    size_t a_stride = (size_t)p->k * sizeof(uint16_t), sums_stride = PPI_CPU_PANEL * sizeof(float);
    for (int half = 0; half < 2; half++, sums += PPI_CPU_PANEL / 2) {
        const char *b = (const char *)p->panel + half * 2 * TILE_BYTES;
        tile_zero(SUMS_00);
        tile_zero(SUMS_01);
        if (two) {
            tile_zero(SUMS_10);
            tile_zero(SUMS_11);
        }
        for (int64_t step = 0; step < p->k / TILE_K; step++)
            add_step(two, a + step * TILE_BYTES, a_stride, b + step * TILE_GROUPS_BYTES);
        if (p->k % TILE_K)
            add_step(two, tail->rows, TILE_BYTES, tail->panel + half * 2 * TILE_BYTES);
        tile_store(SUMS_00, sums, sums_stride);
        tile_store(SUMS_01, sums + 16, sums_stride);
        if (two) {
            float *second = sums + TILE_ROWS * PPI_CPU_PANEL;
            tile_store(SUMS_10, second, sums_stride);
            tile_store(SUMS_11, second + 16, sums_stride);
        }
    }
}

/* What becomes of the sums [rows][64] of a block: slice by slice of the vectors there are. */
static void finish_block(bool gate_up, const struct ppi_cpu_product *p, const float *sums, int rows,
                         char *out)
{
    enum { WIDTH = VECTORS * LANES };
    for (int s = 0; s < PPI_CPU_PANEL / WIDTH; s++) {
        _Alignas(64) float slice[BLOCK_ROWS * WIDTH];
        for (int i = 0; WIDTH < PPI_CPU_PANEL && i < rows; i++)
            for (int j = 0; j < VECTORS; j++)
                memcpy(slice + i * WIDTH + j * LANES,
                       sums + i * PPI_CPU_PANEL + slice_column(gate_up, s, j),
                       LANES * sizeof *sums);
        const float *from = WIDTH < PPI_CPU_PANEL ? slice : sums;
        int column = s * WIDTH / (gate_up ? 2 : 1);
        if (column >= p->n_columns)
            return;
        if (gate_up)
            store_gated(true, p, column, from, rows, out + (size_t)column * sizeof(uint16_t));
        else
            store_epilogue(p, column, from, rows, (float *)(void *)out + column);
    }
}

/* All rows of p; gives the tiles back. */
static void multiply_panel_by_tiles(bool gate_up, const struct ppi_cpu_product *p)
{
    size_t a_bytes = (size_t)p->k * sizeof(uint16_t);
    size_t out_bytes = (size_t)p->out_stride * (gate_up ? sizeof(uint16_t) : sizeof(float));
    struct product_tail tail;
    const char *a = p->a;
    char *out = p->out;
    int configured = 0;
    if (p->k % TILE_K)
        copy_panel_tail(p, &tail);
    for (int64_t left = p->n_rows; left > 0; left -= BLOCK_ROWS) {
        int rows = left < BLOCK_ROWS ? (int)left : BLOCK_ROWS;
        _Alignas(64) float sums[BLOCK_ROWS * PPI_CPU_PANEL];
        if (rows != configured)
            configure_tiles(rows);
        configured = rows;
        if (p->k % TILE_K)
            copy_row_tails(p, a, rows, &tail);
        tile_memory_is_written();
        if (rows > TILE_ROWS)
            sum_block(true, p, a, &tail, sums);
        else
            sum_block(false, p, a, &tail, sums);
        finish_block(gate_up, p, sums, rows, out);
        a += BLOCK_ROWS * a_bytes;
        out += BLOCK_ROWS * out_bytes;
    }
    tile_release();
}

#endif
