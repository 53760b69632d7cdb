/*
 * arch_mistral.c: Mistral, Ministral (a window in some layers) and Ministral 3 (queries grow with
 * the position).
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_O,
    PPI_TENSORS_MLP,
    PPI_TENSORS_END,
};

const struct ppi_arch ppi_arch_mistral = {
    .id = PP_ARCH_MISTRAL,
    .model_type = "mistral",
    .class_name = "MistralForCausalLM",
    .tensors = TENSORS,
    .windows = PPI_WINDOW_SAME,
    .window = 4096,
    .vocab_size = 32000,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 8,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};

const struct ppi_arch ppi_arch_ministral = {
    .id = PP_ARCH_MINISTRAL,
    .model_type = "ministral",
    .class_name = "MinistralForCausalLM",
    .tensors = TENSORS,
    .windows = PPI_WINDOW_TYPES,
    .window = 4096,
    .vocab_size = 32000,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 8,
    .max_position = 131072,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-6,
    .theta = 1e4,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};

/* Queries grow slowly with the position: rope_parameters says how. The period is the length that
 * the rotation was made for; a rope type without one has it in rope_parameters all the same. */
static pp_status read_ministral3(const struct ppi_config_reader *reader,
                                 struct ppi_model_spec *spec)
{
    static const char beta[] = "llama_4_scaling_beta",
                      period[] = "original_max_position_embeddings";
    const struct ppi_json_value *rope = ppi_config_get(reader, "rope_scaling");
    if (!ppi_json_first(rope))
        rope = ppi_config_get(reader, "rope_parameters");
    spec->q_scale_beta = 0.1;
    spec->q_scale_period = spec->ropes[0].original_max_position;
    if (!ppi_json_first(rope))
        return PP_OK;
    if (!ppi_json_get(rope, beta))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, beta, NULL,
                                 "the rope parameters of this architecture need it");
    PP_TRY(ppi_config_number(reader, rope, beta, false, &spec->q_scale_beta));
    if (spec->q_scale_period > 0)
        return PP_OK;
    return ppi_config_clamped(reader, period, ppi_json_get(rope, period), &spec->q_scale_period);
}

const struct ppi_arch ppi_arch_ministral3 = {
    .id = PP_ARCH_MINISTRAL3,
    .model_type = "ministral3",
    .class_name = "Ministral3ForCausalLM",
    .tensors = TENSORS,
    .windows = PPI_WINDOW_SAME,
    .rope = "{\"rope_type\":\"yarn\",\"rope_theta\":1e6,\"factor\":16,"
            "\"original_max_position_embeddings\":16384,\"beta_fast\":32,\"beta_slow\":1,"
            "\"mscale\":1,\"mscale_all_dim\":1}",
    .read_more = read_ministral3,
    .vocab_size = 131072,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .n_layers = 34,
    .n_heads = 32,
    .n_kv_heads = 8,
    .head_dim = 128,
    .max_position = 262144,
    .activation = PPI_ACTIVATION_SILU,
    .norm_eps = 1e-5,
    .theta = 1e4,
    .bos_token = 1,
    .n_eos_tokens = 1,
    .eos_tokens = {2},
};
