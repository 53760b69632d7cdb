/*
 * fuzz_config.c: any config.json: refused with a sentence, or a spec within the ranges, of which
 * every layer, rope and place can be used.
 */
#include "fuzz.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"vocab_size\":8,"
    "\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"head_dim\":2,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,"
    "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"tie_word_embeddings\":false,"
    "\"bos_token_id\":1,\"eos_token_id\":[2,3],\"torch_dtype\":\"bfloat16\"}",
    "{\"architectures\":[\"MistralForCausalLM\"],\"dtype\":\"float16\",\"rope_parameters\":"
    "{\"rope_type\":\"llama3\",\"rope_theta\":500000,\"factor\":32.0,\"low_freq_factor\":1.0,"
    "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192},\"sliding_window\":5,"
    "\"partial_rotary_factor\":1.0,\"quantization_config\":null,\"attention_bias\":false}",
    "{\"model_type\":\"gemma3\",\"text_config\":{\"num_hidden_layers\":3,\"sliding_window\":8,"
    "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"],"
    "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8},"
    "\"sliding_attention\":null},\"final_logit_softcapping\":30.0},\"a\":Infinity}",
    "{\"model_type\":\"phi3\",\"hidden_size\":64,\"num_attention_heads\":8,\"num_hidden_layers\":2,"
    "\"sliding_window\":9,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1.5],"
    "\"long_factor\":[2,2,2,2.5]}}",
    "{\"model_type\":\"ministral3\",\"num_hidden_layers\":2,\"rope_parameters\":{\"rope_type\":"
    "\"yarn\",\"factor\":null,\"beta_fast\":32,\"mscale\":1,\"mscale_all_dim\":0.5,\"truncate\":"
    "false,\"original_max_position_embeddings\":64,\"llama_4_scaling_beta\":0.1}}",
    "{\"model_type\":\"smollm3\",\"num_hidden_layers\":3,\"no_rope_layers\":[1,0,1],"
    "\"use_sliding_window\":true,\"sliding_window\":7,\"rope_scaling\":{\"type\":\"dynamic\","
    "\"factor\":2}}",
    "{\"model_type\":\"exaone4\",\"num_hidden_layers\":4,\"sliding_window_pattern\":\"LLLG\"}",
    "{\"architectures\":[\"Qwen3ForSequenceClassification\"],\"num_labels\":2,\"num_hidden_"
    "layers\":1,"
    "\"id2label\":{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"}}",
    "{\"architectures\":[\"Gemma3TextModel\"],\"num_hidden_layers\":1,\"num_labels\":3}",
    "{\"model_type\":\"qwen2_moe\",\"num_hidden_layers\":3,\"num_experts\":8,\"num_experts_per_"
    "tok\":"
    "2,\"moe_intermediate_size\":5,\"shared_expert_intermediate_size\":7,\"mlp_only_layers\":[1],"
    "\"decoder_sparse_step\":2,\"norm_topk_prob\":true,\"qkv_bias\":false}",
    "{\"model_type\":\"glm4_moe\",\"num_hidden_layers\":2,\"head_dim\":64,\"n_routed_experts\":8,"
    "\"n_shared_experts\":2,\"first_k_dense_replace\":1,\"n_group\":1,\"topk_group\":1,"
    "\"routed_scaling_factor\":2.5,\"use_qk_norm\":true}",
    "{\"model_type\":\"gpt_oss\",\"num_hidden_layers\":2,\"swiglu_limit\":7.0,\"swiglu_alpha\":1."
    "702,"
    "\"quantization_config\":{\"quant_method\":\"mxfp4\",\"modules_to_not_convert\":[\"lm_head\"]}"
    "}",
    "{\"model_type\":\"qwen3_next\",\"num_hidden_layers\":4,\"full_attention_interval\":2,"
    "\"linear_num_key_heads\":2,\"linear_num_value_heads\":4,\"linear_key_head_dim\":8,"
    "\"linear_value_head_dim\":8,\"linear_conv_kernel_dim\":4,\"num_experts\":4,"
    "\"num_experts_per_tok\":4}",
    "{\"model_type\":\"granitemoehybrid\",\"hidden_size\":64,\"num_hidden_layers\":3,"
    "\"num_local_experts\":0,\"shared_intermediate_size\":8,\"layer_types\":[\"mamba\","
    "\"attention\","
    "\"linear_attention\"],\"mamba_n_heads\":4,\"mamba_n_groups\":2,\"mamba_d_head\":32,"
    "\"mamba_d_state\":8,\"mamba_expand\":2,\"mamba_d_conv\":4,\"position_embedding_type\":"
    "\"rope\","
    "\"time_step_limit\":[0.0,{\"__float__\":\"Infinity\"}]}",
    NULL,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_rope(const struct ppi_rope_spec *rope)
{
    float frequencies[256], magnitude;
    const int64_t lengths[] = {1, rope->original_max_position, INT32_MAX};
    check(rope->rotary_dim >= 2 && rope->rotary_dim <= 512 && rope->rotary_dim % 2 == 0);
    check(rope->theta > 0 && rope->factor > 0);
    for (size_t i = 0; i < PPI_COUNT(lengths); i++) {
        ppi_rope_frequencies(rope, ppi_rope_set(rope, lengths[i]), frequencies, &magnitude);
        check(magnitude >= 0);
    }
}

