/*
 * arch_gemma4.c: the text models of Gemma 4: full layers whose heads have another shape than those
 * with a window, last layers that see the keys of layers before them, inputs of each layer, experts
 * beside a dense MLP. Norms multiply by their weights; values are normalised without one.
 */
#include "model/arch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What all have. */
#define TENSORS                                                                                    \
    PPI_TENSORS_ENDS, PPI_NORM_OF(ATTN_NORM, "input_layernorm"),                                   \
        PPI_NORM_OF(ATTN_POST_NORM, "post_attention_layernorm"),                                   \
        PPI_NORM_OF(MLP_NORM, "pre_feedforward_layernorm"),                                        \
        PPI_NORM_OF(MLP_POST_NORM, "post_feedforward_layernorm"),                                  \
        {PPI_WEIGHT_QKV, PPI_PART_Q, "self_attn.q_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
        {PPI_WEIGHT_QKV, PPI_PART_K, "self_attn.k_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
        {PPI_WEIGHT_QKV, PPI_PART_V, "self_attn.v_proj.weight", PPI_WHEN_V, PPI_AS_IS},            \
        {PPI_WEIGHT_QKV, PPI_PART_V, "self_attn.k_proj.weight", PPI_WHEN_V_IS_K, PPI_AS_IS},       \
        PPI_TENSORS_QKV_BIAS, PPI_TENSORS_QK_NORM,                                                 \
        {PPI_WEIGHT_V_NORM, PPI_PART_ALL, "self_attn.v_norm.weight", PPI_ALWAYS, PPI_AS_ONES},     \
        PPI_TENSORS_O, PPI_TENSORS_O_BIAS, PPI_TENSORS_MLP,                                        \
    {                                                                                              \
        PPI_WEIGHT_LAYER_SCALE, PPI_PART_ALL, "layer_scalar", PPI_ALWAYS, PPI_AS_IS                \
    }

#define OF_INPUTS(which, name)                                                                     \
    {                                                                                              \
        PPI_WEIGHT_LAYER_##which, PPI_PART_ALL, name ".weight", PPI_WHEN_LAYER_INPUTS, PPI_AS_IS   \
    }

static const struct ppi_tensor_rule UNIFIED[] = {
    TENSORS,
    PPI_TENSORS_END,
};

static const struct ppi_tensor_rule GEMMA4[] = {
    TENSORS,
    OF_INPUTS(TABLE, "embed_tokens_per_layer"),
    OF_INPUTS(PROJECTION, "per_layer_model_projection"),
    OF_INPUTS(PROJECTION_NORM, "per_layer_projection_norm"),
    OF_INPUTS(INPUT_GATE, "per_layer_input_gate"),
    OF_INPUTS(INPUT_UP, "per_layer_projection"),
    OF_INPUTS(INPUT_NORM, "post_per_layer_input_norm"),
    {PPI_WEIGHT_ROUTER, PPI_PART_ALL, "router.proj.weight", PPI_ALWAYS, PPI_AS_IS},
    {PPI_WEIGHT_ROUTER_NORM, PPI_PART_ALL, "router.scale", PPI_ALWAYS, PPI_AS_IS},
    {PPI_WEIGHT_EXPERT_SCALE, PPI_PART_ALL, "router.per_expert_scale", PPI_ALWAYS, PPI_AS_IS},
    {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, "experts.gate_up_proj", PPI_WHEN_EXPERTS_FUSED,
     PPI_AS_IS},
    {PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "experts.down_proj", PPI_WHEN_EXPERTS_FUSED, PPI_AS_IS},
    PPI_NORM_OF(MLP_OWN_NORM, "post_feedforward_layernorm_1"),
    PPI_NORM_OF(EXPERT_NORM, "pre_feedforward_layernorm_2"),
    PPI_NORM_OF(EXPERT_POST_NORM, "post_feedforward_layernorm_2"),
    PPI_TENSORS_END,
};

/* ---- shapes of layers ---- */

static pp_status read_count(const struct ppi_config_reader *reader, const char *key, int64_t min,
                            int64_t max, int32_t *out)
{
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    return value ? ppi_config_count(reader, key, value, min, max, out) : PP_OK;
}

/* The shape of full layers, by the keys that models are published with. */
static pp_status read_full(const struct ppi_config_reader *reader, bool k_is_v,
                           struct ppi_model_spec *spec)
{
    static const char heads_key[] = "num_global_key_value_heads";
    int32_t head_dim = PPI_MAX_HEAD_DIM, n_kv_heads = spec->n_kv_heads;
    PP_TRY(read_count(reader, "global_head_dim", 1, PPI_MAX_HEAD_DIM, &head_dim));
    if (k_is_v && !ppi_json_is_absent(ppi_config_get(reader, heads_key)))
        PP_TRY(read_count(reader, heads_key, 1, 1024, &n_kv_heads));
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].window == 0) {
            spec->layers[i].head_dim = head_dim;
            spec->layers[i].n_kv_heads = n_kv_heads;
        }
    return PP_OK;
}

