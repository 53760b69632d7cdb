/*
 * config_linear.c: layers with a state in the place of keys and values: which they are, and their
 * shape, which all of them share.
 */
#include "model/config.h"

#include <math.h>
#include <string.h>

#define MAX_HEADS     1024
#define MAX_STATE_DIM 512

/* ---- which layers ---- */

static pp_status read_kind(const struct ppi_config_reader *reader, const char *key,
                           const struct ppi_json_value *value, enum ppi_layer_kind *kind)
{
    const char *type = ppi_json_string(value);
    *kind = PPI_LAYER_ATTENTION;
    if (type && (strcmp(type, "linear_attention") == 0 || strcmp(type, "mamba") == 0))
        *kind = PPI_LAYER_LINEAR;
    else if (!type || (strcmp(type, "full_attention") != 0 && strcmp(type, "attention") != 0))
        return ppi_config_refuse(reader, type ? PP_ERR_UNSUPPORTED : PP_ERR_FORMAT, key, value,
                                 "\"full_attention\" and \"linear_attention\" are supported "
                                 "(or \"attention\" and \"mamba\", as they were called)");
    return PP_OK;
}

/* By layer_types; without them every n-th attends. */
static pp_status read_kinds(const struct ppi_config_reader *reader,
                            const struct ppi_arch_linear *class, struct ppi_model_spec *spec)
{
    const char *key = "layer_types";
    const struct ppi_json_value *types = ppi_config_get(reader, key);
    int32_t period = class->full_every;
    if (ppi_json_is_absent(types) && class->other_types_key)
        types = ppi_config_get(reader, key = class->other_types_key);
    if (ppi_json_is_absent(types)) {
        if (period > 0)
            PP_TRY(ppi_config_count_or(reader, "full_attention_interval", period, 1, INT32_MAX,
                                       &period));
        for (int32_t i = 0; i < spec->n_layers; i++)
            spec->layers[i].kind =
                period > 0 && (i + 1) % period == 0 ? PPI_LAYER_ATTENTION : PPI_LAYER_LINEAR;
        return PP_OK;
    }
    PP_TRY(ppi_config_array(reader, key, types, spec->n_layers));
    const struct ppi_json_value *item = ppi_json_first(types);
    for (int32_t i = 0; item; item = ppi_json_next(types, item), i++)
        PP_TRY(read_kind(reader, key, item, &spec->layers[i].kind));
    return PP_OK;
}

/* ---- their shape ---- */

/* Keys of each rule. */
static const struct keys {
    const char *n_k_heads, *n_v_heads, *k_dim, *v_dim, *conv_kernel;
} KEYS[] = {
    [PPI_LINEAR_DELTA] = {"linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim",
                          "linear_value_head_dim", "linear_conv_kernel_dim"},
    [PPI_LINEAR_MAMBA2] = {"mamba_n_groups", "mamba_n_heads", "mamba_d_state", "mamba_d_head",
                           "mamba_d_conv"},
};

/* Of Mamba 2: the heads share mamba_expand times the hidden size, and may leave it at that. */
static pp_status read_shares(const struct ppi_config_reader *reader, int32_t hidden,
                             struct ppi_linear_shape *shape)
{
    static const char expand_key[] = "mamba_expand";
    const char *key = KEYS[PPI_LINEAR_MAMBA2].v_dim;
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    const char *text = ppi_json_string(value);
    int32_t expand;
    PP_TRY(ppi_config_count_or(reader, expand_key, 2, 1, 1024, &expand));
    int64_t all = (int64_t)expand * hidden;
    if (!value || (text && strcmp(text, "auto") == 0)) {
        if (all / shape->n_v_heads > MAX_STATE_DIM)
            return ppi_error(reader->err, PP_ERR_LIMIT,
                             "%s: %lld elements (\"%s\" times the hidden size) of %d heads are "
                             "more than %d of each",
                             reader->label, (long long)all, expand_key, shape->n_v_heads,
                             MAX_STATE_DIM);
        shape->v_dim = (int32_t)(all / shape->n_v_heads);
    } else {
        PP_TRY(ppi_config_count(reader, key, value, 1, MAX_STATE_DIM, &shape->v_dim));
    }
    if (ppi_linear_v_size(shape) != all)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: %d heads (\"%s\") of %d elements are not \"%s\" %d times the hidden "
                         "size %d",
                         reader->label, shape->n_v_heads, KEYS[PPI_LINEAR_MAMBA2].n_v_heads,
                         shape->v_dim, expand_key, expand, hidden);
    return PP_OK;
}

