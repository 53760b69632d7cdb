/*
 * weights.c: reads a model's weights by its architecture's rules and packs them for a backend,
 * tensor by tensor, so that no second copy of the whole is ever held.
 */
#include "dtype.h"
#include "model/tensor_codes.h"
#include "model/weight_specs.h"

#define CHUNK_BYTES ((int64_t)8 << 20) /* most bytes of a tensor in flight */

/* Of a weight those that are no parameters of their own: ones, and values that are keys. */
static int64_t copied_parameters(const pp_model *model, const struct ppi_weight_group *group,
                                 int32_t layer)
{
    int64_t total = 0, n, k;
    for (int32_t i = group->i_rule; i < group->i_rule + group->n_parts; i++) {
        const struct ppi_tensor_rule *rule = &model->tensors.rules[i];
        bool copied = rule->as == PPI_AS_ONES || rule->when == PPI_WHEN_V_IS_K;
        if (!copied || !ppi_rule_holds(rule, &model->spec, layer))
            continue;
        ppi_part_shape(&model->spec, layer, rule->weight, rule->part, &n, &k);
        total += n * k;
    }
    return total;
}

int64_t ppi_weights_n_parameters(const pp_model *model)
{
    int64_t total = 0, n, k;
    struct ppi_weight_group group;
    for (int32_t layer = 0; layer < model->spec.n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(model, layer, &i, &group);) {
            if (group.weight == PPI_WEIGHT_LM_HEAD && model->spec.tie_embeddings)
                continue;
            ppi_part_shape(&model->spec, layer, group.weight, PPI_PART_ALL, &n, &k);
            total += n * k - copied_parameters(model, &group, layer);
        }
    return total;
}

/* ---- reading ---- */

/* What loading needs at hand. */
struct loader {
    pp_model *model;
    const struct ppi_weights_wish *wish;
    struct ppi_backend *backend;
    char *buffer; /* CHUNK_BYTES, or twice the widest row if that is more */
    int64_t buffer_bytes;
};

/* The rows of one rule and where they go. */
struct part {
    struct ppi_rule_at at;
    int32_t i_rule;
    struct ppi_matrix *matrix;
    int64_t first_row; /* of the matrix */
    int64_t n_rows, n_cols;
    int32_t format; /* in which they are read: one with codes, or ACT: numbers */
    int32_t dtype;  /* of numbers */
};

/* Rows [row, row + n) of the part, which follow one another in the matrix from `to` on. */
static pp_status fill_rows(struct loader *loader, const struct part *part, int64_t row, int64_t n,
                           int64_t to, pp_error *err)
{
    const pp_model *model = loader->model;
    const struct ppi_backend_ops *ops = loader->wish->ops;
    struct ppi_code_rows codes;
    if (part->format == PPI_FORMAT_ACT) {
        PP_TRY(ppi_tensors_read(&model->tensors, &model->spec, part->i_rule, part->at.layer, row, n,
                                loader->buffer, err));
        return ops->matrix_fill(loader->backend, part->matrix, to, n, loader->buffer, part->dtype,
                                err);
    }
    PP_TRY(ppi_tensors_read_codes(&model->tensors, &model->spec, part->i_rule, part->at.layer, row,
                                  n, loader->buffer, &codes, err));
    return ops->matrix_fill_codes(loader->backend, part->matrix, to, n, &codes, err);
}

/* Chunk by chunk. */
static pp_status fill_part(struct loader *loader, const struct part *part, pp_error *err)
{
    int64_t row_bytes = part->format == PPI_FORMAT_ACT
                            ? part->n_cols * (int64_t)pp_dtype_size(part->dtype)
                            : (int64_t)ppi_tensors_code_room(part->format, part->n_cols);
    int64_t chunk_rows = loader->buffer_bytes / row_bytes;
    for (int64_t row = 0, n; row < part->n_rows; row += n) {
        int64_t to = ppi_weight_row(&part->at, part->first_row, row, &n);
        n = n < chunk_rows ? n : chunk_rows;
        PP_TRY(fill_rows(loader, part, row, n, to, err));
    }
    return PP_OK;
}

/* Streams the parts into rows of the matrix; as codes where it has the format that is stored. */
static pp_status fill_parts(struct loader *loader, const struct ppi_weight_group *group,
                            int32_t layer, int32_t format, struct ppi_matrix *matrix, pp_error *err)
{
    const pp_model *model = loader->model;
    struct part part = {.matrix = matrix};
    for (int32_t i = group->i_rule; i < group->i_rule + group->n_parts; i++) {
        if (!ppi_rule_holds(&model->tensors.rules[i], &model->spec, layer))
            continue;
        bool as_codes =
            ppi_format_has_codes(format) && ppi_tensors_format(&model->tensors, i, layer) == format;
        part.i_rule = i;
        part.at = ppi_tensors_rule(&model->tensors, &model->spec, i, layer);
        part.format = as_codes ? format : PPI_FORMAT_ACT;
        part.dtype = as_codes ? 0 : ppi_tensors_dtype(&model->tensors, i, layer);
        ppi_part_rows(&part.at, &part.n_rows, &part.n_cols);
        PP_TRY(fill_part(loader, &part, err));
        part.first_row += part.n_rows;
    }
    return PP_OK;
}