/* What per_layer_config says of one layer. */
static pp_status read_layer(const struct ppi_config_reader *reader,
                            const struct ppi_json_value *object, struct ppi_layer_spec *layer)
{
    if (!ppi_json_is(object, PPI_JSON_OBJECT))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, object->name, object,
                                 "an object is needed for each layer in per_layer_config");
    for (const struct ppi_json_value *item = ppi_json_first(object); item;
         item = ppi_json_next(object, item)) {
        if (strcmp(item->name, "head_dim") == 0)
            PP_TRY(
                ppi_config_count(reader, item->name, item, 1, PPI_MAX_HEAD_DIM, &layer->head_dim));
        else if (strcmp(item->name, "num_key_value_heads") == 0)
            PP_TRY(ppi_config_count(reader, item->name, item, 1, 1024, &layer->n_kv_heads));
        else
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, item->name, item,
                                     "\"head_dim\" and \"num_key_value_heads\" are supported in "
                                     "per_layer_config");
    }
    return PP_OK;
}

/* As transformers writes it: an object for each layer that differs, named by the layer's number. It
 * takes the place of the keys of full layers, also when it is null. */
static pp_status read_each(const struct ppi_config_reader *reader,
                           const struct ppi_json_value *layers, struct ppi_model_spec *spec)
{
    if (!ppi_json_is_absent(layers) && !ppi_json_is(layers, PPI_JSON_OBJECT))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, "per_layer_config", layers,
                                 "an object or null is needed");
    for (const struct ppi_json_value *item = ppi_json_first(layers); item;
         item = ppi_json_next(layers, item)) {
        char *end;
        errno = 0;
        long number = strtol(item->name, &end, 10);
        if (item->name[0] < '0' || item->name[0] > '9' || *end != '\0' || errno != 0 ||
            number >= spec->n_layers)
            return ppi_config_refuse(reader, PP_ERR_FORMAT, item->name, item,
                                     "names in per_layer_config are numbers of layers");
        PP_TRY(read_layer(reader, item, &spec->layers[number]));
    }
    return PP_OK;
}

/* The last layers see the keys of the last layer before them that is of their type. */
static pp_status share_keys(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char key[] = "num_kv_shared_layers";
    int32_t n_shared = 0;
    bool wide = false;
    PP_TRY(read_count(reader, key, 0, spec->n_layers - 1, &n_shared));
    PP_TRY(ppi_config_flag(reader, reader->root, "use_double_wide_mlp", &wide));
    int32_t first = spec->n_layers - n_shared;
    for (int32_t i = first; i < spec->n_layers; i++) {
        struct ppi_layer_spec *layer = &spec->layers[i];
        int32_t source = first - 1;
        while (source >= 0 && (spec->layers[source].window > 0) != (layer->window > 0))
            source--;
        if (source < 0)
            return ppi_config_refuse(reader, PP_ERR_FORMAT, key, ppi_config_get(reader, key),
                                     "before the layers that share keys there must be one of each "
                                     "type that has its own");
        layer->kv_layer = source;
        layer->mlp_size *= wide ? 2 : 1;
    }
    return PP_OK;
}

static pp_status read_layers(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char each_key[] = "per_layer_config";
    const struct ppi_json_value *each = ppi_config_get(reader, each_key);
    struct ppi_layer_spec *last = &spec->layers[spec->n_layers - 1];
    bool k_is_v = false;
    PP_TRY(ppi_config_flag(reader, reader->root, "attention_k_eq_v", &k_is_v));
    if (last->window > 0 && !ppi_json_is_absent(ppi_config_get(reader, "layer_types")))
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: \"layer_types\" gives the last layer a window, which is not used: in this "
                "architecture it sees all",
                reader->label);
    last->window = 0;
    PP_TRY(each ? read_each(reader, each, spec) : read_full(reader, k_is_v, spec));
    PP_TRY(share_keys(reader, spec));
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].v_is_k =
            k_is_v && spec->layers[i].window == 0 && spec->layers[i].kv_layer == i;
    if (k_is_v && spec->qkv_bias)
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "attention_bias",
                                 ppi_config_get(reader, "attention_bias"),
                                 "with attention_k_eq_v false is supported");
    return PP_OK;
}

/* ---- the block ---- */

static pp_status check_causal(const struct ppi_config_reader *reader)
{
    static const char key[] = "use_bidirectional_attention";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    const char *text = ppi_json_string(value);
    if (ppi_json_is_absent(value) || ppi_json_is(value, PPI_JSON_FALSE) ||
        (text && strcmp(text, "vision") == 0)) /* text is causal */
        return PP_OK;
    return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, value,
                             "attention is causal here; \"vision\" and null are supported");
}

