/*
 * config_file.c: config.json of a Hugging Face model directory. Both spellings are read: the
 * classic one (rope_theta, rope_scaling, torch_dtype) and the newer (rope_parameters, dtype). A
 * missing key means what it means to transformers; a key that asks for what this library does not
 * compute is refused, never ignored.
 */
#include "checkpoint/config_file.h"
#include "checkpoint/json_file.h"

#include <string.h>

#define CONFIG_NAME      "config.json"
#define MAX_CONFIG_BYTES (16 << 20)

/* ---- values ---- */

struct reader {
    const char *label;
    const struct ppi_log *log;
    const struct ppi_json_value *root;
    pp_error *err;
};

static bool is_absent(const struct ppi_json_value *value)
{
    return !value || value->type == PPI_JSON_NULL;
}

static pp_status refuse(const struct reader *reader, pp_status code, const char *key,
                        const struct ppi_json_value *value, const char *wanted)
{
    return ppi_error(reader->err, code, "%s: \"%s\" is %s; %s", reader->label, key,
                     ppi_json_describe(value).text, wanted);
}

/* An integer of at least min into *out; above max is PP_ERR_LIMIT. */
static pp_status read_count(const struct reader *reader, const char *key,
                            const struct ppi_json_value *value, int64_t min, int64_t max,
                            int32_t *out)
{
    if (!ppi_json_is(value, PPI_JSON_INTEGER) || value->integer < min)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: \"%s\" is %s; an integer from %lld to %lld is needed", reader->label,
                         key, ppi_json_describe(value).text, (long long)min, (long long)max);
    if (value->integer > max)
        return ppi_error(reader->err, PP_ERR_LIMIT, "%s: \"%s\" is %lld; at most %lld is accepted",
                         reader->label, key, (long long)value->integer, (long long)max);
    *out = (int32_t)value->integer;
    return PP_OK;
}

/* As read_count without an upper limit: what is above is as good as INT32_MAX. */
static pp_status read_clamped(const struct reader *reader, const char *key,
                              const struct ppi_json_value *value, int32_t *out)
{
    if (ppi_json_is(value, PPI_JSON_INTEGER) && value->integer > INT32_MAX) {
        *out = INT32_MAX;
        return PP_OK;
    }
    return read_count(reader, key, value, 1, INT32_MAX, out);
}

/* A number; its range is checked with the whole configuration. A missing key leaves *out. */
static pp_status read_number(const struct reader *reader, const struct ppi_json_value *object,
                             const char *key, double *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (value && !ppi_json_number(value, out))
        return refuse(reader, PP_ERR_FORMAT, key, value, "a number is needed");
    return PP_OK;
}

static pp_status require_number(const struct reader *reader, const struct ppi_json_value *object,
                                const char *key, double *out)
{
    if (!ppi_json_get(object, key))
        return refuse(reader, PP_ERR_FORMAT, key, NULL, "this kind of rope scaling needs it");
    return read_number(reader, object, key, out);
}

/* true, false, or a missing key (or null): false. */
static pp_status read_flag(const struct reader *reader, const char *key, bool *out)
{
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    *out = ppi_json_is(value, PPI_JSON_TRUE);
    if (!is_absent(value) && !*out && !ppi_json_is(value, PPI_JSON_FALSE))
        return refuse(reader, PP_ERR_FORMAT, key, value, "true or false is needed");
    return PP_OK;
}

/* -1 is how some files say "none". */
static pp_status read_token(const struct reader *reader, const char *key, int32_t *out)
{
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    if (!value)
        return PP_OK;
    if (ppi_json_is(value, PPI_JSON_ARRAY))
        value = ppi_json_first(value);
    *out = -1;
    return is_absent(value) ? PP_OK : read_count(reader, key, value, -1, INT32_MAX, out);
}

/* ---- what the file asks for ---- */

