/*
 * arch_exaone.c: EXAONE 4: norms after attention and MLP, no rotation in layers that see all.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_POST_NORM, "post_attention_layernorm"),
    PPI_NORM_OF(MLP_POST_NORM, "post_feedforward_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_exaone4 = {
    .id = PP_ARCH_EXAONE4,
    .model_type = "exaone4",
    .class_name = "Exaone4ForCausalLM",
    .tensors = TENSORS,
    .qk_norm = PPI_QK_NORM_HEAD,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .full_every = 4,
    .full_every_key = "sliding_window_pattern",
    .rotates = PPI_ROTATES_WINDOWED_IF_ANY,
    .vocab_size = 102400,
    .hidden_size = 4096,
    .intermediate_size = 16384,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 32,
    .max_position = 2048,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = 0,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};
