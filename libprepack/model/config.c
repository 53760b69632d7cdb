/*
 * config.c: config.json of a Hugging Face model directory; see config.h.
 */
#include "model/config.h"
#include "checkpoint/json_file.h"
#include "model/sentence_modules.h"

#include <math.h>
#include <string.h>

#define CONFIG_NAME      "config.json"
#define GENERATION_NAME  "generation_config.json"
#define MAX_CONFIG_BYTES (16 << 20)

/* Python's json writes what it reads here. */
static const struct ppi_json_limits LIMITS = {.what = "value", .any_number = true};

/* ---- what is refused ---- */

/* Keys that change what is computed, whatever the architecture. */
static const struct refused {
    const char *key;
    enum { UNLESS_NULL, WHEN_TRUE, WHEN_FALSE, UNLESS_EXPERTS } when; /* or at most 1 */
    const char *wanted;
} REFUSED[] = {
    {"quantization_config", UNLESS_NULL, /* the first: see check_supported */
     "quantized weights are not supported; f32, f16 and bf16 are"},
    {"compression_config", UNLESS_NULL,
     "quantized weights are not supported; f32, f16 and bf16 are"},
    {"per_layer_config", UNLESS_NULL, "layers that differ in shape are not supported"},
    {"is_causal", WHEN_FALSE, "attention is causal here"},
    {"use_bidirectional_attention", WHEN_TRUE, "attention is causal here"},
    {"is_encoder_decoder", WHEN_TRUE, "decoders alone are supported"},
    {"add_cross_attention", WHEN_TRUE, "decoders alone are supported"},
    {"num_experts", UNLESS_EXPERTS, "experts are not supported for this architecture"},
    {"num_local_experts", UNLESS_EXPERTS, "experts are not supported for this architecture"},
    {"n_routed_experts", UNLESS_EXPERTS, "experts are not supported for this architecture"},
};

static bool is_refused(const struct refused *refused, const struct ppi_json_value *value,
                       const struct ppi_arch *arch)
{
    double number = 0;
    switch (refused->when) {
    case UNLESS_NULL:
        return !ppi_json_is_absent(value);
    case WHEN_TRUE:
        return !ppi_json_is_absent(value) && !ppi_json_is(value, PPI_JSON_FALSE);
    case WHEN_FALSE:
        return ppi_json_is(value, PPI_JSON_FALSE);
    default:
        return !arch->experts && ppi_json_number(value, &number) && number > 1;
    }
}

/* Whether an architecture reads the key itself. */
static bool is_own(const struct ppi_arch *arch, const char *key)
{
    for (size_t i = 0; arch->own_keys && arch->own_keys[i]; i++)
        if (strcmp(key, arch->own_keys[i]) == 0)
            return true;
    return false;
}

/* Of weights that were quantised the method is named, where it is stated. */
static pp_status refuse_key(const struct ppi_config_reader *reader, const struct refused *refused,
                            const struct ppi_json_value *value)
{
    const struct ppi_json_value *method = ppi_json_get(value, "quant_method");
    if (!ppi_json_string(method))
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, refused->key, value, refused->wanted);
    return ppi_error(reader->err, PP_ERR_UNSUPPORTED, "%s: \"quant_method\" of \"%s\" is %s; %s",
                     reader->label, refused->key, ppi_json_describe(method).text, refused->wanted);
}

static pp_status check_supported(const struct ppi_config_reader *reader,
                                 const struct ppi_arch *arch)
{
    const struct ppi_json_value *objects[] = {reader->top, reader->root};
    bool packed = ppi_config_is_packed(reader, arch);
    bool known = packed || ppi_config_is_converted(reader);
    if (packed)
        PP_TRY(ppi_config_check_packed(reader));
    for (size_t o = 0; o < PPI_COUNT(objects); o++)
        for (size_t i = 0; i < PPI_COUNT(REFUSED); i++) {
            const struct ppi_json_value *value = ppi_json_get(objects[o], REFUSED[i].key);
            bool ours = i == 0 && objects[o] == reader->top && known;
            ours |= is_own(arch, REFUSED[i].key) && objects[o] == reader->root;
            if (value && !ours && is_refused(&REFUSED[i], value, arch))
                return refuse_key(reader, &REFUSED[i], value);
        }
    return PP_OK;
}