static pp_status read_unified(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char cap_key[] = "final_logit_softcapping";
    if (!ppi_json_is_absent(ppi_config_get(reader, cap_key)))
        PP_TRY(ppi_config_positive_f32(reader, cap_key, &spec->logit_softcap));
    spec->softmax_scale = 1;
    spec->embed_scale = sqrt((double)spec->hidden_size);
    spec->embed_scale_rounds = true;
    spec->v_norm = true;
    spec->layer_scale = true;
    return check_causal(reader);
}

static pp_status read_inputs(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char key[] = "vocab_size_per_layer_input";
    spec->layer_input_size = 256;
    spec->layer_input_vocab = 262144;
    PP_TRY(read_count(reader, "hidden_size_per_layer_input", 0, 65536, &spec->layer_input_size));
    PP_TRY(read_count(reader, key, 1, 1 << 24, &spec->layer_input_vocab));
    if (spec->layer_input_size == 0 || spec->layer_input_vocab >= spec->vocab_size)
        return PP_OK;
    return ppi_error(reader->err, PP_ERR_UNSUPPORTED,
                     "%s: \"%s\" is %d, fewer than the %d of \"vocab_size\"; every token needs an "
                     "input of layers",
                     reader->label, key, spec->layer_input_vocab, spec->vocab_size);
}

static pp_status read_experts(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char *const keys[] = {"num_experts", "top_k_experts", "moe_intermediate_size"};
    struct ppi_experts_spec *experts = &spec->experts;
    int32_t *values[] = {&experts->n, &experts->top_k, &experts->intermediate_size};
    bool enabled = false;
    PP_TRY(ppi_config_flag(reader, reader->root, "enable_moe_block", &enabled));
    if (!enabled)
        return PP_OK;
    for (size_t i = 0; i < PPI_COUNT(keys); i++)
        PP_TRY(ppi_config_count(reader, keys[i], ppi_config_get(reader, keys[i]), 1,
                                i == 1 ? experts->n : 65536, values[i]));
    experts->scoring = PPI_SCORING_SOFTMAX;
    experts->normalize = true;
    experts->scale = 1;
    experts->router_scale = (float)(1 / sqrt((double)spec->hidden_size));
    experts->activation = spec->activation;
    experts->files = PPI_WHEN_EXPERTS_FUSED;
    experts->own_norms = true;
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].has_experts = true;
    return PP_OK;
}

static pp_status read_gemma4(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    PP_TRY(read_inputs(reader, spec));
    PP_TRY(read_experts(reader, spec));
    return read_unified(reader, spec);
}

static const char *const OWN_KEYS[] = {"per_layer_config", "use_bidirectional_attention",
                                       "num_experts", NULL};

/* What the two have in common. */
#define ROW                                                                                        \
    .no_labels = true, .qkv_bias = PPI_BIAS_BY_KEY, .o_bias = PPI_BIAS_BY_KEY,                     \
    .qk_norm = PPI_QK_NORM_HEAD, .windows = PPI_WINDOW_TYPES, .full_every = 6,                     \
    .rope_by_type = true, .sliding_theta = 1e4, .theta = 1e6,                                      \
    .rope = "{\"full_attention\":{\"rope_type\":\"proportional\",\"partial_rotary_factor\":0.25,"  \
            "\"rope_theta\":1e6},\"sliding_attention\":{\"rope_theta\":1e4}}",                     \
    .own_keys = OWN_KEYS, .read_layers = read_layers, .activation_key = "hidden_activation",       \
    .activation = PPI_ACTIVATION_GELU_TANH, .vocab_size = 262144, .hidden_size = 2304,             \
    .intermediate_size = 9216, .n_layers = 30, .n_heads = 8, .n_kv_heads = 4, .head_dim = 256,     \
    .tied = true, .norm_eps = 1e-6, .bos_token = 2, .n_eos_tokens = 1, .eos_tokens = {1}

const struct ppi_arch ppi_arch_gemma4 = {
    .id = PP_ARCH_GEMMA4,
    .model_type = "gemma4_text",
    .class_name = "Gemma4ForCausalLM",
    .stem = "Gemma4Text",
    .tensors = GEMMA4,
    .window = 512,
    .max_position = 131072,
    .read_more = read_gemma4,
    ROW,
};

const struct ppi_arch ppi_arch_gemma4_unified = {
    .id = PP_ARCH_GEMMA4_UNIFIED,
    .model_type = "gemma4_unified_text",
    .class_name = "Gemma4UnifiedForCausalLM",
    .stem = "Gemma4UnifiedText",
    .tensors = UNIFIED,
    .window = 1024,
    .max_position = 262144,
    .read_more = read_unified,
    ROW,
};
