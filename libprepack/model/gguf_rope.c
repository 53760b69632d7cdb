/*
 * gguf_rope.c: how queries and keys rotate, by the keys and tensors of a GGUF file. Linear scaling
 * and yarn are keys; longrope is two lists of factors, and Llama 3.1's scaling one, stored as
 * tensors.
 */
#include "model/gguf_config.h"

#include <math.h>
#include <string.h>

#define SHORT_NAME "rope_factors_short.weight"
#define LONG_NAME  "rope_factors_long.weight"
#define FREQS_NAME "rope_freqs.weight"

#define MAX_FACTORS 256 /* half of the largest head */

/* ---- factors that are stored as tensors ---- */

struct factors {
    int32_t n; /* 0: there are none */
    float values[MAX_FACTORS];
};

static pp_status read_tensor(const struct ppi_gguf_reader *reader, const char *name,
                             struct factors *factors)
{
    struct ppi_stored stored;
    factors->n = 0;
    if (!ppi_source_find(reader->source, name, &stored))
        return PP_OK;
    const struct ppi_stored_entry *entry = stored.entry;
    if (entry->rank != 1 || entry->shape[0] > MAX_FACTORS || entry->blocks ||
        entry->dtype != PP_DTYPE_F32)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\" must be a list of at most %d numbers of type F32",
                         reader->label, name, MAX_FACTORS);
    PP_TRY(ppi_stored_read(&stored, 0, entry->shape[0], factors->values, reader->err));
    factors->n = (int32_t)entry->shape[0];
    for (int32_t i = 0; i < factors->n; i++)
        if (!isfinite(factors->values[i]) || factors->values[i] <= 0)
            return ppi_error(reader->err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\" has %g; finite numbers above 0 are needed in it",
                             reader->label, name, (double)factors->values[i]);
    return PP_OK;
}

static void write_factors(struct ppi_json_out *out, const char *key, const struct factors *factors)
{
    ppi_json_put(out, key);
    for (int32_t i = 0; i < factors->n; i++) {
        ppi_json_put(out, i ? "," : "[");
        ppi_json_put_real(out, ppi_gguf_decimal(factors->values[i]));
    }
    ppi_json_put(out, "]");
}

pp_status ppi_gguf_read_factors(const struct ppi_gguf_reader *reader, struct ppi_config *config)
{
    struct factors factors;
    struct ppi_rope_spec *rope = &config->spec.ropes[0];
    PP_TRY(read_tensor(reader, FREQS_NAME, &factors));
    if (factors.n == 0)
        return PP_OK;
    if (config->spec.n_ropes > 1 || rope->type != PP_ROPE_DEFAULT)
        return ppi_error(reader->err, PP_ERR_UNSUPPORTED,
                         "%s: tensor \"" FREQS_NAME "\" is not supported beside another scaling of "
                         "the rotation",
                         reader->label);
    if (factors.n != rope->rotary_dim / 2)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: tensor \"" FREQS_NAME "\" has %d numbers; %d pairs rotate",
                         reader->label, factors.n, rope->rotary_dim / 2);
    size_t bytes = (size_t)factors.n * sizeof(float);
    rope->short_factors = ppi_alloc(reader->mem, bytes, 1);
    if (!rope->short_factors)
        return ppi_error_nomem(reader->err, FREQS_NAME, bytes);
    memcpy(rope->short_factors, factors.values, bytes);
    rope->type = PP_ROPE_LLAMA3;
    for (int32_t i = 0; i < factors.n; i++)
        rope->factor = fmax(rope->factor, (double)factors.values[i]);
    return PP_OK;
}

/* ---- keys ---- */

enum scaling { NONE, LINEAR, YARN, LONGROPE };