/* ---- shapes ---- */

static pp_status read_shapes(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                             struct ppi_model_spec *spec)
{
    const struct {
        const char *key;
        int32_t *out;
        int32_t omitted, max;
        bool null_means_derived;
    } counts[] = {
        {"vocab_size", &spec->vocab_size, arch->vocab_size, 1 << 24, false},
        {"hidden_size", &spec->hidden_size, arch->hidden_size, 65536, false},
        {"intermediate_size", &spec->intermediate_size, arch->intermediate_size, 1 << 20, false},
        {"num_hidden_layers", &spec->n_layers, arch->n_layers, 1024, false},
        {"num_attention_heads", &spec->n_heads, arch->n_heads, 1024, false},
        {"num_key_value_heads", &spec->n_kv_heads, arch->n_kv_heads, 1024, true},
        {"head_dim", &spec->head_dim, arch->head_dim, 512, arch->head_dim == 0},
    };
    for (size_t i = 0; i < PPI_COUNT(counts); i++) {
        const struct ppi_json_value *value = ppi_config_get(reader, counts[i].key);
        if (!value)
            *counts[i].out = counts[i].omitted;
        else if (value->type == PPI_JSON_NULL && counts[i].null_means_derived)
            *counts[i].out = 0;
        else
            PP_TRY(ppi_config_count(reader, counts[i].key, value, 1, counts[i].max, counts[i].out));
    }
    const struct ppi_json_value *positions = ppi_config_get(reader, "max_position_embeddings");
    spec->max_position = arch->max_position;
    if (positions)
        PP_TRY(
            ppi_config_clamped(reader, "max_position_embeddings", positions, &spec->max_position));
    if (spec->n_kv_heads == 0)
        spec->n_kv_heads = spec->n_heads;
    if (spec->head_dim == 0 && spec->hidden_size % spec->n_heads != 0)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: \"hidden_size\" %d is not a multiple of \"num_attention_heads\" %d, "
                         "and there is no \"head_dim\"",
                         reader->label, spec->hidden_size, spec->n_heads);
    if (spec->head_dim == 0)
        spec->head_dim = spec->hidden_size / spec->n_heads;
    return PP_OK;
}

/* ---- the block ---- */

static pp_status read_activation(const struct ppi_config_reader *reader,
                                 const struct ppi_arch *arch, struct ppi_model_spec *spec)
{
    static const struct {
        const char *name;
        int32_t activation;
    } known[] = {
        {"silu", PPI_ACTIVATION_SILU},
        {"swish", PPI_ACTIVATION_SILU},
        {"gelu_pytorch_tanh", PPI_ACTIVATION_GELU_TANH},
        {"gelu_new", PPI_ACTIVATION_GELU_TANH},
    };
    const char *key = arch->activation_key ? arch->activation_key : "hidden_act";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    spec->activation = arch->activation;
    if (!value)
        return PP_OK;
    for (size_t i = 0; ppi_json_string(value) && i < PPI_COUNT(known); i++)
        if (strcmp(ppi_json_string(value), known[i].name) == 0) {
            spec->activation = known[i].activation;
            return PP_OK;
        }
    return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, value,
                             "\"silu\" and \"gelu_pytorch_tanh\" are supported");
}

