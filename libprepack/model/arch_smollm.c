/*
 * arch_smollm.c: SmolLM 3: Llama in which every fourth layer does not rotate.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_MLP_BIAS,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_smollm3 = {
    .id = PP_ARCH_SMOLLM3,
    .model_type = "smollm3",
    .class_name = "SmolLM3ForCausalLM",
    .tensors = TENSORS,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .mlp_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_NOPE,
    .rotates = PPI_ROTATES_LISTED,
    .vocab_size = 128256,
    .hidden_size = 2048,
    .intermediate_size = 11008,
    .n_layers = 36,
    .n_heads = 16,
    .n_kv_heads = 4,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .tied = true,
    .norm_eps = 1e-6,
    .theta = 2e6,
    .bos_token = 128000,
    .n_eos_tokens = 1,
    .eos_tokens = {128001},
};