static pp_status read_arch(const struct reader *reader, int32_t *arch)
{
    static const struct {
        const char *key, *name;
        int32_t arch;
    } known[] = {
        {"architectures", "LlamaForCausalLM", PP_ARCH_LLAMA},
        {"architectures", "MistralForCausalLM", PP_ARCH_MISTRAL},
        {"model_type", "llama", PP_ARCH_LLAMA},
        {"model_type", "mistral", PP_ARCH_MISTRAL},
    };
    const char *key = "architectures";
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    if (!is_absent(value) && !ppi_json_is(value, PPI_JSON_ARRAY))
        return refuse(reader, PP_ERR_FORMAT, key, value, "an array of strings is needed");
    value = ppi_json_first(value);
    if (!value)
        value = ppi_json_get(reader->root, key = "model_type");
    if (!ppi_json_string(value))
        return refuse(reader, PP_ERR_FORMAT, key, value, "the name of an architecture is needed");
    for (size_t i = 0; i < PPI_COUNT(known); i++)
        if (strcmp(key, known[i].key) == 0 && strcmp(ppi_json_string(value), known[i].name) == 0) {
            *arch = known[i].arch;
            return PP_OK;
        }
    return refuse(reader, PP_ERR_UNSUPPORTED, key, value,
                  "supported are LlamaForCausalLM (llama) and MistralForCausalLM (mistral)");
}

/* Keys that would change what is computed. */
static pp_status check_supported(const struct reader *reader)
{
    static const char *const flags[] = {"attention_bias", "mlp_bias"};
    static const char *const forbidden[] = {"quantization_config", "compression_config"};
    for (size_t i = 0; i < PPI_COUNT(flags); i++) {
        bool set;
        PP_TRY(read_flag(reader, flags[i], &set));
        if (set)
            return refuse(reader, PP_ERR_UNSUPPORTED, flags[i],
                          ppi_json_get(reader->root, flags[i]),
                          "projections with a bias are not supported");
    }
    for (size_t i = 0; i < PPI_COUNT(forbidden); i++) {
        const struct ppi_json_value *value = ppi_json_get(reader->root, forbidden[i]);
        if (!is_absent(value))
            return refuse(reader, PP_ERR_UNSUPPORTED, forbidden[i], value,
                          "quantized weights are not supported; f32, f16 and bf16 are");
    }
    const struct ppi_json_value *act = ppi_json_get(reader->root, "hidden_act");
    if (act && (!ppi_json_string(act) || strcmp(ppi_json_string(act), "silu") != 0))
        return refuse(reader, PP_ERR_UNSUPPORTED, "hidden_act", act, "\"silu\" is supported");
    if (!is_absent(ppi_json_get(reader->root, "layer_types")))
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: \"layer_types\" is ignored; sliding_window holds for every layer",
                reader->label);
    return PP_OK;
}

static pp_status read_counts(const struct reader *reader, pp_model_config *config)
{
    for (size_t i = 0; i < PPI_N_CONFIG_COUNTS; i++) {
        const struct ppi_config_count *count = &ppi_config_counts[i];
        int32_t *out = (int32_t *)((char *)config + count->offset);
        const struct ppi_json_value *value = ppi_json_get(reader->root, count->key);
        bool derivable = count->llama == 0;
        if (!value)
            *out = config->arch == PP_ARCH_MISTRAL ? count->mistral : count->llama;
        else if (value->type == PPI_JSON_NULL && derivable)
            *out = 0;
        else if (count->max == INT32_MAX)
            PP_TRY(read_clamped(reader, count->key, value, out));
        else
            PP_TRY(read_count(reader, count->key, value, count->min, count->max, out));
    }
    if (config->n_kv_heads == 0)
        config->n_kv_heads = config->n_heads;
    if (config->head_dim == 0 && config->hidden_size % config->n_heads != 0)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: \"hidden_size\" %d is not a multiple of \"num_attention_heads\" %d, "
                         "and there is no \"head_dim\"",
                         reader->label, config->hidden_size, config->n_heads);
    if (config->head_dim == 0)
        config->head_dim = config->hidden_size / config->n_heads;
    return PP_OK;
}

