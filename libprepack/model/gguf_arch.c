/*
 * gguf_arch.c: the rows of gguf_arch.h. Keys that are missing here mean what they mean in all files
 * (gguf_config.c), or are refused (gguf_keys.c).
 */
#include "model/gguf_arch.h"

#include <string.h>

#define RMS_EPS                                                                                    \
    {                                                                                              \
        "attention.layer_norm_rms_epsilon", "rms_norm_eps", true                                   \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, false                                                                          \
    }

static const struct ppi_gguf_key RMS[] = {RMS_EPS, END};
static const struct ppi_gguf_key GEMMA2[] = {
    RMS_EPS,
    {"attn_logit_softcapping", "attn_logit_softcapping", false},
    {"final_logit_softcapping", "final_logit_softcapping", false},
    END,
};
static const struct ppi_gguf_key GEMMA3[] = {
    RMS_EPS,
    {"final_logit_softcapping", "final_logit_softcapping", false},
    END,
};
static const struct ppi_gguf_key GRANITE[] = {
    RMS_EPS,
    {"attention.scale", "attention_multiplier", false},
    {"embedding_scale", "embedding_multiplier", false},
    {"residual_scale", "residual_multiplier", false},
    {"logit_scale", "logits_scaling", false},
    END,
};
static const struct ppi_gguf_key COHERE2[] = {
    {"attention.layer_norm_epsilon", "layer_norm_eps", true},
    {"logit_scale", "logit_scale", true},
    END,
};

static const struct ppi_gguf_key SCALED_EXPERTS[] = {
    RMS_EPS,
    {"expert_weights_scale", "routed_scaling_factor", false},
    END,
};

static const struct ppi_gguf_arch ARCHS[] = {
    {.name = "llama",
     .model_type = "llama",
     .windowed_type = "mistral",
     .experts_type = "mixtral",
     .experts = true,
     .keys = RMS,
     .permuted = true,
     .windows = true,
     .window_option = true},
    {.name = "mistral3",
     .model_type = "mistral",
     .tempered_type = "ministral3",
     .keys = RMS,
     .permuted = true,
     .windows = true,
     .window_option = true},
    {.name = "qwen2", .model_type = "qwen2", .keys = RMS},
    {.name = "qwen3", .model_type = "qwen3", .keys = RMS},
    {.name = "gemma2",
     .model_type = "gemma2",
     .keys = GEMMA2,
     .windows = true,
     .window = 4096,
     .full_every = 2,
     .n_layers_wider = 46},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .keys = GEMMA3,
     .windows = true,
     .full_every = 6,
     .sliding_theta = 1e4,
     .n_layers_wider = 62},
    {.name = "phi3", .model_type = "phi3", .keys = RMS, .windows = true},
    {.name = "olmo2",
     .model_type = "olmo2",
     .windowed_type = "olmo3",
     .keys = RMS,
     .windows = true,
     .full_every = 4},
    {.name = "granite",
     .model_type = "granite",
     .keys = GRANITE,
     .permuted = true,
     .needs_rope = true},
    {.name = "smollm3", .model_type = "smollm3", .keys = RMS, .permuted = true},
    {.name = "cohere2", .model_type = "cohere2", .keys = COHERE2, .windows = true, .full_every = 4},
    {.name = "glm4", .model_type = "glm4", .keys = RMS},
    {.name = "qwen2moe", .model_type = "qwen2_moe", .keys = RMS, .experts = true},
    {.name = "qwen3moe",
     .model_type = "qwen3_moe",
     .keys = RMS,
     .experts = true,
     .normalize = true},
    {.name = "olmoe", .model_type = "olmoe", .keys = RMS, .experts = true},
    {.name = "granitemoe",
     .model_type = "granitemoe",
     .shared_type = "granitemoeshared",
     .keys = GRANITE,
     .experts = true,
     .permuted = true,
     .needs_rope = true},
    {.name = "granitehybrid",
     .model_type = "granitemoehybrid",
     .keys = GRANITE,
     .experts = true,
     .permuted = true,
     .linear = true,
     .split_mlp = true},
    {.name = "glm4moe",
     .model_type = "glm4_moe",
     .keys = SCALED_EXPERTS,
     .mlp_norm = "post_attention_norm.weight",
     .experts = true,
     .deepseek = true,
     .qk_norm_by_tensor = true},
    {.name = "gpt-oss",
     .model_type = "gpt_oss",
     .keys = RMS,
     .mlp_norm = "post_attention_norm.weight",
     .experts = true,
     .windows = true,
     .window = 128,
     .full_every = 2,
     .exact_yarn = true},
    {.name = "exaone4", .model_type = "exaone4", .keys = RMS, .windows = true, .full_every = 4},
};

const struct ppi_gguf_arch *ppi_gguf_arch_at(size_t i)
{
    return i < PPI_COUNT(ARCHS) ? &ARCHS[i] : NULL;
}

const struct ppi_gguf_arch *ppi_gguf_arch_of(const char *name)
{
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++)
        if (strcmp(name, ARCHS[i].name) == 0)
            return &ARCHS[i];
    return NULL;
}

const struct ppi_gguf_arch *ppi_gguf_arch_of_class(const char *model_type)
{
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++) {
        const char *types[] = {ARCHS[i].model_type, ARCHS[i].windowed_type, ARCHS[i].tempered_type,
                               ARCHS[i].experts_type, ARCHS[i].shared_type};
        for (size_t j = 0; j < PPI_COUNT(types); j++)
            if (types[j] && strcmp(types[j], model_type) == 0)
                return &ARCHS[i];
    }
    return NULL;
}
