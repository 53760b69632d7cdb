/*
 * spec.c: what holds between the fields of a spec, and what follows from them.
 */
#include "model/spec.h"

#include <math.h>

/* Of its own. */
static bool has_keys(const struct ppi_model_spec *spec, int32_t layer)
{
    return spec->layers[layer].kind == PPI_LAYER_ATTENTION && spec->layers[layer].kv_layer == layer;
}

static bool is_of_class(const struct ppi_layer_spec *layer, const struct ppi_kv_class *shape)
{
    return layer->window == shape->window && layer->n_kv_heads == shape->n_kv_heads &&
           layer->head_dim == shape->head_dim;
}

/* ---- what must hold ---- */

static pp_status check_shape(const struct ppi_model_spec *spec, int32_t layer, const char *label,
                             pp_error *err)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    if (spec->n_heads % of->n_kv_heads != 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: %d attention heads are not a multiple of %d key/value heads", label,
                         spec->n_heads, of->n_kv_heads);
    if (of->head_dim % 2 != 0)
        return ppi_error(err, PP_ERR_FORMAT, "%s: head_dim is %d; it must be even", label,
                         of->head_dim);
    if (of->head_dim > PPI_MAX_HEAD_DIM)
        return ppi_error(err, PP_ERR_FORMAT, "%s: head_dim is %d; at most %d is accepted", label,
                         of->head_dim, PPI_MAX_HEAD_DIM);
    return PP_OK;
}

/* A layer without keys of its own sees those of one that has them, and that is like it. */
static pp_status check_shared(const struct ppi_model_spec *spec, int32_t layer, const char *label,
                              pp_error *err)
{
    const struct ppi_layer_spec *of = &spec->layers[layer], *source = &spec->layers[of->kv_layer];
    if (of->kv_layer < layer && has_keys(spec, of->kv_layer) && source->window == of->window &&
        source->n_kv_heads == of->n_kv_heads && source->head_dim == of->head_dim)
        return PP_OK;
    return ppi_error_at(err, PP_ERR_FORMAT, layer,
                        "%s: layer %d (window %d, %d key/value heads of %d) is to see the keys of "
                        "layer %d (window %d, %d heads of %d); they must be alike, and that one "
                        "must come first and have keys of its own",
                        label, layer, of->window, of->n_kv_heads, of->head_dim, of->kv_layer,
                        source->window, source->n_kv_heads, source->head_dim);
}

/* ---- classes ---- */

/* Classes in the order of their windows, those without first, then as they come up. */
static bool add_class(struct ppi_model_spec *spec, const struct ppi_layer_spec *layer)
{
    int32_t at = 0;
    for (int32_t c = 0; c < spec->n_page_classes; c++) {
        if (is_of_class(layer, &spec->classes[c]))
            return true;
        at += spec->classes[c].window <= layer->window;
    }
    if (spec->n_page_classes == PPI_MAX_PAGE_CLASSES)
        return false;
    for (int32_t i = spec->n_page_classes++; i > at; i--)
        spec->classes[i] = spec->classes[i - 1];
    spec->classes[at] = (struct ppi_kv_class){
        .window = layer->window, .n_kv_heads = layer->n_kv_heads, .head_dim = layer->head_dim};
    return true;
}

static pp_status make_classes(struct ppi_model_spec *spec, const char *label, pp_error *err)
{
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (has_keys(spec, i) && !add_class(spec, &spec->layers[i]))
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "%s: the layers have more than %d different windows, or shapes of "
                             "heads",
                             label, PPI_MAX_PAGE_CLASSES);
    if (spec->n_page_classes > 0)
        return PP_OK;
    return ppi_error(err, PP_ERR_UNSUPPORTED,
                     "%s: no layer attends; models with attention in some layers are supported",
                     label);
}

static struct ppi_layer_place place_layer(struct ppi_model_spec *spec, int32_t layer)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    int32_t page_class = 0;
    if (of->kind == PPI_LAYER_ATTENTION && of->kv_layer != layer)
        return spec->places[of->kv_layer];
    spec->last_writer = layer;
    if (of->kind == PPI_LAYER_LINEAR)
        return (struct ppi_layer_place){-1, spec->n_linear++};
    while (!is_of_class(of, &spec->classes[page_class]))
        page_class++;
    return (struct ppi_layer_place){page_class, spec->classes[page_class].n_layers++};
}

pp_status ppi_spec_finish(struct ppi_model_spec *spec, const char *label, struct ppi_mem *mem,
                          pp_error *err)
{
    size_t n = (size_t)spec->n_layers;
    for (int32_t i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].kind != PPI_LAYER_ATTENTION)
            continue;
        PP_TRY(check_shape(spec, i, label, err));
        if (spec->layers[i].kv_layer != i)
            PP_TRY(check_shared(spec, i, label, err));
    }
    PP_TRY(make_classes(spec, label, err));
    spec->places = ppi_alloc(mem, n, sizeof *spec->places);
    if (!spec->places)
        return ppi_error_nomem(err, "the places of layers", n * sizeof *spec->places);
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->places[i] = place_layer(spec, i);
    return PP_OK;
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

int32_t ppi_spec_widest_mlp(const struct ppi_model_spec *spec)
{
    int32_t widest = spec->experts.shared_size;
    for (int32_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].mlp_size > widest)
            widest = spec->layers[i].mlp_size;
    return widest;
}

/* In f32, step by step, as in the code that such models are trained with. */
float ppi_spec_q_scale(const struct ppi_model_spec *spec, int64_t position)
{
    if (spec->q_scale_period == 0)
        return 1;
    float periods = floorf((float)position / (float)spec->q_scale_period);
    return 1 + (float)spec->q_scale_beta * (float)log((double)(1 + periods));
}
