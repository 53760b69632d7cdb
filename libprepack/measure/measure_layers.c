/*
 * measure_layers.c: the layers that an operation is measured in: the first one that has it, and
 * those that are like it.
 */
#include "measure/measure_impl.h"

static bool writes_keys(const struct ppi_model_spec *spec, int32_t layer)
{
    return spec->layers[layer].kind == PPI_LAYER_ATTENTION && spec->layers[layer].kv_layer == layer;
}

/* Whether a layer has the operation. */
static bool has_operation(const struct ppi_model_spec *spec, int32_t layer, int32_t operation)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    switch (operation) {
    case PP_MEASURE_QKV:
    case PP_MEASURE_O:
    case PP_MEASURE_ATTENTION:
    case PP_MEASURE_DECODE:
    case PP_MEASURE_ROPE_KV:
        return writes_keys(spec, layer);
    case PP_MEASURE_GATE_UP:
    case PP_MEASURE_DOWN:
        return of->mlp_size > 0;
    case PP_MEASURE_EXPERTS:
    case PP_MEASURE_ROUTE:
        return of->has_experts;
    case PP_MEASURE_LINEAR:
    case PP_MEASURE_LINEAR_IN:
    case PP_MEASURE_LINEAR_OUT:
        return of->kind == PPI_LAYER_LINEAR;
    default:
        return true;
    }
}

/* Whether the operation has the same shape in both. Experts and linear layers of a model do. */
static bool are_alike(const struct ppi_layer_spec *a, const struct ppi_layer_spec *b,
                      int32_t operation)
{
    if (operation == PP_MEASURE_GATE_UP || operation == PP_MEASURE_DOWN)
        return a->mlp_size == b->mlp_size;
    return a->kind == PPI_LAYER_LINEAR || b->kind == PPI_LAYER_LINEAR ||
           (a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim);
}

static int32_t first_layer(const struct measure *measure)
{
    const struct ppi_model_spec *spec = &measure->session->model->spec;
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        if (has_operation(spec, layer, measure->params->operation))
            return layer;
    return -1;
}

bool ppi_measure_has_layer(const struct measure *measure, int32_t layer)
{
    const struct ppi_model_spec *spec = &measure->session->model->spec;
    int32_t operation = measure->params->operation, first = first_layer(measure);
    return first >= 0 && has_operation(spec, layer, operation) &&
           are_alike(&spec->layers[first], &spec->layers[layer], operation);
}

int32_t ppi_measure_n_layers(const struct measure *measure)
{
    int32_t n = 0;
    for (int32_t layer = 0; layer < measure->session->model->spec.n_layers; layer++)
        n += ppi_measure_has_layer(measure, layer);
    return n;
}

int32_t ppi_measure_layer(const struct measure *measure, int64_t i)
{
    int32_t layer = first_layer(measure);
    if (layer < 0)
        return -1;
    for (int64_t left = i % ppi_measure_n_layers(measure); left > 0;)
        left -= ppi_measure_has_layer(measure, ++layer);
    return layer;
}
