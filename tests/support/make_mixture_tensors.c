/*
 * make_mixture_tensors.c: see make_family_impl.h.
 */
#include "make_family_impl.h"

#include <math.h>

/* With values of their own kind, of n_stacked matrices or (n_rows 0) a vector. */
static void add_values(struct tensor_list *list, const struct draw *draw, int layer,
                       const char *name, int64_t n_stacked, int64_t n_rows, int64_t n_cols,
                       double center, double spread)
{
    char full[112];
    struct written_tensor *tensor =
        tensor_list_add(list, full_name(draw, layer, name, full), n_rows, n_cols, center);
    tensor->n_stacked = n_stacked;
    tensor->center = center;
    tensor->spread = spread;
}

void add_layer_inputs(struct tensor_list *list, const struct draw *draw)
{
    int64_t size = draw->input_size, all = draw->layers * size;
    if (size == 0)
        return;
    add_values(list, draw, -1, "embed_tokens_per_layer.weight", 0, draw->vocab + 3, all, 0, 0.6);
    add(list, draw, -1, "per_layer_model_projection.weight", all, draw->hidden);
    add(list, draw, -1, "per_layer_projection_norm.weight", 0, size);
}

static void add_delta(struct tensor_list *list, const struct draw *draw, int layer)
{
    int64_t k_size = draw->k_heads * draw->k_dim, v_size = draw->v_heads * draw->v_dim;
    if (draw->family->linear == LINEAR_QWEN_NEXT) {
        add(list, draw, layer, "linear_attn.in_proj_qkvz.weight", 2 * k_size + 2 * v_size,
            draw->hidden);
        add(list, draw, layer, "linear_attn.in_proj_ba.weight", 2 * draw->v_heads, draw->hidden);
    } else {
        add(list, draw, layer, "linear_attn.in_proj_qkv.weight", 2 * k_size + v_size, draw->hidden);
        add(list, draw, layer, "linear_attn.in_proj_z.weight", v_size, draw->hidden);
        add(list, draw, layer, "linear_attn.in_proj_b.weight", draw->v_heads, draw->hidden);
        add(list, draw, layer, "linear_attn.in_proj_a.weight", draw->v_heads, draw->hidden);
    }
    add_values(list, draw, layer, "linear_attn.conv1d.weight", 2 * k_size + v_size, 1, draw->kernel,
               0, 0.5);
    add_values(list, draw, layer, "linear_attn.A_log", 0, 0, draw->v_heads, -2.5, 1.2);
    add(list, draw, layer, "linear_attn.dt_bias", 0, draw->v_heads);
    add_values(list, draw, layer, "linear_attn.norm.weight", 0, 0, draw->v_dim, 1, 0.25);
    add(list, draw, layer, "linear_attn.out_proj.weight", draw->hidden, v_size);
}

static void add_mamba(struct tensor_list *list, const struct draw *draw, int layer)
{
    int64_t k_size = draw->k_heads * draw->k_dim, v_size = draw->v_heads * draw->v_dim;
    int64_t channels = v_size + 2 * k_size;
    add_linear(list, draw, layer, "mamba.in_proj", v_size + channels + draw->v_heads, draw->hidden,
               draw->linear_bias);
    add_values(list, draw, layer, "mamba.conv1d.weight", channels, 1, draw->kernel, 0, 0.5);
    if (draw->conv_bias)
        add(list, draw, layer, "mamba.conv1d.bias", 0, channels);
    add_values(list, draw, layer, "mamba.A_log", 0, 0, draw->v_heads, -2.5, 1.2);
    add(list, draw, layer, "mamba.dt_bias", 0, draw->v_heads);
    add_values(list, draw, layer, "mamba.D", 0, 0, draw->v_heads, 1, 0.25);
    add(list, draw, layer, "mamba.norm.weight", 0, v_size);
    add_linear(list, draw, layer, "mamba.out_proj", draw->hidden, v_size, draw->linear_bias);
}

