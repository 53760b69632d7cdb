/*
 * arch_llama.c: Llama 2 and 3, and the many models that were made in their form.
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

const struct ppi_arch ppi_arch_llama = {
    .id = PP_ARCH_LLAMA,
    .model_type = "llama",
    .class_name = "LlamaForCausalLM",
    .tensors = TENSORS,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .mlp_bias = PPI_BIAS_BY_KEY,
    .vocab_size = 32000,
    .hidden_size = 4096,
    .intermediate_size = 11008,
    .n_layers = 32,
    .n_heads = 32,
    .max_position = 2048,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};
