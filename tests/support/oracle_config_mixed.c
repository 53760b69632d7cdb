/*
 * oracle_config_mixed.c: see oracle_json.h.
 */
#include "oracle_json.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

/* ---- experts ---- */

static bool listed(const json_t *list, int64_t number)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) if (json_integer_value(item) == number) return true;
    return false;
}

static bool layer_has_experts(const struct family *family, const json_t *text, int64_t i)
{
    switch (family->experts) {
    case EXPERTS_QWEN:
        return !listed(oracle_get(text, "mlp_only_layers"), i) &&
               (i + 1) % oracle_integer(text, "decoder_sparse_step", 1) == 0;
    case EXPERTS_GLM:
        return i >= oracle_integer(text, "first_k_dense_replace", 1);
    default:
        return true;
    }
}

/* How many, how many are chosen, how large, and how large the one of every row. */
static void read_sizes(const struct family *family, const json_t *text,
                       struct oracle_experts_config *x)
{
    int64_t inter = oracle_integer(text, "intermediate_size", 0);
    x->inter = oracle_integer(text, "moe_intermediate_size", inter);
    x->top_k = oracle_integer(text, "num_experts_per_tok", 2);
    switch (family->experts) {
    case EXPERTS_MIXTRAL:
    case EXPERTS_GRANITE:
        x->n = oracle_integer(text, "num_local_experts", 8);
        x->inter = inter;
        if (family->shared_expert)
            x->shared_inter = oracle_integer(text, "shared_intermediate_size",
                                             family->linear != LINEAR_NONE ? 1024 : 0);
        break;
    case EXPERTS_GPT_OSS:
        x->n = oracle_integer(text, "num_local_experts", 128);
        x->top_k = oracle_integer(text, "num_experts_per_tok", 4);
        x->inter = inter;
        break;
    case EXPERTS_GLM:
        x->n = oracle_integer(text, "n_routed_experts", 128);
        x->top_k = oracle_integer(text, "num_experts_per_tok", 8);
        x->shared_inter = x->inter * oracle_integer(text, "n_shared_experts", 1);
        break;
    case EXPERTS_GEMMA4:
        x->n = oracle_truth(text, "enable_moe_block", false)
                   ? oracle_integer(text, "num_experts", 0)
                   : 0;
        x->top_k = oracle_integer(text, "top_k_experts", 0);
        break;
    default:
        x->n = oracle_integer(text, "num_experts", oracle_integer(text, "num_local_experts", 0));
        if (family->experts == EXPERTS_OLMOE)
            x->inter = inter;
        if (family->shared_expert)
            x->shared_inter = oracle_integer(text, "shared_expert_intermediate_size", 0);
    }
}

static void read_experts(const struct family *family, const json_t *text,
                         struct oracle_config *config)
{
    struct oracle_experts_config *x = &config->experts;
    if (family->experts == EXPERTS_NONE)
        return;
    read_sizes(family, text, x);
    x->scoring = ORACLE_SOFTMAX_ALL;
    if (family->experts == EXPERTS_GRANITE || family->experts == EXPERTS_GPT_OSS)
        x->scoring = ORACLE_SOFTMAX_CHOSEN;
    x->scale = 1;
    if (family->experts == EXPERTS_GLM) {
        x->scoring = ORACLE_SIGMOID;
        x->scale = oracle_number(text, "routed_scaling_factor", 1);
        ck_assert_int_eq(oracle_integer(text, "n_group", 1), 1);
    }
    x->normalize = family->normalize_key ? oracle_truth(text, "norm_topk_prob", family->normalize)
                                         : family->normalize;
    x->shared_gate = family->shared_gate;
    x->clamped = family->experts == EXPERTS_GPT_OSS;
    x->limit = oracle_number(text, "swiglu_limit", 7);
    x->alpha = oracle_number(text, "swiglu_alpha", 1.702);
    for (int64_t i = 0; i < config->n_layers; i++) {
        struct oracle_layer_config *layer = &config->layers[i];
        layer->experts = x->n > 0 && layer_has_experts(family, text, i);
        if (layer->experts && family->experts != EXPERTS_GEMMA4)
            layer->inter = 0;
        if (!layer->experts && family->experts == EXPERTS_GRANITE)
            layer->inter = x->shared_inter;
    }
}

/* ---- linear layers ---- */

static bool layer_is_linear(const struct family *family, const json_t *text, int64_t i)
{
    const json_t *types = oracle_get(text, "layer_types");
    if (!types)
        types = oracle_get(text, "layers_block_type");
    if (types) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        return strcmp(type, "linear_attention") == 0 || strcmp(type, "mamba") == 0;
    }
    if (family->linear == LINEAR_GRANITE)
        return true;
    return (i + 1) % oracle_integer(text, "full_attention_interval", 4) != 0;
}

/* Numbers of a list, one of which may be infinity in words. */
static double limit_at(const json_t *list, size_t i, double fallback)
{
    const json_t *item = json_array_get(list, i);
    if (!item || json_is_object(item))
        return fallback;
    return json_number_value(item);
}

