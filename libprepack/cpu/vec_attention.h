/*
 * vec_attention.h: the attention kernel, compiled for each instruction set by its file. Its meaning
 * is ref_attention.c's.
 *
 * Rows go in groups of up to 6: the heads of a token that share keys, then the next token. A group
 * meets a block of 256 keys in three steps: scores by product tiles over head_dim, K being panel
 * slices already, and their largest as they leave the registers; powers of two; the weights times
 * V. Most prompts are one block: their sums never leave the registers. A group begins at the
 * vector of the first key it can see and stops at the last. Masked weights are exactly 0, so
 * neither border nor the company of a row changes its bits.
 */
#ifndef PPI_CPU_VEC_ATTENTION_H
#define PPI_CPU_VEC_ATTENTION_H

#include "cpu/vec_products.h"

#define BLOCK_PAGES  (PPI_CPU_BLOCK / PPI_CPU_PAGE)
#define PAGE_VECTORS (PPI_CPU_PAGE / LANES)
#define K_STEP       (PPI_CPU_PAGE * sizeof(uint32_t)) /* bytes of a group of K */

#define SHRINKS ((PPI_CPU_ROWS + LANES - 1) / LANES * LANES) /* of a group, in whole vectors */

/* A tile and the block of keys it is at. */
struct block {
    const struct ppi_cpu_tile *tile;
    int32_t key; /* first */
    int32_t v_columns;
    float factor, inner; /* of scores, see ppi_cpu_score_factor */
    const char *k[BLOCK_PAGES], *v[BLOCK_PAGES];
    float *max;                     /* [48] so far, from the tile's first row on */
    float (*total)[LANES];          /* [48] so far */
    float *sums;                    /* [48, v_columns] */
    float (*scores)[PPI_CPU_BLOCK]; /* [6], then the weights: act */
    int32_t next, last_next;        /* halves of pages to bring nearer, from the end */
};

/* Half a page of the next kv head, to be brought nearer: K or V, the last page first. It was not
 * read before, and heads follow each other. Nothing left: what is read anyway. */
PPI_INLINE const char *next_lines(struct block *block, const char *nothing)
{
    if (block->next < block->last_next)
        return nothing;
    int32_t page = block->next / 2;
    const char *half = block->next % 2 ? block->v[page] : block->k[page];
    block->next--;
    return half + block->tile->kv_bytes;
}

/* The rows [row, row + rows) of a tile and what they see of a block. */
struct group {
    struct block *block;
    int32_t row;
    int rows;
    int32_t n_keys;                 /* of the block up to the last that one sees */
    int32_t first_page;             /* with a key that a row sees */
    int32_t whole_begin, whole_end; /* vectors that every row sees whole */
    bool begins, ends;              /* no row has seen a key before; none sees one behind */
    const char *q[PPI_CPU_ROWS];    /* those behind the last row: again the last */
    int32_t position[PPI_CPU_ROWS]; /* less the block's first */
    vf max[PPI_CPU_ROWS];           /* of a row's scores, by lanes */
    float shrink[SHRINKS];          /* of sums and total */
};

/* Selects the scores that row i sees, and takes their largest. */
PPI_INLINE void mask_score(struct group *group, int i, int32_t vector, vf score)
{
    int32_t window = group->block->tile->window;
    int32_t high = group->position[i], low = window > 0 ? high - window + 1 : 0;
    score = v_keep_range(score, v_set1(-INFINITY), vector * LANES, low, high);
    v_store(group->block->scores[i] + vector * LANES, score);
    group->max[i] = v_max(group->max[i], score);
}

/* scores[i][first vector ..] = q k^T. The maximum takes in those that need no mask. */
PPI_INLINE void score_vectors(bool bf16, int rows, int vectors, struct group *group, int32_t first)
{
    struct block *block = group->block;
    const char *b[VECTORS];
    UNROLL for (int j = 0; j < vectors; j++) b[j] =
        block->k[(first + j) / PAGE_VECTORS] + 4 * LANES * ((first + j) % PAGE_VECTORS);
    size_t groups = (size_t)(bf16 ? block->tile->head_dim / 2 : block->tile->head_dim);
    /* A tile of few rows waits for memory: it asks for V, behind K in the page, at once. */
    bool few = rows < PPI_CPU_ROWS && block->tile->n_rows * block->tile->n_heads < PPI_CPU_ROWS;
    const char *ahead[VECTORS], *next = few ? NULL : next_lines(block, b[0]);
    UNROLL for (int j = 0; j < vectors; j++) ahead[j] = few ? b[j] + groups * K_STEP : next;
    struct tile t;
    clear_tile(rows, vectors, &t);
    for (size_t g = 0; g < groups; g++) {
        for (int j = 0; j < (rows < PPI_CPU_ROWS ? vectors : 1); j += PAGE_VECTORS)
            v_prefetch_far(ahead[j] + g * K_STEP);
        add_group(bf16, rows, vectors, &t, group->q, 4 * g, false, b, g * K_STEP);
    }
    UNROLL for (int j = 0; j < vectors; j++)
    {
        bool whole = first + j >= group->whole_begin && first + j < group->whole_end;
        UNROLL for (int i = 0; i < rows; i++)
            v_store(block->scores[i] + (first + j) * LANES, t.sum[i][j]);
        if (whole) {
            UNROLL for (int i = 0; i < rows; i++) group->max[i] = v_max(group->max[i], t.sum[i][j]);
        }
    }
}

