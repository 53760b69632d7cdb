/*
 * spec.c: what holds between the fields of a spec, and what follows from them.
 */
#include "model/spec.h"

#include <math.h>

/* Classes in the order of their windows, the one without first. */
static bool add_class(struct ppi_model_spec *spec, int32_t window)
{
    int32_t at = 0;
    while (at < spec->n_page_classes && spec->class_windows[at] < window)
        at++;
    if (at < spec->n_page_classes && spec->class_windows[at] == window)
        return true;
    if (spec->n_page_classes == PPI_MAX_PAGE_CLASSES)
        return false;
    for (int32_t i = spec->n_page_classes++; i > at; i--)
        spec->class_windows[i] = spec->class_windows[i - 1];
    spec->class_windows[at] = window;
    return true;
}

/* Of its own. */
static bool has_keys(const struct ppi_model_spec *spec, int32_t layer)
{
    return spec->layers[layer].kind == PPI_LAYER_ATTENTION && spec->layers[layer].kv_layer == layer;
}

static pp_status make_classes(struct ppi_model_spec *spec, const char *label, struct ppi_mem *mem,
                              pp_error *err)
{
    size_t n = (size_t)spec->n_layers;
    spec->places = ppi_alloc(mem, n, sizeof *spec->places);
    if (!spec->places)
        return ppi_error_nomem(err, "the places of layers", n * sizeof *spec->places);
    for (size_t i = 0; i < n; i++)
        if (has_keys(spec, (int32_t)i) && !add_class(spec, spec->layers[i].window))
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s: the layers have more than %d different windows", label,
                             PPI_MAX_PAGE_CLASSES);
    if (spec->n_page_classes == 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: no layer attends; models with attention in some layers are supported",
                         label);
    for (size_t i = 0; i < n; i++) {
        int32_t page_class = 0;
        if (spec->layers[i].kind == PPI_LAYER_LINEAR) {
            spec->places[i] = (struct ppi_layer_place){-1, spec->n_linear++};
            spec->last_writer = (int32_t)i;
            continue;
        }
        if (!has_keys(spec, (int32_t)i)) {
            spec->places[i] = spec->places[spec->layers[i].kv_layer];
            continue;
        }
        while (spec->class_windows[page_class] != spec->layers[i].window)
            page_class++;
        spec->last_writer = (int32_t)i;
        spec->places[i] = (struct ppi_layer_place){page_class, spec->n_class_layers[page_class]++};
    }
    return PP_OK;
}

pp_status ppi_spec_finish(struct ppi_model_spec *spec, const char *label, struct ppi_mem *mem,
                          pp_error *err)
{
    if (spec->n_heads % spec->n_kv_heads != 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: %d attention heads are not a multiple of %d key/value heads", label,
                         spec->n_heads, spec->n_kv_heads);
    if (spec->head_dim % 2 != 0)
        return ppi_error(err, PP_ERR_FORMAT, "%s: head_dim is %d; it must be even", label,
                         spec->head_dim);
    if (spec->head_dim > PPI_MAX_HEAD_DIM)
        return ppi_error(err, PP_ERR_FORMAT, "%s: head_dim is %d; at most %d is accepted", label,
                         spec->head_dim, PPI_MAX_HEAD_DIM);
    return make_classes(spec, label, mem, err);
}

void ppi_spec_free(struct ppi_model_spec *spec, struct ppi_mem *mem)
{
    for (int32_t i = 0; i < PPI_MAX_ROPES; i++) {
        ppi_free(mem, spec->ropes[i].short_factors);
        ppi_free(mem, spec->ropes[i].long_factors);
    }
    ppi_free(mem, spec->layers);
    ppi_free(mem, spec->places);
}

/* In f32, step by step, as in the code that such models are trained with. */
float ppi_spec_q_scale(const struct ppi_model_spec *spec, int64_t position)
{
    if (spec->q_scale_period == 0)
        return 1;
    float periods = floorf((float)position / (float)spec->q_scale_period);
    return 1 + (float)spec->q_scale_beta * (float)log((double)(1 + periods));
}
