/*
 * device_products.c: the seam's prepare, matmul and gate_up: which class a product is of, who
 * computes it, and in how many calls.
 */
#include "cuda/products.h"

/* Most rows of gate and up values at a time; the bytes are bounded for wide models. */
#define GATE_UP_ROWS  4096
#define GATE_UP_BYTES ((size_t)512 << 20)

/* ---- what products hold ---- */

static int32_t gate_up_rows(const struct ppi_backend *backend)
{
    size_t row_bytes = 2 * (size_t)backend->params.intermediate_size * backend->act_bytes;
    int64_t rows = ppi_round_up(backend->max_pass_tokens, PPI_CUDA_ROW_PADDING);
    if (row_bytes == 0)
        return 0;
    rows = rows < GATE_UP_ROWS ? rows : GATE_UP_ROWS;
    while (rows > PPI_CUDA_ROW_PADDING && (size_t)rows * row_bytes > GATE_UP_BYTES)
        rows -= PPI_CUDA_ROW_PADDING;
    return (int32_t)rows;
}

static size_t gate_up_bytes(const struct ppi_backend *backend)
{
    return (size_t)gate_up_rows(backend) * 2 * (size_t)backend->params.intermediate_size *
           backend->act_bytes;
}

size_t ppi_cuda_products_bytes(const struct ppi_backend *backend)
{
    return gate_up_bytes(backend) + (backend->own_products ? 0 : PPI_CUDA_LT_WORKSPACE);
}

pp_status ppi_cuda_products_create(struct ppi_backend *backend, pp_error *err)
{
    struct ppi_cuda_products *products = ppi_zalloc(backend->params.mem, 1, sizeof *products);
    if (!products)
        return ppi_error_nomem(err, "matrix products", sizeof *products);
    backend->products = products;
    products->gate_up_rows = gate_up_rows(backend);
    if (products->gate_up_rows > 0)
        products->gate_up = ppi_cuda_alloc(backend, gate_up_bytes(backend));
    if (!backend->own_products)
        products->workspace = ppi_cuda_alloc(backend, PPI_CUDA_LT_WORKSPACE);
    if ((products->gate_up_rows > 0 && !products->gate_up) ||
        (!backend->own_products && !products->workspace))
        return ppi_error(err, PP_ERR_DEVICE_NOMEM,
                         "no device memory for matrix products (%zu bytes)",
                         ppi_cuda_products_bytes(backend));
    if (backend->own_products)
        return PP_OK;
    return ppi_cuda_lt_check(cublasLtCreate(&products->lt), "cublasLtCreate", err);
}

void ppi_cuda_products_destroy(struct ppi_backend *backend)
{
    struct ppi_cuda_products *products = backend->products;
    if (!products)
        return;
    if (products->lt)
        cublasLtDestroy(products->lt);
    ppi_cuda_release(backend, products->workspace, PPI_CUDA_LT_WORKSPACE);
    ppi_cuda_release(backend, products->gate_up, gate_up_bytes(backend));
    ppi_free(backend->params.mem, products);
    backend->products = NULL;
}

/* ---- classes ---- */

struct ppi_cuda_class *ppi_cuda_class_find(struct ppi_cuda_products *products,
                                           const struct ppi_cuda_shape *shape)
{
    for (int32_t i = 0; i < products->n_classes; i++) {
        struct ppi_cuda_shape *own = &products->classes[i].shape;
        if (own->n == shape->n && own->k == shape->k && own->type == shape->type &&
            own->out_type == shape->out_type && own->accumulate == shape->accumulate)
            return &products->classes[i];
    }
    return NULL;
}

struct ppi_cuda_shape ppi_cuda_shape_of(const struct ppi_matrix *w, bool accumulate)
{
    return (struct ppi_cuda_shape){.n = w->n_rows,
                                   .k = w->k,
                                   .type = w->type,
                                   .out_type =
                                       w->kind == PPI_MATRIX_GATE_UP ? w->type : PPI_CUDA_F32,
                                   .accumulate = accumulate};
}

static pp_status prepare_class(struct ppi_backend *backend, const struct ppi_matrix *w,
                               bool accumulate, pp_error *err)
{
    struct ppi_cuda_products *products = backend->products;
    struct ppi_cuda_shape shape = ppi_cuda_shape_of(w, accumulate);
    struct ppi_cuda_class *class = ppi_cuda_class_find(products, &shape);
    if (!products->lt || !ppi_cuda_lt_fits(&shape))
        return PP_OK;
    if (!class && products->n_classes < PPI_CUDA_MAX_CLASSES) {
        class = &products->classes[products->n_classes];
        *class = (struct ppi_cuda_class){.shape = shape, .state = PPI_CUDA_CLASS_UNTESTED};
        PP_TRY(ppi_cuda_lt_describe(class, err));
        products->n_classes++;
    }
    if (!class || class->state != PPI_CUDA_CLASS_UNTESTED)
        return PP_OK;
    return ppi_cuda_guard(backend, class, w->data, err);
}

pp_status ppi_cuda_prepare(struct ppi_backend *backend, const struct ppi_matrix *w, pp_error *err)
{
    if (w->n_stacked > 0) /* experts have products of their own */
        return PP_OK;
    PP_TRY(prepare_class(backend, w, false, err));
    /* Only what is as wide as the residual is added to it. */
    if (w->kind == PPI_MATRIX_LINEAR && w->n == backend->params.hidden_size)
        return prepare_class(backend, w, true, err);
    return PP_OK;
}

