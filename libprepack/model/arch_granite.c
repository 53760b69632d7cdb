/*
 * arch_granite.c: Granite: Llama with a multiplier at each end of everything.
 */
#include "model/arch.h"

static const struct ppi_tensor_rule TENSORS[] = {
    PPI_TENSORS_ENDS,
    PPI_NORM_OF(ATTN_NORM, "input_layernorm"),
    PPI_NORM_OF(MLP_NORM, "post_attention_layernorm"),
    PPI_TENSORS_QKV,
    PPI_TENSORS_QKV_BIAS,
    PPI_TENSORS_O,
    PPI_TENSORS_O_BIAS,
    PPI_TENSORS_MLP,
    PPI_TENSORS_MLP_BIAS,
    PPI_TENSORS_END,
};

pp_status ppi_arch_read_granite(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    double logits = 1;
    const struct ppi_json_value *root = reader->root;
    spec->softmax_scale = spec->residual_scale = 1;
    PP_TRY(ppi_config_positive(reader, root, "embedding_multiplier", false, &spec->embed_scale));
    PP_TRY(ppi_config_positive_f32(reader, "attention_multiplier", &spec->softmax_scale));
    PP_TRY(ppi_config_positive_f32(reader, "residual_multiplier", &spec->residual_scale));
    PP_TRY(ppi_config_positive(reader, root, "logits_scaling", false, &logits));
    spec->logit_scale = (float)(1 / logits);
    return PP_OK;
}

const struct ppi_arch ppi_arch_granite = {
    .id = PP_ARCH_GRANITE,
    .model_type = "granite",
    .class_name = "GraniteForCausalLM",
    .no_labels = true,
    .tensors = TENSORS,
    .qkv_bias = PPI_BIAS_BY_KEY,
    .o_bias = PPI_BIAS_BY_KEY,
    .mlp_bias = PPI_BIAS_BY_KEY,
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
