/*
 * product_cases.c: contexts, weights and products for tests.
 */
#include "product_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_line(void *user, int32_t level, const char *line)
{
    struct product_context *context = user;
    bool warning = level == PP_LOG_WARNING;
    context->n_warnings += warning;
    snprintf(warning ? context->warning : context->info, sizeof context->info, "%s", line);
}

static void expect_ok(pp_status status, const char *what, const pp_error *err)
{
    EXPECT(status >= 0, "%s: %s", what, err->message);
}

void product_open(struct product_context *context, int32_t act, const char *variant,
                  int32_t hidden_size, int32_t intermediate_size, int32_t max_pass_tokens)
{
    pp_error err = {.struct_size = sizeof err};
    memset(context, 0, sizeof *context);
    expect_ok(ppi_mem_init(&context->mem, NULL, 0, &err), "memory", &err);
    static const struct ppi_layer_place place;
    struct ppi_backend_params params = {
        .variant = variant,
        .mem = &context->mem,
        .log = {take_line, context},
        .dtype = device_act(act),
        .n_threads = 1,
        .n_heads = 1,
        .n_layers = 1,
        .places = &place,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}},
        .hidden_size = hidden_size,
        .intermediate_size = intermediate_size,
        .max_pass_tokens = max_pass_tokens};
    expect_ok(ppi_cuda_open(&params, &context->backend, &err), "opening", &err);
}

void product_close(struct product_context *context)
{
    struct ppi_backend_memory memory;
    ppi_cuda_get_memory(context->backend, &memory);
    size_t own = ppi_cuda_products_bytes(context->backend) + PPI_CUDA_STAGING_BYTES;
    for (size_t i = 0; i < PPI_COUNT(context->backend->passes); i++)
        own += context->backend->passes[i].capacity;
    EXPECT((size_t)memory.bytes == own, "the context holds %lld bytes, says %zu",
           (long long)memory.bytes, own);
    ppi_cuda_close(context->backend);
    EXPECT(context->mem.bytes == 0, "%lld bytes of host memory leaked",
           (long long)context->mem.bytes);
}

float *product_weights(struct rng *rng, size_t n, double deviation)
{
    enum { BLOCK = 99991 }; /* prime, so that rows of any length differ */
    float *weights = device_host(n * sizeof *weights);
    float *block = device_random(rng, PP_DTYPE_F32, n < BLOCK ? n : BLOCK, deviation);
    for (size_t done = 0; done < n; done += BLOCK)
        memcpy(weights + done, block, (n - done < BLOCK ? n - done : BLOCK) * sizeof *block);
    free(block);
    return weights;
}

struct ppi_matrix *product_matrix(struct product_context *context, int32_t kind, int64_t n,
                                  int64_t k, const float *weights)
{
    pp_error err = {.struct_size = sizeof err};
    struct ppi_matrix *w;
    const struct ppi_matrix_spec spec = {.kind = kind, .n = n, .k = k};
    int64_t n_rows = kind == PPI_MATRIX_GATE_UP ? 2 * n : n;
    expect_ok(ppi_cuda_matrix_create(context->backend, &context->mem, &spec, &w, &err), "a matrix",
              &err);
    expect_ok(ppi_cuda_matrix_fill(context->backend, w, 0, n_rows, weights, PP_DTYPE_F32, &err),
              "weights", &err);
    return w;
}

const struct ppi_cuda_class *product_class(const struct product_context *context,
                                           const struct ppi_matrix *w, bool accumulate)
{
    struct ppi_cuda_shape shape = {.n = w->n_rows,
                                   .k = w->k,
                                   .type = w->type,
                                   .out_type =
                                       w->kind == PPI_MATRIX_GATE_UP ? w->type : PPI_CUDA_F32,
                                   .accumulate = accumulate};
    return ppi_cuda_class_find(context->backend->products, &shape);
}

size_t product_row_bytes(const struct ppi_matrix *w)
{
    return (size_t)w->n * (w->kind == PPI_MATRIX_GATE_UP ? sizeof(uint16_t) : sizeof(float));
}

void *product_ending(struct product_context *context, const struct ppi_matrix *w, const uint16_t *a,
                     int64_t n_rows, const float *start, const struct product_end *end)
{
    pp_error err = {.struct_size = sizeof err};
    size_t padded = (size_t)ppi_round_up(n_rows, PPI_CUDA_ROW_PADDING);
    size_t a_row = (size_t)w->k * sizeof *a, out_row = product_row_bytes(w);
    char *device_a = device_alloc(padded * a_row), *out = device_alloc(padded * out_row);
    void *got = device_host((size_t)n_rows * out_row);
    /* device_alloc writes on another stream than the context's. */
    EXPECT(cudaDeviceSynchronize() == cudaSuccess, "filling memory");
    pp_status status = ppi_cuda_upload(context->backend, device_a, a, (size_t)n_rows * a_row, &err);
    if (status >= 0 && start)
        status = ppi_cuda_upload(context->backend, out, start, (size_t)n_rows * out_row, &err);
    if (status >= 0)
        status = w->kind == PPI_MATRIX_GATE_UP
                     ? ppi_cuda_gate_up(context->backend, device_a, w, end->bias, end->activation,
                                        n_rows, out, &err)
                     : ppi_cuda_matmul(context->backend, device_a, w, n_rows,
                                       &(struct ppi_epilogue){.bias = end->bias,
                                                              .scale = end->scale,
                                                              .accumulate = start != NULL},
                                       (float *)(void *)out, &err);
    expect_ok(status, "a product", &err);
    EXPECT(cudaStreamSynchronize(context->backend->stream) == cudaSuccess, "the stream failed");
    device_download(got, out, (size_t)n_rows * out_row);
    device_free(out);
    device_free(device_a);
    return got;
}

void *product_of(struct product_context *context, const struct ppi_matrix *w, const uint16_t *a,
                 int64_t n_rows, const float *start)
{
    const struct product_end plain = {.scale = 1, .activation = PPI_ACTIVATION_SILU};
    return product_ending(context, w, a, n_rows, start, &plain);
}
