/*
 * tensor_rows.c: see tensor_rows.h. Rows of a part are counted as the weight has them; each way of
 * storing (enum ppi_stored_as) is a law for where row r stands.
 */
#include "model/tensor_rows.h"

#include <stdio.h>
#include <string.h>

/* ---- experts ---- */

static bool is_of_each_expert(enum ppi_weight weight)
{
    return weight == PPI_WEIGHT_EXPERT_GATE_UP || weight == PPI_WEIGHT_EXPERT_GATE_UP_BIAS ||
           weight == PPI_WEIGHT_EXPERT_DOWN || weight == PPI_WEIGHT_EXPERT_DOWN_BIAS;
}

static int64_t n_stacked(const struct ppi_rule_at *at)
{
    return is_of_each_expert(at->rule->weight) ? at->spec->experts.n : 1;
}

/* Whether each expert has a tensor of its own. */
static bool is_single(const struct ppi_rule_at *at)
{
    return !at->gguf && ppi_rule_names_each(at->rule);
}

/* Whether gates have a tensor and what they are multiplied with another. */
static bool is_split(const struct ppi_rule_at *at)
{
    return at->gguf && at->rule->part == PPI_PART_ALL &&
           ((at->rule->weight == PPI_WEIGHT_GATE_UP && at->gguf->split_mlp) ||
            at->rule->weight == PPI_WEIGHT_EXPERT_GATE_UP ||
            at->rule->weight == PPI_WEIGHT_EXPERT_GATE_UP_BIAS ||
            at->rule->weight == PPI_WEIGHT_SHARED_GATE_UP);
}

int32_t ppi_rule_n_tensors(const struct ppi_rule_at *at)
{
    return is_split(at) ? 2 : is_single(at) ? at->spec->experts.n : 1;
}

enum ppi_part ppi_rule_part_of(const struct ppi_rule_at *at, int32_t i_tensor)
{
    if (!is_split(at))
        return at->rule->part;
    return i_tensor == 0 ? PPI_PART_GATE : PPI_PART_UP;
}

enum ppi_stored_as ppi_rule_as(const struct ppi_rule_at *at)
{
    bool kept = at->rule->as == PPI_AS_ONES || at->rule->as == PPI_AS_SLICE;
    return at->gguf && !kept ? PPI_AS_IS : at->rule->as;
}

void ppi_name_expert(char name[PPI_TENSOR_NAME_BYTES], int32_t expert)
{
    char *place = strstr(name, "%d"), behind[PPI_TENSOR_NAME_BYTES];
    if (!place)
        return;
    size_t before = (size_t)(place - name);
    snprintf(behind, sizeof behind, "%s", place + 2);
    snprintf(place, PPI_TENSOR_NAME_BYTES - before, "%d%s", expert, behind);
}

/* ---- parts ---- */

static bool is_vector(const struct ppi_rule_at *at)
{
    return ppi_weight_kinds[at->rule->weight].matrix == PPI_MATRIX_VECTOR;
}

static bool is_gated(enum ppi_weight weight)
{
    return weight == PPI_WEIGHT_GATE_UP || weight == PPI_WEIGHT_GATE_UP_BIAS ||
           weight == PPI_WEIGHT_SHARED_GATE_UP || weight == PPI_WEIGHT_EXPERT_GATE_UP ||
           weight == PPI_WEIGHT_EXPERT_GATE_UP_BIAS;
}

void ppi_part_rows(const struct ppi_rule_at *at, int64_t *n_rows, int64_t *n_cols)
{
    ppi_part_shape(at->spec, at->layer, at->rule->weight, at->rule->part, n_rows, n_cols);
    if (!is_vector(at))
        return;
    int64_t row = at->rule->weight == PPI_WEIGHT_LINEAR_CONV ? at->spec->linear.conv_kernel : 1;
    *n_rows = *n_cols / row;
    *n_cols = row;
}

int64_t ppi_weight_row(const struct ppi_rule_at *at, int64_t first_row, int64_t row, int64_t *n)
{
    int64_t n_rows, n_cols;
    bool half = at->rule->part == PPI_PART_GATE || at->rule->part == PPI_PART_UP;
    ppi_part_rows(at, &n_rows, &n_cols);
    if (!half || !is_of_each_expert(at->rule->weight)) {
        *n = n_rows - row;
        return first_row + row;
    }
    int64_t size = at->spec->experts.intermediate_size, of = row % size;
    *n = size - of;
    return row / size * 2 * size + (at->rule->part == PPI_PART_UP ? size : 0) + of;
}

