/*
 * cache_world.c: see cache_world.h.
 */
#include "cache_world.h"

#include <stdio.h>

#define COMMON                                                                                     \
    "\"max_position_embeddings\": 512, \"vocab_size\": 96, \"hidden_size\": 48, "                  \
    "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "          \
    "\"head_dim\": 16, \"dtype\": \"bfloat16\""

static const char *const configs[CACHE_ALL] = {
    "{\"model_type\": \"qwen3\", \"num_hidden_layers\": 3, " COMMON "}",
    "{\"model_type\": \"gemma2\", \"num_hidden_layers\": 3, \"sliding_window\": 20, "
    "\"query_pre_attn_scalar\": 16, " COMMON "}",
    "{\"model_type\": \"mistral\", \"num_hidden_layers\": 2, \"sliding_window\": 9, " COMMON "}",
    "{\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 2, \"sliding_window\": 8, "
    "\"layer_types\": [\"sliding_attention\", \"full_attention\"], \"query_pre_attn_scalar\": 16, "
    "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"longrope\", "
    "\"rope_theta\": 10000.0, \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1], "
    "\"long_factor\": [1, 2, 3, 4, 5, 6, 7, 8], \"original_max_position_embeddings\": 64}, "
    "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 500.0}}, " COMMON "}",
    "{\"model_type\": \"qwen3_5_text\", \"num_hidden_layers\": 4, \"full_attention_interval\": 2, "
    "\"linear_num_key_heads\": 2, \"linear_num_value_heads\": 4, \"linear_key_head_dim\": 8, "
    "\"linear_value_head_dim\": 8, \"linear_conv_kernel_dim\": 4, " COMMON "}",
    "{\"model_type\": \"granitemoehybrid\", \"num_hidden_layers\": 3, \"layer_types\": [\"mamba\", "
    "\"attention\", \"mamba\"], \"num_local_experts\": 0, \"num_experts_per_tok\": 0, "
    "\"shared_intermediate_size\": 96, \"mamba_n_heads\": 6, \"mamba_d_head\": 16, "
    "\"mamba_n_groups\": 2, \"mamba_d_state\": 8, \"mamba_d_conv\": 3, " COMMON "}",
    "{\"model_type\": \"gemma4_text\", \"num_hidden_layers\": 6, \"layer_types\": "
    "[\"sliding_attention\", \"full_attention\", \"sliding_attention\", "
    "\"sliding_attention\", \"sliding_attention\", \"full_attention\"], "
    "\"sliding_window\": 20, \"num_kv_shared_layers\": 2, \"use_double_wide_mlp\": true, "
    "\"global_head_dim\": 32, \"attention_k_eq_v\": true, \"num_global_key_value_heads\": 1, "
    "\"hidden_size_per_layer_input\": 8, \"vocab_size_per_layer_input\": 96, " COMMON "}",
};

const int32_t cache_ids[512] = {
#define ID(i)  ((i)*37 + (i) / 7 * 11) % CACHE_VOCAB
#define ID8(i) ID(i), ID(i + 1), ID(i + 2), ID(i + 3), ID(i + 4), ID(i + 5), ID(i + 6), ID(i + 7)
#define ID64(i)                                                                                    \
    ID8(i), ID8(i + 8), ID8(i + 16), ID8(i + 24), ID8(i + 32), ID8(i + 40), ID8(i + 48), ID8(i + 56)
    ID64(0), ID64(64), ID64(128), ID64(192), ID64(256), ID64(320), ID64(384), ID64(448)};

pp_model *cache_model(int i, uint64_t seed)
{
    pp_model *model = NULL;
    OK(pp_model_create_random(configs[i], seed, NULL, &model, perr));
    return model;
}

pp_kvcache *cache_prefill(pp_session *session, int64_t n)
{
    pp_kvcache *cache = NULL;
    const pp_prompt prompt = {cache_ids, n};
    OK(pp_prefill(session, NULL, &prompt, 1, &cache, NULL, perr));
    return cache;
}

struct run_bits cache_continue(pp_session *session, pp_kvcache *cache, int64_t begin, int64_t end)
{
    float logits[CACHE_VOCAB];
    pp_item item = {.struct_size = sizeof item,
                    .cache = cache,
                    .tokens = cache_ids + begin,
                    .n_tokens = end - begin,
                    .output = PP_OUTPUT_LAST_LOGITS,
                    .logits = logits};
    OK(pp_run(session, NULL, &item, 1, NULL, perr));
    return run_collect(session, cache, logits);
}

struct cache_shape cache_shape(const pp_session *session, int32_t layer)
{
    pp_model_config config = {.struct_size = sizeof config};
    pp_layer_config of = {.struct_size = sizeof of};
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_model_get_layer(pp_session_model(session), layer, &of, perr));
    OK(pp_model_get_config(pp_session_model(session), &config, perr));
    OK(pp_session_get_info(session, &info, perr));
    return (struct cache_shape){config.n_layers, of.n_kv_heads, of.head_dim, info.dtype};
}
