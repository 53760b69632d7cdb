/*
 * arch_gpt_oss.c: gpt-oss: experts of a clamped SwiGLU with biases in all layers, stored in MXFP4
 * or turned; a sink beside the keys of each head; every second layer has a window.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSOR_OF(SINKS, "self_attn.sinks"),
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSOR_OF(ROUTER, "mlp.router.weight"),
    PPI_TENSOR_OF(ROUTER_BIAS, "mlp.router.bias"),
    {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, "mlp.experts.gate_up_proj", PPI_WHEN_EXPERTS_FUSED,
     PPI_AS_TURNED},
    {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, "mlp.experts.gate_up_proj", PPI_WHEN_EXPERTS_PACKED,
     PPI_AS_BLOCKS},
    {PPI_WEIGHT_EXPERT_GATE_UP_BIAS, PPI_PART_ALL, "mlp.experts.gate_up_proj_bias",
     PPI_WHEN_EXPERT_BIAS, PPI_AS_TURNS},
    {PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "mlp.experts.down_proj", PPI_WHEN_EXPERTS_FUSED,
     PPI_AS_TURNED},
    {PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "mlp.experts.down_proj", PPI_WHEN_EXPERTS_PACKED,
     PPI_AS_BLOCKS},
    {PPI_WEIGHT_EXPERT_DOWN_BIAS, PPI_PART_ALL, "mlp.experts.down_proj_bias", PPI_WHEN_EXPERT_BIAS,
     PPI_AS_IS},
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts EXPERTS = {
    .n_key = "num_local_experts",
    .n_other_key = "num_experts",
    .scoring = PPI_SCORING_CHOSEN,
    .router_bias = true,
    .biases = true,
    .activation = PPI_ACTIVATION_SWIGLU_CLAMPED,
    .packed = true,
    .n = 128,
    .top_k = 4,
};

/* The clamped SwiGLU; hidden_act is not looked at by the class. */
static pp_status read_gpt_oss(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    spec->experts.alpha = 1.702f;
    spec->experts.limit = 7;
    PP_TRY(ppi_config_positive_f32(reader, "swiglu_alpha", &spec->experts.alpha));
    return ppi_config_positive_f32(reader, "swiglu_limit", &spec->experts.limit);
}

const struct ppi_arch ppi_arch_gpt_oss = {
    .id = PP_ARCH_GPT_OSS,
    .model_type = "gpt_oss",
    .class_name = "GptOssForCausalLM",
    .tensors = TENSORS,
    .experts = &EXPERTS,
    .sinks = true,
    .qkv_bias = PPI_BIAS_BY_KEY_TRUE,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_TYPES,
    .window = 128,
    .full_every = 2,
    .rope = "{\"rope_type\":\"yarn\",\"factor\":32,\"beta_fast\":32,\"beta_slow\":1,"
            "\"truncate\":false,\"original_max_position_embeddings\":4096}",
    .read_more = read_gpt_oss,
    .vocab_size = 201088,
    .hidden_size = 2880,
    .intermediate_size = 2880,
    .n_layers = 36,
    .n_heads = 64,
    .n_kv_heads = 8,
    .head_dim = 64,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 150000,
    .bos_token = -1,
};
