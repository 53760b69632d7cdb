/*
 * oracle_config.c: see oracle_config.h.
 */
#include "oracle_config.h"
#include "oracle_json.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static const struct family *family_of(const json_t *text)
{
    const char *name = json_string_value(oracle_get(text, "model_type"));
    ck_assert_ptr_nonnull(name);
    if (strcmp(name, "mistral") == 0 && json_object_get(text, "layer_types"))
        name = "ministral";
    const struct family *family = oracle_family(name);
    ck_assert_msg(family != NULL, "the oracle does not know the family %s", name);
    return family;
}

static void read_factors(const json_t *rope, const char *key, double *factors)
{
    const json_t *list = oracle_get(rope, key), *item;
    size_t i;
    ck_assert_uint_le(json_array_size(list), ORACLE_MAX_PAIRS);
    json_array_foreach(list, i, item) factors[i] = json_number_value(item);
}

static enum oracle_rope_kind rope_kind(const struct family *family, const json_t *keys)
{
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "dynamic"};
    const json_t *type = oracle_get(keys, "rope_type");
    const char *name = json_string_value(type ? type : oracle_get(keys, "type"));
    if (!name)
        return ORACLE_ROPE_DEFAULT;
    if (oracle_is(family, "phi3") && (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0))
        name = "longrope";
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum oracle_rope_kind)i;
    ck_abort_msg("the oracle does not know the rotation %s", name);
    return ORACLE_ROPE_DEFAULT;
}

/* keys: the dict of one rotation. outer: where truncate is looked for. original: of the top level,
 * NAN when there is none. */
static struct oracle_rope read_rope(const struct family *family, const json_t *text,
                                    const json_t *keys, const json_t *outer, double theta,
                                    double original, int64_t head_dim)
{
    struct oracle_rope rope = {.kind = rope_kind(family, keys), .neighbours = family->neighbours};
    double partial = 1;
    if (family->partial > 0)
        partial = oracle_number(text, "partial_rotary_factor", family->partial);
    rope.dim = (int64_t)((double)head_dim * oracle_number(keys, "partial_rotary_factor", partial));
    rope.theta = oracle_number(keys, "rope_theta", theta);
    rope.factor = oracle_number(keys, "factor", NAN);
    rope.max_position =
        oracle_number(text, "max_position_embeddings", (double)family->max_position);
    rope.original = isnan(original)
                        ? oracle_number(keys, "original_max_position_embeddings", rope.max_position)
                        : original;
    rope.attention_factor = oracle_number(keys, "attention_factor", NAN);
    rope.low = oracle_number(keys, "low_freq_factor", NAN);
    rope.high = oracle_number(keys, "high_freq_factor", NAN);
    rope.beta_fast = oracle_number(keys, "beta_fast", 0);
    rope.beta_slow = oracle_number(keys, "beta_slow", 0);
    rope.mscale = oracle_number(keys, "mscale", NAN);
    rope.mscale_all_dim = oracle_number(keys, "mscale_all_dim", NAN);
    rope.truncate = oracle_truth(outer, "truncate", true);
    read_factors(keys, "short_factor", rope.short_factors);
    read_factors(keys, "long_factor", rope.long_factors);
    return rope;
}

/* ropes[0] is the full layers' and, but for Gemma 3 and Olmo 3, every layer's. */
static void read_ropes(const struct family *family, const json_t *text, int64_t head_dim,
                       struct oracle_config *config)
{
    if (oracle_is(family, "gemma4_text"))
        return; /* its heads differ from layer to layer */
    const json_t *scaling = oracle_get(text, "rope_scaling"),
                 *outer = oracle_get(text, "rope_parameters");
    double theta = oracle_number(text, "rope_theta", family->theta);
    if (family->sliding_theta == 0) {
        json_t *usual = NULL;
        const json_t *keys = json_object_size(scaling) ? scaling : outer;
        if (!keys && oracle_is(family, "ministral3"))
            keys = usual =
                json_pack("{sssfsfsisfsfsf}", "type", "yarn", "rope_theta", 1e6, "factor", 16.0,
                          "original_max_position_embeddings", 16384, "mscale", 1.0,
                          "mscale_all_dim", 1.0, "llama_4_scaling_beta", 0.1);
        if (!keys && oracle_is(family, "gpt_oss"))
            keys = usual = json_pack("{sssfsfsfsbsi}", "rope_type", "yarn", "factor", 32.0,
                                     "beta_fast", 32.0, "beta_slow", 1.0, "truncate", 0,
                                     "original_max_position_embeddings", 4096);
        double fallback = oracle_is(family, "phi3") ? 4096 : NAN;
        config->ropes[0] =
            read_rope(family, text, keys, keys, theta,
                      oracle_number(text, "original_max_position_embeddings", fallback), head_dim);
        config->query_beta = oracle_number(keys, "llama_4_scaling_beta", 0);
        config->query_length = config->ropes[0].original;
        json_decref(usual);
        return;
    }
    json_t *full = json_object();
    if (oracle_get(outer, "full_attention"))
        json_object_update(full, json_object_get(outer, "full_attention"));
    if (scaling)
        json_object_update(full, (json_t *)scaling);
    config->ropes[0] = read_rope(family, text, full, outer, theta, NAN, head_dim);
    theta = oracle_number(text, "rope_local_base_freq", family->sliding_theta);
    config->ropes[1] =
        read_rope(family, text, oracle_get(outer, "sliding_attention"), outer,
                  oracle_is(family, "gemma3_text") ? theta : family->sliding_theta, NAN, head_dim);
    json_decref(full);
}

