/*
 * arch_qwen_moe.c: Qwen 2 and Qwen 3 with experts: most layers have them, the first also one that
 * every row goes through.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule QWEN2_MOE[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_MLP,
    PPI_TENSOR_OF(ROUTER, "mlp.gate.weight"),
    PPI_TENSORS_EXPERTS,
    PPI_TENSORS_SHARED("mlp.shared_expert"),
    PPI_TENSOR_OF(SHARED_GATE, "mlp.shared_expert_gate.weight"),
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts QWEN2_EXPERTS = {
    .n_key = "num_experts",
    .size_key = "moe_intermediate_size",
    .shared_key = "shared_expert_intermediate_size",
    .optional = true,
    .in = PPI_EXPERTS_IN_STEPS,
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize_key = true,
    .shared_gate = true,
    .n = 60,
    .top_k = 4,
    .size = 1408,
    .shared = 5632,
};

const struct ppi_arch ppi_arch_qwen2_moe = {
    .id = PP_ARCH_QWEN2_MOE,
    .model_type = "qwen2_moe",
    .class_name = "Qwen2MoeForCausalLM",
    .tensors = QWEN2_MOE,
    .experts = &QWEN2_EXPERTS,
    .qkv_bias = PPI_BIAS_BY_KEY_TRUE,
    .bias_key = "qkv_bias",
    .windows = PPI_WINDOW_LOWER,
    .window = 4096,
    .max_window_layers = 28,
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 5632,
    .n_layers = 24,
    .n_heads = 16,
    .n_kv_heads = 16,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};

static const struct ppi_tensor_rule QWEN3_MOE[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_QK_NORM,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSOR_OF(ROUTER, "mlp.gate.weight"),
    PPI_TENSORS_EXPERTS,
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts QWEN3_EXPERTS = {
    .n_key = "num_experts",
    .n_other_key = "num_local_experts",
    .size_key = "moe_intermediate_size",
    .optional = true,
    .in = PPI_EXPERTS_IN_STEPS,
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize_key = true,
    .n = 128,
    .top_k = 8,
    .size = 768,
};

const struct ppi_arch ppi_arch_qwen3_moe = {
    .id = PP_ARCH_QWEN3_MOE,
    .model_type = "qwen3_moe",
    .class_name = "Qwen3MoeForCausalLM",
    .tensors = QWEN3_MOE,
    .experts = &QWEN3_EXPERTS,
    .qk_norm = PPI_QK_NORM_HEAD,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .windows = PPI_WINDOW_USED,
    .window = 4096,
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 6144,
    .n_layers = 24,
    .n_heads = 32,
    .n_kv_heads = 4,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};