/* Norms stored without their 1, as directories have them and GGUF files do not, get it. */
static bool lacks_one(const pp_model *model, const struct ppi_tensor_rule *rule)
{
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
    return kind->meaning == PPI_MEANS_NORM && !kind->plain && rule->as != PPI_AS_ONES &&
           model->arch->norm_plus_one && !model->tensors.gguf;
}

/* One part of a vector to its place in values. */
static pp_status place_values(struct loader *loader, const struct part *part, float *values,
                              pp_error *err)
{
    const struct ppi_tensors *tensors = &loader->model->tensors;
    char *raw = loader->buffer + loader->buffer_bytes / 2;
    size_t row_bytes = (size_t)part->n_cols * pp_dtype_size(part->dtype);
    PP_TRY(ppi_tensors_read(tensors, &loader->model->spec, part->i_rule, part->at.layer, 0, 1, raw,
                            err));
    for (int64_t row = 0, n; row < part->n_rows; row += n) {
        float *to = values + ppi_weight_row(&part->at, part->first_row, row, &n) * part->n_cols;
        ppi_to_f32(to, raw + (size_t)row * row_bytes, part->dtype, (size_t)(n * part->n_cols));
        for (int64_t i = 0; lacks_one(loader->model, part->at.rule) && i < n; i++)
            to[i] += 1;
    }
    return PP_OK;
}

/* A vector is one row, so its parts meet in the buffer, as f32. */
static pp_status fill_vector(struct loader *loader, struct ppi_matrix *matrix,
                             const struct ppi_weight_group *group, int32_t layer, pp_error *err)
{
    const struct ppi_tensors *tensors = &loader->model->tensors;
    float *values = (float *)loader->buffer;
    struct part part = {.matrix = matrix};
    for (int32_t i = group->i_rule; i < group->i_rule + group->n_parts; i++) {
        if (!ppi_rule_holds(&tensors->rules[i], &loader->model->spec, layer))
            continue;
        part.i_rule = i;
        part.at = ppi_tensors_rule(tensors, &loader->model->spec, i, layer);
        part.dtype = ppi_tensors_dtype(tensors, i, layer);
        ppi_part_rows(&part.at, &part.n_rows, &part.n_cols);
        PP_TRY(place_values(loader, &part, values, err));
        part.first_row += part.n_rows;
    }
    return loader->wish->ops->matrix_fill(loader->backend, matrix, 0, 1, values, PP_DTYPE_F32, err);
}

static struct ppi_matrix **field_of(struct ppi_weights *weights, const struct ppi_weight_kind *kind,
                                    int32_t layer)
{
    char *base = kind->in_layer ? (char *)&weights->layers[layer] : (char *)weights;
    return (struct ppi_matrix **)(base + kind->offset);
}

static pp_status load(struct loader *loader, const struct ppi_weight_group *group, int32_t layer,
                      struct ppi_weights *weights, pp_error *err)
{
    struct ppi_matrix **matrix = field_of(weights, group->kind, layer);
    struct ppi_matrix_spec spec = ppi_group_spec(loader->model, loader->wish, group, layer);
    PP_TRY(
        loader->wish->ops->matrix_create(loader->backend, &loader->model->mem, &spec, matrix, err));
    if (group->kind->matrix == PPI_MATRIX_VECTOR)
        return fill_vector(loader, *matrix, group, layer, err);
    return fill_parts(loader, group, layer, spec.format, *matrix, err);
}

static pp_status load_all(struct loader *loader, struct ppi_weights *weights, pp_error *err)
{
    struct ppi_weight_group group;
    for (int32_t layer = 0; layer < weights->n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(loader->model, layer, &i, &group);)
            PP_TRY(load(loader, &group, layer, weights, err));
    return PP_OK;
}

/* Of any weight, as f32. */
static int64_t widest_row_bytes(const pp_model *model)
{
    int64_t widest = 0, n, k;
    struct ppi_weight_group group;
    for (int32_t layer = 0; layer < model->spec.n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(model, layer, &i, &group);) {
            ppi_part_shape(&model->spec, layer, group.weight, PPI_PART_ALL, &n, &k);
            widest = k > widest ? k : widest;
        }
    return widest * (int64_t)sizeof(float);
}

