/*
 * stored_forms.c: the forms of stored_forms.h, written element by element.
 */
#include "stored_forms.h"

#include "dtype.h"

#include <stdlib.h>

/* ---- sizes ---- */

#define EXPERTS world->model.spec.experts.n
#define INNER   world->model.spec.experts.intermediate_size
#define HIDDEN  world->model.spec.hidden_size
#define LINEAR  (&world->model.spec.linear)

static void use_experts(struct stored_world *world, int32_t hidden, int32_t inner, int32_t n)
{
    world->model.spec.hidden_size = hidden;
    world->model.spec.experts =
        (struct ppi_experts_spec){.n = n, .top_k = 1, .intermediate_size = inner, .biases = true};
    world->layer = (struct ppi_layer_spec){
        .kind = PPI_LAYER_ATTENTION, .n_kv_heads = 1, .head_dim = 8, .has_experts = true};
}

static void use_attention(struct stored_world *world, bool v_is_k)
{
    world->model.spec.hidden_size = 24;
    world->model.spec.n_heads = 3;
    world->model.spec.intermediate_size = 700;
    world->layer = (struct ppi_layer_spec){
        .kind = PPI_LAYER_ATTENTION, .n_kv_heads = 1, .head_dim = 8, .v_is_k = v_is_k};
    world->layer.mlp_size = 700;
}

static void use_linear(struct stored_world *world, enum ppi_linear_rule rule)
{
    world->model.spec.hidden_size = 16;
    world->model.spec.linear_bias = world->model.spec.conv_bias = true;
    world->model.spec.linear = (struct ppi_linear_shape){.rule = rule,
                                                         .n_k_heads = 2,
                                                         .n_v_heads = 6,
                                                         .k_dim = 4,
                                                         .v_dim = 5,
                                                         .conv_kernel = 3,
                                                         .norm_groups = 1};
    world->layer = (struct ppi_layer_spec){.kind = PPI_LAYER_LINEAR};
}

/* ---- what files hold, element by element ---- */