PPI_INLINE void score_rows(bool bf16, int rows, struct group *group)
{
    int32_t at = group->first_page * PAGE_VECTORS;
    int32_t end = (group->n_keys + LANES - 1) / LANES;
    UNROLL for (int i = 0; i < rows; i++) group->max[i] = v_set1(-INFINITY);
#if VECTORS == 4
    if (rows == PPI_CPU_ROWS && (end - at) % 4 == 3) {
        score_vectors(bf16, rows, 3, group, at);
        at += 3;
    }
    for (; end - at > 3; at += 4)
        score_vectors(bf16, rows, 4, group, at);
#endif
    for (; end - at > 1; at += 2)
        score_vectors(bf16, rows, 2, group, at);
    if (at < end)
        score_vectors(bf16, rows, 1, group, at);
}

/* Selects the scores that rows see; a softcap bends them before. */
static __attribute__((noinline)) void mask_scores(struct group *group)
{
    const struct block *block = group->block;
    int32_t end = (group->n_keys + LANES - 1) / LANES;
    int32_t first = group->first_page * PAGE_VECTORS;
    if (block->inner == 0 && group->whole_begin <= first && group->whole_end > first)
        first = group->whole_end;
    for (int32_t j = first; j < end; j++) {
        bool whole = j >= group->whole_begin && j < group->whole_end;
        for (int i = 0; i < group->rows && block->inner > 0; i++) {
            float *score = block->scores[i] + j * LANES;
            v_store(score, v_tanh(v_mul(v_load(score), v_set1(block->inner))));
        }
        for (int i = 0; i < group->rows && !whole; i++)
            mask_score(group, i, j, v_load(block->scores[i] + j * LANES));
    }
    for (int i = 0; i < group->rows && block->inner > 0; i++) {
        group->max[i] = v_set1(-INFINITY);
        for (int32_t j = group->first_page * PAGE_VECTORS; j < end; j++)
            group->max[i] = v_max(group->max[i], v_load(block->scores[i] + j * LANES));
    }
}

/* Scores to weights; max and total move on. */
PPI_INLINE void soften_rows(bool bf16, struct group *group)
{
    const struct block *block = group->block;
    int32_t first = group->first_page * PAGE_VECTORS;
    int32_t end = (group->n_keys + LANES - 1) / LANES;
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    float base[PPI_CPU_ROWS];
    mask_scores(group);
    for (int i = 0; i < group->rows; i++) {
        float old_max = group->begins ? -INFINITY : block->max[group->row + i];
        float new_max = v_max_lanes(group->max[i]);
        if (!(new_max > old_max))
            new_max = old_max;
        /* A row that has seen no key yet: any finite base gives weights 0. */
        base[i] = new_max == -INFINITY ? 0.0f : new_max * block->factor;
        group->shrink[i] = old_max == new_max ? 0.0f : old_max * block->factor - base[i];
        block->max[group->row + i] = new_max;
    }
    for (int i = 0; i < SHRINKS; i += LANES)
        v_store(group->shrink + i, v_exp2(v_load(group->shrink + i)));
    for (int i = 0; i < group->rows; i++) {
        char *weights = (char *)block->scores[i];
        vf total = v_zero();
        for (int32_t j = first; j < end; j++) {
            vf score = v_load(block->scores[i] + j * LANES);
            vf weight = v_weight(bf16, v_fma(score, v_set1(block->factor), v_set1(-base[i])));
            total = v_add(total, weight);
            v_store_narrow(bf16, weights + (size_t)j * LANES * act_bytes, weight);
        }
        float *so_far = block->total[group->row + i];
        if (!group->begins)
            total = v_fma(v_load(so_far), v_set1(group->shrink[i]), total);
        v_store(so_far, total);
    }
}

