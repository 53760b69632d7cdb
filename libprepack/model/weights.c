/*
 * weights.c: reads a model's weights from its source and packs them for a backend, tensor by
 * tensor, so that no second copy of the whole is ever held.
 */
#include "model/model_impl.h"

#define CHUNK_BYTES ((int64_t)8 << 20) /* most bytes of a tensor in flight */

/* One packed matrix and the tensors whose rows it stacks. */
struct recipe {
    int32_t kind;
    int32_t n_tensors;
    enum ppi_tensor tensors[3];
};

static const struct recipe EMBED = {PPI_MATRIX_TABLE, 1, {PPI_TENSOR_EMBED}};
static const struct recipe ATTN_NORM = {PPI_MATRIX_VECTOR, 1, {PPI_TENSOR_ATTN_NORM}};
static const struct recipe QKV = {PPI_MATRIX_LINEAR, 3, {PPI_TENSOR_Q, PPI_TENSOR_K, PPI_TENSOR_V}};
static const struct recipe O = {PPI_MATRIX_LINEAR, 1, {PPI_TENSOR_O}};
static const struct recipe MLP_NORM = {PPI_MATRIX_VECTOR, 1, {PPI_TENSOR_MLP_NORM}};
static const struct recipe GATE_UP = {PPI_MATRIX_GATE_UP, 2, {PPI_TENSOR_GATE, PPI_TENSOR_UP}};
static const struct recipe DOWN = {PPI_MATRIX_LINEAR, 1, {PPI_TENSOR_DOWN}};
static const struct recipe FINAL_NORM = {PPI_MATRIX_VECTOR, 1, {PPI_TENSOR_FINAL_NORM}};
static const struct recipe LM_HEAD = {PPI_MATRIX_LINEAR, 1, {PPI_TENSOR_LM_HEAD}};

/* n as matrix_create takes it, and k. */
static void recipe_shape(const pp_model_config *config, const struct recipe *recipe, int64_t *n,
                         int64_t *k)
{
    *n = 0;
    for (int32_t i = 0; i < recipe->n_tensors; i++) {
        int64_t n_rows;
        ppi_tensor_shape(config, recipe->tensors[i], &n_rows, k);
        *n += n_rows;
    }
    if (recipe->kind == PPI_MATRIX_GATE_UP)
        *n /= 2;
}

static int64_t recipe_bytes(const pp_model *model, const struct ppi_backend_ops *ops,
                            const struct ppi_backend *backend, const struct recipe *recipe)
{
    int64_t n, k;
    recipe_shape(&model->config, recipe, &n, &k);
    return (int64_t)ops->matrix_bytes(backend, recipe->kind, n, k);
}

int64_t ppi_weights_bytes(const pp_model *model, const struct ppi_backend_ops *ops,
                          const struct ppi_backend *backend)
{
    const struct recipe *layer[] = {&ATTN_NORM, &QKV, &O, &MLP_NORM, &GATE_UP, &DOWN};
    const struct recipe *outer[] = {&EMBED, &FINAL_NORM, &LM_HEAD};
    int64_t layer_bytes = 0, outer_bytes = 0;
    for (size_t i = 0; i < PPI_COUNT(layer); i++)
        layer_bytes += recipe_bytes(model, ops, backend, layer[i]);
    for (size_t i = 0; i < PPI_COUNT(outer); i++)
        outer_bytes += recipe_bytes(model, ops, backend, outer[i]);
    return outer_bytes + layer_bytes * model->config.n_layers;
}

/* What loading needs at hand. */
struct loader {
    pp_model *model;
    const struct ppi_backend_ops *ops;
    struct ppi_backend *backend;
    void *buffer; /* CHUNK_BYTES, or one row if that is more */
    int64_t buffer_bytes;
};

/* Streams one tensor into rows of the matrix from first_row on. */
static pp_status fill_from(struct loader *loader, struct ppi_matrix *matrix, int64_t first_row,
                           enum ppi_tensor tensor, int32_t layer, pp_error *err)
{
    const struct ppi_source *source = loader->model->source;
    int32_t dtype = ppi_source_dtype(source, tensor, layer);
    int64_t n_rows, n_cols;
    ppi_tensor_shape(&loader->model->config, tensor, &n_rows, &n_cols);
    int64_t chunk_rows = loader->buffer_bytes / (n_cols * (int64_t)pp_dtype_size(dtype));
    for (int64_t row = 0; row < n_rows; row += chunk_rows) {
        int64_t n = n_rows - row < chunk_rows ? n_rows - row : chunk_rows;
        PP_TRY(ppi_source_read(source, tensor, layer, row, n, loader->buffer, err));
        PP_TRY(loader->ops->matrix_fill(loader->backend, matrix, first_row + row, n, loader->buffer,
                                        dtype, err));
    }
    return PP_OK;
}

static pp_status load(struct loader *loader, const struct recipe *recipe, int32_t layer,
                      struct ppi_matrix **matrix, pp_error *err)
{
    int64_t n, k;
    recipe_shape(&loader->model->config, recipe, &n, &k);
    PP_TRY(loader->ops->matrix_create(loader->backend, &loader->model->mem, recipe->kind, n, k,
                                      matrix, err));
    int64_t first_row = 0;
    for (int32_t i = 0; i < recipe->n_tensors; i++) {
        PP_TRY(fill_from(loader, *matrix, first_row, recipe->tensors[i], layer, err));
        int64_t n_rows;
        ppi_tensor_shape(&loader->model->config, recipe->tensors[i], &n_rows, &k);
        first_row += n_rows;
    }
    return PP_OK;
}

