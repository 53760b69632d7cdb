/*
 * gguf_config.c: from the keys of a GGUF file to a spec, by way of the config.json that says the
 * same: its text is put together here and read by config.c, which so knows every class only once.
 * What the file says by its tensors (the vocabulary, biases, a tied LM head) has the last word.
 */
#include "model/gguf_config.h"

#include <stdio.h>
#include <string.h>

#define MAX_LAYERS 1024 /* config.c accepts no more either */

/* Keys that all architectures have. */
static const struct ppi_gguf_key COMMON[] = {
    {"context_length", "max_position_embeddings", true},
    {"embedding_length", "hidden_size", true},
    {"feed_forward_length", "intermediate_size", true},
    {"attention.head_count", "num_attention_heads", true},
    {"attention.head_count_kv", "num_key_value_heads", false},
};

static bool has_tensor(const struct ppi_gguf_reader *reader, const char *name)
{
    struct ppi_stored stored;
    return ppi_source_find(reader->source, name, &stored);
}

/* ---- which class ---- */

static pp_status find_arch(struct ppi_gguf_reader *reader)
{
    static const char key[] = "general.architecture";
    char known[256] = "";
    const struct ppi_gguf_value *value = ppi_gguf_find(reader->gguf, key);
    const char *name = ppi_gguf_string(value);
    reader->arch = name ? ppi_gguf_arch_of(name) : NULL;
    if (reader->arch)
        return PP_OK;
    const struct ppi_gguf_arch *arch;
    for (size_t i = 0; (arch = ppi_gguf_arch_at(i)); i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", arch->name);
    }
    return ppi_error(reader->err, name ? PP_ERR_UNSUPPORTED : PP_ERR_FORMAT,
                     "%s: %s is %s; supported are %s", reader->label, key,
                     ppi_gguf_describe(value).text, known);
}

/* 0: every token sees all before it. The caller's window is for files that keep silent. */
static pp_status read_window(const struct ppi_gguf_reader *reader, int64_t *window)
{
    static const char key[] = "attention.sliding_window";
    *window = reader->arch->window;
    PP_TRY(ppi_gguf_take_integer(reader, key, false, window));
    if (*window < 0 || (*window > 0 && !reader->arch->windows))
        return ppi_gguf_refuse(reader, *window < 0 ? PP_ERR_FORMAT : PP_ERR_UNSUPPORTED, key,
                               *window < 0 ? "a number of at least 0 is needed"
                                           : "windows are not supported for this architecture");
    if (reader->window == 0)
        return PP_OK;
    if (!reader->arch->window_option)
        return ppi_error(reader->err, PP_ERR_ARG,
                         "%s: pp_model_params.sliding_window is %d; files of architecture %s state "
                         "their windows themselves",
                         reader->label, reader->window, reader->arch->name);
    *window = reader->window;
    return PP_OK;
}

static const char *class_of(const struct ppi_gguf_reader *reader, int64_t window)
{
    const struct ppi_gguf_arch *arch = reader->arch;
    double beta;
    if (arch->experts_type && ppi_gguf_has_experts(reader))
        return arch->experts_type;
    if (arch->shared_type && ppi_gguf_of(reader, "expert_shared_feed_forward_length"))
        return arch->shared_type;
    if (arch->tempered_type &&
        ppi_gguf_number(ppi_gguf_of(reader, "attention.temperature_scale"), &beta) && beta != 0)
        return arch->tempered_type;
    return window > 0 && arch->windowed_type ? arch->windowed_type : arch->model_type;
}

static const struct ppi_arch *arch_of_type(const char *type)
{
    size_t i = 0;
    while (strcmp(ppi_arch_at(i)->model_type, type) != 0)
        i++;
    return ppi_arch_at(i);
}

/* ---- shapes ---- */

/* An integer of at least 1. */
static pp_status read_size(const struct ppi_gguf_reader *reader, const char *key, int64_t *size)
{
    PP_TRY(ppi_gguf_take_integer(reader, key, true, size));
    if (*size >= 1)
        return PP_OK;
    return ppi_gguf_refuse(reader, PP_ERR_FORMAT, key, "a number of at least 1 is needed");
}

