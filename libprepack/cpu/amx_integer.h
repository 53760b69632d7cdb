/*
 * amx_integer.h: integer products on tiles, as packed.h defines them to the bit, of rows that have
 * one scale. Where groups of 32 have theirs, each step would leave the tiles: vectors do that as
 * fast.
 */
#ifndef PPI_CPU_AMX_INTEGER_H
#define PPI_CPU_AMX_INTEGER_H

#include "cpu/amx_blocks.h"
#include "cpu/packed.h"

/* A k_padded of whole tiles, one scale for a row and nothing added. */
static inline bool tiles_take(const struct ppi_cpu_integer *p)
{
    return !p->format && p->n_groups == 1 && !p->offsets && p->product.k % TILE_BYTES == 0;
}

/* From sums to numbers: starts, which only wrap on the way, then both scales. */
static void scale_sums(const struct ppi_cpu_integer *p, int64_t row, int rows, const uint32_t *sums,
                       float *numbers)
{
    for (int i = 0; i < rows; i++) {
        uint32_t start = (uint32_t)p->a_starts[row + i];
        for (int j = 0; j < PPI_CPU_PANEL; j++)
            numbers[i * PPI_CPU_PANEL + j] = (float)(int32_t)(sums[i * PPI_CPU_PANEL + j] + start) *
                                             (p->a_scales[row + i] * p->scales[j]);
    }
}

/* All rows of p, which the tiles take; gives the tiles back. */
static void multiply_codes_by_tiles(bool bf16, bool gate_up, const struct ppi_cpu_integer *p)
{
    const struct ppi_cpu_product *product = &p->product;
    struct tile_block block = {.a = product->a,
                               .a_bytes = (size_t)product->k,
                               .panel = product->panel,
                               .n_steps = product->k / TILE_BYTES};
    int configured = 0;
    for (int64_t row = 0; row < product->n_rows; row += BLOCK_ROWS) {
        int64_t left = product->n_rows - row;
        int rows = left < BLOCK_ROWS ? (int)left : BLOCK_ROWS;
        _Alignas(64) uint32_t sums[BLOCK_ROWS * PPI_CPU_PANEL];
        _Alignas(64) float numbers[BLOCK_ROWS * PPI_CPU_PANEL];
        if (rows != configured)
            configure_tiles(rows);
        configured = rows;
        sum_rows_of_block(true, &block, rows, sums);
        scale_sums(p, row, rows, sums, numbers);
        store_rows(bf16, gate_up, product, row, numbers, rows);
        block.a += BLOCK_ROWS * block.a_bytes;
    }
    tile_release();
}

#endif
