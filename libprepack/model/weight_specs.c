/*
 * weight_specs.c: the matrices of a model, one after the other: in which format each is kept for a
 * wish, and what all of them take.
 */
#include "model/weight_specs.h"
#include "model/tensor_codes.h"

#include <prepack/session.h>

#define MAX_INTEGER_K 131072 /* sums of so many products of bytes fit 32 bits */

const char *pp_weights_name(int32_t weights)
{
    static const char *const names[] = {"auto", "f32", "bf16", "int8", "int4", "nf4"};
    return weights >= 0 && weights < (int32_t)PPI_COUNT(names) ? names[weights] : "unknown";
}

static bool has_rule(const pp_model *model, int32_t i_rule, int32_t layer)
{
    return ppi_rule_holds(&model->arch->tensors[i_rule], &model->spec, layer);
}

bool ppi_next_group(const pp_model *model, int32_t layer, int32_t *i_rule,
                    struct ppi_weight_group *group)
{
    const struct ppi_tensor_rule *rules = model->arch->tensors;
    while (rules[*i_rule].name) {
        const struct ppi_tensor_rule *rule = &rules[*i_rule];
        *group = (struct ppi_weight_group){*i_rule, ppi_rule_n_parts(rule),
                                           &ppi_weight_kinds[rule->weight], rule->weight};
        *i_rule += group->n_parts;
        if (!group->kind->in_layer && layer > 0)
            continue;
        while (group->n_parts > 0 && !has_rule(model, group->i_rule, layer)) {
            group->i_rule++;
            group->n_parts--;
        }
        if (group->n_parts > 0)
            return true;
    }
    return false;
}

/* n, k and n_stacked as matrix_create takes them. */
static void group_shape(const pp_model *model, const struct ppi_weight_group *group, int32_t layer,
                        struct ppi_matrix_spec *spec)
{
    ppi_part_shape(&model->spec, layer, group->weight, PPI_PART_ALL, &spec->n, &spec->k);
    if (group->weight == PPI_WEIGHT_EXPERT_GATE_UP || group->weight == PPI_WEIGHT_EXPERT_DOWN) {
        spec->n_stacked = model->spec.experts.n;
        spec->n /= spec->n_stacked;
    }
    if (group->kind->matrix == PPI_MATRIX_GATE_UP)
        spec->n /= 2;
}

/* The format in which the parts of a matrix are stored, where they agree and the backend has it. */
static int32_t stored_format(const pp_model *model, const struct ppi_weights_wish *wish,
                             const struct ppi_weight_group *group, int32_t layer)
{
    int32_t format = ppi_tensors_format(&model->tensors, group->i_rule, layer);
    for (int32_t i = group->i_rule + 1; i < group->i_rule + group->n_parts; i++)
        if (has_rule(model, i, layer) && ppi_tensors_format(&model->tensors, i, layer) != format)
            return PPI_FORMAT_ACT;
    return wish->ops->supports_format(wish->dtype, format) ? format : PPI_FORMAT_ACT;
}

/* As stored: blocks stay blocks, but a table of them is numbers, which rows are looked up in. */
static int32_t auto_format(const pp_model *model, const struct ppi_weights_wish *wish,
                           const struct ppi_weight_group *group, int32_t layer)
{
    int32_t format = stored_format(model, wish, group, layer);
    bool table = group->kind->matrix == PPI_MATRIX_TABLE;
    return table && ppi_format_has_codes(format) ? PPI_FORMAT_ACT : format;
}

/* INT4 or NF4: what is stored with 4 bits stays as it is, as quantising it again would only lose;
 * the LM head is 8 bits wide otherwise. */
static int32_t four_bits(const pp_model *model, const struct ppi_weights_wish *wish,
                         const struct ppi_weight_group *group, int32_t layer)
{
    int32_t format = stored_format(model, wish, group, layer);
    if (ppi_formats[format].bits == 4)
        return format;
    if (group->weight == PPI_WEIGHT_LM_HEAD)
        return PPI_FORMAT_INT8;
    return wish->weights == PP_WEIGHTS_INT4 ? PPI_FORMAT_INT4 : PPI_FORMAT_NF4;
}

