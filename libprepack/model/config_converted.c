/*
 * config_converted.c: "quantization_config" of a config.json that pp_model_convert wrote: the
 * format, and what the rest of config.json has no words for. convert_config.c writes it.
 */
#include "model/config.h"

#include <prepack/session.h>

#include <math.h>
#include <string.h>

#define KEY "quantization_config"

bool ppi_config_is_converted(const struct ppi_config_reader *reader)
{
    const char *method =
        ppi_json_string(ppi_json_get(ppi_json_get(reader->top, KEY), "quant_method"));
    return method && strcmp(method, "prepack") == 0;
}

/* LABEL: KEY of "quantization_config" is VALUE; WANTED. */
static pp_status refuse(const struct ppi_config_reader *reader, pp_status code,
                        const struct ppi_json_value *object, const char *key, const char *wanted)
{
    return ppi_error(reader->err, code, "%s: \"%s\" of \"" KEY "\" is %s; %s", reader->label, key,
                     ppi_json_describe(ppi_json_get(object, key)).text, wanted);
}

static pp_status read_format(const struct ppi_config_reader *reader,
                             const struct ppi_json_value *object, struct ppi_config *config)
{
    const struct ppi_json_value *version = ppi_json_get(object, "version");
    const char *format = ppi_json_string(ppi_json_get(object, "format"));
    if (!ppi_json_is(version, PPI_JSON_INTEGER) || version->integer != 1)
        return refuse(reader, PP_ERR_UNSUPPORTED, object, "version", "1 is supported");
    for (int32_t weights = PP_WEIGHTS_INT8; format && weights <= PP_WEIGHTS_NF4; weights++)
        if (strcmp(format, pp_weights_name(weights)) == 0)
            config->weights = weights;
    return config->weights != PP_WEIGHTS_AUTO
               ? PP_OK
               : refuse(reader, PP_ERR_UNSUPPORTED, object, "format",
                        "\"int8\", \"int4\" and \"nf4\" are supported");
}

/* Of the model before it was converted. */
static pp_status read_dtype(const struct ppi_config_reader *reader,
                            const struct ppi_json_value *object, struct ppi_config *config)
{
    const char *name = ppi_json_string(ppi_json_get(object, "dtype"));
    for (int32_t dtype = PP_DTYPE_F32; name && dtype <= PP_DTYPE_BF16; dtype++)
        if (strcmp(name, pp_dtype_name(dtype)) == 0) {
            config->spec.dtype = dtype;
            return PP_OK;
        }
    return refuse(reader, PP_ERR_FORMAT, object, "dtype", "\"f32\", \"f16\" or \"bf16\" is needed");
}

static pp_status read_scale(const struct ppi_config_reader *reader,
                            const struct ppi_json_value *object, struct ppi_config *config)
{
    double scale = (double)config->spec.softmax_scale;
    PP_TRY(ppi_config_positive(reader, object, "softmax_scale", false, &scale));
    config->spec.softmax_scale = (float)scale;
    if (!isfinite(config->spec.softmax_scale) || config->spec.softmax_scale <= 0)
        return refuse(reader, PP_ERR_FORMAT, object, "softmax_scale", "an f32 is needed");
    return PP_OK;
}

/* Frequencies that a GGUF file had as a list of divisors. */
static pp_status read_factors(const struct ppi_config_reader *reader,
                              const struct ppi_json_value *object, struct ppi_config *config)
{
    static const char key[] = "rope_factors";
    const struct ppi_json_value *value = ppi_json_get(object, key);
    struct ppi_rope_spec *rope = &config->spec.ropes[0];
    if (!value)
        return PP_OK;
    if (config->spec.n_ropes != 1 || rope->type != PP_ROPE_DEFAULT)
        return refuse(reader, PP_ERR_FORMAT, object, key,
                      "it stands beside another scaling of the rotation");
    PP_TRY(ppi_config_array(reader, key, value, rope->rotary_dim / 2));
    size_t bytes = value->len * sizeof(float);
    rope->short_factors = ppi_alloc(reader->mem, bytes, 1);
    if (!rope->short_factors)
        return ppi_error_nomem(reader->err, key, bytes);
    rope->type = PP_ROPE_LLAMA3;
    const struct ppi_json_value *item = ppi_json_first(value);
    for (int32_t i = 0; item; item = ppi_json_next(value, item), i++) {
        double factor = 0;
        bool number = ppi_json_number(item, &factor);
        rope->short_factors[i] = (float)factor;
        if (!number || !isfinite(rope->short_factors[i]) || rope->short_factors[i] <= 0)
            return refuse(reader, PP_ERR_FORMAT, object, key, "finite numbers above 0 are needed");
        rope->factor = fmax(rope->factor, (double)rope->short_factors[i]);
    }
    return PP_OK;
}

pp_status ppi_config_converted(const struct ppi_config_reader *reader, struct ppi_config *config)
{
    const struct ppi_json_value *object = ppi_json_get(reader->top, KEY);
    struct ppi_model_spec *spec = &config->spec;
    PP_TRY(read_format(reader, object, config));
    PP_TRY(read_dtype(reader, object, config));
    PP_TRY(ppi_config_flag(reader, object, "tie_word_embeddings", &spec->tie_embeddings));
    PP_TRY(ppi_config_flag(reader, object, "qkv_bias", &spec->qkv_bias));
    PP_TRY(ppi_config_flag(reader, object, "o_bias", &spec->o_bias));
    PP_TRY(ppi_config_flag(reader, object, "mlp_bias", &spec->mlp_bias));
    PP_TRY(read_scale(reader, object, config));
    return read_factors(reader, object, config);
}
