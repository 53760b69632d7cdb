/*
 * config_rope.c: how queries and keys rotate: `rope_parameters`, or `rope_scaling` and `rope_theta`
 * as files before transformers 5 have them. One object for all layers, or one for each type of
 * layer.
 */
#include "model/config.h"

#include <math.h>
#include <string.h>

/* Where one rope is described. */
struct place {
    const struct ppi_config_reader *reader;
    const struct ppi_arch *arch;
    const struct ppi_model_spec *spec;
    const struct ppi_json_value *object; /* NULL: nothing is said */
    int32_t head_dim;                    /* of the layers that rotate so */
    double theta;                        /* what an omitted rope_theta means */
    bool by_type;
};

/* Stands in the outer object or among the rope parameters; read_original says which counts. */
static const char ORIGINAL[] = "original_max_position_embeddings";

static pp_status read_type(const struct place *place, int32_t *type)
{
    static const struct {
        const char *name;
        int32_t type;
    } known[] = {
        {"default", PP_ROPE_DEFAULT},
        {"linear", PP_ROPE_LINEAR},
        {"llama3", PP_ROPE_LLAMA3},
        {"yarn", PP_ROPE_YARN},
        {"dynamic", PP_ROPE_DYNAMIC},
        {"longrope", PP_ROPE_LONGROPE},
        {"su", PP_ROPE_LONGROPE}, /* what it was first called */
        {"proportional", PP_ROPE_PROPORTIONAL},
    };
    const char *key = ppi_json_get(place->object, "rope_type") ? "rope_type" : "type";
    const struct ppi_json_value *value = ppi_json_get(place->object, key);
    *type = PP_ROPE_DEFAULT;
    if (!value)
        return PP_OK;
    const char *name = ppi_json_string(value);
    if (!name)
        return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key, value, "a string is needed");
    for (size_t i = 0; i < PPI_COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0)
            *type = known[i].type;
    if (place->arch->longrope_only && strcmp(name, "yarn") == 0)
        *type = PP_ROPE_LONGROPE; /* Phi 3 called it that once */
    bool is_default = strcmp(name, "default") == 0;
    if (place->arch->longrope_only && !is_default && *type != PP_ROPE_LONGROPE)
        return ppi_config_refuse(place->reader, PP_ERR_UNSUPPORTED, key, value,
                                 "\"default\" and \"longrope\" are supported");
    /* of other classes it is not known how they would rotate */
    bool known_here = *type != PP_ROPE_PROPORTIONAL || (place->by_type && place->arch->rope);
    if (known_here && (*type != PP_ROPE_DEFAULT || is_default))
        return PP_OK;
    return ppi_config_refuse(place->reader, PP_ERR_UNSUPPORTED, key, value,
                             "supported are \"default\", \"linear\", \"llama3\", \"yarn\", "
                             "\"longrope\" and \"dynamic\"");
}

/* How much of a head rotates. An odd number of elements is rounded up; the exponents keep it. */
static pp_status read_rotary_dim(const struct place *place, struct ppi_rope_spec *rope)
{
    static const char key[] = "partial_rotary_factor";
    double allowed = place->arch->partial_rotary, share = allowed > 0 ? allowed : 1;
    int32_t head_dim = place->head_dim;
    PP_TRY(ppi_config_positive(place->reader, place->reader->root, key, true, &share));
    PP_TRY(ppi_config_positive(place->reader, place->object, key, true, &share));
    const struct ppi_json_value *value = ppi_json_get(place->object, key);
    if (ppi_json_is_absent(value))
        value = ppi_config_get(place->reader, key);
    if (allowed == 0 && share != 1)
        return ppi_config_refuse(place->reader, PP_ERR_UNSUPPORTED, key, value, "1 is supported");
    if (share > 1 || head_dim * share < 2)
        return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key, value,
                                 "at most 1, and at least two elements of a head, are needed");
    rope->exponent_dim = (int32_t)(head_dim * share);
    rope->rotary_dim = rope->exponent_dim + rope->exponent_dim % 2;
    return PP_OK;
}

/* A share of the pairs of a head, which are those of the whole head, and the factor. */
static pp_status read_proportional(const struct place *place, struct ppi_rope_spec *rope)
{
    static const char key[] = "partial_rotary_factor";
    double share = 1;
    PP_TRY(ppi_config_positive(place->reader, place->object, key, true, &share));
    if (share > 1)
        return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key,
                                 ppi_json_get(place->object, key), "at most 1 is needed");
    rope->rotary_dim = rope->exponent_dim = place->head_dim;
    rope->n_turning = (int32_t)(floor(share * place->head_dim / 2));
    return ppi_config_positive(place->reader, place->object, "factor", false, &rope->factor);
}