/* The format of a matrix that is multiplied or looked up, and whether as integers. */
static int32_t choose_format(const pp_model *model, const struct ppi_weights_wish *wish,
                             const struct ppi_weight_group *group, int32_t layer, bool *integer)
{
    bool table = group->kind->matrix == PPI_MATRIX_TABLE;
    *integer = false;
    if (!ppi_weight_has_codes(group->weight))
        return PPI_FORMAT_ACT;
    if (model->tensors.weights != PP_WEIGHTS_AUTO) {
        *integer = !table;
        return ppi_tensors_format(&model->tensors, group->i_rule, layer);
    }
    switch (wish->weights) {
    case PP_WEIGHTS_INT8:
    case PP_WEIGHTS_INT4:
    case PP_WEIGHTS_NF4:
        *integer = !table;
        return wish->weights == PP_WEIGHTS_INT8 || table ? PPI_FORMAT_INT8
                                                         : four_bits(model, wish, group, layer);
    case PP_WEIGHTS_BF16:
        return wish->dtype == PP_DTYPE_F32 ? PPI_FORMAT_BF16 : PPI_FORMAT_ACT;
    case PP_WEIGHTS_F32:
        return PPI_FORMAT_ACT;
    default:
        return auto_format(model, wish, group, layer);
    }
}

struct ppi_matrix_spec ppi_group_spec(const pp_model *model, const struct ppi_weights_wish *wish,
                                      const struct ppi_weight_group *group, int32_t layer)
{
    struct ppi_matrix_spec spec = {.kind = group->kind->matrix, .format = PPI_FORMAT_ACT};
    group_shape(model, group, layer, &spec);
    if (spec.kind != PPI_MATRIX_VECTOR)
        spec.format = choose_format(model, wish, group, layer, &spec.integer);
    return spec;
}

/* The next matrix of all, from *layer and *i_rule on, which begin as 0; false after the last. */
static bool next_spec(const pp_model *model, const struct ppi_weights_wish *wish, int32_t *layer,
                      int32_t *i_rule, struct ppi_matrix_spec *spec)
{
    struct ppi_weight_group group;
    for (; *layer < model->spec.n_layers; ++*layer, *i_rule = 0)
        if (ppi_next_group(model, *layer, i_rule, &group)) {
            *spec = ppi_group_spec(model, wish, &group, *layer);
            return true;
        }
    return false;
}

/* Whether matrices can be kept so beside the dtype. */
static bool fits_dtype(const struct ppi_weights_wish *wish)
{
    switch (wish->weights) {
    case PP_WEIGHTS_F32:
        return wish->dtype == PP_DTYPE_F32;
    case PP_WEIGHTS_BF16:
        return wish->dtype == PP_DTYPE_F32 || wish->dtype == PP_DTYPE_BF16;
    default:
        return true;
    }
}

/* Whether two wishes keep every matrix in the same way. */
static bool keep_alike(const pp_model *model, const struct ppi_weights_wish *a,
                       const struct ppi_weights_wish *b)
{
    struct ppi_matrix_spec x, y;
    int32_t layer = 0, i = 0, other_layer = 0, other_i = 0;
    while (next_spec(model, a, &layer, &i, &x) && next_spec(model, b, &other_layer, &other_i, &y))
        if (x.format != y.format || x.integer != y.integer)
            return false;
    return true;
}

int32_t ppi_weights_resolve(const pp_model *model, const struct ppi_weights_wish *wish)
{
    if (wish->weights != PP_WEIGHTS_AUTO || model->tensors.weights != PP_WEIGHTS_AUTO)
        return wish->weights != PP_WEIGHTS_AUTO ? wish->weights : model->tensors.weights;
    for (int32_t weights = PP_WEIGHTS_F32; weights <= PP_WEIGHTS_NF4; weights++) {
        struct ppi_weights_wish other = *wish;
        other.weights = weights;
        if (fits_dtype(&other) && keep_alike(model, wish, &other))
            return weights;
    }
    return PP_WEIGHTS_AUTO;
}

