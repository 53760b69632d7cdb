/*
 * arch_gemma.c: Gemma 2 and 3: norms of 1 + w on both sides of attention and MLP, windows in most
 * layers.
 */
#include "model/arch.h"

#include <math.h>

static const struct ppi_tensor_rule GEMMA2[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(ATTN_POST_NORM, "post_attention_layernorm"),
    PPI_NORM_OF(MLP_NORM, "pre_feedforward_layernorm"),
    PPI_NORM_OF(MLP_POST_NORM, "post_feedforward_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

static const struct ppi_tensor_rule GEMMA3[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(ATTN_POST_NORM, "post_attention_layernorm"),
    PPI_NORM_OF(MLP_NORM, "pre_feedforward_layernorm"),
    PPI_NORM_OF(MLP_POST_NORM, "post_feedforward_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

/* A softcap: above 0, or null for none. */
static pp_status read_softcap(const struct ppi_config_reader *reader, const char *key,
                              float omitted, float *cap)
{
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    *cap = value ? 0 : omitted;
    return ppi_json_is_absent(value) ? PP_OK : ppi_config_positive_f32(reader, key, cap);
}

/* What both have: embeddings are multiplied by sqrt(hidden_size), scores by the square root of a
 * number of their own. */
static pp_status read_gemma(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    double scalar = 256;
    PP_TRY(ppi_config_positive(reader, reader->root, "query_pre_attn_scalar", false, &scalar));
    spec->softmax_scale = (float)(1 / sqrt(scalar));
    spec->embed_scale = sqrt((double)spec->hidden_size);
    spec->embed_scale_rounds = true;
    return PP_OK;
}

static pp_status read_gemma2(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    PP_TRY(read_softcap(reader, "attn_logit_softcapping", 50, &spec->attn_softcap));
    PP_TRY(read_softcap(reader, "final_logit_softcapping", 30, &spec->logit_softcap));
    return read_gemma(reader, spec);
}

/* attn_logit_softcapping is there, and the class never applies it. */
static pp_status read_gemma3(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    PP_TRY(read_softcap(reader, "final_logit_softcapping", 0, &spec->logit_softcap));
    return read_gemma(reader, spec);
}

const struct ppi_arch ppi_arch_gemma2 = {
    .id = PP_ARCH_GEMMA2,
    .model_type = "gemma2",
    .class_name = "Gemma2ForCausalLM",
    .tensors = GEMMA2,
    .norm_plus_one = true,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .activation_key = "hidden_activation",
    .activation = PPI_ACTIVATION_GELU_TANH,
    .full_every = 2,
    .read_more = read_gemma2,
    .vocab_size = 256000,
    .hidden_size = 2304,
    .intermediate_size = 9216,
    .n_layers = 26,
    .n_heads = 8,
    .n_kv_heads = 4,
    .head_dim = 256,
    .max_position = 8192,
    .tied = true,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = 2,
    .n_eos_tokens = 1,
    .eos_tokens = {1},
};

const struct ppi_arch ppi_arch_gemma3 = {
    .id = PP_ARCH_GEMMA3,
    .model_type = "gemma3_text",
    .class_name = "Gemma3ForCausalLM",
    .stem = "Gemma3Text",
    .tensors = GEMMA3,
    .norm_plus_one = true,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .activation_key = "hidden_activation",
    .activation = PPI_ACTIVATION_GELU_TANH,
    .qk_norm = PPI_QK_NORM_HEAD,
    .full_every = 6,
    .full_every_key = "sliding_window_pattern",
    .rope_by_type = true,
    .sliding_theta = 1e4,
    .sliding_theta_key = "rope_local_base_freq",
    .read_more = read_gemma3,
    .vocab_size = 262208,
    .hidden_size = 2304,
    .intermediate_size = 9216,
    .n_layers = 26,
    .n_heads = 8,
    .n_kv_heads = 4,
    .head_dim = 256,
    .max_position = 131072,
    .tied = true,
    .norm_eps = 1e-6,
    .theta = 1e6,
    .bos_token = 2,
    .n_eos_tokens = 1,
    .eos_tokens = {1},
};
