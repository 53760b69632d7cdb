/*
 * arch_qwen_linear.c: Qwen 3 Next and Qwen 3.5: three of four layers are linear, the others
 * attention with a gate behind it; norms of 1 + w, but for that of a linear layer.
 */
#include "model/arch.h"

/* The halves of each head of q_proj: queries, and the gate of what attention gives. */
#define GATED_QKV                                                                                  \
    {PPI_WEIGHT_QKV, PPI_PART_Q, "self_attn.q_proj.weight", PPI_ALWAYS, PPI_AS_HEAD_FIRST},        \
        {PPI_WEIGHT_QKV, PPI_PART_K, "self_attn.k_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
        {PPI_WEIGHT_QKV, PPI_PART_V, "self_attn.v_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
    {                                                                                              \
        PPI_WEIGHT_ATTN_GATE, PPI_PART_ALL, "self_attn.q_proj.weight", PPI_ALWAYS,                 \
            PPI_AS_HEAD_SECOND                                                                     \
    }
#define BY_KEY_HEADS(part, name)                                                                   \
    {                                                                                              \
        PPI_WEIGHT_LINEAR_IN, PPI_PART_##part, "linear_attn.in_proj_" name ".weight", PPI_ALWAYS,  \
            PPI_AS_KEY_HEADS                                                                       \
    }
#define LINEAR_IN(part, name)                                                                      \
    {                                                                                              \
        PPI_WEIGHT_LINEAR_IN, PPI_PART_##part, "linear_attn.in_proj_" name ".weight", PPI_ALWAYS,  \
            PPI_AS_IS                                                                              \
    }
#define LINEAR_REST                                                                                \
    PPI_TENSOR_OF(LINEAR_CONV, "linear_attn.conv1d.weight"),                                       \
        PPI_TENSOR_OF(LINEAR_A_LOG, "linear_attn.A_log"),                                          \
        PPI_TENSOR_OF(LINEAR_DT_BIAS, "linear_attn.dt_bias"),                                      \
        PPI_NORM_OF(LINEAR_NORM, "linear_attn.norm"),                                              \
        PPI_TENSOR_OF(LINEAR_OUT, "linear_attn.out_proj.weight")
#define BLOCK                                                                                      \
    PPI_TENSORS_ENDS, PPI_NORM_OF(ATTN_NORM, "input_layernorm"),                                   \
        PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"), GATED_QKV, PPI_TENSORS_QK_NORM,         \
        PPI_TENSORS_O
#define EXPERTS                                                                                    \
    PPI_TENSOR_OF(ROUTER, "mlp.gate.weight"), PPI_TENSORS_EXPERTS,                                 \
        PPI_TENSORS_SHARED("mlp.shared_expert"),                                                   \
        PPI_TENSOR_OF(SHARED_GATE, "mlp.shared_expert_gate.weight")

static const struct ppi_tensor_rule NEXT[] = {
    BLOCK,
    BY_KEY_HEADS(Q, "qkvz"),
    BY_KEY_HEADS(K, "qkvz"),
    BY_KEY_HEADS(V, "qkvz"),
    BY_KEY_HEADS(Z, "qkvz"),
    BY_KEY_HEADS(B, "ba"),
    BY_KEY_HEADS(A, "ba"),
    LINEAR_REST,
    PPI_TENSORS_MLP,
    EXPERTS,
    PPI_TENSORS_END,
};

static const struct ppi_tensor_rule DENSE[] = {
    BLOCK,       LINEAR_IN(QKV, "qkv"), LINEAR_IN(Z, "z"), LINEAR_IN(B, "b"), LINEAR_IN(A, "a"),
    LINEAR_REST, PPI_TENSORS_MLP,       PPI_TENSORS_END,
};

static const struct ppi_tensor_rule MOE[] = {
    BLOCK,
    LINEAR_IN(QKV, "qkv"),
    LINEAR_IN(Z, "z"),
    LINEAR_IN(B, "b"),
    LINEAR_IN(A, "a"),
    LINEAR_REST,
    EXPERTS,
    PPI_TENSORS_END,
};

static const struct ppi_arch_linear LINEAR = {
    .shape = {.rule = PPI_LINEAR_DELTA,
              .n_k_heads = 16,
              .n_v_heads = 32,
              .k_dim = 128,
              .v_dim = 128,
              .conv_kernel = 4},
    .full_every = 4,
};

static const struct ppi_arch_experts NEXT_EXPERTS = {
    .n_key = "num_experts",
    .size_key = "moe_intermediate_size",
    .shared_key = "shared_expert_intermediate_size",
    .optional = true,
    .in = PPI_EXPERTS_IN_STEPS,
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize = true,
    .normalize_key = true,
    .shared_gate = true,
    .n = 512,
    .top_k = 10,
    .size = 512,
    .shared = 512,
};

/* In all layers, and weights are always divided by their sum. */
static const struct ppi_arch_experts MOE_EXPERTS = {
    .n_key = "num_experts",
    .size_key = "moe_intermediate_size",
    .shared_key = "shared_expert_intermediate_size",
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize = true,
    .shared_gate = true,
    .n = 256,
    .top_k = 8,
    .size = 512,
    .shared = 512,
};

/* The gate is a part of q_proj, and would have a bias with it. */
static pp_status refuse_bias(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char key[] = "attention_bias";
    bool bias = false;
    (void)spec;
    PP_TRY(ppi_config_flag(reader, reader->root, key, &bias));
    return bias ? ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, ppi_config_get(reader, key),
                                    "false is supported for this architecture")
                : PP_OK;
}

const struct ppi_arch ppi_arch_qwen3_next = {
    .id = PP_ARCH_QWEN3_NEXT,
    .model_type = "qwen3_next",
    .class_name = "Qwen3NextForCausalLM",
    .tensors = NEXT,
    .experts = &NEXT_EXPERTS,
    .linear = &LINEAR,
    .ignores = "mtp.",
    .norm_plus_one = true,
    .attn_gate = true,
    .qk_norm = PPI_QK_NORM_HEAD,
    .partial_rotary = 0.25,
    .read_more = refuse_bias,
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 5632,
    .n_layers = 48,
    .n_heads = 16,
    .n_kv_heads = 2,
    .head_dim = 256,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};

const struct ppi_arch ppi_arch_qwen3_5 = {
    .id = PP_ARCH_QWEN3_5,
    .model_type = "qwen3_5_text",
    .class_name = "Qwen3_5ForCausalLM",
    .stem = "Qwen3_5Text",
    .tensors = DENSE,
    .linear = &LINEAR,
    .ignores = "mtp.",
    .norm_plus_one = true,
    .attn_gate = true,
    .qk_norm = PPI_QK_NORM_HEAD,
    .partial_rotary = 0.25,
    .read_more = refuse_bias,
    .vocab_size = 248320,
    .hidden_size = 4096,
    .intermediate_size = 12288,
    .n_layers = 32,
    .n_heads = 16,
    .n_kv_heads = 4,
    .head_dim = 256,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};

const struct ppi_arch ppi_arch_qwen3_5_moe = {
    .id = PP_ARCH_QWEN3_5_MOE,
    .model_type = "qwen3_5_moe_text",
    .class_name = "Qwen3_5MoeForCausalLM",
    .stem = "Qwen3_5MoeText",
    .no_labels = true,
    .tensors = MOE,
    .experts = &MOE_EXPERTS,
    .linear = &LINEAR,
    .ignores = "mtp.",
    .norm_plus_one = true,
    .attn_gate = true,
    .qk_norm = PPI_QK_NORM_HEAD,
    .partial_rotary = 0.25,
    .read_more = refuse_bias,
    .vocab_size = 248320,
    .hidden_size = 2048,
    .intermediate_size = 512,
    .n_layers = 40,
    .n_heads = 16,
    .n_kv_heads = 2,
    .head_dim = 256,
    .max_position = 32768,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = -1,
};