/* sums[:, column ..] = sums shrink + weights v */
PPI_INLINE void add_value_vectors(bool bf16, int rows, int vectors, const struct group *group,
                                  int32_t column)
{
    const struct block *block = group->block;
    size_t step = (size_t)block->v_columns * 4;
    float *sums = block->sums + group->row * block->v_columns + column;
    struct tile t;
    clear_tile(rows, vectors, &t);
    if (!group->begins) {
        UNROLL for (int i = 0; i < rows; i++)
        {
            UNROLL for (int j = 0; j < vectors; j++) t.sum[i][j] =
                v_mul(v_load(sums + i * block->v_columns + j * LANES), v_set1(group->shrink[i]));
        }
    }
    int32_t per_page = bf16 ? PPI_CPU_PAGE / 2 : PPI_CPU_PAGE, page = group->first_page;
    int32_t left = (bf16 ? (group->n_keys + 1) / 2 : group->n_keys) - page * per_page;
    const char *x[PPI_CPU_ROWS];
    UNROLL for (int i = 0; i < rows; i++) x[i] = (const char *)block->scores[i];
    size_t x_at = (size_t)(4 * page * per_page);
    for (; left > 0; page++, left -= per_page) {
        const char *b[VECTORS];
        UNROLL for (int j = 0; j < vectors; j++) b[j] = block->v[page] + 4 * (column + j * LANES);
        int32_t n = left < per_page ? left : per_page;
        size_t at = 0;
        for (int32_t g = 0; g < n; g++, x_at += 4, at += step)
            add_group(bf16, rows, vectors, &t, x, x_at, false, b, at);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(sums + i * block->v_columns + j * LANES, t.sum[i][j]);
    }
}

PPI_INLINE void add_values(bool bf16, int rows, const struct group *group)
{
    int32_t at = 0, end = group->block->v_columns / LANES;
#if VECTORS == 4
    if (rows == PPI_CPU_ROWS && (end % 4 == 3 || end == 5)) {
        add_value_vectors(bf16, rows, 3, group, at);
        at += 3;
    }
    for (; end - at > 3; at += 4)
        add_value_vectors(bf16, rows, 4, group, at * LANES);
#endif
    for (; end - at > 1; at += 2)
        add_value_vectors(bf16, rows, 2, group, at * LANES);
    if (at < end)
        add_value_vectors(bf16, rows, 1, group, at * LANES);
}

/* What the sinks of the heads add to the totals of a group's rows. */
PPI_INLINE void sum_sinks(const struct group *group, float sinks[SHRINKS])
{
    const struct block *block = group->block;
    const struct ppi_cpu_tile *tile = block->tile;
    for (int i = 0; i < SHRINKS; i++)
        sinks[i] = 0;
    for (int i = 0; i < group->rows; i++) {
        float sink = tile->sinks[(group->row + i) % tile->n_heads];
        sinks[i] = ppi_cpu_sink_power(sink, block->factor, block->max[group->row + i]);
    }
    for (int i = 0; i < SHRINKS; i += LANES)
        v_store(sinks + i, v_exp2(v_load(sinks + i)));
}

/* out = sums / total. Adding 0 turns -0 into 0: its sign could depend on masked keys. */
static __attribute__((noinline)) void finish_rows(bool bf16, const struct group *group)
{
    const struct block *block = group->block;
    const struct ppi_cpu_tile *tile = block->tile;
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    float sinks[SHRINKS];
    if (tile->sinks)
        sum_sinks(group, sinks);
    for (int i = 0; i < group->rows; i++) {
        char *out = tile->out + (group->q[i] - tile->q);
        const float *sums = block->sums + (group->row + i) * block->v_columns;
        float total = v_sum_lanes(v_load(block->total[group->row + i]));
        vf inverse = v_set1(1.0f / (tile->sinks ? total + sinks[i] : total));
        for (int32_t d = 0; d < tile->head_dim; d += LANES) {
            vf value = v_add(v_mul(v_load(sums + d), inverse), v_zero());
            if (tile->head_dim - d >= LANES)
                v_store_narrow(bf16, out + (size_t)d * act_bytes, value);
            else
                v_store_act_part(bf16, out + (size_t)d * act_bytes, value, tile->head_dim - d);
        }
    }
}

PPI_INLINE void attend_rows(bool bf16, int rows, struct group *group)
{
    score_rows(bf16, rows, group);
    soften_rows(bf16, group);
    add_values(bf16, rows, group);
    if (group->ends)
        finish_rows(bf16, group);
}