void add_linear_layer(struct tensor_list *list, const struct draw *draw, int layer)
{
    if (draw->family->linear == LINEAR_GRANITE)
        add_mamba(list, draw, layer);
    else
        add_delta(list, draw, layer);
}

/* Blocks of MXFP4 and their powers of two: numbers of about unit gain. */
static void add_blocks(struct tensor_list *list, const struct draw *draw, int layer,
                       const char *name, int64_t n_rows, int64_t n_cols)
{
    char part[96], full[112];
    snprintf(part, sizeof part, "%s_blocks", name);
    struct written_tensor *blocks =
        tensor_list_add(list, full_name(draw, layer, part, full), n_rows, 16, 0);
    blocks->bytes = true;
    blocks->n_stacked = draw->n_experts;
    blocks->n_middle = n_cols / 32;
    blocks->spread = 255;
    snprintf(part, sizeof part, "%s_scales", name);
    struct written_tensor *scales =
        tensor_list_add(list, full_name(draw, layer, part, full), n_rows, n_cols / 32, 0);
    scales->n_stacked = draw->n_experts;
    scales->bytes = true;
    scales->center = 122;
    scales->spread = 3;
}

static void add_gpt_oss(struct tensor_list *list, const struct draw *draw, int layer)
{
    int64_t n = draw->n_experts, inter = draw->expert_size, hidden = draw->hidden;
    if (draw->mxfp4) {
        add_blocks(list, draw, layer, "mlp.experts.gate_up_proj", 2 * inter, hidden);
        add_blocks(list, draw, layer, "mlp.experts.down_proj", hidden, inter);
    } else {
        add_values(list, draw, layer, "mlp.experts.gate_up_proj", n, hidden, 2 * inter, 0,
                   1.3 / sqrt((double)hidden));
        add_values(list, draw, layer, "mlp.experts.down_proj", n, inter, hidden, 0,
                   1.3 / sqrt((double)inter));
    }
    add(list, draw, layer, "mlp.experts.gate_up_proj_bias", n, 2 * inter);
    add(list, draw, layer, "mlp.experts.down_proj_bias", n, hidden);
    add_linear(list, draw, layer, "mlp.router", n, hidden, true);
}

/* The shared one of Granite is its dense mlp where there are no experts. */
static void add_granite(struct tensor_list *list, const struct draw *draw, int layer)
{
    int64_t n = draw->n_experts, inter = draw->expert_size, hidden = draw->hidden;
    if (n > 0) {
        add_values(list, draw, layer, "block_sparse_moe.input_linear.weight", n, 2 * inter, hidden,
                   0, 1.3 / sqrt((double)hidden));
        add_values(list, draw, layer, "block_sparse_moe.output_linear.weight", n, hidden, inter, 0,
                   1.3 / sqrt((double)inter));
        add(list, draw, layer, "block_sparse_moe.router.layer.weight", n, hidden);
    }
    if (draw->shared_size > 0) {
        add(list, draw, layer, "shared_mlp.input_linear.weight", 2 * draw->shared_size, hidden);
        add(list, draw, layer, "shared_mlp.output_linear.weight", hidden, draw->shared_size);
    }
}

static void add_single(struct tensor_list *list, const struct draw *draw, int layer,
                       const char *place, const char *const *names)
{
    char name[96];
    for (int i = 0; i < draw->n_experts; i++)
        for (int part = 0; part < 3; part++) {
            snprintf(name, sizeof name, "%s.%d.%s.weight", place, i, names[part]);
            bool down = part == 2;
            add(list, draw, layer, name, down ? draw->hidden : draw->expert_size,
                down ? draw->expert_size : draw->hidden);
        }
}