/* Only Mistral has a window: a missing key is 4096 tokens, null is none. */
static pp_status read_window(const struct reader *reader, pp_model_config *config)
{
    const char *key = "sliding_window";
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    config->sliding_window = 0;
    if (config->arch != PP_ARCH_MISTRAL || ppi_json_is(value, PPI_JSON_NULL))
        return PP_OK;
    if (value)
        return read_clamped(reader, key, value, &config->sliding_window);
    config->sliding_window = 4096;
    return PP_OK;
}

/* The stored dtype as the file announces it; the weight files have the last word, so that a name
 * we do not know does no harm here. */
static int32_t read_dtype(const struct reader *reader)
{
    const char *name = ppi_json_string(ppi_json_get(reader->root, "dtype"));
    if (!name)
        name = ppi_json_string(ppi_json_get(reader->root, "torch_dtype"));
    if (name && strcmp(name, "bfloat16") == 0)
        return PP_DTYPE_BF16;
    if (name && strcmp(name, "float16") == 0)
        return PP_DTYPE_F16;
    return PP_DTYPE_F32;
}

/* ---- rotary embeddings ---- */

/* The object that describes the scaling, NULL where there is none. */
static pp_status find_rope(const struct reader *reader, const struct ppi_json_value **rope)
{
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    *rope = NULL;
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        const struct ppi_json_value *value = ppi_json_get(reader->root, keys[i]);
        if (!is_absent(value) && !ppi_json_is(value, PPI_JSON_OBJECT))
            return refuse(reader, PP_ERR_FORMAT, keys[i], value, "an object or null is needed");
        if (!*rope && ppi_json_first(value))
            *rope = value;
    }
    return PP_OK;
}

static pp_status read_rope_type(const struct reader *reader, const struct ppi_json_value *rope,
                                int32_t *type)
{
    static const char *const names[] = {
        [PP_ROPE_DEFAULT] = "default", [PP_ROPE_LINEAR] = "linear", [PP_ROPE_LLAMA3] = "llama3"};
    const char *key = ppi_json_get(rope, "rope_type") ? "rope_type" : "type";
    const struct ppi_json_value *value = ppi_json_get(rope, key);
    *type = PP_ROPE_DEFAULT;
    if (!value)
        return PP_OK;
    if (!ppi_json_string(value))
        return refuse(reader, PP_ERR_FORMAT, key, value, "a string is needed");
    for (size_t i = 0; i < PPI_COUNT(names); i++)
        if (strcmp(ppi_json_string(value), names[i]) == 0) {
            *type = (int32_t)i;
            return PP_OK;
        }
    return refuse(reader, PP_ERR_UNSUPPORTED, key, value,
                  "supported are \"default\", \"linear\" and \"llama3\"");
}

/* A part of each head rotated, or parameters per kind of layer: neither is computed here. */
static pp_status check_rope_shape(const struct reader *reader, const struct ppi_json_value *rope)
{
    static const char partial[] = "partial_rotary_factor";
    const struct ppi_json_value *objects[] = {reader->root, rope};
    for (size_t i = 0; i < PPI_COUNT(objects); i++) {
        double factor = 1.0;
        if (!is_absent(ppi_json_get(objects[i], partial)))
            PP_TRY(read_number(reader, objects[i], partial, &factor));
        if (factor != 1.0)
            return refuse(reader, PP_ERR_UNSUPPORTED, partial, ppi_json_get(objects[i], partial),
                          "1 is supported");
    }
    const struct ppi_json_value *item = ppi_json_first(rope);
    for (; item; item = ppi_json_next(rope, item))
        if (ppi_json_is(item, PPI_JSON_OBJECT))
            return refuse(reader, PP_ERR_UNSUPPORTED, item->name, item,
                          "rope parameters per kind of layer are not supported");
    return PP_OK;
}