static pp_status read_scaling(const struct ppi_gguf_reader *reader, enum scaling *scaling,
                              double *factor)
{
    static const char key[] = "rope.scaling.type";
    static const char *const names[] = {"none", "linear", "yarn", "longrope"};
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, key);
    const char *name = ppi_gguf_string(value);
    *factor = 0;
    PP_TRY(ppi_gguf_take_number(reader, "rope.scale_linear", false, factor));
    PP_TRY(ppi_gguf_take_number(reader, "rope.scaling.factor", false, factor));
    *scaling = *factor != 0 && *factor != 1 ? LINEAR : NONE; /* what a missing type means */
    if (!value)
        return PP_OK;
    for (size_t i = 0; name && i < PPI_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *scaling = (enum scaling)i;
            return PP_OK;
        }
    return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, key,
                           "\"none\", \"linear\", \"yarn\" and \"longrope\" are supported");
}

/* ,"config":value, if the file has the key. */
static pp_status copy_number(const struct ppi_gguf_reader *reader, const char *name,
                             const char *config, struct ppi_json_out *out)
{
    double number;
    if (!ppi_gguf_of(reader, name))
        return PP_OK;
    PP_TRY(ppi_gguf_take_number(reader, name, true, &number));
    ppi_json_put(out, config);
    ppi_json_put_real(out, number);
    return PP_OK;
}

/* The length that the model was first trained for; 0: the file does not say. */
static pp_status write_original(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    int64_t original = 0;
    PP_TRY(ppi_gguf_take_integer(reader, "rope.scaling.original_context_length", false, &original));
    if (original == 0)
        return PP_OK;
    ppi_json_put(out, ",\"original_max_position_embeddings\":");
    ppi_json_put_integer(out, original);
    return PP_OK;
}

static pp_status write_yarn(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    double multiplier = 0;
    ppi_json_put(out, reader->arch->exact_yarn ? ",\"truncate\":false" : "");
    PP_TRY(copy_number(reader, "rope.scaling.yarn_beta_fast", ",\"beta_fast\":", out));
    PP_TRY(copy_number(reader, "rope.scaling.yarn_beta_slow", ",\"beta_slow\":", out));
    PP_TRY(copy_number(reader, "rope.scaling.yarn_attn_factor", ",\"attention_factor\":", out));
    PP_TRY(ppi_gguf_take_number(reader, "rope.scaling.yarn_log_multiplier", false, &multiplier));
    if (multiplier == 0)
        return PP_OK;
    ppi_json_put(out, ",\"mscale\":1,\"mscale_all_dim\":");
    ppi_json_put_real(out, multiplier);
    return PP_OK;
}

static pp_status write_longrope(const struct ppi_gguf_reader *reader,
                                const struct factors *short_factors,
                                const struct factors *long_factors, struct ppi_json_out *out)
{
    if (short_factors->n == 0 || long_factors->n == 0)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: longrope needs the tensors \"" SHORT_NAME "\" and \"" LONG_NAME
                         "\", both",
                         reader->label);
    write_factors(out, ",\"short_factor\":", short_factors);
    write_factors(out, ",\"long_factor\":", long_factors);
    return copy_number(reader, "rope.scaling.attn_factor", ",\"attention_factor\":", out);
}

/* A factor of cosines and sines, which yarn has by another key and others have not. */
static pp_status check_magnitude(const struct ppi_gguf_reader *reader)
{
    static const char key[] = "rope.scaling.attn_factor";
    double magnitude = 1;
    PP_TRY(ppi_gguf_take_number(reader, key, false, &magnitude));
    if (magnitude == 0 || magnitude == 1)
        return PP_OK;
    return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, key, "it is supported with longrope");
}

