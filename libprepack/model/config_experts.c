/*
 * config_experts.c: mixtures of experts: how many there are, which layers have them, how rows are
 * routed, and what the other layers have in their place.
 */
#include "model/config.h"

#include <string.h>

#define MAX_EXPERTS 4096
#define MAX_SIZE    (1 << 20) /* intermediate */
#define PACKED_KEY  "quantization_config"

/* ---- packed ones ---- */

bool ppi_config_is_packed(const struct ppi_config_reader *reader, const struct ppi_arch *arch)
{
    const char *method =
        ppi_json_string(ppi_json_get(ppi_json_get(reader->top, PACKED_KEY), "quant_method"));
    return arch->experts && arch->experts->packed && method && strcmp(method, "mxfp4") == 0;
}

/* Nothing but experts is packed; so the list of what is not must name none of them. */
pp_status ppi_config_check_packed(const struct ppi_config_reader *reader)
{
    static const char key[] = "modules_to_not_convert";
    const struct ppi_json_value *list = ppi_json_get(ppi_json_get(reader->top, PACKED_KEY), key);
    if (!ppi_json_is_absent(list) && !ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, list,
                                 "an array of names of modules is needed");
    const struct ppi_json_value *item = ppi_json_first(list);
    for (; item; item = ppi_json_next(list, item)) {
        const char *name = ppi_json_string(item);
        if (!name)
            return ppi_config_refuse(reader, PP_ERR_FORMAT, key, item,
                                     "the name of a module is needed");
        if (strstr(name, "experts"))
            return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, item,
                                     "all experts are in MXFP4, or none are");
    }
    return PP_OK;
}

/* ---- how many, and how large ---- */

/* Under either name; both must say the same. */
static pp_status read_n(const struct ppi_config_reader *reader,
                        const struct ppi_arch_experts *class, int32_t *n)
{
    int32_t min = class->optional ? 0 : 1, other = 0;
    const char *other_key = class->n_other_key;
    const struct ppi_json_value *second = other_key ? ppi_config_get(reader, other_key) : NULL;
    bool first = ppi_config_get(reader, class->n_key) != NULL;
    PP_TRY(ppi_config_count_or(reader, class->n_key, class->n, min, MAX_EXPERTS, n));
    if (!second)
        return PP_OK;
    PP_TRY(ppi_config_count(reader, other_key, second, min, MAX_EXPERTS, &other));
    if (first && other != *n)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: \"%s\" is %d and \"%s\" %d; both mean the number of experts",
                         reader->label, class->n_key, *n, other_key, other);
    *n = other;
    return PP_OK;
}

static pp_status read_top_k(const struct ppi_config_reader *reader,
                            const struct ppi_arch_experts *class, struct ppi_experts_spec *experts)
{
    static const char key[] = "num_experts_per_tok";
    PP_TRY(ppi_config_count_or(reader, key, class->top_k, 1, INT32_MAX, &experts->top_k));
    if (experts->top_k <= experts->n)
        return PP_OK;
    return ppi_error(reader->err, PP_ERR_FORMAT,
                     "%s: \"%s\" is %d; at most all %d experts can be chosen", reader->label, key,
                     experts->top_k, experts->n);
}

/* Where there is one. */
static pp_status read_shared(const struct ppi_config_reader *reader,
                             const struct ppi_arch_experts *class, struct ppi_experts_spec *experts)
{
    int32_t stated;
    if (!class->shared_key)
        return PP_OK;
    PP_TRY(ppi_config_count_or(reader, class->shared_key, class->shared, 0, MAX_SIZE, &stated));
    int64_t size = stated;
    if (class->shared_counts)
        size *= experts->intermediate_size;
    if (size > MAX_SIZE)
        return ppi_error(reader->err, PP_ERR_LIMIT,
                         "%s: \"%s\" is %d, so that the shared expert's size is %lld; at most %d "
                         "is accepted",
                         reader->label, class->shared_key, stated, (long long)size, MAX_SIZE);
    experts->shared_size = (int32_t)size;
    return PP_OK;
}