/* Sizes of keys and values, which must be one for all layers. */
static pp_status read_head_dim(const struct ppi_gguf_reader *reader, struct ppi_gguf_shape *shape)
{
    static const char *const others[] = {"attention.value_length", "attention.key_length_swa",
                                         "attention.value_length_swa"};
    bool stated = ppi_gguf_of(reader, "attention.key_length") != NULL;
    shape->head_dim = shape->hidden_size / shape->n_heads;
    if (stated)
        PP_TRY(read_size(reader, "attention.key_length", &shape->head_dim));
    else if (shape->hidden_size % shape->n_heads != 0)
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, "attention.head_count",
                               "it does not divide the embedding length, and there is no "
                               "attention.key_length");
    for (size_t i = 0; i < PPI_COUNT(others); i++) {
        int64_t other = shape->head_dim;
        PP_TRY(ppi_gguf_take_integer(reader, others[i], false, &other));
        if (other != shape->head_dim)
            return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, others[i],
                                   "another size than that of the keys is not supported");
    }
    return PP_OK;
}

/* Layers that predict further tokens are counted too. */
static pp_status leave_out_further(const struct ppi_gguf_reader *reader, int64_t *n_layers)
{
    static const char key[] = "nextn_predict_layers";
    int64_t n = 0;
    if (!reader->arch->deepseek)
        return PP_OK;
    PP_TRY(ppi_gguf_take_integer(reader, key, false, &n));
    if (n < 0 || n >= *n_layers)
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, key,
                               "a number of at least 0 and below block_count is needed");
    *n_layers -= n;
    return PP_OK;
}

static pp_status read_shape(const struct ppi_gguf_reader *reader, struct ppi_gguf_shape *shape)
{
    PP_TRY(read_size(reader, "embedding_length", &shape->hidden_size));
    PP_TRY(read_size(reader, "block_count", &shape->n_layers));
    PP_TRY(leave_out_further(reader, &shape->n_layers));
    PP_TRY(read_size(reader, "attention.head_count", &shape->n_heads));
    if (shape->n_layers > MAX_LAYERS)
        return ppi_gguf_refuse(reader, PP_ERR_LIMIT, "block_count", "at most 1024 are accepted");
    return read_head_dim(reader, shape);
}

/* ---- the text ---- */

static void put_integer(struct ppi_json_out *out, const char *key, int64_t value)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, key);
    ppi_json_put(out, ":");
    ppi_json_put_integer(out, value);
}

static void put_real(struct ppi_json_out *out, const char *key, double value)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, key);
    ppi_json_put(out, ":");
    ppi_json_put_real(out, value);
}

static void put_null(struct ppi_json_out *out, const char *key)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, key);
    ppi_json_put(out, ":null");
}

static pp_status write_common(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    for (size_t i = 0; i < PPI_COUNT(COMMON); i++) {
        int64_t value = 0;
        if (!COMMON[i].required && reader->arch->linear)
            continue; /* heads of keys: each layer has its own */
        if (!COMMON[i].required && !ppi_gguf_of(reader, COMMON[i].name))
            continue;
        PP_TRY(ppi_gguf_take_integer(reader, COMMON[i].name, true, &value));
        put_integer(out, COMMON[i].config, value);
    }
    if (!ppi_gguf_of(reader, "attention.head_count_kv") && !reader->arch->linear)
        put_null(out, "num_key_value_heads");
    return PP_OK;
}

/* A number of 0 that need not be there says that there is none. */
static pp_status write_own(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    for (const struct ppi_gguf_key *key = reader->arch->keys; key->name; key++) {
        double value = 0;
        bool there = key->required || ppi_gguf_of(reader, key->name);
        PP_TRY(ppi_gguf_take_number(reader, key->name, key->required, &value));
        if (key->required || value != 0)
            put_real(out, key->config, value);
        else if (there)
            put_null(out, key->config);
    }
    return PP_OK;
}

