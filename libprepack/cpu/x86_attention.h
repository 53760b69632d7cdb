/*
 * x86_attention.h: the attention kernel, compiled for each instruction set by its file. Its meaning
 * is ref_attention.c's.
 *
 * For every block of 64 keys (four pages), three rounds over the rows of the tile: scores by
 * product tiles over head_dim, K being a panel slice already; the online softmax; the weights times
 * V, with the sums loaded, shrunk, and stored back. In each round the rows are independent, so the
 * latency of one hides behind the others. Rows go in groups of up to 6; a group begins at the page
 * of the first key it can see and stops at the last. Masked weights are exactly 0, so neither
 * border nor the company of a row changes its bits.
 */
#ifndef PPI_CPU_X86_ATTENTION_H
#define PPI_CPU_X86_ATTENTION_H

#include "cpu/x86_products.h"

#define BLOCK_PAGES   (PPI_CPU_BLOCK / PPI_CPU_PAGE)
#define BLOCK_VECTORS (PPI_CPU_BLOCK / LANES)
#define K_STEP        (PPI_CPU_PAGE * sizeof(uint32_t)) /* bytes of a group of K */

#define TILE_GROUPS ((PPI_CPU_TILE + PPI_CPU_ROWS - 1) / PPI_CPU_ROWS)

/* A tile and the block of keys it is at. */
struct block {
    const struct ppi_cpu_tile *tile;
    int32_t key; /* first */
    const char *k[BLOCK_PAGES], *v[BLOCK_PAGES];
    int32_t v_columns;
    float factor, inner;             /* of scores, see ppi_cpu_score_factor */
    int32_t first_page[TILE_GROUPS]; /* of the block, with a key that a row of the group sees */
    int32_t n_keys[TILE_GROUPS];     /* of the block up to the last that one sees; 0: none */
    float *sums;                     /* [64, v_columns] */
    float *max, *total;              /* [64] so far */
    float *exponent;                 /* [64] of the shrink of sums and total, then the shrink */
    float *block_total;              /* [64] */
    float (*scores)[PPI_CPU_BLOCK];  /* [64][64] */
    char *weights;                   /* act [64][64]; f32: where the scores were */
};

/* scores[i][first vector ..] = q k^T */
PPI_INLINE void score_vectors(bool bf16, int rows, int vectors, const struct block *block,
                              int first, int32_t row)
{
    size_t stride = block->tile->stride;
    const char *q = block->tile->q + (size_t)row * stride;
    const char *b[VECTORS];
    UNROLL for (int j = 0; j < vectors; j++)
    {
        int lane = (first + j) * LANES;
        b[j] = block->k[lane / PPI_CPU_PAGE] + 4 * (lane % PPI_CPU_PAGE);
    }
    int32_t groups = bf16 ? block->tile->head_dim / 2 : block->tile->head_dim;
    struct tile t;
    clear_tile(rows, vectors, &t);
    size_t at = 0;
    for (int32_t g = 0; g < groups; g++, q += 4, at += K_STEP)
        add_group(bf16, rows, vectors, &t, q, stride, false, b, at);
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(&block->scores[row + i][(first + j) * LANES], t.sum[i][j]);
    }
}