static void check_experts(const struct ppi_model_spec *spec)
{
    const struct ppi_experts_spec *experts = &spec->experts;
    bool any = false;
    for (int32_t i = 0; i < spec->n_layers; i++)
        any |= spec->layers[i].has_experts;
    check((experts->n > 0) == any && experts->n >= 0 && experts->n <= 65536);
    if (!any)
        return;
    check(experts->top_k >= 1 && experts->top_k <= experts->n);
    check(experts->intermediate_size >= 1 && experts->intermediate_size <= 1 << 20);
    check(experts->shared_size >= 0 && experts->shared_size <= 1 << 20);
    check(experts->scale > 0 && experts->sum_eps >= 0);
    check(experts->activation != PPI_ACTIVATION_SWIGLU_CLAMPED ||
          (experts->limit > 0 && experts->alpha > 0));
}

static void check_linear(const struct ppi_linear_shape *shape)
{
    check(shape->n_k_heads >= 1 && shape->n_v_heads <= 1024);
    check(shape->n_v_heads >= 1 && shape->n_v_heads % shape->n_k_heads == 0);
    check(shape->k_dim >= 1 && shape->k_dim <= 512 && shape->v_dim >= 1 && shape->v_dim <= 512);
    check(shape->conv_kernel >= 1 && shape->conv_kernel <= PPI_MAX_CONV_KERNEL);
    check(shape->rule == PPI_LINEAR_DELTA || ppi_linear_v_size(shape) % shape->norm_groups == 0);
    check(shape->dt_min <= shape->dt_max);
}

static void check_layer(const struct ppi_model_spec *spec, int32_t i)
{
    const struct ppi_layer_spec *layer = &spec->layers[i];
    const struct ppi_layer_place *place = &spec->places[i];
    check(layer->window >= 0);
    check(layer->i_rope >= -1 && layer->i_rope < spec->n_ropes);
    check(layer->has_experts || layer->mlp_size > 0);
    check(layer->mlp_size >= 0 && layer->mlp_size <= spec->intermediate_size);
    if (layer->kind == PPI_LAYER_LINEAR) {
        check(place->page_class == -1 && place->index >= 0 && place->index < spec->n_linear);
        return;
    }
    check(place->page_class >= 0 && place->page_class < spec->n_page_classes);
    check(place->index >= 0 && place->index < spec->classes[place->page_class].n_layers);
}

static void check_spec(const struct ppi_model_spec *spec)
{
    check(pp_arch_name(spec->arch)[0] != 'u'); /* "unknown" */
    check(spec->vocab_size >= 1 && spec->vocab_size <= 1 << 24);
    check(spec->n_labels >= 0 && spec->n_labels <= 1 << 24);
    check(!spec->has_lm_head || spec->n_labels == 0);
    check(!spec->tie_embeddings || spec->has_lm_head);
    check(spec->hidden_size >= 1 && spec->hidden_size <= 65536);
    check(spec->intermediate_size >= 1 && spec->intermediate_size <= 1 << 20);
    check(spec->n_layers >= 1 && spec->n_layers <= 1024 && spec->n_heads >= 1);
    check(spec->n_heads <= 1024 && spec->n_heads % spec->n_kv_heads == 0);
    check(spec->head_dim >= 2 && spec->head_dim <= 512 && spec->head_dim % 2 == 0);
    check(spec->max_position >= 1 && spec->norm_eps > 0);
    check(spec->n_eos_tokens >= 0 && spec->n_eos_tokens <= PPI_MAX_EOS_TOKENS);
    check(spec->n_ropes >= 1 && spec->n_ropes <= PPI_MAX_ROPES);
    for (int32_t i = 0; i < spec->n_ropes; i++)
        check_rope(&spec->ropes[i]);
    check_experts(spec);
    if (spec->n_linear > 0)
        check_linear(&spec->linear);
    for (int32_t i = 0; i < spec->n_layers; i++)
        check_layer(spec, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ppi_mem mem;
    struct ppi_config config;
    pp_error err = {.struct_size = sizeof err};
    char *text = malloc(len ? len : 1);
    memcpy(text, bytes, len);
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (ppi_config_parse(text, len, "config", &mem, NULL, &config, &err) >= 0) {
        check_spec(&config.spec);
        ppi_config_free(&config, &mem);
    } else {
        check(strncmp(err.message, "config", 6) == 0 || err.code == PP_ERR_NOMEM);
    }
    check(mem.bytes == 0);
    free(text);
    return 0;
}