/* ---- where rows stand ---- */

/* Elements i and i + half of a head are the pair 2i, 2i + 1 of a file in which pairs that rotate
 * are neighbours. */
static struct ppi_row_run permuted(int64_t row, int64_t head_dim)
{
    int64_t head = row - row % head_dim, of = row % head_dim, half = head_dim / 2;
    if (of < half)
        return (struct ppi_row_run){.first = head + 2 * of, .step = 2, .n = half - of};
    return (struct ppi_row_run){.first = head + 2 * (of - half) + 1, .step = 2, .n = head_dim - of};
}

static bool is_permuted(const struct ppi_rule_at *at)
{
    bool turns = at->rule->weight == PPI_WEIGHT_QKV || at->rule->weight == PPI_WEIGHT_QKV_BIAS;
    bool rotates = at->rule->part == PPI_PART_Q || at->rule->part == PPI_PART_K;
    return at->gguf && at->gguf->permuted && turns && rotates;
}

/* Pieces of `width` rows, `offset` behind each multiple of `stride`. */
static struct ppi_row_run in_pieces(int64_t row, int64_t width, int64_t offset, int64_t stride)
{
    return (struct ppi_row_run){
        .first = row / width * stride + offset + row % width, .step = 1, .n = width - row % width};
}

/* Rows of a key head of a tensor, and where those of a part are among them. */
struct key_head {
    int64_t width, offset, all;
};

static struct key_head key_head_of(const struct ppi_linear_shape *shape, enum ppi_part part)
{
    int64_t values = shape->n_v_heads / shape->n_k_heads, k = shape->k_dim;
    int64_t v = values * shape->v_dim;
    switch (part) {
    case PPI_PART_Q:
        return (struct key_head){k, 0, 2 * k + 2 * v};
    case PPI_PART_K:
        return (struct key_head){k, k, 2 * k + 2 * v};
    case PPI_PART_V:
        return (struct key_head){v, 2 * k, 2 * k + 2 * v};
    case PPI_PART_Z:
        return (struct key_head){v, 2 * k + v, 2 * k + 2 * v};
    case PPI_PART_B:
        return (struct key_head){values, 0, 2 * values};
    default:
        return (struct key_head){values, values, 2 * values};
    }
}

/* Of MAMBA2 z, v, k, q, a, or channels v, k, q; of DELTA q, k, v. */
static int64_t slice_offset(const struct ppi_rule_at *at)
{
    const struct ppi_linear_shape *shape = &at->spec->linear;
    enum ppi_weight weight = at->rule->weight;
    int64_t k = ppi_linear_k_size(shape), v = ppi_linear_v_size(shape);
    bool projected = weight == PPI_WEIGHT_LINEAR_IN || weight == PPI_WEIGHT_LINEAR_IN_BIAS;
    bool mamba = shape->rule == PPI_LINEAR_MAMBA2;
    int64_t z = mamba && projected ? v : 0;
    switch (at->rule->part) {
    case PPI_PART_Q:
        return mamba ? z + v + k : 0;
    case PPI_PART_K:
        return mamba ? z + v : k;
    case PPI_PART_V:
        return mamba ? z : 2 * k;
    case PPI_PART_A:
        return z + v + 2 * k;
    default:
        return 0;
    }
}

static int64_t slices_rows(const struct ppi_rule_at *at)
{
    const struct ppi_linear_shape *shape = &at->spec->linear;
    enum ppi_weight weight = at->rule->weight;
    bool projected = weight == PPI_WEIGHT_LINEAR_IN || weight == PPI_WEIGHT_LINEAR_IN_BIAS;
    bool mamba = shape->rule == PPI_LINEAR_MAMBA2;
    return mamba && projected ? ppi_linear_row(shape) : ppi_linear_channels(shape);
}

/* Gate and up in turns: row r of `size` of each. */
static struct ppi_row_run in_turns(const struct ppi_rule_at *at, int64_t row, int64_t n_rows)
{
    enum ppi_part part = at->rule->part;
    int64_t size = part == PPI_PART_ALL ? n_rows / 2 : n_rows;
    if (!is_gated(at->rule->weight))
        return (struct ppi_row_run){.first = row, .step = 1, .n = n_rows - row};
    bool up = part == PPI_PART_UP || (part == PPI_PART_ALL && row >= size);
    int64_t of = row % size;
    return (struct ppi_row_run){.first = 2 * of + up, .step = 2, .n = size - of};
}