/* ---- products ---- */

pp_status ppi_cuda_product_own(struct ppi_backend *backend, const struct ppi_cuda_shape *shape,
                               const void *a, const void *w, int64_t n_rows, float scale, void *out,
                               pp_error *err)
{
    struct ppi_cuda_product_args args = {.a = a,
                                         .w = w,
                                         .out = out,
                                         .lda = shape->k,
                                         .ldw = shape->k,
                                         .ldo = shape->n,
                                         .n_rows = (int32_t)n_rows,
                                         .n = (int32_t)shape->n,
                                         .k = (int32_t)shape->k,
                                         .out_type = shape->out_type,
                                         .accumulate = shape->accumulate,
                                         .scale = scale};
    int32_t tile = ppi_cuda_product_tile(args.n_rows);
    int32_t act = shape->type == PPI_CUDA_BF16 ? 0 : 1;
    return ppi_cuda_launch(backend, &ppi_cuda_product[act][tile],
                           ppi_cuda_product_blocks(tile, args.n_rows, args.n), &args, err);
}

pp_status ppi_cuda_product_run(struct ppi_backend *backend, const struct ppi_cuda_class *class,
                               const void *a, const void *w, int64_t n_rows, float scale, void *out,
                               pp_error *err)
{
    const struct ppi_cuda_shape *shape = &class->shape;
    const struct ppi_cuda_products *products = backend->products;
    if (class->state != PPI_CUDA_CLASS_LT)
        return ppi_cuda_product_own(backend, shape, a, w, n_rows, scale, out, err);
    size_t a_row = (size_t)shape->k * ppi_cuda_type_bytes(shape->type);
    size_t out_row = (size_t)shape->n * ppi_cuda_type_bytes(shape->out_type);
    for (int64_t first = 0; first < n_rows; first += class->max_rows) {
        int64_t left = ppi_round_up(n_rows - first, PPI_CUDA_ROW_PADDING);
        int32_t n = (int32_t)(left < class->max_rows ? left : class->max_rows);
        PP_TRY(ppi_cuda_lt_check(
            ppi_cuda_lt_multiply(products->lt, class, &class->algorithms[ppi_cuda_group_of(n)],
                                 products->workspace, PPI_CUDA_LT_WORKSPACE, backend->stream,
                                 (const char *)a + (size_t)first * a_row, w, n, scale,
                                 (char *)out + (size_t)first * out_row),
            "cublasLtMatmul", err));
    }
    return PP_OK;
}

static pp_status multiply(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          int64_t n_rows, float scale, bool accumulate, void *out, pp_error *err)
{
    struct ppi_cuda_shape shape = ppi_cuda_shape_of(w, accumulate);
    const struct ppi_cuda_class *class = ppi_cuda_class_find(backend->products, &shape);
    if (!class)
        return ppi_cuda_product_own(backend, &shape, a, w->data, n_rows, scale, out, err);
    return ppi_cuda_product_run(backend, class, a, w->data, n_rows, scale, out, err);
}

pp_status ppi_cuda_matmul(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          int64_t n_rows, const struct ppi_epilogue *epilogue, float *out,
                          pp_error *err)
{
    PP_TRY(multiply(backend, a, w, n_rows, epilogue->scale, epilogue->accumulate, out, err));
    if (!epilogue->bias)
        return PP_OK;
    /* A pass over out of its own: a bias in cuBLASLt's epilogue would be another class of products
     * to test, of algorithms that may sum in other orders. */
    struct ppi_cuda_add_bias_args args = {.out = out,
                                          .bias = epilogue->bias->data,
                                          .n = w->n,
                                          .n_rows = (int32_t)n_rows,
                                          .scale = epilogue->scale};
    return ppi_cuda_launch(backend, &ppi_cuda_add_bias[0], n_rows, &args, err);
}

/* Gates and ups as one product, narrowed, then the activation of gates times ups. */
pp_status ppi_cuda_gate_up(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                           const struct ppi_matrix *bias, int32_t activation, int64_t n_rows,
                           void *out, pp_error *err)
{
    const struct ppi_cuda_products *products = backend->products;
    size_t a_row = (size_t)w->k * backend->act_bytes, out_row = (size_t)w->n * backend->act_bytes;
    if (w->n > backend->params.intermediate_size)
        return ppi_error(err, PP_ERR_INTERNAL, "gate_up of %lld, room is for %d", (long long)w->n,
                         backend->params.intermediate_size);
    for (int64_t first = 0; first < n_rows; first += products->gate_up_rows) {
        int64_t left = n_rows - first;
        int64_t n = left < products->gate_up_rows ? left : products->gate_up_rows;
        struct ppi_cuda_glu_args args = {
            .gate_up = products->gate_up,
            .bias = bias ? bias->data : NULL,
            .out = (char *)out + (size_t)first * out_row,
            .n_rows = (int32_t)n,
            .n = (int32_t)w->n,
            .activation = activation == PPI_ACTIVATION_SILU ? PPI_CUDA_SILU : PPI_CUDA_GELU_TANH};
        PP_TRY(multiply(backend, (const char *)a + (size_t)first * a_row, w, n, 1, false,
                        products->gate_up, err));
        PP_TRY(ppi_cuda_launch(backend, &ppi_cuda_glu[backend->act],
                               ppi_cuda_striding_blocks(n * w->n), &args, err));
    }
    return PP_OK;
}
