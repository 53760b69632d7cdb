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
#define EXPERTS(n, top_k, size)                                                                    \
    "\"num_experts\":" #n ",\"num_experts_per_tok\":" #top_k ",\"moe_intermediate_size\":" #size
/* Linear layers of the gated delta rule, and every fourth one that attends. */
#define DELTA(k_heads, v_heads, dim)                                                               \
    "\"full_attention_interval\":4,\"linear_num_key_heads\":" #k_heads                             \
    ",\"linear_num_value_heads\":" #v_heads ",\"linear_key_head_dim\":" #dim                       \
    ",\"linear_value_head_dim\":" #dim ",\"linear_conv_kernel_dim\":4"
#define QUARTER_TURNS(theta)                                                                       \
    "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":" #theta                        \
    ",\"partial_rotary_factor\":0.25}"
#define MAMBA_5        "\"mamba\",\"mamba\",\"mamba\",\"mamba\",\"mamba\""
#define MAMBA_9_TO_1   MAMBA_5 ",\"attention\",\"mamba\",\"mamba\",\"mamba\",\"mamba\""
#define SLIDING        "\"sliding_attention\""
#define SLIDING_4_TO_1 SLIDING "," SLIDING "," SLIDING "," SLIDING ",\"full_attention\""

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
    {"mixtral-8x7b", PRESET("MixtralForCausalLM", "mixtral", "1e-5", "false",
                            SHAPE(32000, 4096, 14336, 32, 32, 8, 128, 32768),
                            "\"num_local_experts\":8,\"num_experts_per_tok\":2,\"rope_theta\":"
                            "1000000.0,\"bos_token_id\":1,\"eos_token_id\":2")},
    {"qwen3-30b-a3b",
     PRESET("Qwen3MoeForCausalLM", "qwen3_moe", "1e-6", "false",
            SHAPE(151936, 2048, 6144, 48, 32, 4, 128, 40960),
            EXPERTS(128, 8, 768) ",\"norm_topk_prob\":true,\"rope_theta\":1000000.0,"
                                 "\"bos_token_id\":151643,\"eos_token_id\":151645")},
    {"gpt-oss-20b",
     PRESET("GptOssForCausalLM", "gpt_oss", "1e-5", "false",
            SHAPE(201088, 2880, 2880, 24, 64, 8, 64, 131072),
            "\"num_local_experts\":32,\"num_experts_per_tok\":4,\"attention_bias\":true,"
            "\"sliding_window\":128,\"swiglu_limit\":7.0,\"rope_theta\":150000.0,\"rope_scaling\":"
            "{\"rope_type\":\"yarn\",\"factor\":32.0,\"beta_fast\":32.0,\"beta_slow\":1.0,"
            "\"truncate\":false,\"original_max_position_embeddings\":4096},"
            "\"eos_token_id\":200002")},
    {"qwen3.5-0.8b",
     PRESET("Qwen3_5ForCausalLM", "qwen3_5_text", "1e-6", "true",
            SHAPE(248320, 1024, 3584, 24, 8, 2, 256, 262144),
            DELTA(16, 16, 128) "," QUARTER_TURNS(10000000.0) ",\"eos_token_id\":248044")},
    {"granite4-h-tiny",
     PRESET("GraniteMoeHybridForCausalLM", "granitemoehybrid", "1e-5", "true",
            SHAPE(100352, 1536, 512, 40, 12, 4, 128, 131072),
            "\"layer_types\":[" MAMBA_9_TO_1 "," MAMBA_9_TO_1 "," MAMBA_9_TO_1 "," MAMBA_9_TO_1
            "],\"mamba_n_heads\":48,\"mamba_d_head\":64,\"mamba_d_state\":128,"
            "\"mamba_n_groups\":1,\"mamba_d_conv\":4,\"mamba_expand\":2,\"mamba_conv_bias\":true,"
            "\"mamba_proj_bias\":false,\"num_local_experts\":64,\"num_experts_per_tok\":6,"
            "\"shared_intermediate_size\":1024,\"position_embedding_type\":\"nope\","
            "\"attention_multiplier\":0.0078125,\"embedding_multiplier\":12.0,"
            "\"residual_multiplier\":0.22,\"logits_scaling\":6.0,\"bos_token_id\":100257,"
            "\"eos_token_id\":100257")},
    {"gemma4-e2b",
     PRESET("Gemma4ForCausalLM", "gemma4_text", "1e-6", "true",
            SHAPE(262144, 1536, 6144, 35, 8, 1, 256, 131072),
            "\"layer_types\":[" SLIDING_4_TO_1 "," SLIDING_4_TO_1 "," SLIDING_4_TO_1
            "," SLIDING_4_TO_1 "," SLIDING_4_TO_1 "," SLIDING_4_TO_1 "," SLIDING_4_TO_1
            "],\"global_head_dim\":512,\"num_kv_shared_layers\":20,\"use_double_wide_mlp\":true,"
            "\"hidden_size_per_layer_input\":256,\"vocab_size_per_layer_input\":262144,"
            "\"sliding_window\":512,\"final_logit_softcapping\":30.0,\"rope_parameters\":{"
            "\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":1000000.0,"
            "\"partial_rotary_factor\":0.25},\"sliding_attention\":{\"rope_type\":\"default\","
            "\"rope_theta\":10000.0}},\"hidden_activation\":\"gelu_pytorch_tanh\","
            "\"bos_token_id\":2,\"eos_token_id\":[1,106]")},
    /* of no model: two layers as wide as those of qwen3-30b-a3b, with half of its experts */
    {"qwen3-moe-small",
     PRESET("Qwen3MoeForCausalLM", "qwen3_moe", "1e-6", "true",
            SHAPE(32000, 2048, 6144, 2, 32, 4, 128, 40960),
            EXPERTS(64, 8, 768) ",\"norm_topk_prob\":true,\"rope_theta\":1000000.0,"
                                "\"bos_token_id\":1,\"eos_token_id\":2")},
    /* of no models: as small as "tiny", with experts, and with linear layers */
    {"tiny-moe", PRESET("Qwen3MoeForCausalLM", "qwen3_moe", "1e-6", "false",
                        SHAPE(512, 64, 176, 2, 4, 2, 16, 4096),
                        EXPERTS(8, 2, 48) ",\"norm_topk_prob\":true,\"rope_theta\":10000.0,"
                                          "\"bos_token_id\":1,\"eos_token_id\":2")},
    {"tiny-linear",
     PRESET("Qwen3_5ForCausalLM", "qwen3_5_text", "1e-6", "false",
            SHAPE(512, 64, 176, 4, 4, 2, 16, 4096),
            DELTA(2, 4, 16) "," QUARTER_TURNS(10000.0) ",\"bos_token_id\":1,\"eos_token_id\":2")},
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