static void read_linear(const struct family *family, const json_t *text,
                        struct oracle_config *config)
{
    struct oracle_linear_config *l = &config->linear;
    if (family->linear == LINEAR_NONE)
        return;
    for (int64_t i = 0; i < config->n_layers; i++)
        config->layers[i].linear = layer_is_linear(family, text, i);
    if (family->linear != LINEAR_GRANITE) {
        *l = (struct oracle_linear_config){
            .rule = ORACLE_DELTA,
            .k_heads = oracle_integer(text, "linear_num_key_heads", 16),
            .v_heads = oracle_integer(text, "linear_num_value_heads", 32),
            .k_dim = oracle_integer(text, "linear_key_head_dim", 128),
            .v_dim = oracle_integer(text, "linear_value_head_dim", 128),
            .kernel = oracle_integer(text, "linear_conv_kernel_dim", 4)};
        return;
    }
    const json_t *limits = oracle_get(text, "time_step_limit");
    *l = (struct oracle_linear_config){.rule = ORACLE_MAMBA2,
                                       .k_heads = oracle_integer(text, "mamba_n_groups", 1),
                                       .v_heads = oracle_integer(text, "mamba_n_heads", 128),
                                       .k_dim = oracle_integer(text, "mamba_d_state", 256),
                                       .kernel = oracle_integer(text, "mamba_d_conv", 4),
                                       .conv_bias = oracle_truth(text, "mamba_conv_bias", true),
                                       .bias = oracle_truth(text, "mamba_proj_bias", false),
                                       .dt_min = limit_at(limits, 0, 0),
                                       .dt_max = limit_at(limits, 1, INFINITY)};
    l->v_dim = oracle_integer(text, "mamba_expand", 2) * config->hidden / l->v_heads;
    const char *type = json_string_value(oracle_get(text, "position_embedding_type"));
    for (int64_t i = 0; i < config->n_layers && !(type && strcmp(type, "rope") == 0); i++)
        config->layers[i].rope = -1;
}

/* ---- Gemma 4 ---- */

/* Full layers have heads of their own size and, where values are keys, number. Release 5.24 writes
 * both for each layer. */
static void read_shapes(const json_t *text, struct oracle_config *config)
{
    const json_t *each = oracle_get(text, "per_layer_config");
    bool v_is_k = oracle_truth(text, "attention_k_eq_v", false);
    for (int64_t i = 0; i < config->n_layers; i++) {
        struct oracle_layer_config *layer = &config->layers[i];
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)i);
        const json_t *own = oracle_get(each, number);
        bool full = layer->window == 0;
        layer->v_is_k = full && v_is_k;
        if (each) {
            layer->head_dim = oracle_integer(own, "head_dim", layer->head_dim);
            layer->n_kv_heads = oracle_integer(own, "num_key_value_heads", layer->n_kv_heads);
        } else if (full) {
            layer->head_dim = oracle_integer(text, "global_head_dim", 512);
            if (v_is_k)
                layer->n_kv_heads =
                    oracle_integer(text, "num_global_key_value_heads", layer->n_kv_heads);
        }
    }
}

/* The last layers see the keys of the last one before them that looks equally far back. */
static void read_sharing(const json_t *text, struct oracle_config *config)
{
    int64_t first = config->n_layers - oracle_integer(text, "num_kv_shared_layers", 0);
    bool wide = oracle_truth(text, "use_double_wide_mlp", false);
    for (int64_t i = first; i < config->n_layers; i++) {
        struct oracle_layer_config *layer = &config->layers[i];
        for (int64_t j = 0; j < first; j++)
            if ((config->layers[j].window == 0) == (layer->window == 0))
                layer->kv_layer = j;
        layer->inter *= wide ? 2 : 1;
    }
}

static struct oracle_rope gemma4_rope(const json_t *keys, bool full, int64_t head_dim)
{
    const char *type = json_string_value(oracle_get(keys, "rope_type"));
    double proportion = oracle_number(keys, "partial_rotary_factor", keys || !full ? 1 : 0.25);
    struct oracle_rope rope = {.dim = head_dim,
                               .theta = oracle_number(keys, "rope_theta", full ? 1e6 : 1e4),
                               .factor = oracle_number(keys, "factor", NAN),
                               .turning = (int64_t)floor(proportion * (double)head_dim / 2)};
    bool proportional = type ? strcmp(type, "proportional") == 0 : full;
    rope.kind = proportional ? ORACLE_ROPE_PROPORTIONAL : ORACLE_ROPE_DEFAULT;
    return rope;
}

static void read_gemma4(const json_t *text, struct oracle_config *config)
{
    const json_t *ropes = oracle_get(text, "rope_parameters");
    config->v_norm = config->layer_scale = true;
    config->scale = 1;
    /* The last layer is a full one whatever its type is said to be. */
    config->layers[config->n_layers - 1].window = config->layers[config->n_layers - 1].rope = 0;
    read_shapes(text, config);
    read_sharing(text, config);
    for (int64_t i = 0; i < config->n_layers; i++) {
        bool full = config->layers[i].window == 0;
        config->ropes[full ? 0 : 1] =
            gemma4_rope(oracle_get(ropes, full ? "full_attention" : "sliding_attention"), full,
                        config->layers[i].head_dim);
    }
    config->layer_input = oracle_integer(text, "hidden_size_per_layer_input", 256);
    config->layer_input_vocab = oracle_integer(text, "vocab_size_per_layer_input", 262144);
}

void oracle_config_read_mixed(const struct family *family, const json_t *text,
                              struct oracle_config *config)
{
    config->sinks = family->sinks;
    config->attention_gate = family->attention_gate;
    if (oracle_is(family, "gemma4_text"))
        read_gemma4(text, config);
    read_experts(family, text, config);
    read_linear(family, text, config);
    if (oracle_is(family, "qwen2_moe") && !oracle_truth(text, "qkv_bias", true))
        config->qkv_bias = false;
    if (oracle_is(family, "glm4_moe") && oracle_truth(text, "use_qk_norm", false))
        config->qk_norm = ORACLE_QK_NORM_HEAD;
    ck_assert(oracle_get(text, "clip_qkv") == NULL);
}
