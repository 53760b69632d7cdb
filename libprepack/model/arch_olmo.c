/*
 * arch_olmo.c: OLMo 2 and 3: norms after attention and MLP, q and k normalised as a whole; and
 * OLMoE, with experts in all layers and norms before.
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

static const struct ppi_tensor_rule OLMOE[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSOR_OF(ROUTER, "mlp.gate.weight"),
    PPI_TENSORS_EXPERTS,
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts OLMOE_EXPERTS = {
    .n_key = "num_experts",
    .n_other_key = "num_local_experts",
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize_key = true,
    .n = 64,
    .top_k = 8,
};

static pp_status read_olmoe(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char key[] = "clip_qkv";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    (void)spec;
    return ppi_json_is_absent(value)
               ? PP_OK
               : ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, value, "null is supported");
}

const struct ppi_arch ppi_arch_olmoe = {
    .id = PP_ARCH_OLMOE,
    .model_type = "olmoe",
    .class_name = "OlmoeForCausalLM",
    .no_labels = true,
    .tensors = OLMOE,
    .experts = &OLMOE_EXPERTS,
    .qk_norm = PPI_QK_NORM_WHOLE,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .read_more = read_olmoe,
    .vocab_size = 50304,
    .hidden_size = 2048,
    .intermediate_size = 2048,
    .n_layers = 16,
    .n_heads = 16,
    .max_position = 4096,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = -1,
    .n_eos_tokens = 1,
    .eos_tokens = {50279},
};