static pp_status read_biases(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                             struct ppi_model_spec *spec)
{
    bool attention = arch->qkv_bias == PPI_BIAS_BY_KEY_TRUE, mlp = false;
    const char *key = arch->bias_key ? arch->bias_key : "attention_bias";
    PP_TRY(ppi_config_flag(reader, reader->root, key, &attention));
    PP_TRY(ppi_config_flag(reader, reader->root, "mlp_bias", &mlp));
    spec->qkv_bias =
        arch->qkv_bias == PPI_BIAS_ALWAYS || (arch->qkv_bias != PPI_BIAS_NEVER && attention);
    spec->o_bias = arch->o_bias != PPI_BIAS_NEVER && attention;
    spec->mlp_bias = arch->mlp_bias != PPI_BIAS_NEVER && mlp;
    return PP_OK;
}

static pp_status read_block(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                            struct ppi_model_spec *spec)
{
    spec->parallel = arch->parallel;
    spec->center = arch->center;
    spec->interleaved = arch->interleaved;
    spec->qk_norm = arch->qk_norm;
    spec->attn_gate = arch->attn_gate;
    spec->sinks = arch->sinks;
    spec->norm_eps = arch->norm_eps;
    spec->softmax_scale = (float)(1 / sqrt((double)spec->head_dim));
    spec->residual_scale = 1;
    spec->embed_scale = 1;
    spec->logit_scale = 1;
    PP_TRY(read_activation(reader, arch, spec));
    PP_TRY(read_biases(reader, arch, spec));
    return ppi_config_positive(reader, reader->root, arch->eps_key ? arch->eps_key : "rms_norm_eps",
                               false, &spec->norm_eps);
}

/* ---- the whole ---- */

/* The stored dtype as the file announces it. In a directory the weight files have the last word, so
 * that a name that is not known does no harm here. */
static void read_dtype(const struct ppi_config_reader *reader, struct ppi_config *config)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } known[] = {{"bfloat16", PP_DTYPE_BF16}, {"float16", PP_DTYPE_F16}, {"float32", PP_DTYPE_F32}};
    const struct ppi_json_value *objects[] = {reader->root, reader->top};
    static const char *const keys[] = {"dtype", "torch_dtype"};
    const char *name = NULL;
    for (size_t i = 0; !name && i < 4; i++)
        name = ppi_json_string(ppi_json_get(objects[i / 2], keys[i % 2]));
    config->states_dtype = name != NULL;
    config->spec.dtype = name ? 0 : PP_DTYPE_F32;
    for (size_t i = 0; name && i < PPI_COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0)
            config->spec.dtype = known[i].dtype;
}

static pp_status read_root(struct ppi_config_reader *reader, struct ppi_config *config)
{
    struct ppi_model_spec *spec = &config->spec;
    enum ppi_head head;
    PP_TRY(ppi_arch_find(reader, &config->arch, &config->wrapper, &head));
    const struct ppi_arch *arch = config->arch;
    const struct ppi_wrapper *wrapper = config->wrapper;
    spec->arch = arch->id;
    PP_TRY(check_supported(reader, arch));
    PP_TRY(read_shapes(reader, arch, spec));
    PP_TRY(read_block(reader, arch, spec));
    spec->tie_embeddings = wrapper ? wrapper->tied : arch->tied;
    PP_TRY(ppi_config_flag(reader, reader->top, "tie_word_embeddings", &spec->tie_embeddings));
    read_dtype(reader, config);
    PP_TRY(ppi_config_layers(reader, arch, spec));
    PP_TRY(ppi_config_experts(reader, arch, spec));
    PP_TRY(ppi_config_ropes(reader, arch, spec));
    if (arch->read_more)
        PP_TRY(arch->read_more(reader, spec));
    if (wrapper && wrapper->drops_softcap)
        spec->logit_softcap = 0;
    if (ppi_config_is_converted(reader))
        PP_TRY(ppi_config_converted(reader, config));
    PP_TRY(ppi_config_head(reader, head, spec));
    spec->bos_token = -1;
    PP_TRY(ppi_config_tokens(reader, config));
    return ppi_spec_finish(spec, reader->label, reader->mem, reader->err);
}

