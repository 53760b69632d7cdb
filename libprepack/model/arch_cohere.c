/*
 * arch_cohere.c: Command R7B and A (Cohere 2): attention and MLP beside each other, LayerNorm.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS, PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_TENSORS_QKV,  PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,  PPI_TENSORS_END,
};

static pp_status read_cohere2(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    spec->logit_scale = 0.0625f;
    return ppi_config_positive_f32(reader, "logit_scale", &spec->logit_scale);
}

const struct ppi_arch ppi_arch_cohere2 = {
    .id = PP_ARCH_COHERE2,
    .model_type = "cohere2",
    .class_name = "Cohere2ForCausalLM",
    .no_labels = true,
    .tensors = TENSORS,
    .parallel = true,
    .center = true,
    .interleaved = true,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .full_every = 4,
    .full_every_key = "sliding_window_pattern",
    .rotates = PPI_ROTATES_WINDOWED,
    .eps_key = "layer_norm_eps",
    .read_more = read_cohere2,
    .vocab_size = 256000,
    .hidden_size = 8192,
    .intermediate_size = 22528,
    .n_layers = 40,
    .n_heads = 64,
    .max_position = 8192,
    .activation = PPI_ACTIVATION_SILU,
    .tied = true,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = 5,
    .n_eos_tokens = 1,
    .eos_tokens = {255001},
};
