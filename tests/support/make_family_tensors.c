/*
 * make_family_tensors.c: see make_family_impl.h.
 */
#include "make_family_impl.h"

#include <math.h>

void add(struct tensor_list *list, const struct draw *draw, int layer, const char *name,
         int64_t n_rows, int64_t n_cols)
{
    char full[112];
    double center = draw->family->norm == ORACLE_RMS_PLUS_ONE ? 0 : 1;
    tensor_list_add(list, full_name(draw, layer, name, full), n_rows, n_cols, center);
}

const char *full_name(const struct draw *draw, int layer, const char *name, char full[112])
{
    if (layer < 0)
        snprintf(full, 112, "%s%s", draw->model_prefix, name);
    else
        snprintf(full, 112, "%slayers.%d.%s", draw->model_prefix, layer, name);
    return full;
}

void add_linear(struct tensor_list *list, const struct draw *draw, int layer, const char *name,
                int64_t n_rows, int64_t n_cols, bool bias)
{
    char part[96];
    snprintf(part, sizeof part, "%s.weight", name);
    add(list, draw, layer, part, n_rows, n_cols);
    snprintf(part, sizeof part, "%s.bias", name);
    if (bias)
        add(list, draw, layer, part, 0, n_rows);
}

static void add_attention(struct tensor_list *list, const struct draw *draw, int layer)
{
    const struct family *family = draw->family;
    const struct layer_shape *own = &draw->own[layer];
    int64_t q_dim = (int64_t)draw->heads * own->head_dim;
    int64_t kv_dim = (int64_t)own->kv_heads * own->head_dim;
    bool by_key = family->bias != BIAS_NONE && draw->attention_bias,
         has_kv = own->kv_layer == layer;
    bool qkv = family->bias == BIAS_QKV || by_key;
    if (family->fused_qkv) {
        add(list, draw, layer, "self_attn.qkv_proj.weight", q_dim + 2 * kv_dim, draw->hidden);
    } else {
        add_linear(list, draw, layer, "self_attn.q_proj", q_dim * (family->attention_gate ? 2 : 1),
                   draw->hidden, qkv);
        if (has_kv)
            add_linear(list, draw, layer, "self_attn.k_proj", kv_dim, draw->hidden, qkv);
        if (has_kv && !(draw->v_is_k && draw->full[layer]))
            add_linear(list, draw, layer, "self_attn.v_proj", kv_dim, draw->hidden, qkv);
    }
    add_linear(list, draw, layer, "self_attn.o_proj", draw->hidden, q_dim,
               family->bias == BIAS_BY_KEY && by_key);
    if (family->qk_norm != ORACLE_NO_QK_NORM || draw->qk_norm) {
        bool whole = family->qk_norm == ORACLE_QK_NORM_WHOLE;
        add(list, draw, layer, "self_attn.q_norm.weight", 0, whole ? q_dim : own->head_dim);
        if (is(draw,
               "gemma4_text")) /* scores are not divided: unit ones would be a choice of one */
            list->tensors[list->n - 1].center = 2 / sqrt((double)own->head_dim);
        if (has_kv)
            add(list, draw, layer, "self_attn.k_norm.weight", 0, whole ? kv_dim : own->head_dim);
    }
    if (family->sinks)
        add(list, draw, layer, "self_attn.sinks", 0, draw->heads);
}

static void add_mlp(struct tensor_list *list, const struct draw *draw, int layer)
{
    bool bias = draw->family->mlp_bias_key && draw->mlp_bias;
    int64_t inter = draw->own[layer].inter;
    if (draw->family->fused_gate_up) {
        add(list, draw, layer, "mlp.gate_up_proj.weight", 2 * inter, draw->hidden);
    } else {
        add_linear(list, draw, layer, "mlp.gate_proj", inter, draw->hidden, bias);
        add_linear(list, draw, layer, "mlp.up_proj", inter, draw->hidden, bias);
    }
    add_linear(list, draw, layer, "mlp.down_proj", draw->hidden, inter, bias);
}

static void add_layer(struct tensor_list *list, const struct draw *draw, int layer)
{
    for (int place = 0; place < N_PLACES; place++)
        if (draw->family->norms[place])
            add_linear(list, draw, layer, draw->family->norms[place], 0, draw->hidden, false);
    if (draw->linear[layer])
        add_linear_layer(list, draw, layer);
    else
        add_attention(list, draw, layer);
    if (draw->own[layer].inter > 0)
        add_mlp(list, draw, layer);
    add_mixture(list, draw, layer);
}

void write_weights(const char *dir, const struct draw *draw)
{
    char name[64];
    struct tensor_list *list = calloc(1, sizeof *list);
    add(list, draw, -1, "embed_tokens.weight", draw->vocab, draw->hidden);
    add_layer_inputs(list, draw);
    for (int layer = 0; layer < draw->layers; layer++)
        add_layer(list, draw, layer);
    add(list, draw, -1, "norm.weight", 0, draw->hidden);
    snprintf(name, sizeof name, "%slm_head.weight", draw->head_prefix);
    if (!draw->tied)
        tensor_list_add(list, name, draw->vocab, draw->hidden, 1);
    if (draw->nested)
        tensor_list_add(list,
                        draw->head_prefix[0] ? "vision_tower.post_layernorm.weight"
                                             : "model.vision_tower.post_layernorm.weight",
                        0, 8, 1);
    tensor_list_write(list, dir, draw->n_files, draw->dtype, draw->rng);
    free(list);
}
