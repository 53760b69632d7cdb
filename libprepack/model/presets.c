/*
 * presets.c: the shapes of known models, by name, as their config.json has them.
 */
#include "internal.h"

#include <prepack/model.h>

#include <string.h>

#define PRESET(class_name, type, eps, tied, shape, more)                                           \
    "{\"architectures\":[\"" class_name "\"],\"model_type\":\"" type "\",\"dtype\":\"bfloat16\","  \
    "\"rms_norm_eps\":" eps ",\"tie_word_embeddings\":" tied "," shape "," more "}"
#define SHAPE(vocab, hidden, inner, layers, heads, kv_heads, head_dim, positions)                  \
    "\"vocab_size\":" #vocab ",\"hidden_size\":" #hidden ",\"intermediate_size\":" #inner          \
    ",\"num_hidden_layers\":" #layers ",\"num_attention_heads\":" #heads                           \
    ",\"num_key_value_heads\":" #kv_heads ",\"head_dim\":" #head_dim                               \
    ",\"max_position_embeddings\":" #positions

static const struct preset {
    const char *name, *config;
} presets[] = {
    {"tiny",
     PRESET("LlamaForCausalLM", "llama", "1e-5", "false", SHAPE(512, 64, 176, 2, 4, 2, 16, 4096),
            "\"rope_theta\":10000.0,\"bos_token_id\":1,\"eos_token_id\":2")},
    /* princeton-nlp/Sheared-LLaMA-1.3B */
    {"llama1b", PRESET("LlamaForCausalLM", "llama", "1e-5", "false",
                       SHAPE(32000, 2048, 5504, 24, 16, 16, 128, 4096),
                       "\"rope_theta\":10000.0,\"bos_token_id\":1,\"eos_token_id\":2")},
    {"llama2-7b", PRESET("LlamaForCausalLM", "llama", "1e-5", "false",
                         SHAPE(32000, 4096, 11008, 32, 32, 32, 128, 4096),
                         "\"rope_theta\":10000.0,\"bos_token_id\":1,\"eos_token_id\":2")},
    {"llama2-13b", PRESET("LlamaForCausalLM", "llama", "1e-5", "false",
                          SHAPE(32000, 5120, 13824, 40, 40, 40, 128, 4096),
                          "\"rope_theta\":10000.0,\"bos_token_id\":1,\"eos_token_id\":2")},
    /* v0.1, the version with a sliding window */
    {"mistral-7b",
     PRESET(
         "MistralForCausalLM", "mistral", "1e-5", "false",
         SHAPE(32000, 4096, 14336, 32, 32, 8, 128, 32768),
         "\"rope_theta\":10000.0,\"sliding_window\":4096,\"bos_token_id\":1,\"eos_token_id\":2")},
    {"llama3.2-1b",
     PRESET("LlamaForCausalLM", "llama", "1e-5", "true",
            SHAPE(128256, 2048, 8192, 16, 32, 8, 64, 131072),
            "\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32.0,"
            "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":"
            "8192},\"bos_token_id\":128000,\"eos_token_id\":128001")},
    {"qwen3-0.6b",
     PRESET("Qwen3ForCausalLM", "qwen3", "1e-6", "true",
            SHAPE(151936, 1024, 3072, 28, 16, 8, 128, 40960),
            "\"rope_theta\":1000000.0,\"bos_token_id\":151643,\"eos_token_id\":151645")},
    {"gemma3-1b",
     PRESET("Gemma3ForCausalLM", "gemma3_text", "1e-6", "true",
            SHAPE(262144, 1152, 6912, 26, 4, 1, 256, 32768),
            "\"rope_theta\":1000000.0,\"rope_local_base_freq\":10000.0,\"sliding_window\":512,"
            "\"sliding_window_pattern\":6,\"query_pre_attn_scalar\":256,\"hidden_activation\":"
            "\"gelu_pytorch_tanh\",\"bos_token_id\":2,\"eos_token_id\":[1,106]")},
};

const char *pp_model_preset(const char *name)
{
    for (size_t i = 0; name && i < PPI_COUNT(presets); i++)
        if (strcmp(name, presets[i].name) == 0)
            return presets[i].config;
    return NULL;
}

const char *pp_model_preset_name(int64_t i)
{
    return i >= 0 && i < (int64_t)PPI_COUNT(presets) ? presets[i].name : NULL;
}