/* The length that the model was first trained for. */
static pp_status read_original(const struct place *place, struct ppi_rope_spec *rope)
{
    const struct ppi_config_reader *reader = place->reader;
    const struct ppi_json_value *outer = place->by_type ? NULL : ppi_config_get(reader, ORIGINAL);
    const struct ppi_json_value *inner = ppi_json_get(place->object, ORIGINAL);
    int32_t by_class = place->by_type ? 0 : place->arch->original_max_position;
    rope->original_max_position = by_class > 0 ? by_class : place->spec->max_position;
    if (!ppi_json_is_absent(outer))
        return ppi_config_clamped(reader, ORIGINAL, outer, &rope->original_max_position);
    if (ppi_json_is_absent(inner))
        return PP_OK;
    int32_t stated;
    PP_TRY(ppi_config_clamped(reader, ORIGINAL, inner, &stated));
    if (by_class > 0 && by_class != stated)
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: \"%s\" in the rope parameters is %d and not used: %s takes it from the outer "
                "object, where a missing one means %d",
                reader->label, ORIGINAL, stated, place->arch->model_type, by_class);
    if (by_class == 0)
        rope->original_max_position = stated;
    return PP_OK;
}

/* max / original where the file leaves it open. */
static pp_status read_factor(const struct place *place, struct ppi_rope_spec *rope)
{
    static const char key[] = "factor";
    bool derivable = rope->type == PP_ROPE_YARN || rope->type == PP_ROPE_LONGROPE;
    bool required = rope->type != PP_ROPE_LONGROPE;
    if (required && !ppi_json_get(place->object, key))
        return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key, NULL,
                                 "this kind of rope scaling needs it");
    rope->factor = (double)place->spec->max_position / rope->original_max_position;
    return ppi_config_positive(place->reader, place->object, key, derivable, &rope->factor);
}

/* An attention_factor that is stated counts, even 0. */
static pp_status read_magnitude(const struct place *place, struct ppi_rope_spec *rope,
                                double otherwise)
{
    static const char key[] = "attention_factor";
    rope->magnitude = otherwise;
    PP_TRY(ppi_config_number(place->reader, place->object, key, true, &rope->magnitude));
    if (rope->magnitude >= 0 && isfinite(rope->magnitude))
        return PP_OK;
    return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key, ppi_json_get(place->object, key),
                             "a finite number of at least 0 is needed");
}

static pp_status read_llama3(const struct place *place, struct ppi_rope_spec *rope)
{
    static const char *const keys[] = {"low_freq_factor", "high_freq_factor"};
    double *values[] = {&rope->low_freq_factor, &rope->high_freq_factor};
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        if (!ppi_json_get(place->object, keys[i]))
            return ppi_config_refuse(place->reader, PP_ERR_FORMAT, keys[i], NULL,
                                     "this kind of rope scaling needs it");
        PP_TRY(ppi_config_positive(place->reader, place->object, keys[i], false, values[i]));
    }
    if (rope->high_freq_factor > rope->low_freq_factor)
        return PP_OK;
    return ppi_error(place->reader->err, PP_ERR_FORMAT,
                     "%s: low_freq_factor is %g and high_freq_factor %g; the second must be larger",
                     place->reader->label, rope->low_freq_factor, rope->high_freq_factor);
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

/* A beta of 0 or null means the paper's, and mscale counts only with mscale_all_dim. Inside a layer
 * type, transformers does not see `truncate`. */
static pp_status read_yarn(const struct place *place, struct ppi_rope_spec *rope)
{
    const struct ppi_config_reader *reader = place->reader;
    double mscale = 0, mscale_all = 0;
    bool truncate = true;
    PP_TRY(ppi_config_number(reader, place->object, "beta_fast", true, &rope->beta_fast));
    PP_TRY(ppi_config_number(reader, place->object, "beta_slow", true, &rope->beta_slow));
    PP_TRY(ppi_config_number(reader, place->object, "mscale", true, &mscale));
    PP_TRY(ppi_config_number(reader, place->object, "mscale_all_dim", true, &mscale_all));
    PP_TRY(ppi_config_flag(reader, place->object, "truncate", &truncate));
    if (place->by_type && !truncate)
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "truncate",
                                 ppi_json_get(place->object, "truncate"),
                                 "true is supported in the rope parameters of a layer type");
    rope->truncate = truncate;
    rope->beta_fast = rope->beta_fast == 0 ? 32 : rope->beta_fast;
    rope->beta_slow = rope->beta_slow == 0 ? 1 : rope->beta_slow;
    if (rope->beta_fast < 0 || rope->beta_slow < 0 || rope->theta == 1)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: beta_fast is %g, beta_slow %g and rope_theta %g; yarn needs betas of "
                         "at least 0 and another theta than 1",
                         reader->label, rope->beta_fast, rope->beta_slow, rope->theta);
    bool both = mscale != 0 && mscale_all != 0;
    double scale = both ? yarn_scale(rope->factor, mscale) / yarn_scale(rope->factor, mscale_all)
                        : yarn_scale(rope->factor, 1);
    return read_magnitude(place, rope, scale);
}