/* One tensor for each, or all in one, as Mixtral, Qwen, GLM and Gemma have them. */
static void add_matrices(struct tensor_list *list, const struct draw *draw, int layer)
{
    static const char *const old[] = {"w1", "w3", "w2"}, *const usual[] = {"gate_proj", "up_proj",
                                                                           "down_proj"};
    bool gemma = draw->family->experts == EXPERTS_GEMMA4;
    const char *place = gemma ? "experts" : "mlp.experts";
    char name[96];
    if (!draw->fused && !gemma) {
        bool mixtral = is(draw, "mixtral");
        add_single(list, draw, layer, mixtral ? "block_sparse_moe.experts" : place,
                   mixtral ? old : usual);
        return;
    }
    snprintf(name, sizeof name, "%s.gate_up_proj", place);
    add_values(list, draw, layer, name, draw->n_experts, 2 * draw->expert_size, draw->hidden, 0,
               1.3 / sqrt((double)draw->hidden));
    snprintf(name, sizeof name, "%s.down_proj", place);
    add_values(list, draw, layer, name, draw->n_experts, draw->hidden, draw->expert_size, 0,
               1.3 / sqrt((double)draw->expert_size));
}

static void add_shared(struct tensor_list *list, const struct draw *draw, int layer)
{
    char name[96];
    const char *place =
        draw->family->experts == EXPERTS_GLM ? "mlp.shared_experts" : "mlp.shared_expert";
    if (draw->shared_size == 0)
        return;
    snprintf(name, sizeof name, "%s.gate_proj.weight", place);
    add(list, draw, layer, name, draw->shared_size, draw->hidden);
    snprintf(name, sizeof name, "%s.up_proj.weight", place);
    add(list, draw, layer, name, draw->shared_size, draw->hidden);
    snprintf(name, sizeof name, "%s.down_proj.weight", place);
    add(list, draw, layer, name, draw->hidden, draw->shared_size);
    if (draw->family->shared_gate)
        add(list, draw, layer, "mlp.shared_expert_gate.weight", 1, draw->hidden);
}

static void add_experts(struct tensor_list *list, const struct draw *draw, int layer)
{
    int64_t n = draw->n_experts, hidden = draw->hidden;
    add_matrices(list, draw, layer);
    if (draw->family->experts == EXPERTS_GEMMA4) {
        add_values(list, draw, layer, "router.proj.weight", 0, n, hidden, 0, 1.3);
        add_values(list, draw, layer, "router.scale", 0, 0, hidden, 1, 0.25);
        add_values(list, draw, layer, "router.per_expert_scale", 0, 0, n, 1, 0.25);
        add(list, draw, layer, "post_feedforward_layernorm_1.weight", 0, hidden);
        add(list, draw, layer, "pre_feedforward_layernorm_2.weight", 0, hidden);
        add(list, draw, layer, "post_feedforward_layernorm_2.weight", 0, hidden);
        return;
    }
    bool old = is(draw, "mixtral") && !draw->fused;
    add(list, draw, layer, old ? "block_sparse_moe.gate.weight" : "mlp.gate.weight", n, hidden);
    if (draw->family->experts == EXPERTS_GLM)
        add_values(list, draw, layer, "mlp.gate.e_score_correction_bias", 0, 0, n, 0, 0.2);
    add_shared(list, draw, layer);
}

void add_mixture(struct tensor_list *list, const struct draw *draw, int layer)
{
    if (draw->family->experts == EXPERTS_GRANITE)
        add_granite(list, draw, layer);
    else if (draw->has_experts[layer] && draw->family->experts == EXPERTS_GPT_OSS)
        add_gpt_oss(list, draw, layer);
    else if (draw->has_experts[layer])
        add_experts(list, draw, layer);
    if (!is(draw, "gemma4_text"))
        return;
    add_values(list, draw, layer, "layer_scalar", 0, 0, 1, 1, 0.2);
    if (draw->input_size == 0)
        return;
    add(list, draw, layer, "per_layer_input_gate.weight", draw->input_size, draw->hidden);
    add(list, draw, layer, "per_layer_projection.weight", draw->hidden, draw->input_size);
    add(list, draw, layer, "post_per_layer_input_norm.weight", 0, draw->hidden);
}