PPI_INLINE void score_rows(bool bf16, int rows, const struct block *block, int32_t row)
{
    int32_t page = block->first_page[row / PPI_CPU_ROWS];
    int32_t end = (block->n_keys[row / PPI_CPU_ROWS] + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE;
#if LANES == 16
    if (page == 0 && end > 2) {
        score_vectors(bf16, rows, 4, block, 0, row);
        return;
    }
    for (; page + 2 <= end; page += 2)
        score_vectors(bf16, rows, 2, block, page, row);
    if (page < end)
        score_vectors(bf16, rows, 1, block, page, row);
#else
    for (; page < end; page++)
        score_vectors(bf16, rows, 2, block, 2 * page, row);
#endif
}

/* Scores of row i in the vectors from `first` on to weights; its max moves on. */
PPI_INLINE void soften_row(bool bf16, int first, int vectors, const struct block *block, int32_t i)
{
    const struct ppi_cpu_tile *tile = block->tile;
    int32_t high = tile->position + i * tile->position_step - block->key;
    int32_t low = tile->window > 0 ? high - tile->window + 1 : 0;
    float *scores = block->scores[i];
    vf max = v_set1(-INFINITY);
    if (block->inner > 0)
        for (int j = first; j < vectors; j++) {
            vf score = v_mul(v_load(scores + j * LANES), v_set1(block->inner));
            v_store(scores + j * LANES, v_tanh(score));
        }
    if (low > 0 || high < vectors * LANES - 1)
        for (int j = first; j < vectors; j++)
            v_store(scores + j * LANES, v_keep_range(v_load(scores + j * LANES), v_set1(-INFINITY),
                                                     j * LANES, low, high));
    for (int j = first; j < vectors; j++)
        max = v_max(max, v_load(scores + j * LANES));
    float old_max = block->max[i], new_max = v_max_lanes(max);
    if (!(new_max > old_max))
        new_max = old_max;
    /* A row that has seen no key yet: any finite base gives weights 0. */
    float base = new_max == -INFINITY ? 0.0f : new_max * block->factor;
    vf total = v_zero();
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    char *weights = block->weights + (size_t)i * PPI_CPU_BLOCK * act_bytes;
    for (int j = first; j < vectors; j++) {
        vf score = v_load(scores + j * LANES);
        vf weight = v_exp2(v_fma(score, v_set1(block->factor), v_set1(-base)));
        total = v_add(total, weight);
        v_store_weights(bf16, weights + (size_t)j * LANES * act_bytes, weight);
    }
    block->max[i] = new_max;
    block->block_total[i] = v_sum_lanes(total);
    block->exponent[i] = old_max == new_max ? 0.0f : old_max * block->factor - base;
}

PPI_INLINE void soften_rows(bool bf16, const struct block *block)
{
    int32_t n_rows = block->tile->n_rows;
    for (int32_t i = 0; i < n_rows; i++) {
        int32_t n_keys = block->n_keys[i / PPI_CPU_ROWS];
        int32_t page = block->first_page[i / PPI_CPU_ROWS];
        if (page == 0 && n_keys > PPI_CPU_BLOCK - PPI_CPU_PAGE) {
            soften_row(bf16, 0, BLOCK_VECTORS, block, i);
        } else if (n_keys > 0) {
            int32_t n_pages = (n_keys + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE;
            soften_row(bf16, page * (PPI_CPU_PAGE / LANES), n_pages * (PPI_CPU_PAGE / LANES), block,
                       i);
        } else {
            block->block_total[i] = 0;
            block->exponent[i] = 0;
        }
    }
    for (int32_t i = 0; i < n_rows; i += LANES) {
        vf shrink = v_exp2(v_load(block->exponent + i));
        v_store(block->exponent + i, shrink);
        v_store(block->total + i,
                v_add(v_mul(v_load(block->total + i), shrink), v_load(block->block_total + i)));
    }
}

/* sums[:, first column ..] = sums shrink + weights v */
PPI_INLINE void add_value_vectors(bool bf16, int rows, int vectors, const struct block *block,
                                  int32_t row, int32_t column)
{
    size_t weights_bytes = PPI_CPU_BLOCK * (bf16 ? sizeof(uint16_t) : sizeof(float));
    size_t step = (size_t)block->v_columns * 4;
    int32_t n_keys = block->n_keys[row / PPI_CPU_ROWS];
    struct tile t;
    float *sums = block->sums + row * block->v_columns + column;
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++) t.sum[i][j] = v_mul(
            v_load(sums + i * block->v_columns + j * LANES), v_set1(block->exponent[row + i]));
    }
    int32_t per_page = bf16 ? PPI_CPU_PAGE / 2 : PPI_CPU_PAGE;
    int page = block->first_page[row / PPI_CPU_ROWS];
    int32_t left = (bf16 ? (n_keys + 1) / 2 : n_keys) - page * per_page;
    const char *x = block->weights + (size_t)row * weights_bytes + 4 * page * per_page;
    for (; left > 0; page++, left -= per_page) {
        const char *b[VECTORS];
        UNROLL for (int j = 0; j < vectors; j++) b[j] = block->v[page] + 4 * (column + j * LANES);
        int32_t n = left < per_page ? left : per_page;
        size_t at = 0;
        for (int32_t g = 0; g < n; g++, x += 4, at += step)
            add_group(bf16, rows, vectors, &t, x, weights_bytes, false, b, at);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(sums + i * block->v_columns + j * LANES, t.sum[i][j]);
    }
}

PPI_INLINE void add_values(bool bf16, int rows, const struct block *block, int32_t row)
{
    int32_t column = 0;
    for (; column + VECTORS * LANES <= block->v_columns; column += VECTORS * LANES)
        add_value_vectors(bf16, rows, VECTORS, block, row, column);
#if LANES == 16
    if (block->v_columns - column >= 32) {
        add_value_vectors(bf16, rows, 2, block, row, column);
        column += 32;
    }
    if (column < block->v_columns)
        add_value_vectors(bf16, rows, 1, block, row, column);
#endif
}

