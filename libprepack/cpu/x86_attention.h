/*
 * x86_attention.h: the attention kernel, compiled for each instruction set by its file. Its meaning
 * is ref_attention.c's.
 *
 * For every block of 64 keys (four pages) and every group of up to 6 query rows: scores by a
 * product tile over head_dim, K being a panel slice already; the online softmax row by row; then
 * the weights times V, with the group's sums loaded, shrunk, and stored back. A group stops at the
 * last key it can see. Masked weights are exactly 0, so neither that border nor the company of a
 * row changes its bits.
 */
#ifndef PPI_CPU_X86_ATTENTION_H
#define PPI_CPU_X86_ATTENTION_H

#include "cpu/x86_products.h"

#define BLOCK_PAGES   (PPI_CPU_BLOCK / PPI_CPU_PAGE)
#define BLOCK_VECTORS (PPI_CPU_BLOCK / LANES)
#define K_STEP        (PPI_CPU_PAGE * sizeof(uint32_t)) /* bytes of a group of K */

/* A group of rows in a block. */
struct group {
    int32_t n_rows;
    int32_t n_keys;            /* of the block, up to the last that a row of the group sees */
    int32_t low[PPI_CPU_ROWS]; /* keys of the block that a row sees: [low, high], maybe none */
    int32_t high[PPI_CPU_ROWS];
    float *max, *total, *sums; /* of the group's rows; sums [rows, v_columns] */
};

struct block {
    const char *k[BLOCK_PAGES], *v[BLOCK_PAGES];
    int32_t head_dim, v_columns;
    float scale;
    float (*scores)[PPI_CPU_BLOCK]; /* [6][64] */
    char *weights;                  /* act [6][64] */
    _Alignas(64) float shrink[LANES];
};

/* scores[i][first vector ..] = q k^T */
PPI_INLINE void score_vectors(bool bf16, int rows, int vectors, const struct block *block,
                              int first, const char *q, size_t stride)
{
    const char *b[VECTORS];
    UNROLL for (int j = 0; j < vectors; j++)
    {
        int lane = (first + j) * LANES;
        b[j] = block->k[lane / PPI_CPU_PAGE] + 4 * (lane % PPI_CPU_PAGE);
    }
    int32_t groups = bf16 ? block->head_dim / 2 : block->head_dim;
    struct tile t;
    clear_tile(rows, vectors, &t);
    size_t at = 0;
    for (int32_t g = 0; g < groups; g++, q += 4, at += K_STEP)
        add_group(bf16, rows, vectors, &t, q, stride, false, b, at);
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(&block->scores[i][(first + j) * LANES], t.sum[i][j]);
    }
}

PPI_INLINE void score_rows(bool bf16, int rows, const struct block *block, int32_t n_pages,
                           const char *q, size_t stride)
{
#if LANES == 16
    if (n_pages > 2)
        score_vectors(bf16, rows, 4, block, 0, q, stride);
    else if (n_pages == 2)
        score_vectors(bf16, rows, 2, block, 0, q, stride);
    else
        score_vectors(bf16, rows, 1, block, 0, q, stride);
#else
    for (int page = 0; page < n_pages; page++)
        score_vectors(bf16, rows, 2, block, 2 * page, q, stride);
#endif
}

/* One row of scores to weights; its max moves on, its total becomes the block's; returns the
 * exponent of the shrink. */