/* The members of a rope's object after its theta. */
static pp_status write_scaling(const struct ppi_gguf_reader *reader, struct ppi_json_out *out)
{
    static const char *const types[] = {"default", "linear", "yarn", "longrope"};
    struct factors short_factors, long_factors;
    enum scaling scaling;
    double factor;
    PP_TRY(read_scaling(reader, &scaling, &factor));
    PP_TRY(read_tensor(reader, SHORT_NAME, &short_factors));
    PP_TRY(read_tensor(reader, LONG_NAME, &long_factors));
    if (scaling == NONE && short_factors.n + long_factors.n > 0)
        scaling = LONGROPE;
    ppi_json_put(out, ",\"rope_type\":");
    ppi_json_put_string(out, types[scaling]);
    if (scaling != NONE && factor != 0) {
        ppi_json_put(out, ",\"factor\":");
        ppi_json_put_real(out, factor);
    }
    if (scaling == YARN || scaling == LONGROPE)
        PP_TRY(write_original(reader, out));
    if (scaling == YARN)
        PP_TRY(write_yarn(reader, out));
    PP_TRY(scaling == LONGROPE ? write_longrope(reader, &short_factors, &long_factors, out)
                               : check_magnitude(reader));
    if (reader->arch->tempered_type)
        PP_TRY(
            copy_number(reader, "attention.temperature_scale", ",\"llama_4_scaling_beta\":", out));
    return PP_OK;
}

/* How much of a head rotates: a number of elements there, a share here. The quarter keeps the
 * share's product with the head's size above the whole number that it is cut to. */
static pp_status write_share(const struct ppi_gguf_reader *reader,
                             const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const char key[] = "rope.dimension_count";
    int64_t n = shape->head_dim, n_sliding;
    PP_TRY(ppi_gguf_take_integer(reader, key, false, &n));
    n_sliding = n;
    PP_TRY(ppi_gguf_take_integer(reader, "rope.dimension_count_swa", false, &n_sliding));
    if (n_sliding != n)
        return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, "rope.dimension_count_swa",
                               "layers that differ in it are not supported");
    if (shape->arch->partial_rotary == 0 && n != shape->head_dim)
        return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, key,
                               "for this architecture the size of a head is supported");
    if (n < 2 || n > shape->head_dim)
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, key,
                               "at least 2 and at most the size of a head is needed");
    if (shape->arch->partial_rotary == 0)
        return PP_OK;
    ppi_json_put(out, ",\"partial_rotary_factor\":");
    ppi_json_put_real(out, n == shape->head_dim ? 1 : ((double)n + 0.25) / (double)shape->head_dim);
    return PP_OK;
}

static void write_theta(struct ppi_json_out *out, double theta)
{
    ppi_json_put(out, "{\"rope_theta\":");
    ppi_json_put_real(out, theta);
}

pp_status ppi_gguf_write_ropes(const struct ppi_gguf_reader *reader,
                               const struct ppi_gguf_shape *shape, struct ppi_json_out *out)
{
    static const char sliding_key[] = "rope.freq_base_swa";
    double theta = 1e4;
    PP_TRY(ppi_gguf_take_number(reader, "rope.freq_base", false, &theta));
    double sliding = reader->arch->sliding_theta > 0 ? reader->arch->sliding_theta : theta;
    PP_TRY(ppi_gguf_take_number(reader, sliding_key, false, &sliding));
    PP_TRY(write_share(reader, shape, out));
    if (shape->arch->original_max_position > 0) /* the class reads it here */
        PP_TRY(write_original(reader, out));
    if (!shape->arch->rope_by_type && sliding != theta)
        return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, sliding_key,
                               "for this architecture all layers rotate by rope.freq_base");
    ppi_json_put(out, ",\"rope_parameters\":");
    if (shape->arch->rope_by_type)
        ppi_json_put(out, "{\"full_attention\":");
    write_theta(out, theta);
    PP_TRY(write_scaling(reader, out));
    ppi_json_put(out, "}");
    if (shape->arch->rope_by_type) {
        ppi_json_put(out, ",\"sliding_attention\":");
        write_theta(out, sliding);
        ppi_json_put(out, ",\"rope_type\":\"default\"}}");
    }
    return PP_OK;
}