static pp_status read_factors(const struct place *place, const char *key, int32_t n, float **out)
{
    const struct ppi_json_value *array = ppi_json_get(place->object, key);
    PP_TRY(ppi_config_array(place->reader, key, array, n));
    *out = ppi_alloc(place->reader->mem, (size_t)n, sizeof **out);
    if (!*out)
        return ppi_error_nomem(place->reader->err, key, (size_t)n * sizeof **out);
    const struct ppi_json_value *item = ppi_json_first(array);
    for (int32_t i = 0; item; item = ppi_json_next(array, item), i++) {
        double factor = 0;
        if (!ppi_json_number(item, &factor) || !isfinite((float)factor) || (float)factor <= 0)
            return ppi_config_refuse(place->reader, PP_ERR_FORMAT, key, item,
                                     "finite numbers above 0 are needed in it");
        (*out)[i] = (float)factor;
    }
    return PP_OK;
}

static pp_status read_longrope(const struct place *place, struct ppi_rope_spec *rope)
{
    double factor = rope->factor;
    int32_t half = rope->rotary_dim / 2;
    PP_TRY(read_factors(place, "short_factor", half, &rope->short_factors));
    PP_TRY(read_factors(place, "long_factor", half, &rope->long_factors));
    double magnitude =
        factor <= 1 ? 1 : sqrt(1 + log(factor) / log((double)rope->original_max_position));
    return read_magnitude(place, rope, magnitude);
}

static pp_status read_one(const struct place *place, struct ppi_rope_spec *rope)
{
    *rope = (struct ppi_rope_spec){.theta = place->theta, .factor = 1, .magnitude = 1};
    PP_TRY(read_type(place, &rope->type));
    PP_TRY(ppi_config_positive(place->reader, place->object, "rope_theta", false, &rope->theta));
    if (rope->type == PP_ROPE_PROPORTIONAL)
        return read_proportional(place, rope);
    PP_TRY(read_rotary_dim(place, rope));
    if (rope->type == PP_ROPE_DEFAULT)
        return PP_OK;
    rope->original_max_position = place->spec->max_position;
    if (rope->type != PP_ROPE_DYNAMIC && rope->type != PP_ROPE_LINEAR)
        PP_TRY(read_original(place, rope));
    PP_TRY(read_factor(place, rope));
    if (rope->type == PP_ROPE_LLAMA3)
        return read_llama3(place, rope);
    if (rope->type == PP_ROPE_YARN)
        return read_yarn(place, rope);
    if (rope->type == PP_ROPE_LONGROPE)
        return read_longrope(place, rope);
    if (rope->type == PP_ROPE_DYNAMIC && rope->exponent_dim <= 2)
        return ppi_config_refuse(place->reader, PP_ERR_FORMAT, "rope_type",
                                 ppi_json_get(place->object, "rope_type"),
                                 "it needs more than two elements of a head that rotate");
    return PP_OK;
}

/* ---- one object, or one for each type of layer ---- */

/* An object with something in it, or NULL. */
static pp_status find_object(const struct ppi_config_reader *reader,
                             const struct ppi_json_value *parent, const char *key,
                             const struct ppi_json_value **object)
{
    const struct ppi_json_value *value = ppi_json_get(parent, key);
    *object = ppi_json_first(value) ? value : NULL;
    if (!ppi_json_is_absent(value) && !ppi_json_is(value, PPI_JSON_OBJECT))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, value, "an object or null is needed");
    return PP_OK;
}

/* rope_scaling takes the place of all that rope_parameters says. */
static pp_status read_for_all(struct place *place, struct ppi_model_spec *spec)
{
    const struct ppi_config_reader *reader = place->reader;
    const struct ppi_json_value *parameters, *item;
    PP_TRY(find_object(reader, reader->root, "rope_parameters", &parameters));
    PP_TRY(find_object(reader, reader->root, "rope_scaling", &place->object));
    if (!place->object)
        place->object = parameters;
    for (item = ppi_json_first(place->object); item; item = ppi_json_next(place->object, item))
        if (ppi_json_is(item, PPI_JSON_OBJECT))
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, item->name, item,
                                     "rope parameters for a type of layer are not supported for "
                                     "this architecture");
    PP_TRY(ppi_config_positive(reader, reader->root, "rope_theta", false, &place->theta));
    spec->n_ropes = 1;
    return read_one(place, &spec->ropes[0]);
}

/* Of heads in layers that rotate so; they are alike. */
static int32_t find_head_dim(const struct ppi_model_spec *spec, int32_t i_rope)
{
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].i_rope == i_rope)
            return spec->layers[i].head_dim;
    return spec->head_dim;
}

