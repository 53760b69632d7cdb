/*
 * arch_phi.c: Phi 3, Phi 4 and Phi 4 mini: fused projections, longrope.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    {PPI_WEIGHT_QKV, PPI_PART_ALL, "self_attn.qkv_proj.weight", PPI_ALWAYS, PPI_AS_IS},
    PPI_TENSORS_O,
    PPI_TENSORS_GATE_UP,
    PPI_TENSORS_DOWN,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_phi3 = {
    .id = PP_ARCH_PHI3,
    .model_type = "phi3",
    .class_name = "Phi3ForCausalLM",
    .tensors = TENSORS,
    .windows = PPI_WINDOW_SAME,
    .partial_rotary = 1,
    .longrope_only = true,
    .original_max_position = 4096,
    .vocab_size = 32064,
    .hidden_size = 3072,
    .intermediate_size = 8192,
    .n_layers = 32,
    .n_heads = 32,
    .max_position = 4096,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {32000},
};
