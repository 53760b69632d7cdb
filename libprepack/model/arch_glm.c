/*
 * arch_glm.c: GLM 4 (0414): norms on both sides of attention and MLP, half of a head rotates; and
 * GLM 4.5 to 4.7, with experts in all layers but the first ones, each chosen by itself.
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

static const struct ppi_tensor_rule MOE[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_MLP,
    PPI_TENSOR_OF(ROUTER, "mlp.gate.weight"),
    PPI_TENSOR_OF(ROUTER_CORRECTION, "mlp.gate.e_score_correction_bias"),
    PPI_TENSORS_EXPERTS,
    PPI_TENSORS_SHARED("mlp.shared_experts"),
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts EXPERTS = {
    .n_key = "n_routed_experts",
    .n_other_key = "num_local_experts",
    .size_key = "moe_intermediate_size",
    .shared_key = "n_shared_experts",
    .shared_counts = true,
    .in = PPI_EXPERTS_IN_UPPER,
    .scoring = PPI_SCORING_SIGMOID,
    .normalize = true,
    .normalize_key = true,
    .sum_eps = 1e-20f,
    .router_correction = true,
    .n = 128,
    .top_k = 8,
    .size = 1408,
    .shared = 1,
    .first = 1,
};

/* One group of experts, which is the whole. */
static pp_status check_groups(const struct ppi_config_reader *reader)
{
    static const char *const keys[] = {"n_group", "topk_group"};
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        const struct ppi_json_value *value = ppi_config_get(reader, keys[i]);
        if (value && !(ppi_json_is(value, PPI_JSON_INTEGER) && value->integer == 1))
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, keys[i], value,
                                     "1 is supported: experts are chosen among all");
    }
    return PP_OK;
}

static pp_status read_glm4_moe(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    bool normed = false;
    PP_TRY(check_groups(reader));
    PP_TRY(ppi_config_flag(reader, reader->root, "use_qk_norm", &normed));
    spec->qk_norm = normed ? PPI_QK_NORM_HEAD : PPI_QK_NORM_NONE;
    spec->experts.scale = 1;
    return ppi_config_positive_f32(reader, "routed_scaling_factor", &spec->experts.scale);
}

const struct ppi_arch ppi_arch_glm4_moe = {
    .id = PP_ARCH_GLM4_MOE,
    .model_type = "glm4_moe",
    .class_name = "Glm4MoeForCausalLM",
    .no_labels = true,
    .tensors = MOE,
    .experts = &EXPERTS,
    .ignores_behind = true,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .partial_rotary = 0.5,
    .read_more = read_glm4_moe,
    .vocab_size = 151552,
    .hidden_size = 4096,
    .intermediate_size = 10944,
    .n_layers = 46,
    .n_heads = 96,
    .n_kv_heads = 8,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = -1,
};