static pp_status read_llama3(const struct reader *reader, const struct ppi_json_value *rope,
                             pp_model_config *config)
{
    const char *key = "original_max_position_embeddings";
    const struct ppi_json_value *original = ppi_json_get(reader->root, key);
    if (!original)
        original = ppi_json_get(rope, key);
    PP_TRY(require_number(reader, rope, "low_freq_factor", &config->rope_low_freq_factor));
    PP_TRY(require_number(reader, rope, "high_freq_factor", &config->rope_high_freq_factor));
    config->rope_original_max_position = config->max_position;
    if (!original)
        return PP_OK;
    return read_clamped(reader, key, original, &config->rope_original_max_position);
}

static pp_status read_rope(const struct reader *reader, pp_model_config *config)
{
    const struct ppi_json_value *rope;
    config->rope_theta = 10000.0;
    PP_TRY(find_rope(reader, &rope));
    PP_TRY(check_rope_shape(reader, rope));
    PP_TRY(read_number(reader, reader->root, "rope_theta", &config->rope_theta));
    PP_TRY(read_number(reader, rope, "rope_theta", &config->rope_theta));
    PP_TRY(read_rope_type(reader, rope, &config->rope_type));
    if (config->rope_type != PP_ROPE_DEFAULT)
        PP_TRY(require_number(reader, rope, "factor", &config->rope_factor));
    if (config->rope_type == PP_ROPE_LLAMA3)
        PP_TRY(read_llama3(reader, rope, config));
    return PP_OK;
}

/* ---- the whole ---- */

static pp_status read_config(const struct reader *reader, pp_model_config *config)
{
    bool tied;
    config->rms_norm_eps = 1e-6;
    config->bos_token = 1;
    config->eos_token = 2;
    PP_TRY(read_arch(reader, &config->arch));
    PP_TRY(check_supported(reader));
    PP_TRY(read_counts(reader, config));
    PP_TRY(read_window(reader, config));
    PP_TRY(read_flag(reader, "tie_word_embeddings", &tied));
    config->tie_embeddings = tied;
    config->dtype = read_dtype(reader);
    PP_TRY(read_rope(reader, config));
    PP_TRY(read_number(reader, reader->root, "rms_norm_eps", &config->rms_norm_eps));
    PP_TRY(read_token(reader, "bos_token_id", &config->bos_token));
    PP_TRY(read_token(reader, "eos_token_id", &config->eos_token));
    pp_error detail = {.struct_size = sizeof detail};
    if (ppi_config_check(config, &detail) < 0)
        return ppi_error(reader->err, PP_ERR_FORMAT, "%s: %s", reader->label, detail.message);
    return PP_OK;
}

static pp_status read_root(const struct ppi_json_value *root, const char *label,
                           const struct ppi_log *log, pp_model_config *config, pp_error *err)
{
    struct reader reader = {label, log, root, err};
    pp_model_config read = {.struct_size = sizeof read};
    PP_TRY(read_config(&reader, &read));
    *config = read;
    return PP_OK;
}

pp_status ppi_config_parse(char *text, size_t len, const char *label, struct ppi_mem *mem,
                           const struct ppi_log *log, pp_model_config *config, pp_error *err)
{
    struct ppi_json json;
    PP_TRY(ppi_json_parse(text, len, label, NULL, mem, &json, err));
    pp_status status = read_root(json.root, label, log, config, err);
    ppi_json_free(&json, mem);
    return status;
}

pp_status ppi_config_read(const char *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          pp_model_config *config, pp_error *err)
{
    struct ppi_dir opened;
    struct ppi_file file;
    struct ppi_json json;
    PP_TRY(ppi_dir_open(dir, &opened, err));
    PP_TRY(ppi_dir_open_file(&opened, CONFIG_NAME, &file, err));
    pp_status status = ppi_json_read(&file, MAX_CONFIG_BYTES, NULL, mem, &json, err);
    ppi_file_close(&file);
    PP_TRY(status);
    status = read_root(json.root, file.label.text, log, config, err);
    ppi_json_free(&json, mem);
    return status;
}
