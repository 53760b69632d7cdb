/*
 * oracle_config.c: see oracle_config.h.
 */
#include "oracle_config.h"
#include "oracle_families.h"

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Null counts as absent. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static double number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = get(object, key);
    return value ? json_number_value(value) : fallback;
}

static int64_t integer(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = get(object, key);
    return value ? (int64_t)json_integer_value(value) : fallback;
}

static bool truth(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = get(object, key);
    return value ? json_is_true(value) : fallback;
}

static bool is(const struct family *family, const char *name)
{
    return strcmp(family->name, name) == 0;
}

static const struct family *family_of(const json_t *text)
{
    const char *name = json_string_value(get(text, "model_type"));
    ck_assert_ptr_nonnull(name);
    if (strcmp(name, "mistral") == 0 && json_object_get(text, "layer_types"))
        name = "ministral";
    const struct family *family = oracle_family(name);
    ck_assert_msg(family != NULL, "the oracle does not know the family %s", name);
    return family;
}

static void read_factors(const json_t *rope, const char *key, double *factors)
{
    const json_t *list = get(rope, key), *item;
    size_t i;
    ck_assert_uint_le(json_array_size(list), ORACLE_MAX_PAIRS);
    json_array_foreach(list, i, item) factors[i] = json_number_value(item);
}

static enum oracle_rope_kind rope_kind(const struct family *family, const json_t *keys)
{
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "dynamic"};
    const json_t *type = get(keys, "rope_type");
    const char *name = json_string_value(type ? type : get(keys, "type"));
    if (!name)
        return ORACLE_ROPE_DEFAULT;
    if (is(family, "phi3") && (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0))
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
    if (is(family, "phi3") || is(family, "glm4"))
        partial = number(text, "partial_rotary_factor", is(family, "glm4") ? 0.5 : 1);
    rope.dim = (int64_t)((double)head_dim * number(keys, "partial_rotary_factor", partial));
    rope.theta = number(keys, "rope_theta", theta);
    rope.factor = number(keys, "factor", NAN);
    rope.max_position = number(text, "max_position_embeddings", (double)family->max_position);
    rope.original = isnan(original)
                        ? number(keys, "original_max_position_embeddings", rope.max_position)
                        : original;
    rope.attention_factor = number(keys, "attention_factor", NAN);
    rope.low = number(keys, "low_freq_factor", NAN);
    rope.high = number(keys, "high_freq_factor", NAN);
    rope.beta_fast = number(keys, "beta_fast", 0);
    rope.beta_slow = number(keys, "beta_slow", 0);
    rope.mscale = number(keys, "mscale", NAN);
    rope.mscale_all_dim = number(keys, "mscale_all_dim", NAN);
    rope.truncate = truth(outer, "truncate", true);
    read_factors(keys, "short_factor", rope.short_factors);
    read_factors(keys, "long_factor", rope.long_factors);
    return rope;
}

/* ropes[0] is the full layers' and, but for Gemma 3 and Olmo 3, every layer's. */
static void read_ropes(const struct family *family, const json_t *text,
                       struct oracle_config *config)
{
    const json_t *scaling = get(text, "rope_scaling"), *outer = get(text, "rope_parameters");
    double theta = number(text, "rope_theta", family->theta);
    if (family->sliding_theta == 0) {
        json_t *usual = NULL;
        const json_t *keys = json_object_size(scaling) ? scaling : outer;
        if (!keys && is(family, "ministral3"))
            keys = usual =
                json_pack("{sssfsfsisfsfsf}", "type", "yarn", "rope_theta", 1e6, "factor", 16.0,
                          "original_max_position_embeddings", 16384, "mscale", 1.0,
                          "mscale_all_dim", 1.0, "llama_4_scaling_beta", 0.1);
        double fallback = is(family, "phi3") ? 4096 : NAN;
        config->ropes[0] =
            read_rope(family, text, keys, keys, theta,
                      number(text, "original_max_position_embeddings", fallback), config->head_dim);
        config->query_beta = number(keys, "llama_4_scaling_beta", 0);
        config->query_length = config->ropes[0].original;
        json_decref(usual);
        return;
    }
    json_t *full = json_object();
    if (get(outer, "full_attention"))
        json_object_update(full, json_object_get(outer, "full_attention"));
    if (scaling)
        json_object_update(full, (json_t *)scaling);
    config->ropes[0] = read_rope(family, text, full, outer, theta, NAN, config->head_dim);
    theta = number(text, "rope_local_base_freq", family->sliding_theta);
    config->ropes[1] =
        read_rope(family, text, get(outer, "sliding_attention"), outer,
                  is(family, "gemma3_text") ? theta : family->sliding_theta, NAN, config->head_dim);
    json_decref(full);
}