/* What a converted model is, and no other format. */
static pp_status check_converted(const pp_model *model, const struct ppi_weights_wish *wish,
                                 pp_error *err)
{
    int32_t stored = model->tensors.weights;
    if (stored == PP_WEIGHTS_AUTO || wish->weights == PP_WEIGHTS_AUTO || wish->weights == stored)
        return PP_OK;
    return ppi_error(err, PP_ERR_UNSUPPORTED,
                     "pp_session_params.weights is %s, but %s holds a model that was converted to "
                     "%s; allowed: auto and %s",
                     pp_weights_name(wish->weights), ppi_source_label(model->tensors.source),
                     pp_weights_name(stored), pp_weights_name(stored));
}

/* The device lacks the format of some matrix. */
static pp_status refuse_format(const pp_model *model, const struct ppi_weights_wish *wish,
                               pp_error *err)
{
    if (model->tensors.weights != PP_WEIGHTS_AUTO)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s holds a model that was converted to %s, which device \"%s\" does not "
                         "compute with",
                         ppi_source_label(model->tensors.source),
                         pp_weights_name(model->tensors.weights), wish->ops->name);
    return ppi_error(err, PP_ERR_UNSUPPORTED,
                     "pp_session_params.weights is %s, which device \"%s\" does not "
                     "compute with; allowed: auto",
                     pp_weights_name(wish->weights), wish->ops->name);
}

pp_status ppi_weights_check(const pp_model *model, const struct ppi_weights_wish *wish,
                            pp_error *err)
{
    struct ppi_matrix_spec spec;
    PP_TRY(check_converted(model, wish, err));
    if (!fits_dtype(wish))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_session_params.weights is %s, which needs dtype f32%s; the session "
                         "computes in %s",
                         pp_weights_name(wish->weights),
                         wish->weights == PP_WEIGHTS_BF16 ? " or bf16" : "",
                         pp_dtype_name(wish->dtype));
    for (int32_t layer = 0, i = 0; next_spec(model, wish, &layer, &i, &spec);) {
        if (!wish->ops->supports_format(wish->dtype, spec.format))
            return refuse_format(model, wish, err);
        if (spec.integer && spec.k > MAX_INTEGER_K)
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "pp_session_params.weights is %s, but a matrix has rows of %lld "
                             "weights; allowed: at most %d",
                             pp_weights_name(wish->weights), (long long)spec.k, MAX_INTEGER_K);
    }
    return PP_OK;
}

void ppi_weights_products(const pp_model *model, const struct ppi_weights_wish *wish,
                          struct ppi_backend_params *params)
{
    struct ppi_matrix_spec spec;
    for (int32_t layer = 0, i = 0; next_spec(model, wish, &layer, &i, &spec);) {
        params->integer_products |= ppi_format_has_codes(spec.format) && spec.integer;
        params->unpacked_products |= spec.format != PPI_FORMAT_ACT && !spec.integer;
    }
}

int64_t ppi_weight_bytes(const pp_model *model, const struct ppi_weights_wish *wish,
                         enum ppi_weight weight, const struct ppi_backend *backend)
{
    struct ppi_weight_group group;
    for (int32_t layer = 0; layer < model->spec.n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(model, layer, &i, &group);)
            if (group.weight == weight) {
                struct ppi_matrix_spec spec = ppi_group_spec(model, wish, &group, layer);
                int32_t dtype = spec.format == PPI_FORMAT_BF16 ? PP_DTYPE_BF16 : wish->dtype;
                int64_t n, k;
                if (ppi_format_has_codes(spec.format))
                    return (int64_t)wish->ops->matrix_bytes(backend, &spec);
                ppi_part_shape(&model->spec, layer, weight, PPI_PART_ALL, &n, &k);
                return n * k * (int64_t)pp_dtype_size(dtype);
            }
    return 0;
}

int64_t ppi_weights_bytes(const pp_model *model, const struct ppi_weights_wish *wish,
                          const struct ppi_backend *backend)
{
    struct ppi_matrix_spec spec;
    int64_t total = 0;
    for (int32_t layer = 0, i = 0; next_spec(model, wish, &layer, &i, &spec);)
        total += (int64_t)wish->ops->matrix_bytes(backend, &spec);
    return total;
}
