/*
 * arch_qwen.c: Qwen 2 and 2.5 (biases that no key announces) and Qwen 3 (q and k normalised).
 */
#include "model/arch.h"

static const struct ppi_tensor_rule QWEN2[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_qwen2 = {
    .id = PP_ARCH_QWEN2,
    .model_type = "qwen2",
    .class_name = "Qwen2ForCausalLM",
    .tensors = QWEN2,
    .qkv_bias = PPI_BIAS_ALWAYS,
    .windows = PPI_WINDOW_UPPER,
    .window = 4096,
    .max_window_layers = 28,
    .vocab_size = 151936,
    .hidden_size = 4096,
    .intermediate_size = 22016,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 32,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};

static const struct ppi_tensor_rule QWEN3[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_qwen3 = {
    .id = PP_ARCH_QWEN3,
    .model_type = "qwen3",
    .class_name = "Qwen3ForCausalLM",
    .tensors = QWEN3,
    .qk_norm = PPI_QK_NORM_HEAD,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_UPPER,
    .window = 4096,
    .max_window_layers = 28,
    .vocab_size = 151936,
    .hidden_size = 4096,
    .intermediate_size = 22016,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 32,
    .head_dim = 128,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};
