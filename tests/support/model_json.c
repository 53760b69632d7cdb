/*
 * model_json.c: see model_json.h.
 */
#define _GNU_SOURCE
#include "model_json.h"

#include <stdbool.h>

#include <stdio.h>
#include <stdlib.h>

/* Without its model no test means anything. */
__attribute__((noreturn)) static void give_up(const char *what, const char *message)
{
    printf("Bail out! %s: %s\n", what, message);
    exit(EXIT_FAILURE);
}

struct model_shape model_shape_of(const char *preset)
{
    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    pp_model_config config = {.struct_size = sizeof config};
    pp_layer_config layer = {.struct_size = sizeof layer};
    const char *text = pp_model_preset(preset);
    if (!text || pp_model_create_random(text, 1, NULL, &model, &err) < 0 ||
        pp_model_get_config(model, &config, &err) < 0 ||
        pp_model_get_layer(model, 0, &layer, &err) < 0)
        give_up(preset, text ? err.message : "no such preset");
    pp_model_unref(model);
    return (struct model_shape){.arch = config.arch,
                                .vocab_size = config.vocab_size,
                                .hidden_size = config.hidden_size,
                                .intermediate_size = config.intermediate_size,
                                .n_layers = config.n_layers,
                                .n_heads = config.n_heads,
                                .n_kv_heads = config.n_kv_heads,
                                .head_dim = config.head_dim,
                                .max_position = config.max_position,
                                .sliding_window = layer.sliding_window,
                                .tie_embeddings = config.tie_embeddings,
                                .dtype = config.dtype,
                                .norm_eps = config.norm_eps,
                                .rope_theta = layer.rope_theta,
                                .rope_type = PP_ROPE_DEFAULT};
}

static void print_rope(FILE *out, const struct model_shape *shape)
{
    if (shape->rope_type == PP_ROPE_LINEAR)
        fprintf(out, ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":%.17g}",
                shape->rope_factor);
    if (shape->rope_type == PP_ROPE_LLAMA3)
        fprintf(out,
                ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":%.17g,"
                "\"low_freq_factor\":%.17g,\"high_freq_factor\":%.17g,"
                "\"original_max_position_embeddings\":%d}",
                shape->rope_factor, shape->rope_low_freq_factor, shape->rope_high_freq_factor,
                shape->rope_original_max_position);
}

char *model_json(const struct model_shape *shape)
{
    static const char *const dtypes[] = {
        [PP_DTYPE_F32] = "float32", [PP_DTYPE_F16] = "float16", [PP_DTYPE_BF16] = "bfloat16"};
    bool llama = shape->arch == PP_ARCH_LLAMA;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        give_up("config.json", "no memory");
    fprintf(out,
            "{\"architectures\":[\"%s\"],\"model_type\":\"%s\",\"vocab_size\":%d,"
            "\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":%d,"
            "\"num_attention_heads\":%d,\"num_key_value_heads\":%d,\"head_dim\":%d,"
            "\"max_position_embeddings\":%d,\"tie_word_embeddings\":%s,\"dtype\":\"%s\","
            "\"rms_norm_eps\":%.17g,\"rope_theta\":%.17g,\"hidden_act\":\"silu\","
            "\"bos_token_id\":1,\"eos_token_id\":2",
            llama ? "LlamaForCausalLM" : "MistralForCausalLM", llama ? "llama" : "mistral",
            shape->vocab_size, shape->hidden_size, shape->intermediate_size, shape->n_layers,
            shape->n_heads, shape->n_kv_heads, shape->head_dim, shape->max_position,
            shape->tie_embeddings ? "true" : "false", dtypes[shape->dtype], shape->norm_eps,
            shape->rope_theta);
    print_rope(out, shape);
    if (!llama && shape->sliding_window > 0)
        fprintf(out, ",\"sliding_window\":%d", shape->sliding_window);
    else if (!llama)
        fprintf(out, ",\"sliding_window\":null");
    fprintf(out, "}\n");
    if (fclose(out) != 0)
        give_up("config.json", "no memory");
    return text;
}

pp_status model_random(const struct model_shape *shape, uint64_t seed,
                       const pp_model_params *params, pp_model **model, pp_error *err)
{
    char *text = model_json(shape);
    pp_status status = pp_model_create_random(text, seed, params, model, err);
    free(text);
    return status;
}
