/*
 * presets.c: the shapes of known models, by name.
 */
#include "internal.h"

#include <prepack/model.h>

#include <stdio.h>
#include <string.h>

/* What the presets have in common. */
#define COMMON                                                                                     \
    .struct_size = sizeof(pp_model_config), .dtype = PP_DTYPE_BF16, .rope_type = PP_ROPE_DEFAULT,  \
    .rms_norm_eps = 1e-5, .rope_theta = 10000.0, .bos_token = 1, .eos_token = 2

static const struct preset {
    const char *name;
    pp_model_config config;
} presets[] = {
    {"tiny",
     {COMMON, .arch = PP_ARCH_LLAMA, .vocab_size = 512, .hidden_size = 64, .intermediate_size = 176,
      .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .max_position = 4096}},
    {"llama1b", /* princeton-nlp/Sheared-LLaMA-1.3B */
     {COMMON, .arch = PP_ARCH_LLAMA, .vocab_size = 32000, .hidden_size = 2048,
      .intermediate_size = 5504, .n_layers = 24, .n_heads = 16, .n_kv_heads = 16, .head_dim = 128,
      .max_position = 4096}},
    {"llama2-7b",
     {COMMON, .arch = PP_ARCH_LLAMA, .vocab_size = 32000, .hidden_size = 4096,
      .intermediate_size = 11008, .n_layers = 32, .n_heads = 32, .n_kv_heads = 32, .head_dim = 128,
      .max_position = 4096}},
    {"llama2-13b",
     {COMMON, .arch = PP_ARCH_LLAMA, .vocab_size = 32000, .hidden_size = 5120,
      .intermediate_size = 13824, .n_layers = 40, .n_heads = 40, .n_kv_heads = 40, .head_dim = 128,
      .max_position = 4096}},
    {"mistral-7b", /* v0.1, the version with a sliding window */
     {COMMON, .arch = PP_ARCH_MISTRAL, .vocab_size = 32000, .hidden_size = 4096,
      .intermediate_size = 14336, .n_layers = 32, .n_heads = 32, .n_kv_heads = 8, .head_dim = 128,
      .max_position = 32768, .sliding_window = 4096}},
};

const char *pp_model_preset_name(size_t i)
{
    return i < PPI_COUNT(presets) ? presets[i].name : NULL;
}

pp_status pp_model_config_preset(const char *name, pp_model_config *config, pp_error *err)
{
    char known[128] = "";
    for (size_t i = 0; i < PPI_COUNT(presets); i++) {
        if (name && strcmp(name, presets[i].name) == 0)
            return ppi_struct_write(config, &presets[i].config, sizeof presets[i].config,
                                    "pp_model_config", err);
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, used ? ", %s" : "%s", presets[i].name);
    }
    return ppi_error(err, PP_ERR_ARG, "there is no preset \"%.64s\"; known are %s",
                     name ? name : "(NULL)", known);
}