/* Of n_rows, those of one expert or all. */
static struct ppi_row_run run_at(const struct ppi_rule_at *at, int64_t row, int64_t n_rows)
{
    int64_t head_dim = at->spec->layers[at->layer].head_dim;
    struct key_head head;
    switch (ppi_rule_as(at)) {
    case PPI_AS_HEAD_FIRST:
        return in_pieces(row, head_dim, 0, 2 * head_dim);
    case PPI_AS_HEAD_SECOND:
        return in_pieces(row, head_dim, head_dim, 2 * head_dim);
    case PPI_AS_KEY_HEADS:
        head = key_head_of(&at->spec->linear, at->rule->part);
        return in_pieces(row, head.width, head.offset, head.all);
    case PPI_AS_SLICE:
        return (struct ppi_row_run){.first = slice_offset(at) + row, .step = 1, .n = n_rows - row};
    case PPI_AS_TURNS:
    case PPI_AS_TURNED:
    case PPI_AS_BLOCKS:
        return in_turns(at, row, n_rows);
    default:
        return (struct ppi_row_run){.first = row, .step = 1, .n = n_rows - row};
    }
}

int64_t ppi_one_expert_rows(const struct ppi_rule_at *at)
{
    int64_t n_rows, n_cols;
    ppi_part_rows(at, &n_rows, &n_cols);
    return n_rows / n_stacked(at);
}

/* The rows of a tensor that hold those of one expert. */
static int64_t stored_of_one(const struct ppi_rule_at *at)
{
    int64_t n_rows = ppi_one_expert_rows(at);
    const struct ppi_linear_shape *shape = &at->spec->linear;
    if (is_split(at))
        return n_rows / 2;
    switch (ppi_rule_as(at)) {
    case PPI_AS_HEAD_FIRST:
    case PPI_AS_HEAD_SECOND:
        return 2 * n_rows;
    case PPI_AS_KEY_HEADS:
        return shape->n_k_heads * key_head_of(shape, at->rule->part).all;
    case PPI_AS_SLICE:
        return slices_rows(at);
    case PPI_AS_TURNS:
    case PPI_AS_TURNED:
    case PPI_AS_BLOCKS:
        return is_gated(at->rule->weight) && at->rule->part != PPI_PART_ALL ? 2 * n_rows : n_rows;
    default:
        return n_rows;
    }
}

int64_t ppi_stored_rows(const struct ppi_rule_at *at)
{
    return stored_of_one(at) * (is_single(at) ? 1 : n_stacked(at));
}

struct ppi_row_run ppi_rows_at(const struct ppi_rule_at *at, int64_t row)
{
    int64_t n_rows = ppi_one_expert_rows(at), expert = row / n_rows;
    if (is_permuted(at))
        return permuted(row, at->spec->layers[at->layer].head_dim);
    if (is_split(at)) {
        int64_t half = n_rows / 2, of = row % half;
        return (struct ppi_row_run){.i_tensor = row % n_rows >= half,
                                    .first = expert * half + of,
                                    .step = 1,
                                    .n = half - of};
    }
    struct ppi_row_run run = run_at(at, row % n_rows, n_rows);
    if (is_single(at))
        run.i_tensor = (int32_t)expert;
    else
        run.first += expert * stored_of_one(at);
    return run;
}

/* ---- shapes ---- */

int32_t ppi_stored_shape(const struct ppi_rule_at *at, int64_t shape[PPI_RULE_MAX_RANK])
{
    int32_t rank = 0;
    int64_t n_rows, n_cols, rows = stored_of_one(at);
    bool turned = ppi_rule_as(at) == PPI_AS_TURNED, blocks = ppi_rule_as(at) == PPI_AS_BLOCKS;
    ppi_part_rows(at, &n_rows, &n_cols);
    if (is_of_each_expert(at->rule->weight) && !is_single(at))
        shape[rank++] = at->spec->experts.n;
    shape[rank++] = turned ? n_cols : rows;
    if (at->rule->weight == PPI_WEIGHT_LINEAR_CONV && !at->gguf)
        shape[rank++] = 1;
    if (blocks) {
        shape[rank++] = n_cols / 32;
        shape[rank++] = 16;
    } else if (!is_vector(at) || at->rule->weight == PPI_WEIGHT_LINEAR_CONV) {
        shape[rank++] = turned ? rows : n_cols;
    }
    return rank;
}