/* Runs round(bf16, rows, block, row) for all groups that see a key. */
#define FOR_GROUPS(round, bf16, block)                                                             \
    for (int32_t row = 0; row < (block)->tile->n_rows; row += PPI_CPU_ROWS) {                      \
        int32_t rows_left = (block)->tile->n_rows - row;                                           \
        if ((block)->n_keys[row / PPI_CPU_ROWS] == 0)                                              \
            continue;                                                                              \
        if (rows_left >= 6)                                                                        \
            round(bf16, 6, block, row);                                                            \
        else if (rows_left == 5)                                                                   \
            round(bf16, 5, block, row);                                                            \
        else if (rows_left == 4)                                                                   \
            round(bf16, 4, block, row);                                                            \
        else if (rows_left == 3)                                                                   \
            round(bf16, 3, block, row);                                                            \
        else if (rows_left == 2)                                                                   \
            round(bf16, 2, block, row);                                                            \
        else                                                                                       \
            round(bf16, 1, block, row);                                                            \
    }

/* out = sums / total. Adding 0 turns -0 into 0: its sign could depend on masked keys. */
PPI_INLINE void finish_rows(bool bf16, const struct ppi_cpu_tile *tile, const float *sums,
                            const float *total, int32_t v_columns)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    for (int32_t i = 0; i < tile->n_rows; i++, sums += v_columns) {
        vf inverse = v_set1(1.0f / total[i]);
        char *out = tile->out + (size_t)i * tile->stride;
        for (int32_t d = 0; d < tile->head_dim; d += LANES) {
            vf value = v_add(v_mul(v_load(sums + d), inverse), v_zero());
            v_store_act_part(bf16, out + (size_t)d * act_bytes, value, tile->head_dim - d);
        }
    }
}

/* Moves the block to `key`; last_key: the last that the tile sees. */
PPI_INLINE void move_block(bool bf16, struct block *block, int32_t key, int32_t last_key)
{
    const struct ppi_cpu_tile *tile = block->tile;
    size_t k_bytes = ppi_cpu_k_bytes(bf16 ? sizeof(uint16_t) : sizeof(float), tile->head_dim);
    block->key = key;
    for (int page = 0; page < BLOCK_PAGES; page++) {
        /* Behind the last key: any readable page; its scores are masked, its values unread. */
        int32_t position = key + page * PPI_CPU_PAGE;
        const char *memory = tile->pages[(position <= last_key ? position : key) / PPI_CPU_PAGE];
        block->k[page] = memory + tile->kv_offset;
        block->v[page] = block->k[page] + k_bytes;
    }
    for (int32_t row = 0; row < tile->n_rows; row += PPI_CPU_ROWS) {
        int32_t end = row + PPI_CPU_ROWS < tile->n_rows ? row + PPI_CPU_ROWS : tile->n_rows;
        int32_t first = tile->position + row * tile->position_step;
        int32_t n_keys = tile->position + (end - 1) * tile->position_step - key + 1;
        int32_t unseen = tile->window > 0 ? first - tile->window + 1 - key : 0;
        if (n_keys < 0 || unseen >= PPI_CPU_BLOCK)
            n_keys = 0;
        block->first_page[row / PPI_CPU_ROWS] = unseen > 0 ? unseen / PPI_CPU_PAGE : 0;
        block->n_keys[row / PPI_CPU_ROWS] = n_keys < PPI_CPU_BLOCK ? n_keys : PPI_CPU_BLOCK;
    }
}

PPI_INLINE void attend_tile(bool bf16, const struct ppi_cpu_tile *tile)
{
    struct block block = {
        .tile = tile,
        .v_columns = ppi_cpu_v_columns(tile->head_dim),
        .factor = ppi_cpu_score_factor(tile),
        .inner = ppi_cpu_score_inner(tile),
        .max = tile->scratch,
    };
    block.total = block.max + PPI_CPU_TILE;
    block.exponent = block.total + PPI_CPU_TILE;
    block.block_total = block.exponent + PPI_CPU_TILE;
    block.scores = (float(*)[PPI_CPU_BLOCK])(void *)(block.block_total + PPI_CPU_TILE);
    float *behind = block.scores[PPI_CPU_TILE];
    block.weights = bf16 ? (char *)behind : (char *)block.scores;
    block.sums = behind + PPI_CPU_TILE * PPI_CPU_BLOCK / 2;
    memset(block.sums, 0, (size_t)(tile->n_rows * block.v_columns) * sizeof(float));
    for (int32_t i = 0; i < PPI_CPU_TILE; i++) {
        block.max[i] = -INFINITY;
        block.total[i] = block.exponent[i] = block.block_total[i] = 0;
    }

    int32_t last = tile->position + (tile->n_rows - 1) * tile->position_step;
    int32_t first =
        tile->window > 0 && tile->position >= tile->window ? tile->position - tile->window + 1 : 0;
    for (int32_t key = first / PPI_CPU_BLOCK * PPI_CPU_BLOCK; key <= last; key += PPI_CPU_BLOCK) {
        move_block(bf16, &block, key, last);
        FOR_GROUPS(score_rows, bf16, &block)
        soften_rows(bf16, &block);
        FOR_GROUPS(add_values, bf16, &block)
    }
    finish_rows(bf16, tile, block.sums, block.total, block.v_columns);
}

#endif
