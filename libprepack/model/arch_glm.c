/*
 * arch_glm.c: GLM 4 (0414): norms on both sides of attention and MLP, half of a head rotates.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(ATTN_POST_NORM, "post_self_attn_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_NORM_OF(MLP_POST_NORM, "post_mlp_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_GATE_UP,
    PPI_TENSORS_DOWN,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_glm4 = {
    .id = PP_ARCH_GLM4,
    .model_type = "glm4",
    .class_name = "Glm4ForCausalLM",
    .tensors = TENSORS,
    .interleaved = true,
    .qkv_bias = PPI_BIAS_BY_KEY_TRUE,
    .partial_rotary = 0.5,
    .vocab_size = 151552,
    .hidden_size = 4096,
    .intermediate_size = 13696,
    .n_layers = 40,
    .n_heads = 32,
    .n_kv_heads = 2,
    .head_dim = 128,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1.5625e-7,
    .theta = 1e4,
    .bos_token = -1,
    .n_eos_tokens = 3,
    .eos_tokens = {151329, 151336, 151338},
};