PPI_INLINE float soften_row(bool bf16, int vectors, const struct block *block,
                            const struct group *group, int i)
{
    float *scores = block->scores[i];
    vf max = v_set1(-INFINITY);
    if (group->low[i] > 0 || group->high[i] < vectors * LANES - 1)
        for (int j = 0; j < vectors; j++)
            v_store(scores + j * LANES, v_keep_range(v_load(scores + j * LANES), v_set1(-INFINITY),
                                                     j * LANES, group->low[i], group->high[i]));
    for (int j = 0; j < vectors; j++)
        max = v_max(max, v_load(scores + j * LANES));
    float old_max = group->max[i], new_max = v_max_lanes(max);
    if (!(new_max > old_max))
        new_max = old_max;
    /* A row that has seen no key yet: any finite base gives weights 0. */
    float base = new_max == -INFINITY ? 0.0f : new_max * block->scale;
    vf total = v_zero();
    char *weights =
        block->weights + (size_t)i * PPI_CPU_BLOCK * (bf16 ? sizeof(uint16_t) : sizeof(float));
    for (int j = 0; j < vectors; j++) {
        vf score = v_load(scores + j * LANES);
        vf weight = v_exp2(v_fma(score, v_set1(block->scale), v_set1(-base)));
        total = v_add(total, weight);
        v_store_act(bf16, weights, weight);
        weights += LANES * (bf16 ? sizeof(uint16_t) : sizeof(float));
    }
    group->max[i] = new_max;
    group->total[i] = v_sum_lanes(total);
    return old_max == new_max ? 0.0f : old_max * block->scale - base;
}

PPI_INLINE void soften_rows(bool bf16, int rows, int vectors, struct block *block,
                            const struct group *group)
{
    float total[PPI_CPU_ROWS];
    for (int i = 0; i < rows; i++) {
        total[i] = group->total[i];
        block->shrink[i] = soften_row(bf16, vectors, block, group, i);
    }
    v_store(block->shrink, v_exp2(v_load(block->shrink)));
    for (int i = 0; i < rows; i++)
        group->total[i] += total[i] * block->shrink[i];
}

/* sums[:, first column ..] = sums shrink + weights v */
PPI_INLINE void add_value_vectors(bool bf16, int rows, int vectors, const struct block *block,
                                  const struct group *group, int32_t column)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    size_t step = (size_t)block->v_columns * 4;
    struct tile t;
    float *sums = group->sums + column;
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++) t.sum[i][j] =
            v_mul(v_load(sums + i * block->v_columns + j * LANES), v_set1(block->shrink[i]));
    }
    int32_t per_page = bf16 ? PPI_CPU_PAGE / 2 : PPI_CPU_PAGE;
    int32_t left = bf16 ? (group->n_keys + 1) / 2 : group->n_keys;
    const char *x = block->weights;
    for (int page = 0; left > 0; page++, left -= per_page) {
        const char *b[VECTORS];
        UNROLL for (int j = 0; j < vectors; j++) b[j] = block->v[page] + 4 * (column + j * LANES);
        int32_t n = left < per_page ? left : per_page;
        size_t at = 0;
        for (int32_t g = 0; g < n; g++, x += 4, at += step)
            add_group(bf16, rows, vectors, &t, x, PPI_CPU_BLOCK * act_bytes, false, b, at);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(sums + i * block->v_columns + j * LANES, t.sum[i][j]);
    }
}

PPI_INLINE void add_values(bool bf16, int rows, const struct block *block,
                           const struct group *group)
{
    int32_t column = 0;
    for (; column + VECTORS * LANES <= block->v_columns; column += VECTORS * LANES)
        add_value_vectors(bf16, rows, VECTORS, block, group, column);
#if LANES == 16
    if (block->v_columns - column >= 32) {
        add_value_vectors(bf16, rows, 2, block, group, column);
        column += 32;
    }
    if (column < block->v_columns)
        add_value_vectors(bf16, rows, 1, block, group, column);
#endif
}