static pp_status read_mixture(const struct ppi_config_reader *reader,
                              const struct ppi_arch_experts *class, struct ppi_model_spec *spec)
{
    struct ppi_experts_spec *experts = &spec->experts;
    experts->intermediate_size = spec->intermediate_size;
    if (class->size_key)
        PP_TRY(ppi_config_count_or(reader, class->size_key, class->size, 1, MAX_SIZE,
                                   &experts->intermediate_size));
    experts->scoring = class->scoring;
    experts->normalize = class->normalize;
    if (class->normalize_key)
        PP_TRY(ppi_config_flag(reader, reader->root, "norm_topk_prob", &experts->normalize));
    experts->sum_eps = class->sum_eps;
    experts->scale = 1;
    experts->router_scale = 1;
    experts->activation = class->activation ? class->activation : spec->activation;
    experts->router_bias = class->router_bias;
    experts->router_correction = class->router_correction;
    experts->biases = class->biases;
    PP_TRY(read_top_k(reader, class, experts));
    PP_TRY(read_shared(reader, class, experts));
    experts->shared_gate = class->shared_gate && experts->shared_size > 0;
    return PP_OK;
}

/* ---- which layers ---- */

static pp_status find_steps(const struct ppi_config_reader *reader, struct ppi_model_spec *spec)
{
    static const char step_key[] = "decoder_sparse_step", key[] = "mlp_only_layers";
    const struct ppi_json_value *list = ppi_config_get(reader, key);
    int32_t step;
    PP_TRY(ppi_config_count_or(reader, step_key, 1, 1, INT32_MAX, &step));
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].has_experts = (i + 1) % step == 0;
    if (!ppi_json_is_absent(list) && !ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, list,
                                 "an array of numbers of layers is needed");
    const struct ppi_json_value *item = ppi_json_first(list);
    for (; item; item = ppi_json_next(list, item)) {
        if (!ppi_json_is(item, PPI_JSON_INTEGER))
            return ppi_config_refuse(reader, PP_ERR_FORMAT, key, item,
                                     "the number of a layer is needed");
        if (item->integer >= 0 && item->integer < spec->n_layers)
            spec->layers[item->integer].has_experts = false;
    }
    return PP_OK;
}

static pp_status find_layers(const struct ppi_config_reader *reader,
                             const struct ppi_arch_experts *class, struct ppi_model_spec *spec)
{
    int32_t first = 0;
    if (class->in == PPI_EXPERTS_IN_STEPS)
        return find_steps(reader, spec);
    if (class->in == PPI_EXPERTS_IN_UPPER)
        PP_TRY(ppi_config_count_or(reader, "first_k_dense_replace", class->first, 0, INT32_MAX,
                                   &first));
    for (int32_t i = first; i < spec->n_layers; i++)
        spec->layers[i].has_experts = true;
    return PP_OK;
}

/* What the layers have: experts, or a dense MLP; and the widest MLP of the model. */
static void settle(struct ppi_model_spec *spec)
{
    int32_t dense = spec->intermediate_size, n = 0;
    for (int32_t i = 0; i < spec->n_layers; i++) {
        struct ppi_layer_spec *layer = &spec->layers[i];
        layer->mlp_size = layer->has_experts ? 0 : dense;
        n += layer->has_experts;
    }
    if (n == 0)
        spec->experts = (struct ppi_experts_spec){0};
    int32_t widest = ppi_spec_widest_mlp(spec);
    spec->intermediate_size = widest > 0 ? widest : spec->experts.intermediate_size;
}

pp_status ppi_config_experts(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                             struct ppi_model_spec *spec)
{
    const struct ppi_arch_experts *class = arch->experts;
    if (!class)
        return PP_OK;
    PP_TRY(read_n(reader, class, &spec->experts.n));
    if (spec->experts.n > 0) {
        PP_TRY(read_mixture(reader, class, spec));
        spec->experts.files = ppi_experts_form(arch->tensors, PPI_WHEN_EXPERTS_FUSED);
        PP_TRY(find_layers(reader, class, spec));
    } else if (class->shared_is_mlp) {
        PP_TRY(ppi_config_count_or(reader, class->shared_key, class->shared, 1, MAX_SIZE,
                                   &spec->intermediate_size));
    }
    settle(spec);
    return PP_OK;
}