static const char *const TYPES[] = {"full_attention", "sliding_attention"};

/* One for each type; nothing else is read. */
static pp_status read_each_type(struct place *place, const struct ppi_json_value *parameters,
                                struct ppi_model_spec *spec)
{
    const struct ppi_config_reader *reader = place->reader;
    const double thetas[] = {place->arch->theta, place->arch->sliding_theta};
    place->by_type = true;
    spec->n_ropes = 2;
    for (int i = 0; i < 2; i++) {
        PP_TRY(find_object(reader, parameters, TYPES[i], &place->object));
        if (!place->object)
            return ppi_config_refuse(reader, PP_ERR_FORMAT, TYPES[i],
                                     ppi_json_get(parameters, TYPES[i]),
                                     "rope_parameters need an object of rotary parameters for it");
        place->theta = thetas[i];
        place->head_dim = find_head_dim(spec, i);
        PP_TRY(read_one(place, &spec->ropes[i]));
    }
    return PP_OK;
}

/* Without rope_parameters and rope_scaling, where a class then does not mean "default". */
static pp_status read_by_class(struct place *place, struct ppi_model_spec *spec)
{
    char text[512];
    struct ppi_json json;
    size_t len = strlen(place->arch->rope);
    memcpy(text, place->arch->rope, len + 1);
    PP_TRY(ppi_json_parse(text, len, place->reader->label, NULL, place->reader->mem, &json,
                          place->reader->err));
    place->object = json.root;
    spec->n_ropes = 1;
    pp_status status = place->arch->rope_by_type ? read_each_type(place, json.root, spec)
                                                 : read_one(place, &spec->ropes[0]);
    ppi_json_free(&json, place->reader->mem);
    return status;
}

static pp_status read_by_type(struct place *place, struct ppi_model_spec *spec)
{
    const struct ppi_config_reader *reader = place->reader;
    const struct ppi_arch *arch = place->arch;
    const char *theta_keys[] = {"rope_theta", arch->sliding_theta_key};
    const double thetas[] = {arch->theta, arch->sliding_theta};
    const struct ppi_json_value *parameters, *scaling, *item;
    PP_TRY(find_object(reader, reader->root, "rope_parameters", &parameters));
    PP_TRY(find_object(reader, reader->root, "rope_scaling", &scaling));
    if (arch->rope && scaling)
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "rope_scaling", scaling,
                                 "rope_parameters of each type of layer are supported");
    for (item = ppi_json_first(parameters); item; item = ppi_json_next(parameters, item))
        if (strcmp(item->name, TYPES[0]) != 0 && strcmp(item->name, TYPES[1]) != 0)
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, item->name, item,
                                     "rope_parameters of this architecture have one object for "
                                     "\"full_attention\" and one for \"sliding_attention\"");
    if (arch->rope)
        return read_each_type(place, parameters, spec);
    place->by_type = true;
    spec->n_ropes = 2;
    for (int i = 0; i < 2; i++) {
        PP_TRY(find_object(reader, parameters, TYPES[i], &place->object));
        if (i == 0 && scaling && place->object)
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "rope_scaling", scaling,
                                     "rope_parameters has \"full_attention\" too; one of them is "
                                     "supported");
        if (i == 0 && scaling)
            place->object = scaling; /* of full layers only */
        place->theta = thetas[i];
        if (theta_keys[i])
            PP_TRY(ppi_config_positive(reader, reader->root, theta_keys[i], false, &place->theta));
        PP_TRY(read_one(place, &spec->ropes[i]));
    }
    return PP_OK;
}

/* Dynamic scaling goes on beyond the positions that the file states, for as many as its factor
 * says. */
static void extend_positions(struct ppi_model_spec *spec)
{
    for (int32_t i = 0; i < spec->n_ropes; i++) {
        const struct ppi_rope_spec *rope = &spec->ropes[i];
        double most = rope->factor * rope->original_max_position;
        if (rope->type == PP_ROPE_DYNAMIC && most > spec->max_position)
            spec->max_position = most < INT32_MAX ? (int32_t)most : INT32_MAX;
    }
}

pp_status ppi_config_ropes(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                           struct ppi_model_spec *spec)
{
    struct place place = {.reader = reader,
                          .arch = arch,
                          .spec = spec,
                          .head_dim = spec->head_dim,
                          .theta = arch->theta};
    bool said = ppi_json_first(ppi_config_get(reader, "rope_parameters")) ||
                ppi_json_first(ppi_config_get(reader, "rope_scaling"));
    if (arch->rope && !said)
        PP_TRY(read_by_class(&place, spec));
    else if (arch->rope_by_type)
        PP_TRY(read_by_type(&place, spec));
    else
        PP_TRY(read_for_all(&place, spec));
    extend_positions(spec);
    return PP_OK;
}