#define NUMBER(function, weight, row, col)                                                         \
    static float function(const struct stored_world *world, const int64_t *i)                      \
    {                                                                                              \
        return world_value(world, PPI_WEIGHT_##weight, row, col);                                  \
    }

static int64_t expert_of_name; /* that world_add is at */

/* one expert: [rows, hidden] */
NUMBER(one_gate, EXPERT_GATE_UP, expert_of_name * 2 * INNER + i[0], i[1])
NUMBER(one_up, EXPERT_GATE_UP, expert_of_name * 2 * INNER + INNER + i[0], i[1])
NUMBER(one_down, EXPERT_DOWN, expert_of_name *HIDDEN + i[0], i[1])
NUMBER(router, ROUTER, i[0], i[1])
/* all: [n, rows, cols] */
NUMBER(all_gate_up, EXPERT_GATE_UP, i[0] * 2 * INNER + i[1], i[2])
NUMBER(all_gate, EXPERT_GATE_UP, i[0] * 2 * INNER + i[1], i[2])
NUMBER(all_up, EXPERT_GATE_UP, i[0] * 2 * INNER + INNER + i[1], i[2])
NUMBER(all_down, EXPERT_DOWN, i[0] * HIDDEN + i[1], i[2])
/* turned: [n, cols, rows], gate and up in turns */
NUMBER(turned_gate_up, EXPERT_GATE_UP, i[0] * 2 * INNER + (i[2] % 2) * INNER + i[2] / 2, i[1])
NUMBER(turned_down, EXPERT_DOWN, i[0] * HIDDEN + i[2], i[1])
NUMBER(gate_up_bias, EXPERT_GATE_UP_BIAS, 0, i[0] * 2 * INNER + (i[1] % 2) * INNER + i[1] / 2)
NUMBER(down_bias, EXPERT_DOWN_BIAS, 0, i[0] * HIDDEN + i[1])
/* [2 inner, hidden] in turns */
NUMBER(dense_turns, GATE_UP, (i[0] % 2) * 700 + i[0] / 2, i[1])
/* [heads, 2, 8] rows */
NUMBER(halves, QKV, i[0] / 16 * 8 + i[0] % 8, i[1])
NUMBER(gates, ATTN_GATE, i[0] / 16 * 8 + i[0] % 8, i[1])
NUMBER(keys, QKV, 24 + i[0], i[1])

static float both_halves(const struct stored_world *world, const int64_t *i)
{
    return i[0] % 16 < 8 ? halves(world, i) : gates(world, i);
}

/* Rows of a key head: q 4, k 4, then v and z of three value heads of 5. */
static float by_key_heads(const struct stored_world *world, const int64_t *i)
{
    int64_t head = i[0] / 38, of = i[0] % 38, row;
    if (of < 4)
        row = head * 4 + of;
    else if (of < 8)
        row = 8 + head * 4 + of - 4;
    else if (of < 23)
        row = 16 + head * 15 + of - 8;
    else
        row = 46 + head * 15 + of - 23;
    return world_value(world, PPI_WEIGHT_LINEAR_IN, row, i[1]);
}

/* Of a key head: b, then a, of three value heads. */
static float by_key_heads_ba(const struct stored_world *world, const int64_t *i)
{
    int64_t head = i[0] / 6, of = i[0] % 6;
    int64_t row = of < 3 ? 76 + head * 3 + of : 82 + head * 3 + of - 3;
    return world_value(world, PPI_WEIGHT_LINEAR_IN, row, i[1]);
}

/* z 30, v 30, k 8, q 8, dt 6; ours are q, k, v, z, dt. */
static int64_t mamba_row(int64_t row)
{
    if (row < 30)
        return 46 + row;
    if (row < 60)
        return 16 + row - 30;
    if (row < 68)
        return 8 + row - 60;
    return row < 76 ? row - 68 : row;
}

NUMBER(mamba_in, LINEAR_IN, mamba_row(i[0]), i[1])
NUMBER(mamba_in_bias, LINEAR_IN_BIAS, 0, mamba_row(i[0]))
/* channels stand as those rows do, without z */
NUMBER(mamba_conv, LINEAR_CONV, 0, mamba_row(30 + i[0]) * 3 + i[2])
NUMBER(mamba_conv_bias, LINEAR_CONV_BIAS, 0, mamba_row(30 + i[0]))
NUMBER(plain_conv, LINEAR_CONV, 0, i[0] * 3 + i[2])

/* ---- MXFP4 ---- */

/* Code and scale at a place; numbers as the OCP's specification has them. */
static uint8_t code_at(int64_t row, int64_t col)
{
    return (uint8_t)((row * 7 + col * 5 + row * col) % 16);
}

static uint8_t scale_at(int64_t row, int64_t group)
{
    return (uint8_t)(120 + (row * 3 + group) % 9);
}

float block_value(int64_t row, int64_t col)
{
    static const float numbers[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    uint8_t code = code_at(row, col);
    float power = ppi_f32_from_bits((uint32_t)scale_at(row, col / 32) << 23);
    return numbers[code & 7] * power * (code & 8 ? -1.0f : 1.0f);
}

/* The row of the whole that a stored row is, gate and up in turns or not. */
static int64_t block_row(int64_t row, int64_t size, bool turns)
{
    int64_t of = row % size;
    return row - of + (turns ? of % 2 * (size / 2) + of / 2 : of);
}

static void add_blocks(struct stored_world *world, const char *name, int64_t size, int64_t cols,
                       bool turns)
{
    char full[64];
    int64_t n_rows = EXPERTS * size, groups = cols / 32;
    uint8_t *blocks = malloc((size_t)(n_rows * cols / 2)),
            *scales = malloc((size_t)(n_rows * groups));
    for (int64_t r = 0; r < n_rows; r++) {
        int64_t row = block_row(r, size, turns);
        for (int64_t c = 0; c < cols; c += 2)
            blocks[(r * cols + c) / 2] = (uint8_t)(code_at(row, c) | code_at(row, c + 1) << 4);
        for (int64_t g = 0; g < groups; g++)
            scales[r * groups + g] = scale_at(row, g);
    }
    snprintf(full, sizeof full, "%s_blocks", name);
    world_add_bytes(world, full, 4, (int64_t[]){EXPERTS, size, groups, 16}, blocks);
    snprintf(full, sizeof full, "%s_scales", name);
    world_add_bytes(world, full, 3, (int64_t[]){EXPERTS, size, groups}, scales);
    free(blocks);
    free(scales);
}

/* ---- the forms ---- */

#define RULE(weight, part, name, when, as)                                                         \
    {                                                                                              \
        PPI_WEIGHT_##weight, PPI_PART_##part, name, PPI_##when, PPI_AS_##as                        \
    }

static void write_single_experts(struct stored_world *world)
{
    world_add(world, PLACE "router.weight", 2, (int64_t[]){EXPERTS, HIDDEN}, router);
    static const struct {
        const char *name;
        world_number number;
    } parts[] = {{"gate", one_gate}, {"up", one_up}, {"down", one_down}};
    for (int32_t e = 0; e < EXPERTS; e++)
        for (int p = 0; p < 3; p++) {
            char name[96];
            int64_t shape[] = {p < 2 ? INNER : HIDDEN, p < 2 ? HIDDEN : INNER};
            snprintf(name, sizeof name, PLACE "e.%d.%s.weight", e, parts[p].name);
            expert_of_name = e;
            world_add(world, name, 2, shape, parts[p].number);
        }
}

static void write_fused(struct stored_world *world)
{
    world_add(world, PLACE "e.gate_up", 3, (int64_t[]){EXPERTS, 2 * INNER, HIDDEN}, all_gate_up);
    world_add(world, PLACE "e.down", 3, (int64_t[]){EXPERTS, HIDDEN, INNER}, all_down);
}

static void write_apart(struct stored_world *world)
{
    world_add(world, PLACE "e.gates", 3, (int64_t[]){EXPERTS, INNER, HIDDEN}, all_gate);
    world_add(world, PLACE "e.ups", 3, (int64_t[]){EXPERTS, INNER, HIDDEN}, all_up);
    world_add(world, PLACE "e.down", 3, (int64_t[]){EXPERTS, HIDDEN, INNER}, all_down);
}

static void write_biases(struct stored_world *world)
{
    world_add(world, PLACE "e.gate_up_bias", 2, (int64_t[]){EXPERTS, 2 * INNER}, gate_up_bias);
    world_add(world, PLACE "e.down_bias", 2, (int64_t[]){EXPERTS, HIDDEN}, down_bias);
}

static void write_turned(struct stored_world *world)
{
    world_add(world, PLACE "e.gate_up", 3, (int64_t[]){EXPERTS, HIDDEN, 2 * INNER}, turned_gate_up);
    world_add(world, PLACE "e.down", 3, (int64_t[]){EXPERTS, INNER, HIDDEN}, turned_down);
    write_biases(world);
}

static void write_blocks(struct stored_world *world)
{
    add_blocks(world, PLACE "e.gate_up", 2 * INNER, HIDDEN, true);
    add_blocks(world, PLACE "e.down", HIDDEN, INNER, false);
    write_biases(world);
}

static void write_halves(struct stored_world *world)
{
    world_add(world, PLACE "q.weight", 2, (int64_t[]){48, 24}, both_halves);
    world_add(world, PLACE "k.weight", 2, (int64_t[]){8, 24}, keys);
    world_add(world, PLACE "gate_up.weight", 2, (int64_t[]){1400, 24}, dense_turns);
}

static void write_key_heads(struct stored_world *world)
{
    world_add(world, PLACE "qkvz.weight", 2, (int64_t[]){76, 16}, by_key_heads);
    world_add(world, PLACE "ba.weight", 2, (int64_t[]){12, 16}, by_key_heads_ba);
    world_add(world, PLACE "conv.weight", 3, (int64_t[]){46, 1, 3}, plain_conv);
}

static void write_slices(struct stored_world *world)
{
    world_add(world, PLACE "in.weight", 2, (int64_t[]){82, 16}, mamba_in);
    world_add(world, PLACE "in.bias", 1, (int64_t[]){82}, mamba_in_bias);
    world_add(world, PLACE "conv.weight", 3, (int64_t[]){46, 1, 3}, mamba_conv);
    world_add(world, PLACE "conv.bias", 1, (int64_t[]){46}, mamba_conv_bias);
}

/* In every list of experts: the forms that one class may have. */
#define SINGLE                                                                                     \
    RULE(EXPERT_GATE_UP, GATE, "e.%d.gate.weight", WHEN_EXPERTS_SINGLE, IS),                       \
        RULE(EXPERT_GATE_UP, UP, "e.%d.up.weight", WHEN_EXPERTS_SINGLE, IS)

static const struct ppi_tensor_rule ONE_OR_ALL[] = {
    PPI_TENSORS_ENDS,
    SINGLE,
    RULE(EXPERT_GATE_UP, ALL, "e.gate_up", WHEN_EXPERTS_FUSED, IS),
    RULE(ROUTER, ALL, "router.weight", WHEN_EXPERTS_SINGLE, IS),
    RULE(EXPERT_DOWN, ALL, "e.%d.down.weight", WHEN_EXPERTS_SINGLE, IS),
    RULE(EXPERT_DOWN, ALL, "e.down", WHEN_EXPERTS_FUSED, IS),
    PPI_TENSORS_END,
};
static const struct ppi_tensor_rule APART[] = {
    PPI_TENSORS_ENDS,
    SINGLE,
    RULE(EXPERT_GATE_UP, GATE, "e.gates", WHEN_EXPERTS_FUSED, IS),
    RULE(EXPERT_GATE_UP, UP, "e.ups", WHEN_EXPERTS_FUSED, IS),
    RULE(EXPERT_DOWN, ALL, "e.down", WHEN_EXPERTS_FUSED, IS),
    PPI_TENSORS_END,
};
static const struct ppi_tensor_rule TURNED[] = {
    PPI_TENSORS_ENDS,
    RULE(EXPERT_GATE_UP, ALL, "e.gate_up", WHEN_EXPERTS_FUSED, TURNED),
    RULE(EXPERT_GATE_UP, ALL, "e.gate_up", WHEN_EXPERTS_PACKED, BLOCKS),
    RULE(EXPERT_GATE_UP_BIAS, ALL, "e.gate_up_bias", WHEN_EXPERT_BIAS, TURNS),
    RULE(EXPERT_DOWN, ALL, "e.down", WHEN_EXPERTS_FUSED, TURNED),
    RULE(EXPERT_DOWN, ALL, "e.down", WHEN_EXPERTS_PACKED, BLOCKS),
    RULE(EXPERT_DOWN_BIAS, ALL, "e.down_bias", WHEN_EXPERT_BIAS, IS),
    PPI_TENSORS_END,
};
static const struct ppi_tensor_rule HALVES[] = {
    PPI_TENSORS_ENDS,
    RULE(QKV, Q, "q.weight", ALWAYS, HEAD_FIRST),
    RULE(QKV, K, "k.weight", ALWAYS, IS),
    RULE(QKV, V, "v.weight", WHEN_V, IS),
    RULE(QKV, V, "k.weight", WHEN_V_IS_K, IS),
    RULE(ATTN_GATE, ALL, "q.weight", ALWAYS, HEAD_SECOND),
    RULE(V_NORM, ALL, "", ALWAYS, ONES),
    RULE(GATE_UP, GATE, "gate_up.weight", ALWAYS, TURNS),
    RULE(GATE_UP, UP, "gate_up.weight", ALWAYS, TURNS),
    PPI_TENSORS_END,
};
static const struct ppi_tensor_rule KEY_HEADS[] = {
    PPI_TENSORS_ENDS,
    RULE(LINEAR_IN, Q, "qkvz.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_IN, K, "qkvz.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_IN, V, "qkvz.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_IN, Z, "qkvz.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_IN, B, "ba.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_IN, A, "ba.weight", ALWAYS, KEY_HEADS),
    RULE(LINEAR_CONV, ALL, "conv.weight", ALWAYS, IS),
    PPI_TENSORS_END,
};
static const struct ppi_tensor_rule SLICES[] = {
    PPI_TENSORS_ENDS,
    RULE(LINEAR_IN, Q, "in.weight", ALWAYS, SLICE),
    RULE(LINEAR_IN, K, "in.weight", ALWAYS, SLICE),
    RULE(LINEAR_IN, V, "in.weight", ALWAYS, SLICE),
    RULE(LINEAR_IN, Z, "in.weight", ALWAYS, SLICE),
    RULE(LINEAR_IN, A, "in.weight", ALWAYS, SLICE),
    RULE(LINEAR_IN_BIAS, Q, "in.bias", WHEN_LINEAR_BIAS, SLICE),
    RULE(LINEAR_IN_BIAS, K, "in.bias", WHEN_LINEAR_BIAS, SLICE),
    RULE(LINEAR_IN_BIAS, V, "in.bias", WHEN_LINEAR_BIAS, SLICE),
    RULE(LINEAR_IN_BIAS, Z, "in.bias", WHEN_LINEAR_BIAS, SLICE),
    RULE(LINEAR_IN_BIAS, A, "in.bias", WHEN_LINEAR_BIAS, SLICE),
    RULE(LINEAR_CONV, Q, "conv.weight", ALWAYS, SLICE),
    RULE(LINEAR_CONV, K, "conv.weight", ALWAYS, SLICE),
    RULE(LINEAR_CONV, V, "conv.weight", ALWAYS, SLICE),
    RULE(LINEAR_CONV_BIAS, Q, "conv.bias", WHEN_CONV_BIAS, SLICE),
    RULE(LINEAR_CONV_BIAS, K, "conv.bias", WHEN_CONV_BIAS, SLICE),
    RULE(LINEAR_CONV_BIAS, V, "conv.bias", WHEN_CONV_BIAS, SLICE),
    PPI_TENSORS_END,
};

static void few_experts(struct stored_world *world)
{
    use_experts(world, 64, 32, 3);
}

/* Rows longer than a piece, and more of them than a tile has. */
static void wide_experts(struct stored_world *world)
{
    use_experts(world, 9000, 3, 2);
}

static void many_rows(struct stored_world *world)
{
    use_experts(world, 96, 1056, 2);
}

static void attention(struct stored_world *world)
{
    use_attention(world, true);
}

static void delta(struct stored_world *world)
{
    use_linear(world, PPI_LINEAR_DELTA);
}

static void mamba(struct stored_world *world)
{
    use_linear(world, PPI_LINEAR_MAMBA2);
}

static void write_nothing(struct stored_world *world)
{
    (void)world;
}

/* Scales of one expert's row. */
static void write_nan(struct stored_world *world)
{
    uint8_t *bytes = calloc(1, 3 * 64 * 64);
    bytes[77] = 255;
    world_add_bytes(world, PLACE "e.gate_up_blocks", 4, (int64_t[]){3, 64, 2, 16}, bytes);
    world_add_bytes(world, PLACE "e.gate_up_scales", 3, (int64_t[]){3, 64, 2}, bytes);
    add_blocks(world, PLACE "e.down", HIDDEN, INNER, false);
    write_biases(world);
    free(bytes);
}

const struct form FORMS[N_FORMS] = {
    {"single", ONE_OR_ALL, few_experts, write_single_experts, false, PLACE "e.1.up.weight",
     "asks for [32, 64]"},
    {"fused", ONE_OR_ALL, few_experts, write_fused, false, PLACE "e.down", "asks for [3, 64, 32]"},
    {"apart", APART, few_experts, write_apart, false, PLACE "e.ups", "asks for [3, 32, 64]"},
    {"turned", TURNED, few_experts, write_turned, false, PLACE "e.down", "asks for [3, 32, 64]"},
    {"blocks", TURNED, few_experts, write_blocks, true, PLACE "e.down_blocks",
     "another shape than [3, 64, 1, 16]"},
    {"halves", HALVES, attention, write_halves, false, PLACE "q.weight", "asks for [48, 24]"},
    {"key heads", KEY_HEADS, delta, write_key_heads, false, PLACE "ba.weight", "asks for [12, 16]"},
    {"slices", SLICES, mamba, write_slices, false, PLACE "conv.weight", "asks for [46, 1, 3]"},
    /* large ones */
    {"wide single", ONE_OR_ALL, wide_experts, write_single_experts, false, NULL, NULL},
    {"wide turned", TURNED, wide_experts, write_turned, false, NULL, NULL},
    {"many turned", TURNED, many_rows, write_turned, false, NULL, NULL},
    {"many blocks", TURNED, many_rows, write_blocks, true, NULL, NULL},
};

const struct form NONE = {"none", ONE_OR_ALL, few_experts, write_nothing, false, NULL, NULL};
const struct form NOT_A_NUMBER = {"NaN", TURNED, few_experts, write_nan, true, NULL, NULL};

void form_begin(const struct form *form, int32_t dtype, struct stored_world *world)
{
    form->size(world);
    world_begin(world, form->rules, dtype);
    form->write(world);
}