/* Every how many layers one has no window, or which have one. */
static pp_status write_layer_types(const struct ppi_gguf_reader *reader,
                                   const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const char key[] = "attention.sliding_window_pattern";
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, key);
    bool listed = ppi_gguf_is_array(value, PPI_GGUF_BOOL), windowed = false;
    int64_t every = reader->arch->full_every;
    if (listed ? value->len != (uint64_t)shape->n_layers
               : value && (!ppi_gguf_integer(value, &every) || every < 1))
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, key,
                               "a number of layers, or a bool for each layer, is needed");
    ppi_json_put(out, ",\"layer_types\":");
    for (int64_t i = 0; i < shape->n_layers; i++) {
        struct ppi_gguf_value item;
        if (listed)
            item = ppi_gguf_item(value, (uint64_t)i);
        if (!listed || !ppi_gguf_bool(&item, &windowed))
            windowed = (i + 1) % every != 0;
        ppi_json_put(out, i ? "," : "[");
        ppi_json_put(out, windowed ? "\"sliding_attention\"" : "\"full_attention\"");
    }
    ppi_json_put(out, "]");
    return PP_OK;
}

static pp_status write_windows(const struct ppi_gguf_reader *reader,
                               const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const char key[] = "attention.sliding_window_pattern";
    if (shape->window == 0 && reader->arch->windows)
        put_null(out, "sliding_window");
    if (shape->window > 0)
        put_integer(out, "sliding_window", shape->window);
    if (reader->arch->full_every > 0 && shape->window > 0)
        return write_layer_types(reader, shape, out);
    if (ppi_gguf_of(reader, key) && shape->window > 0)
        return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, key,
                               "the layers of this architecture are all alike");
    return PP_OK;
}

/* Gemma divides scores by the square root of a number that its files do not have. */
static void write_scores(const struct ppi_gguf_reader *reader, const struct ppi_gguf_shape *shape,
                         struct ppi_json_out *out)
{
    int64_t wider = reader->arch->n_layers_wider;
    if (wider > 0)
        put_integer(out, "query_pre_attn_scalar",
                    shape->n_layers == wider ? shape->hidden_size / shape->n_heads
                                             : shape->head_dim);
}

/* Every token that ends a text or a turn counts. What is not stated, the class does not add. */
static pp_status write_tokens(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    static const char *const keys[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    int64_t tokens[PPI_COUNT(keys)];
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        const struct ppi_gguf_value *value = ppi_gguf_find(reader->gguf, keys[i]);
        tokens[i] = -1;
        if (value && !ppi_gguf_integer(value, &tokens[i]))
            return ppi_error(reader->err, PP_ERR_FORMAT, "%s: %s is %s; an integer is needed",
                             reader->label, keys[i], ppi_gguf_describe(value).text);
        if (tokens[i] == UINT32_MAX) /* how some files say "none" */
            tokens[i] = -1;
    }
    put_integer(out, "bos_token_id", tokens[0]);
    ppi_json_put(out, ",\"eos_token_id\":[");
    for (size_t i = 1; i < PPI_COUNT(keys); i++) {
        ppi_json_put(out, i > 1 ? "," : "");
        ppi_json_put_integer(out, tokens[i]);
    }
    ppi_json_put(out, "]");
    return PP_OK;
}

static pp_status write_text(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    struct ppi_gguf_shape shape = {0};
    struct ppi_stored embed;
    PP_TRY(read_window(reader, &shape.window));
    const char *type = class_of(reader, shape.window);
    shape.arch = arch_of_type(type);
    PP_TRY(read_shape(reader, &shape));
    if (!ppi_source_find(reader->source, "token_embd.weight", &embed))
        return ppi_source_missing(reader->source, "token_embd.weight", reader->err);
    ppi_json_put(out, "{\"model_type\":");
    ppi_json_put_string(out, type);
    put_integer(out, "vocab_size", embed.entry->rank > 0 ? embed.entry->shape[0] : 0);
    put_integer(out, "head_dim", shape.head_dim);
    put_integer(out, "num_hidden_layers", shape.n_layers);
    if (reader->arch->qk_norm_by_tensor)
        ppi_json_put(out, ppi_gguf_some_layer_has(reader, shape.n_layers, "attn_q_norm.weight")
                              ? ",\"use_qk_norm\":true"
                              : ",\"use_qk_norm\":false");
    PP_TRY(write_common(reader, out));
    PP_TRY(write_own(reader, out));
    PP_TRY(ppi_gguf_write_experts(reader, &shape, out));
    PP_TRY(ppi_gguf_write_linear(reader, &shape, out));
    PP_TRY(write_windows(reader, &shape, out));
    write_scores(reader, &shape, out);
    PP_TRY(ppi_gguf_write_ropes(reader, &shape, out));
    PP_TRY(write_tokens(reader, out));
    PP_TRY(ppi_gguf_write_head(reader, &shape, out));
    ppi_json_put(out, has_tensor(reader, "output.weight") ? ",\"tie_word_embeddings\":false}"
                                                          : ",\"tie_word_embeddings\":true}");
    return PP_OK;
}