static bool layer_rotates(const struct family *family, const json_t *text, int64_t i, bool sliding,
                          int64_t window)
{
    const json_t *list = oracle_get(text, "no_rope_layers");
    switch (family->rope) {
    case ROPE_LISTED:
        if (list)
            return json_integer_value(json_array_get(list, (size_t)i)) != 0;
        return (i + 1) % oracle_integer(text, "no_rope_layer_interval", 4) != 0;
    case ROPE_IF_SLIDING:
        return sliding;
    case ROPE_IF_SLIDING_OR_NO_WINDOW:
        return sliding || window == 0;
    default:
        return true;
    }
}

static bool layer_slides(const struct family *family, const json_t *text, int64_t i, int64_t window)
{
    const json_t *types = oracle_get(text, "layer_types");
    if (types) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        return strcmp(type, "sliding_attention") == 0;
    }
    if (family->pattern > 0)
        return window > 0 &&
               (i + 1) % (oracle_is(family, "gemma2") || oracle_is(family, "olmo3")
                              ? family->pattern
                              : oracle_integer(text, "sliding_window_pattern", family->pattern)) !=
                   0;
    if (family->rope == ROPE_LISTED)
        return window > 0 && !layer_rotates(family, text, i, false, window);
    if (family->use_sliding_key)
        return window > 0 && i >= oracle_integer(text, "max_window_layers", 28);
    return window > 0;
}

static void read_layers(const struct family *family, const json_t *text,
                        struct oracle_config *config)
{
    bool stands = json_object_get(text, "sliding_window") != NULL;
    int64_t window = stands ? oracle_integer(text, "sliding_window", 0) : family->window;
    if (family->windows == WINDOW_NONE ||
        (family->use_sliding_key && !oracle_truth(text, "use_sliding_window", false)))
        window = 0;
    for (int64_t i = 0; i < config->n_layers; i++) {
        bool sliding = family->windows == WINDOW_EVERYWHERE ||
                       (family->windows == WINDOW_BY_TYPE && layer_slides(family, text, i, window));
        config->layers[i].window = sliding ? window : 0;
        config->layers[i].rope = sliding && family->sliding_theta > 0 ? 1 : 0;
        if (!layer_rotates(family, text, i, sliding, window))
            config->layers[i].rope = -1;
    }
}

static void read_numbers(const struct family *family, const json_t *text, bool nested,
                         struct oracle_config *config)
{
    config->eps = oracle_number(
        text, oracle_is(family, "cohere2") ? "layer_norm_eps" : "rms_norm_eps", family->eps);
    config->embed_multiplier = config->residual_multiplier = config->logit_multiplier = 1;
    if (family->gemma) {
        bool gemma2 = oracle_is(family, "gemma2"), gemma4 = oracle_is(family, "gemma4_text");
        bool cap = json_object_get(text, "final_logit_softcapping") != NULL;
        config->scale = 1 / sqrt(oracle_number(text, "query_pre_attn_scalar", 256));
        config->embed_multiplier = (float)sqrt((double)config->hidden);
        /* The class around the text_config of Gemma 3 never applies the cap of the logits, and
         * Gemma 3 never that of the scores. */
        if (!nested || gemma4)
            config->logit_cap =
                oracle_number(text, "final_logit_softcapping", gemma2 && !cap ? 30 : 0);
        cap = json_object_get(text, "attn_logit_softcapping") != NULL;
        if (gemma2)
            config->score_cap = oracle_number(text, "attn_logit_softcapping", cap ? 0 : 50);
    }
    if (strncmp(family->name, "granite", 7) == 0) {
        config->scale = oracle_number(text, "attention_multiplier", 1);
        config->embed_multiplier = oracle_number(text, "embedding_multiplier", 1);
        config->residual_multiplier = oracle_number(text, "residual_multiplier", 1);
        config->logit_multiplier = 1 / oracle_number(text, "logits_scaling", 1);
    }
    if (oracle_is(family, "cohere2"))
        config->logit_multiplier = oracle_number(text, "logit_scale", 0.0625);
}

