/*
 * arch_olmo.c: OLMo 2 and 3: norms after attention and MLP, q and k normalised as a whole.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_POST_NORM, "post_attention_layernorm"),
    PPI_NORM_OF(MLP_POST_NORM, "post_feedforward_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_olmo2 = {
    .id = PP_ARCH_OLMO2,
    .model_type = "olmo2",
    .class_name = "Olmo2ForCausalLM",
    .tensors = TENSORS,
    .qk_norm = PPI_QK_NORM_WHOLE,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .vocab_size = 50304,
    .hidden_size = 4096,
    .intermediate_size = 11008,
    .n_layers = 32,
    .n_heads = 32,
    .max_position = 2048,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = -1,
    .n_eos_tokens = 1,
    .eos_tokens = {50279},
};

/* rope_theta of a file with flat keys goes to the full layers only. */
const struct ppi_arch ppi_arch_olmo3 = {
    .id = PP_ARCH_OLMO3,
    .model_type = "olmo3",
    .class_name = "Olmo3ForCausalLM",
    .tensors = TENSORS,
    .qk_norm = PPI_QK_NORM_WHOLE,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .full_every = 4,
    .rope_by_type = true,
    .sliding_theta = 5e5,
    .vocab_size = 50304,
    .hidden_size = 4096,
    .intermediate_size = 11008,
    .n_layers = 32,
    .n_heads = 32,
    .max_position = 2048,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 5e5,
    .bos_token = -1,
    .n_eos_tokens = 1,
    .eos_tokens = {50279},
};
