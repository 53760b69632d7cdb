/*
 * device_gates.c: operations that multiply rows element by element: gate, activate, add_gated,
 * multiply.
 */
#include "cuda/cuda_impl.h"

/* Kernels take four elements at a time. */
static pp_status check_dim(const char *operation, int64_t dim, pp_error *err)
{
    if (dim % 8 == 0)
        return PP_OK;
    return ppi_error(err, PP_ERR_UNSUPPORTED,
                     "device \"cuda\": %s of rows of %lld elements; it needs a multiple of 8",
                     operation, (long long)dim);
}

static pp_status launch(struct ppi_backend *b, const struct ppi_cuda_kernel *kernel,
                        const struct ppi_cuda_gate_args *args, pp_error *err)
{
    return ppi_cuda_launch(b, kernel, ppi_cuda_striding_blocks(args->n_rows * args->dim), args,
                           err);
}

pp_status ppi_cuda_run_gate(struct ppi_backend *b, const float *gate, int64_t n_rows, int64_t dim,
                            void *a, pp_error *err)
{
    PP_TRY(check_dim("a gate", dim, err));
    struct ppi_cuda_gate_args args = {.gate = gate, .a = a, .n_rows = n_rows, .dim = (int32_t)dim};
    return launch(b, &ppi_cuda_gate[b->act], &args, err);
}

pp_status ppi_cuda_run_activate(struct ppi_backend *b, int32_t activation, const float *gate,
                                const float *x, int64_t x_stride, int64_t n_rows, int64_t dim,
                                void *out, pp_error *err)
{
    PP_TRY(check_dim("an activation", dim, err));
    struct ppi_cuda_gate_args args = {
        .gate = gate,
        .x = x,
        .a = out,
        .n_rows = n_rows,
        .x_stride = x_stride,
        .dim = (int32_t)dim,
        .activation = activation == PPI_ACTIVATION_SILU ? PPI_CUDA_SILU : PPI_CUDA_GELU_TANH};
    return launch(b, &ppi_cuda_activate[b->act], &args, err);
}

pp_status ppi_cuda_run_add_gated(struct ppi_backend *b, const float *gate, const float *x,
                                 float scale, int64_t n_rows, int64_t dim, float *out,
                                 pp_error *err)
{
    PP_TRY(check_dim("a gate", dim, err));
    struct ppi_cuda_gate_args args = {.gate = gate,
                                      .x = x,
                                      .out = out,
                                      .n_rows = n_rows,
                                      .x_stride = dim,
                                      .dim = (int32_t)dim,
                                      .scale = scale};
    return launch(b, &ppi_cuda_add_gated[0], &args, err);
}

pp_status ppi_cuda_run_multiply(struct ppi_backend *b, float *x, int64_t n,
                                const struct ppi_matrix *factor, pp_error *err)
{
    struct ppi_cuda_multiply_args args = {.x = x, .factor = factor->data, .n = n};
    return ppi_cuda_launch(b, &ppi_cuda_multiply[0], ppi_cuda_striding_blocks(n), &args, err);
}
