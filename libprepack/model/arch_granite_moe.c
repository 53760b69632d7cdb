/*
 * arch_granite_moe.c: Granite with experts, with one that every row goes through, and with Mamba 2
 * in most layers, where that one may be the only one. Their multipliers are Granite's.
 */
#include "model/arch.h"

#define BLOCK                                                                                      \
    PPI_TENSORS_ENDS, PPI_NORM_OF(ATTN_NORM, "input_layernorm"),                                   \
        PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"), PPI_TENSORS_QKV, PPI_TENSORS_QKV_BIAS,  \
        PPI_TENSORS_O, PPI_TENSORS_O_BIAS
#define FUSED(weight, name)                                                                        \
    {                                                                                              \
        PPI_WEIGHT_EXPERT_##weight, PPI_PART_ALL, "block_sparse_moe." name "_linear.weight",       \
            PPI_WHEN_EXPERTS_FUSED, PPI_AS_IS                                                      \
    }
#define EXPERTS                                                                                    \
    PPI_TENSOR_OF(ROUTER, "block_sparse_moe.router.layer.weight"), FUSED(GATE_UP, "input"),        \
        FUSED(DOWN, "output")
#define SHARED                                                                                     \
    PPI_TENSOR_OF(SHARED_GATE_UP, "shared_mlp.input_linear.weight"),                               \
        PPI_TENSOR_OF(SHARED_DOWN, "shared_mlp.output_linear.weight")

static const struct ppi_tensor_rule MOE[] = {BLOCK, EXPERTS, PPI_TENSORS_END};

static const struct ppi_arch_experts MOE_EXPERTS = {
    .n_key = "num_local_experts",
    .scoring = PPI_SCORING_CHOSEN,
    .n = 8,
    .top_k = 2,
};

const struct ppi_arch ppi_arch_granitemoe = {
    .id = PP_ARCH_GRANITEMOE,
    .model_type = "granitemoe",
    .class_name = "GraniteMoeForCausalLM",
    .no_labels = true,
    .tensors = MOE,
    .experts = &MOE_EXPERTS,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .read_more = ppi_arch_read_granite,
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

static const struct ppi_tensor_rule MOE_SHARED[] = {BLOCK, EXPERTS, SHARED, PPI_TENSORS_END};

static const struct ppi_arch_experts SHARED_EXPERTS = {
    .n_key = "num_local_experts",
    .shared_key = "shared_intermediate_size",
    .scoring = PPI_SCORING_CHOSEN,
    .n = 8,
    .top_k = 2,
};

const struct ppi_arch ppi_arch_granitemoeshared = {
    .id = PP_ARCH_GRANITEMOESHARED,
    .model_type = "granitemoeshared",
    .class_name = "GraniteMoeSharedForCausalLM",
    .no_labels = true,
    .tensors = MOE_SHARED,
    .experts = &SHARED_EXPERTS,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .read_more = ppi_arch_read_granite,
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

/* Of Mamba 2: v is its x, k its B, q its C. */
#define SLICE(weight, part, name, when)                                                            \
    {                                                                                              \
        PPI_WEIGHT_LINEAR_##weight, PPI_PART_##part, "mamba." name, when, PPI_AS_SLICE             \
    }

static const struct ppi_tensor_rule HYBRID[] = {
    BLOCK,
    SLICE(IN, Q, "in_proj.weight", PPI_ALWAYS),
    SLICE(IN, K, "in_proj.weight", PPI_ALWAYS),
    SLICE(IN, V, "in_proj.weight", PPI_ALWAYS),
    SLICE(IN, Z, "in_proj.weight", PPI_ALWAYS),
    SLICE(IN, A, "in_proj.weight", PPI_ALWAYS),
    SLICE(IN_BIAS, Q, "in_proj.bias", PPI_WHEN_LINEAR_BIAS),
    SLICE(IN_BIAS, K, "in_proj.bias", PPI_WHEN_LINEAR_BIAS),
    SLICE(IN_BIAS, V, "in_proj.bias", PPI_WHEN_LINEAR_BIAS),
    SLICE(IN_BIAS, Z, "in_proj.bias", PPI_WHEN_LINEAR_BIAS),
    SLICE(IN_BIAS, A, "in_proj.bias", PPI_WHEN_LINEAR_BIAS),
    SLICE(CONV, Q, "conv1d.weight", PPI_ALWAYS),
    SLICE(CONV, K, "conv1d.weight", PPI_ALWAYS),
    SLICE(CONV, V, "conv1d.weight", PPI_ALWAYS),
    SLICE(CONV_BIAS, Q, "conv1d.bias", PPI_WHEN_CONV_BIAS),
    SLICE(CONV_BIAS, K, "conv1d.bias", PPI_WHEN_CONV_BIAS),
    SLICE(CONV_BIAS, V, "conv1d.bias", PPI_WHEN_CONV_BIAS),
    PPI_TENSOR_OF(LINEAR_A_LOG, "mamba.A_log"),
    PPI_TENSOR_OF(LINEAR_DT_BIAS, "mamba.dt_bias"),
    PPI_TENSOR_OF(LINEAR_D, "mamba.D"),
    PPI_NORM_OF(LINEAR_NORM, "mamba.norm"),
    PPI_TENSOR_OF(LINEAR_OUT, "mamba.out_proj.weight"),
    {PPI_WEIGHT_LINEAR_OUT_BIAS, PPI_PART_ALL, "mamba.out_proj.bias", PPI_WHEN_LINEAR_BIAS,
     PPI_AS_IS},
    PPI_TENSOR_OF(GATE_UP, "shared_mlp.input_linear.weight"),
    PPI_TENSOR_OF(DOWN, "shared_mlp.output_linear.weight"),
    EXPERTS,
    SHARED,
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts HYBRID_EXPERTS = {
    .n_key = "num_local_experts",
    .shared_key = "shared_intermediate_size",
    .shared_is_mlp = true,
    .optional = true,
    .scoring = PPI_SCORING_CHOSEN,
    .n = 8,
    .top_k = 2,
    .shared = 1024,
};

static const struct ppi_arch_linear HYBRID_LINEAR = {
    .shape = {.rule = PPI_LINEAR_MAMBA2,
              .n_k_heads = 1,
              .n_v_heads = 128,
              .k_dim = 256,
              .conv_kernel = 4},
    .other_types_key = "layers_block_type",
};

const struct ppi_arch ppi_arch_granitemoehybrid = {
    .id = PP_ARCH_GRANITEMOEHYBRID,
    .model_type = "granitemoehybrid",
    .class_name = "GraniteMoeHybridForCausalLM",
    .no_labels = true,
    .tensors = HYBRID,
    .experts = &HYBRID_EXPERTS,
    .linear = &HYBRID_LINEAR,
    .rotates = PPI_ROTATES_STATED,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .read_more = ppi_arch_read_granite,
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
