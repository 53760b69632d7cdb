/*
 * amx_products.h: the product kernels for bf16 on tiles. Their meaning is ref_products.c's.
 *
 * A step takes 32 of k. The last one of a k that is no multiple reads copies with zeros behind
 * them. Inside a step the instruction sums the first and the second halves of pairs apart, in
 * order.
 */
#ifndef PPI_CPU_AMX_PRODUCTS_H
#define PPI_CPU_AMX_PRODUCTS_H

#include "cpu/amx_blocks.h"

#define STEP_K 32

/* The last groups of a panel and of the rows of a block, with zeros behind them. */
struct product_tail {
    _Alignas(64) char panel[STEP_BYTES];
    _Alignas(64) char rows[BLOCK_ROWS * TILE_BYTES];
};

static void copy_panel_tail(const struct ppi_cpu_product *p, struct product_tail *tail)
{
    int64_t whole = p->k / STEP_K, groups = (p->k % STEP_K + 1) / 2;
    memset(tail->panel, 0, sizeof tail->panel);
    memcpy(tail->panel, (const char *)p->panel + (size_t)whole * STEP_BYTES,
           (size_t)groups * GROUP_BYTES);
}

static void copy_row_tails(const struct tile_block *block, int rows, struct product_tail *tail)
{
    size_t whole_bytes = (size_t)block->n_steps * TILE_BYTES;
    memset(tail->rows, 0, sizeof tail->rows);
    for (int i = 0; i < rows; i++)
        memcpy(tail->rows + i * TILE_BYTES, block->a + (size_t)i * block->a_bytes + whole_bytes,
               block->a_bytes - whole_bytes);
}

/* All rows of p; gives the tiles back. */
static void multiply_panel_by_tiles(bool gate_up, const struct ppi_cpu_product *p)
{
    struct tile_block block = {.a = p->a,
                               .a_bytes = (size_t)p->k * sizeof(uint16_t),
                               .panel = p->panel,
                               .n_steps = p->k / STEP_K};
    struct product_tail tail;
    int configured = 0;
    if (p->k % STEP_K) {
        copy_panel_tail(p, &tail);
        block.tail_rows = tail.rows;
        block.tail_panel = tail.panel;
    }
    for (int64_t row = 0; row < p->n_rows; row += BLOCK_ROWS) {
        int64_t left = p->n_rows - row;
        int rows = left < BLOCK_ROWS ? (int)left : BLOCK_ROWS;
        _Alignas(64) float sums[BLOCK_ROWS * PPI_CPU_PANEL];
        if (rows != configured)
            configure_tiles(rows);
        configured = rows;
        if (block.tail_rows)
            copy_row_tails(&block, rows, &tail);
        sum_rows_of_block(false, &block, rows, sums);
        store_rows(true, gate_up, p, row, sums, rows);
        block.a += BLOCK_ROWS * block.a_bytes;
    }
    tile_release();
}

#endif