static void read_act(const struct family *family, const json_t *text, struct oracle_config *config)
{
    const char *name =
        json_string_value(oracle_get(text, family->gemma ? "hidden_activation" : "hidden_act"));
    if (!name)
        name = family->gemma ? "gelu_pytorch_tanh" : "silu";
    if (strcmp(name, "silu") == 0 || strcmp(name, "swish") == 0)
        config->act = ORACLE_SILU;
    else if (strcmp(name, "gelu_pytorch_tanh") == 0 || strcmp(name, "gelu_new") == 0)
        config->act = ORACLE_GELU_TANH;
    else if (strcmp(name, "gelu") == 0)
        config->act = ORACLE_GELU;
    else
        ck_abort_msg("the oracle does not know the activation %s", name);
}

static void read_parts(const struct family *family, const json_t *text,
                       struct oracle_config *config)
{
    bool by_key = oracle_truth(text, "attention_bias", family->attention_bias);
    config->qkv_bias = family->bias == BIAS_QKV || (family->bias != BIAS_NONE && by_key);
    config->o_bias = family->bias == BIAS_BY_KEY && by_key;
    config->mlp_bias = family->mlp_bias_key && oracle_truth(text, "mlp_bias", false);
    config->fused_qkv = family->fused_qkv;
    config->fused_gate_up = family->fused_gate_up;
    config->parallel = oracle_is(family, "cohere2");
    config->norm = family->norm;
    config->qk_norm = family->qk_norm;
    memcpy(config->norms, family->norms, sizeof config->norms);
}

void oracle_config_read(const char *dir, struct oracle_config *config)
{
    char path[1200];
    json_error_t err;
    snprintf(path, sizeof path, "%s/config.json", dir);
    json_t *root = json_load_file(path, 0, &err);
    ck_assert_msg(root != NULL, "%s: %s", path, err.text);
    bool nested = oracle_get(root, "text_config") != NULL;
    const json_t *text = nested ? oracle_get(root, "text_config") : root;
    const struct family *family = family_of(text);
    *config =
        (struct oracle_config){.vocab = oracle_integer(text, "vocab_size", 0),
                               .hidden = oracle_integer(text, "hidden_size", 0),
                               .n_layers = oracle_integer(text, "num_hidden_layers", 0),
                               .n_heads = oracle_integer(text, "num_attention_heads", 0),
                               .tied = oracle_truth(root, "tie_word_embeddings", family->tied)};
    bool stands = json_object_get(text, "num_key_value_heads") != NULL || family->kv_heads == 0;
    int64_t n_kv_heads =
        oracle_integer(text, "num_key_value_heads", stands ? config->n_heads : family->kv_heads);
    int64_t head_dim = oracle_integer(
        text, "head_dim", family->head_dim ? family->head_dim : config->hidden / config->n_heads);
    ck_assert_int_le(config->n_layers, ORACLE_MAX_LAYERS);
    for (int64_t i = 0; i < config->n_layers; i++)
        config->layers[i] =
            (struct oracle_layer_config){.n_kv_heads = n_kv_heads,
                                         .head_dim = head_dim,
                                         .kv_layer = i,
                                         .inter = oracle_integer(text, "intermediate_size", 0)};
    read_parts(family, text, config);
    read_act(family, text, config);
    read_ropes(family, text, head_dim, config);
    read_layers(family, text, config);
    read_numbers(family, text, nested, config);
    oracle_config_read_mixed(family, text, config);
    for (int64_t i = 0; i < config->n_layers; i++) {
        int64_t row = config->layers[i].n_kv_heads * config->layers[i].head_dim;
        config->kv_row = row > config->kv_row ? row : config->kv_row;
    }
    json_decref(root);
}