static bool layer_rotates(const struct family *family, const json_t *text, int64_t i, bool sliding,
                          int64_t window)
{
    const json_t *list = get(text, "no_rope_layers");
    switch (family->rope) {
    case ROPE_LISTED:
        if (list)
            return json_integer_value(json_array_get(list, (size_t)i)) != 0;
        return (i + 1) % integer(text, "no_rope_layer_interval", 4) != 0;
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
    const json_t *types = get(text, "layer_types");
    if (types) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        return strcmp(type, "sliding_attention") == 0;
    }
    if (family->pattern > 0)
        return window > 0 &&
               (i + 1) % (is(family, "gemma2") || is(family, "olmo3")
                              ? family->pattern
                              : integer(text, "sliding_window_pattern", family->pattern)) !=
                   0;
    if (family->rope == ROPE_LISTED)
        return window > 0 && !layer_rotates(family, text, i, false, window);
    if (family->use_sliding_key)
        return window > 0 && i >= integer(text, "max_window_layers", 28);
    return window > 0;
}

static void read_layers(const struct family *family, const json_t *text,
                        struct oracle_config *config)
{
    bool stands = json_object_get(text, "sliding_window") != NULL;
    int64_t window = stands ? integer(text, "sliding_window", 0) : family->window;
    if (family->windows == WINDOW_NONE ||
        (family->use_sliding_key && !truth(text, "use_sliding_window", false)))
        window = 0;
    ck_assert_int_le(config->n_layers, ORACLE_MAX_LAYERS);
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
    config->eps =
        number(text, is(family, "cohere2") ? "layer_norm_eps" : "rms_norm_eps", family->eps);
    config->scale = 1 / sqrt((double)config->head_dim);
    config->embed_multiplier = config->residual_multiplier = config->logit_multiplier = 1;
    if (family->gemma) {
        bool gemma2 = is(family, "gemma2");
        bool cap = json_object_get(text, "final_logit_softcapping") != NULL;
        config->scale = 1 / sqrt(number(text, "query_pre_attn_scalar", 256));
        config->embed_multiplier = (float)sqrt((double)config->hidden);
        /* The class around a text_config never applies the cap of the logits, and Gemma 3 never
         * that of the scores. */
        if (!nested)
            config->logit_cap = number(text, "final_logit_softcapping", gemma2 && !cap ? 30 : 0);
        cap = json_object_get(text, "attn_logit_softcapping") != NULL;
        if (gemma2)
            config->score_cap = number(text, "attn_logit_softcapping", cap ? 0 : 50);
    }
    if (is(family, "granite")) {
        config->scale = number(text, "attention_multiplier", 1);
        config->embed_multiplier = number(text, "embedding_multiplier", 1);
        config->residual_multiplier = number(text, "residual_multiplier", 1);
        config->logit_multiplier = 1 / number(text, "logits_scaling", 1);
    }
    if (is(family, "cohere2"))
        config->logit_multiplier = number(text, "logit_scale", 0.0625);
}

static void read_act(const struct family *family, const json_t *text, struct oracle_config *config)
{
    const char *name =
        json_string_value(get(text, family->gemma ? "hidden_activation" : "hidden_act"));
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
    bool by_key = truth(text, "attention_bias", family->attention_bias);
    config->qkv_bias = family->bias == BIAS_QKV || (family->bias != BIAS_NONE && by_key);
    config->o_bias = family->bias == BIAS_BY_KEY && by_key;
    config->mlp_bias = family->mlp_bias_key && truth(text, "mlp_bias", false);
    config->fused_qkv = family->fused_qkv;
    config->fused_gate_up = family->fused_gate_up;
    config->parallel = is(family, "cohere2");
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
    bool nested = get(root, "text_config") != NULL;
    const json_t *text = nested ? get(root, "text_config") : root;
    const struct family *family = family_of(text);
    *config = (struct oracle_config){.vocab = integer(text, "vocab_size", 0),
                                     .hidden = integer(text, "hidden_size", 0),
                                     .inter = integer(text, "intermediate_size", 0),
                                     .n_layers = integer(text, "num_hidden_layers", 0),
                                     .n_heads = integer(text, "num_attention_heads", 0),
                                     .tied = truth(root, "tie_word_embeddings", family->tied)};
    bool stands = json_object_get(text, "num_key_value_heads") != NULL || family->kv_heads == 0;
    config->n_kv_heads =
        integer(text, "num_key_value_heads", stands ? config->n_heads : family->kv_heads);
    config->head_dim = integer(
        text, "head_dim", family->head_dim ? family->head_dim : config->hidden / config->n_heads);
    read_parts(family, text, config);
    read_act(family, text, config);
    read_ropes(family, text, config);
    read_layers(family, text, config);
    read_numbers(family, text, nested, config);
    json_decref(root);
}