static pp_status load_all(struct loader *loader, struct ppi_weights *weights, pp_error *err)
{
    PP_TRY(load(loader, &EMBED, 0, &weights->embed, err));
    for (int32_t i = 0; i < weights->n_layers; i++) {
        struct ppi_layer_weights *layer = &weights->layers[i];
        PP_TRY(load(loader, &ATTN_NORM, i, &layer->attn_norm, err));
        PP_TRY(load(loader, &QKV, i, &layer->qkv, err));
        PP_TRY(load(loader, &O, i, &layer->o, err));
        PP_TRY(load(loader, &MLP_NORM, i, &layer->mlp_norm, err));
        PP_TRY(load(loader, &GATE_UP, i, &layer->gate_up, err));
        PP_TRY(load(loader, &DOWN, i, &layer->down, err));
    }
    PP_TRY(load(loader, &FINAL_NORM, 0, &weights->final_norm, err));
    return load(loader, &LM_HEAD, 0, &weights->lm_head, err);
}

/* The widest row of any tensor, so that at least one fits the buffer. */
static int64_t widest_row_bytes(const pp_model_config *config)
{
    int64_t widest = 0;
    for (int t = 0; t < PPI_N_TENSORS; t++) {
        int64_t n_rows, n_cols;
        ppi_tensor_shape(config, (enum ppi_tensor)t, &n_rows, &n_cols);
        if (n_cols > widest)
            widest = n_cols;
    }
    return widest * (int64_t)sizeof(float);
}

static pp_status read_and_pack(pp_model *model, const struct ppi_backend_ops *ops,
                               struct ppi_backend *backend, int32_t dtype, struct ppi_weights **out,
                               pp_error *err)
{
    struct loader loader = {.model = model, .ops = ops, .backend = backend};
    pp_status status = PP_ERR_NOMEM;
    struct ppi_weights *weights = ppi_zalloc(&model->mem, 1, sizeof *weights);
    if (!weights)
        return ppi_error_nomem(err, "the table of weights", sizeof *weights);
    weights->ops = ops;
    weights->dtype = dtype;
    weights->bytes = ppi_weights_bytes(model, ops, backend);
    weights->layers =
        ppi_zalloc(&model->mem, (size_t)model->config.n_layers, sizeof *weights->layers);
    loader.buffer_bytes = widest_row_bytes(&model->config);
    if (loader.buffer_bytes < CHUNK_BYTES)
        loader.buffer_bytes = CHUNK_BYTES;
    loader.buffer = ppi_alloc(&model->mem, 1, (size_t)loader.buffer_bytes);
    if (!weights->layers || !loader.buffer) {
        ppi_error_nomem(err, "reading weights", (size_t)loader.buffer_bytes);
        goto fail;
    }
    weights->n_layers = model->config.n_layers;
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

/* The lock is held. */
static struct ppi_weights *find(pp_model *model, const struct ppi_backend_ops *ops, int32_t domain,
                                int32_t dtype)
{
    struct ppi_weights *weights = model->weights;
    while (weights && (weights->ops != ops || weights->domain != domain || weights->dtype != dtype))
        weights = weights->next;
    return weights;
}

bool ppi_weights_are_loaded(pp_model *model, const struct ppi_backend_ops *ops, int32_t domain,
                            int32_t dtype)
{
    pthread_mutex_lock(&model->lock);
    bool loaded = find(model, ops, domain, dtype) != NULL;
    pthread_mutex_unlock(&model->lock);
    return loaded;
}

pp_status ppi_weights_get(pp_model *model, const struct ppi_backend_ops *ops,
                          struct ppi_backend *backend, int32_t domain, int32_t dtype,
                          const struct ppi_weights **out, pp_error *err)
{
    pp_status status = PP_OK;
    pthread_mutex_lock(&model->lock);
    struct ppi_weights *weights = find(model, ops, domain, dtype);
    if (!weights) {
        status = read_and_pack(model, ops, backend, dtype, &weights, err);
        if (status >= 0) {
            weights->domain = domain;
            weights->next = model->weights;
            model->weights = weights;
        }
    }
    pthread_mutex_unlock(&model->lock);
    if (status >= 0)
        *out = weights;
    return status;
}

pp_status ppi_weights_prepare(const struct ppi_weights *weights, struct ppi_backend *backend,
                              pp_error *err)
{
    const struct ppi_backend_ops *ops = weights->ops;
    if (!ops->prepare)
        return PP_OK;
    for (int32_t i = 0; i < weights->n_layers; i++) {
        const struct ppi_layer_weights *layer = &weights->layers[i];
        PP_TRY(ops->prepare(backend, layer->qkv, err));
        PP_TRY(ops->prepare(backend, layer->o, err));
        PP_TRY(ops->prepare(backend, layer->gate_up, err));
        PP_TRY(ops->prepare(backend, layer->down, err));
    }
    return ops->prepare(backend, weights->lm_head, err);
}

void ppi_weights_free(struct ppi_weights *weights, struct ppi_mem *mem)
{
    const struct ppi_backend_ops *ops = weights->ops;
    for (int32_t i = 0; i < weights->n_layers; i++) {
        struct ppi_layer_weights *layer = &weights->layers[i];
        struct ppi_matrix *all[] = {layer->attn_norm, layer->qkv,     layer->o,
                                    layer->mlp_norm,  layer->gate_up, layer->down};
        for (size_t m = 0; m < PPI_COUNT(all); m++)
            ops->matrix_destroy(all[m]);
    }
    ops->matrix_destroy(weights->embed);
    ops->matrix_destroy(weights->final_norm);
    ops->matrix_destroy(weights->lm_head);
    ppi_free(mem, weights->layers);
    ppi_free(mem, weights);
}