static pp_status read_object(const struct ppi_json_value *top, const char *label,
                             struct ppi_mem *mem, const struct ppi_log *log,
                             struct ppi_config *config, pp_error *err)
{
    struct ppi_config_reader reader = {
        .label = label, .log = log, .mem = mem, .top = top, .root = top, .err = err};
    struct ppi_config read = {0};
    pp_status status = read_root(&reader, &read);
    if (status < 0)
        ppi_config_free(&read, mem);
    else
        *config = read;
    return status;
}

pp_status ppi_config_parse(char *text, size_t len, const char *label, struct ppi_mem *mem,
                           const struct ppi_log *log, struct ppi_config *config, pp_error *err)
{
    struct ppi_json json;
    char *copy = ppi_alloc(mem, len + 1, 1);
    if (!copy)
        return ppi_error_nomem(err, label, len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    pp_status status = ppi_json_parse(text, len, label, &LIMITS, mem, &json, err);
    if (status >= 0) {
        status = read_object(json.root, label, mem, log, config, err);
        ppi_json_free(&json, mem);
    }
    if (status < 0) {
        ppi_free(mem, copy);
        return status;
    }
    config->text = copy;
    ppi_config_default_tokens(config);
    return PP_OK;
}

/* *copy: the text, which reading changes; NULL: not wanted. */
static pp_status read_json(const struct ppi_dir *dir, const char *name, struct ppi_mem *mem,
                           struct ppi_label *label, struct ppi_json *json, char **copy,
                           pp_error *err)
{
    struct ppi_file file;
    PP_TRY(ppi_dir_open_file(dir, name, &file, err));
    *label = file.label;
    pp_status status = ppi_json_read(&file, MAX_CONFIG_BYTES, &LIMITS, mem, json, err);
    if (status >= 0 && copy) {
        size_t size = (size_t)file.size; /* at most MAX_CONFIG_BYTES */
        *copy = ppi_zalloc(mem, size + 1, 1);
        status = *copy ? ppi_file_read(&file, 0, *copy, size, err)
                       : ppi_error_nomem(err, label->text, size + 1);
        if (status < 0) {
            ppi_free(mem, *copy);
            ppi_json_free(json, mem);
        }
    }
    ppi_file_close(&file);
    return status;
}

static pp_status read_generation(const struct ppi_dir *dir, struct ppi_mem *mem,
                                 struct ppi_config *config, pp_error *err)
{
    struct ppi_label label;
    struct ppi_json json;
    if (!ppi_dir_has(dir, GENERATION_NAME))
        return PP_OK;
    PP_TRY(read_json(dir, GENERATION_NAME, mem, &label, &json, NULL, err));
    struct ppi_config_reader reader = {
        .label = label.text, .mem = mem, .top = json.root, .root = json.root, .err = err};
    pp_status status = ppi_config_tokens(&reader, config);
    ppi_json_free(&json, mem);
    return status;
}

pp_status ppi_config_read(const struct ppi_dir *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          struct ppi_config *config, pp_error *err)
{
    struct ppi_label label;
    struct ppi_json json;
    struct ppi_config read;
    char *text;
    PP_TRY(read_json(dir, CONFIG_NAME, mem, &label, &json, &text, err));
    pp_status status = read_object(json.root, label.text, mem, log, &read, err);
    ppi_json_free(&json, mem);
    if (status < 0) {
        ppi_free(mem, text);
        return status;
    }
    read.text = text;
    status = read_generation(dir, mem, &read, err);
    if (status >= 0)
        status = ppi_sentence_modules_read(dir, mem, log, &read.spec, err);
    if (status < 0) {
        ppi_config_free(&read, mem);
        return status;
    }
    ppi_config_default_tokens(&read);
    *config = read;
    return PP_OK;
}

void ppi_config_free(struct ppi_config *config, struct ppi_mem *mem)
{
    ppi_spec_free(&config->spec, mem);
    ppi_free(mem, config->text);
}
