/*
 * arch_mixtral.c: Mixtral: Mistral with experts in all layers. Files have the names of its makers;
 * those of its class have all experts in one tensor.
 */
#include "model/arch.h"

#define EXPERT(weight, part, name)                                                                 \
    {                                                                                              \
        PPI_WEIGHT_EXPERT_##weight, PPI_PART_##part,                                               \
            "block_sparse_moe.experts.%d." name ".weight", PPI_WHEN_EXPERTS_SINGLE, PPI_AS_IS      \
    }

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_O,
    {PPI_WEIGHT_ROUTER, PPI_PART_ALL, "block_sparse_moe.gate.weight", PPI_WHEN_EXPERTS_SINGLE,
     PPI_AS_IS},
    {PPI_WEIGHT_ROUTER, PPI_PART_ALL, "mlp.gate.weight", PPI_WHEN_EXPERTS_FUSED, PPI_AS_IS},
    EXPERT(GATE_UP, GATE, "w1"),
    EXPERT(GATE_UP, UP, "w3"),
    {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, "mlp.experts.gate_up_proj", PPI_WHEN_EXPERTS_FUSED,
     PPI_AS_IS},
    EXPERT(DOWN, ALL, "w2"),
    {PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "mlp.experts.down_proj", PPI_WHEN_EXPERTS_FUSED,
     PPI_AS_IS},
    PPI_TENSORS_END,
};

static const struct ppi_arch_experts EXPERTS = {
    .n_key = "num_local_experts",
    .n_other_key = "num_experts",
    .scoring = PPI_SCORING_SOFTMAX,
    .normalize = true,
    .n = 8,
    .top_k = 2,
};

const struct ppi_arch ppi_arch_mixtral = {
    .id = PP_ARCH_MIXTRAL,
    .model_type = "mixtral",
    .class_name = "MixtralForCausalLM",
    .tensors = TENSORS,
    .experts = &EXPERTS,
    .windows = PPI_WINDOW_SAME,
    .vocab_size = 32000,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 8,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e6,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};