/* Rows [row, row + rows) and what they see of the block; false: nothing. */
static bool set_group(struct block *block, int32_t row, int rows, struct group *group)
{
    const struct ppi_cpu_tile *tile = block->tile;
    *group = (struct group){.block = block, .row = row, .rows = rows};
    int32_t token = row / tile->n_heads, head = row % tile->n_heads;
    for (int i = 0; i < PPI_CPU_ROWS; i++) {
        size_t at = (size_t)token * tile->row_stride + (size_t)head * tile->head_stride;
        group->q[i] = tile->q + at;
        group->position[i] = tile->position + token - block->key;
        /* Written at the end, but then at once; and the token's next heads. */
        __builtin_prefetch(tile->out + at, 1);
        v_prefetch_far(group->q[i] + (size_t)tile->n_heads * tile->head_stride);
        if (i < rows - 1 && ++head == tile->n_heads) {
            head = 0;
            token++;
        }
    }
    int32_t first = group->position[0], last = group->position[rows - 1];
    int32_t low = tile->window > 0 ? first - tile->window + 1 : -block->key;
    if (last < 0 || low >= PPI_CPU_BLOCK)
        return false;
    group->n_keys = last < PPI_CPU_BLOCK ? last + 1 : PPI_CPU_BLOCK;
    group->first_page = low > 0 ? low / PPI_CPU_PAGE : 0;
    group->whole_end = (first + 1) / LANES;
    if (tile->window > 0 && last >= tile->window)
        group->whole_begin = (last - tile->window + LANES) / LANES;
    group->begins = low >= 0 || block->key == 0;
    group->ends = last < PPI_CPU_BLOCK;
    return true;
}

/* Moves the block to `key`; first_key, last_key: of those that the tile sees. */
PPI_INLINE void move_block(bool bf16, struct block *block, int32_t key, int32_t first_key,
                           int32_t last_key)
{
    const struct ppi_cpu_tile *tile = block->tile;
    size_t k_bytes = ppi_cpu_k_bytes(bf16 ? sizeof(uint16_t) : sizeof(float), tile->head_dim);
    block->key = key;
    int32_t page = first_key > key ? (first_key - key) / PPI_CPU_PAGE : 0;
    block->last_next = 2 * page;
    for (; page < BLOCK_PAGES && key + page * PPI_CPU_PAGE <= last_key; page++) {
        const char *memory = tile->pages[key / PPI_CPU_PAGE + page];
        block->k[page] = memory + tile->kv_offset;
        block->v[page] = block->k[page] + k_bytes;
    }
    /* Longer prompts find what they read by themselves. */
    block->next = last_key < PPI_CPU_BLOCK ? 2 * page - 1 : -1;
}

PPI_INLINE void attend_block(bool bf16, struct block *block)
{
    int32_t n_rows = block->tile->n_rows * block->tile->n_heads;
    for (int32_t row = 0; row < n_rows; row += PPI_CPU_ROWS) {
        struct group group;
        int rows = n_rows - row < PPI_CPU_ROWS ? n_rows - row : PPI_CPU_ROWS;
        if (!set_group(block, row, rows, &group))
            continue;
        if (rows > 4)
            attend_rows(bf16, 6, &group);
        else if (rows > 2)
            attend_rows(bf16, 4, &group);
        else if (rows == 2)
            attend_rows(bf16, 2, &group);
        else
            attend_rows(bf16, 1, &group);
    }
}

PPI_INLINE void attend_tile(bool bf16, const struct ppi_cpu_tile *tile)
{
    struct block block = {
        .tile = tile,
        .v_columns = ppi_cpu_v_columns(tile->head_dim),
        .factor = ppi_cpu_score_factor(tile),
        .inner = ppi_cpu_score_inner(tile),
        .scores = tile->scratch,
    };
    float *behind = block.scores[PPI_CPU_ROWS];
    float *sums = behind + (PPI_CPU_TILE + 1) * LANES;
    block.total = (float(*)[LANES])(void *)behind + tile->first_row;
    block.sums = sums + tile->first_row * block.v_columns;
    block.max = sums + (PPI_CPU_TILE + 1) * block.v_columns + tile->first_row;
    int32_t last = tile->end_key > 0 ? tile->end_key - 1 : tile->position + tile->n_rows - 1;
    int32_t first = tile->window > 0 && tile->position >= tile->window
                        ? tile->position - tile->window + 1
                        : tile->first_key;
    for (int32_t key = first / PPI_CPU_BLOCK * PPI_CPU_BLOCK; key <= last; key += PPI_CPU_BLOCK) {
        move_block(bf16, &block, key, first, last);
        attend_block(bf16, &block);
    }
}

#endif