static pp_status read_shape(const struct ppi_config_reader *reader,
                            const struct ppi_arch_linear *class, struct ppi_model_spec *spec)
{
    struct ppi_linear_shape *shape = &spec->linear;
    const struct keys *keys = &KEYS[class->shape.rule];
    *shape = class->shape;
    PP_TRY(ppi_config_count_or(reader, keys->n_k_heads, shape->n_k_heads, 1, MAX_HEADS,
                               &shape->n_k_heads));
    PP_TRY(ppi_config_count_or(reader, keys->n_v_heads, shape->n_v_heads, 1, MAX_HEADS,
                               &shape->n_v_heads));
    PP_TRY(ppi_config_count_or(reader, keys->k_dim, shape->k_dim, 1, MAX_STATE_DIM, &shape->k_dim));
    PP_TRY(ppi_config_count_or(reader, keys->conv_kernel, shape->conv_kernel, 1,
                               PPI_MAX_CONV_KERNEL, &shape->conv_kernel));
    if (shape->n_v_heads % shape->n_k_heads != 0)
        return ppi_error(reader->err, PP_ERR_FORMAT, "%s: \"%s\" %d is not a multiple of \"%s\" %d",
                         reader->label, keys->n_v_heads, shape->n_v_heads, keys->n_k_heads,
                         shape->n_k_heads);
    if (shape->rule == PPI_LINEAR_DELTA)
        return ppi_config_count_or(reader, keys->v_dim, shape->v_dim, 1, MAX_STATE_DIM,
                                   &shape->v_dim);
    shape->norm_groups = shape->n_k_heads;
    return read_shares(reader, spec->hidden_size, shape);
}

/* ---- of Mamba 2 alone ---- */

/* A number, or infinity, which transformers writes as an object. */
static bool limit_of(const struct ppi_json_value *value, float *limit)
{
    double number;
    const char *text = ppi_json_string(ppi_json_get(value, "__float__"));
    if (text && strcmp(text, "Infinity") == 0)
        number = INFINITY;
    else if (!ppi_json_number(value, &number))
        return false;
    *limit = (float)number;
    return *limit >= 0; /* no NaN */
}

static pp_status read_step(const struct ppi_config_reader *reader, struct ppi_linear_shape *shape)
{
    static const char key[] = "time_step_limit";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    const struct ppi_json_value *first = ppi_json_first(value);
    shape->dt_min = 0;
    shape->dt_max = INFINITY;
    if (ppi_json_is_absent(value))
        return PP_OK;
    PP_TRY(ppi_config_array(reader, key, value, 2));
    if (limit_of(first, &shape->dt_min) && limit_of(ppi_json_next(value, first), &shape->dt_max) &&
        shape->dt_min <= shape->dt_max)
        return PP_OK;
    return ppi_config_refuse(reader, PP_ERR_FORMAT, key, value,
                             "two numbers of at least 0 are needed, the smaller one first");
}

static pp_status read_mamba(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    spec->conv_bias = true;
    PP_TRY(ppi_config_flag(reader, reader->root, "mamba_conv_bias", &spec->conv_bias));
    PP_TRY(ppi_config_flag(reader, reader->root, "mamba_proj_bias", &spec->linear_bias));
    return read_step(reader, &spec->linear);
}

/* ---- the whole ---- */

pp_status ppi_config_linear(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                            struct ppi_model_spec *spec)
{
    bool any = false;
    PP_TRY(read_kinds(reader, arch->linear, spec));
    for (int32_t i = 0; i < spec->n_layers; i++) {
        bool linear = spec->layers[i].kind == PPI_LAYER_LINEAR;
        spec->layers[i].i_rope = linear ? -1 : spec->layers[i].i_rope;
        any |= linear;
    }
    if (!any)
        return PP_OK;
    if (spec->activation != PPI_ACTIVATION_SILU)
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "hidden_act",
                                 ppi_config_get(reader, "hidden_act"),
                                 "\"silu\" is supported beside linear layers, whose convolution "
                                 "has it too");
    PP_TRY(read_shape(reader, arch->linear, spec));
    return spec->linear.rule == PPI_LINEAR_MAMBA2 ? read_mamba(reader, spec) : PP_OK;
}