static pp_status read_and_pack(pp_model *model, const struct ppi_weights_wish *wish,
                               struct ppi_backend *backend, struct ppi_weights **out, pp_error *err)
{
    struct loader loader = {.model = model, .wish = wish, .backend = backend};
    pp_status status = PP_ERR_NOMEM;
    struct ppi_weights *weights = ppi_zalloc(&model->mem, 1, sizeof *weights);
    if (!weights)
        return ppi_error_nomem(err, "the table of weights", sizeof *weights);
    weights->wish = *wish;
    weights->bytes = ppi_weights_bytes(model, wish, backend);
    weights->layers =
        ppi_zalloc(&model->mem, (size_t)model->spec.n_layers, sizeof *weights->layers);
    loader.buffer_bytes = 2 * ppi_round_up(widest_row_bytes(model), 64);
    if (loader.buffer_bytes < CHUNK_BYTES)
        loader.buffer_bytes = CHUNK_BYTES;
    loader.buffer = ppi_alloc(&model->mem, 1, (size_t)loader.buffer_bytes);
    if (!weights->layers || !loader.buffer) {
        ppi_error_nomem(err, "reading weights", (size_t)loader.buffer_bytes);
        goto fail;
    }
    weights->n_layers = model->spec.n_layers;
    status = load_all(&loader, weights, err);
    if (status < 0)
        goto fail;
    ppi_free(&model->mem, loader.buffer);
    *out = weights;
    return PP_OK;
fail:
    ppi_free(&model->mem, loader.buffer);
    ppi_weights_free(weights, &model->mem);
    return status;
}

/* ---- one for each wish ---- */

static bool is_same(const struct ppi_weights_wish *a, const struct ppi_weights_wish *b)
{
    return a->ops == b->ops && a->domain == b->domain && a->dtype == b->dtype &&
           a->weights == b->weights;
}

/* The lock is held. */
static struct ppi_weights *find(pp_model *model, const struct ppi_weights_wish *wish)
{
    struct ppi_weights *weights = model->weights;
    while (weights && !is_same(&weights->wish, wish))
        weights = weights->next;
    return weights;
}

bool ppi_weights_are_loaded(pp_model *model, const struct ppi_weights_wish *wish)
{
    pthread_mutex_lock(&model->lock);
    bool loaded = find(model, wish) != NULL;
    pthread_mutex_unlock(&model->lock);
    return loaded;
}

pp_status ppi_weights_get(pp_model *model, const struct ppi_weights_wish *wish,
                          struct ppi_backend *backend, const struct ppi_weights **out,
                          pp_error *err)
{
    pp_status status = PP_OK;
    pthread_mutex_lock(&model->lock);
    struct ppi_weights *weights = find(model, wish);
    if (!weights) {
        status = read_and_pack(model, wish, backend, &weights, err);
        if (status >= 0) {
            weights->next = model->weights;
            model->weights = weights;
        }
    }
    pthread_mutex_unlock(&model->lock);
    if (status >= 0)
        *out = weights;
    return status;
}

static bool is_multiplied(const struct ppi_weight_kind *kind)
{
    return kind->matrix == PPI_MATRIX_LINEAR || kind->matrix == PPI_MATRIX_GATE_UP;
}

pp_status ppi_weights_prepare(const struct ppi_weights *weights, struct ppi_backend *backend,
                              pp_error *err)
{
    const struct ppi_backend_ops *ops = weights->wish.ops;
    if (!ops->prepare)
        return PP_OK;
    for (int32_t layer = 0; layer < weights->n_layers; layer++)
        for (size_t w = 0; w < PPI_N_WEIGHTS; w++) {
            const struct ppi_weight_kind *kind = &ppi_weight_kinds[w];
            /* field_of only finds the place */
            const struct ppi_matrix *matrix = *field_of((struct ppi_weights *)weights, kind, layer);
            if (matrix && is_multiplied(kind) && (kind->in_layer || layer == 0))
                PP_TRY(ops->prepare(backend, matrix, err));
        }
    return PP_OK;
}

/* Copes with half of them. */
void ppi_weights_free(struct ppi_weights *weights, struct ppi_mem *mem)
{
    for (size_t w = 0; w < PPI_N_WEIGHTS; w++) {
        const struct ppi_weight_kind *kind = &ppi_weight_kinds[w];
        for (int32_t layer = 0; layer < (kind->in_layer ? weights->n_layers : 1); layer++)
            weights->wish.ops->matrix_destroy(*field_of(weights, kind, layer));
    }
    ppi_free(mem, weights->layers);
    ppi_free(mem, weights);
}

bool ppi_model_has_post_norms(const pp_model *model)
{
    struct ppi_weight_group group;
    for (int32_t i = 0; ppi_next_group(model, 0, &i, &group);)
        if (group.weight == PPI_WEIGHT_ATTN_POST_NORM || group.weight == PPI_WEIGHT_MLP_POST_NORM)
            return true;
    return false;
}