/* ---- what config.json has no words for ---- */

/* Each bias by itself, where the class can have it. */
static void read_biases(const struct ppi_gguf_reader *reader, struct ppi_config *config)
{
    const struct ppi_arch *arch = config->arch;
    struct ppi_model_spec *spec = &config->spec;
    if (arch->qkv_bias != PPI_BIAS_NEVER && arch->qkv_bias != PPI_BIAS_ALWAYS)
        spec->qkv_bias = ppi_gguf_some_layer_has(reader, spec->n_layers, "attn_q.bias") ||
                         ppi_gguf_some_layer_has(reader, spec->n_layers, "attn_qkv.bias");
    if (arch->o_bias != PPI_BIAS_NEVER)
        spec->o_bias = ppi_gguf_some_layer_has(reader, spec->n_layers, "attn_output.bias");
    if (arch->mlp_bias != PPI_BIAS_NEVER)
        spec->mlp_bias = ppi_gguf_some_layer_has(reader, spec->n_layers, "ffn_up.bias");
}

static pp_status read_scale(const struct ppi_gguf_reader *reader, struct ppi_model_spec *spec)
{
    double scale = 0;
    PP_TRY(ppi_gguf_take_number(reader, "attention.scale", false, &scale));
    if (scale < 0)
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, "attention.scale",
                               "a number of at least 0 is needed");
    if (scale > 0)
        spec->softmax_scale = (float)scale;
    return PP_OK;
}

static pp_status read_rest(const struct ppi_gguf_reader *reader, struct ppi_config *config)
{
    bool rotates = true;
    read_biases(reader, config);
    PP_TRY(read_scale(reader, &config->spec));
    PP_TRY(ppi_gguf_read_pooling(reader, &config->spec));
    ppi_gguf_bool(ppi_gguf_of(reader, "rope.scaling.finetuned"), &rotates);
    if (reader->arch->needs_rope && !rotates)
        return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, "rope.scaling.finetuned",
                               "here it means that nothing rotates, which is not supported");
    return ppi_gguf_read_factors(reader, config);
}

/* ---- the whole ---- */

/* Messages of the reader of config.json name its keys. */
static struct ppi_label config_label(const struct ppi_gguf_reader *reader)
{
    struct ppi_label label;
    snprintf(label.text, sizeof label.text, "%.170s, as a config.json", reader->label);
    return label;
}

static pp_status parse(const struct ppi_gguf_reader *reader, struct ppi_config *config)
{
    struct ppi_json_out out = {0};
    PP_TRY(write_text(reader, &out));
    size_t room = out.bytes + 1;
    char *text = ppi_alloc(reader->mem, room, 1);
    if (!text)
        return ppi_error_nomem(reader->err, reader->label, room);
    out = (struct ppi_json_out){.text = text, .room = room};
    pp_status status = write_text(reader, &out);
    if (status >= 0)
        status = ppi_config_parse(text, out.bytes, config_label(reader).text, reader->mem,
                                  reader->log, config, reader->err);
    ppi_free(reader->mem, text);
    return status;
}

pp_status ppi_gguf_config(struct ppi_source *source, int32_t window, struct ppi_mem *mem,
                          const struct ppi_log *log, struct ppi_config *config,
                          const struct ppi_gguf_arch **arch, pp_error *err)
{
    struct ppi_gguf_reader reader = {.source = source,
                                     .gguf = ppi_source_gguf(source),
                                     .label = ppi_source_label(source),
                                     .window = window,
                                     .mem = mem,
                                     .log = log,
                                     .err = err};
    struct ppi_config parsed;
    PP_TRY(find_arch(&reader));
    PP_TRY(ppi_gguf_check_keys(&reader));
    PP_TRY(parse(&reader, &parsed));
    pp_status status = read_rest(&reader, &parsed);
    if (status < 0) {
        ppi_config_free(&parsed, mem);
        return status;
    }
    *config = parsed;
    *arch = reader.arch;
    return PP_OK;
}