/* One block for one group of rows. */
PPI_INLINE void attend_group_rows(bool bf16, int rows, struct block *block,
                                  const struct group *group, const char *q, size_t stride)
{
    int32_t n_pages = (group->n_keys + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE;
    score_rows(bf16, rows, block, n_pages, q, stride);
    if (n_pages == BLOCK_PAGES)
        soften_rows(bf16, rows, BLOCK_VECTORS, block, group);
    else
        soften_rows(bf16, rows, n_pages * (PPI_CPU_PAGE / LANES), block, group);
    add_values(bf16, rows, block, group);
}

PPI_INLINE void attend_group(bool bf16, struct block *block, const struct group *group,
                             const char *q, size_t stride)
{
    switch (group->n_rows) {
    case 6:
        attend_group_rows(bf16, 6, block, group, q, stride);
        break;
    case 5:
        attend_group_rows(bf16, 5, block, group, q, stride);
        break;
    case 4:
        attend_group_rows(bf16, 4, block, group, q, stride);
        break;
    case 3:
        attend_group_rows(bf16, 3, block, group, q, stride);
        break;
    case 2:
        attend_group_rows(bf16, 2, block, group, q, stride);
        break;
    default:
        attend_group_rows(bf16, 1, block, group, q, stride);
        break;
    }
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
            int32_t n = tile->head_dim - d;
            if (n >= LANES)
                v_store_act(bf16, out + (size_t)d * act_bytes, value);
            else
                v_store_act_part(bf16, out + (size_t)d * act_bytes, value, n);
        }
    }
}

PPI_INLINE void attend_tile(bool bf16, const struct ppi_cpu_tile *tile)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    struct block block = {
        .head_dim = tile->head_dim,
        .v_columns = ppi_cpu_v_columns(tile->head_dim),
        .scale = ppi_cpu_score_scale(tile->head_dim),
    };
    float *sums = tile->scratch;
    float *max = sums + PPI_CPU_TILE * block.v_columns, *total = max + PPI_CPU_TILE;
    block.scores = (float(*)[PPI_CPU_BLOCK])(void *)(total + PPI_CPU_TILE);
    block.weights = (char *)(block.scores + PPI_CPU_ROWS);
    memset(sums, 0, (size_t)(tile->n_rows * block.v_columns) * sizeof *sums);
    for (int32_t i = 0; i < tile->n_rows; i++) {
        max[i] = -INFINITY;
        total[i] = 0;
    }

    int32_t window = tile->window > 0 ? tile->window : INT32_MAX;
    int32_t last = tile->position + (tile->n_rows - 1) * tile->position_step;
    int32_t first = tile->position >= window ? tile->position - window + 1 : 0;
    for (int32_t key = first / PPI_CPU_BLOCK * PPI_CPU_BLOCK; key <= last; key += PPI_CPU_BLOCK) {
        for (int page = 0; page < BLOCK_PAGES; page++) {
            /* Behind the last key: any readable page; its scores are masked, its values unread. */
            int32_t position = key + page * PPI_CPU_PAGE <= last ? key + page * PPI_CPU_PAGE : key;
            const char *memory = (const char *)tile->pages[position / PPI_CPU_PAGE];
            block.k[page] = memory + tile->kv_offset;
            block.v[page] = block.k[page] + ppi_cpu_k_bytes(act_bytes, tile->head_dim);
        }
        for (int32_t row = 0; row < tile->n_rows; row += PPI_CPU_ROWS) {
            struct group group = {
                .max = max + row, .total = total + row, .sums = sums + row * block.v_columns};
            int32_t left = tile->n_rows - row;
            group.n_rows = left < PPI_CPU_ROWS ? left : PPI_CPU_ROWS;
            for (int32_t i = 0; i < group.n_rows; i++) {
                int32_t position = tile->position + (row + i) * tile->position_step;
                group.high[i] = position - key;
                group.low[i] = position >= window ? position - window + 1 - key : 0;
            }
            group.n_keys = group.high[group.n_rows - 1] + 1;
            if (group.n_keys > PPI_CPU_BLOCK)
                group.n_keys = PPI_CPU_BLOCK;
            if (group.n_keys <= 0 || group.low[0] >= PPI_CPU_BLOCK)
                continue; /* no row of the group sees a key of this block */
            attend_group(bf16, &block, &group, tile->q + (size_t)row * tile->stride, tile->stride);
        }
    }
    finish_rows(bf16, tile, sums, total, block.v_columns);
}

#endif
