/*
 * op_device_gates.c: gate, activate, add_gated and multiply against double precision.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A row's quads end inside a warp, at its border, behind a block's share of a row. */
static const int32_t shapes[][2] = {{1, 8}, {3, 24}, {5, 128}, {7, 1000}, {2, 4104}};

static double half_unit(int32_t dtype)
{
    return dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double activated(int32_t activation, double x)
{
    return activation == PPI_CUDA_SILU
               ? x * sigmoid(x)
               : x * sigmoid(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
}

/* Operands of one run on the host, and their copies. */
struct operands {
    int32_t dtype;
    int64_t n_rows, dim, x_stride;
    float *gate, *x, *out;
    uint16_t *a;
};

static struct operands make(struct rng *rng, int act, size_t shape)
{
    struct operands o = {.dtype = device_act(act),
                         .n_rows = shapes[shape][0],
                         .dim = shapes[shape][1],
                         .x_stride = shapes[shape][1] + 16};
    size_t n = (size_t)(o.n_rows * o.dim);
    o.gate = device_random(rng, PP_DTYPE_F32, n, 3);
    o.x = device_random(rng, PP_DTYPE_F32, (size_t)(o.n_rows * o.x_stride), 1);
    o.out = device_random(rng, PP_DTYPE_F32, n, 1);
    o.a = device_random(rng, o.dtype, n, 1);
    return o;
}

static void free_operands(struct operands *o)
{
    free(o->gate);
    free(o->x);
    free(o->out);
    free(o->a);
}

/* Launches in a few blocks, which stride, or in as many as are best; reads a and out back. */
static void run(const struct operands *o, const struct ppi_cuda_kernel *kernel, int32_t activation,
                float scale, bool few_blocks, uint16_t *a, float *out)
{
    size_t n = (size_t)(o->n_rows * o->dim);
    struct ppi_cuda_gate_args args = {
        .gate = device_upload(o->gate, n * sizeof *o->gate),
        .x = device_upload(o->x, (size_t)(o->n_rows * o->x_stride) * sizeof *o->x),
        .a = device_upload(o->a, n * sizeof *o->a),
        .out = device_upload(o->out, n * sizeof *o->out),
        .n_rows = o->n_rows,
        .x_stride = o->x_stride,
        .dim = (int32_t)o->dim,
        .activation = activation,
        .scale = scale};
    device_launch(kernel, few_blocks ? 1 : ppi_cuda_striding_blocks((int64_t)n), &args);
    device_download(a, args.a, n * sizeof *a);
    device_download(out, args.out, n * sizeof *out);
    device_free((void *)(uintptr_t)args.gate);
    device_free((void *)(uintptr_t)args.x);
    device_free(args.a);
    device_free(args.out);
}

static void expect_act(int32_t dtype, double got, double expected, int64_t i)
{
    double allowed = fabs(expected) * (half_unit(dtype) + 1e-5) + 1e-7;
    EXPECT(fabs(got - expected) <= allowed, "element %lld: %g, expected %g", (long long)i, got,
           expected);
}

static void gates(void)
{
    struct rng rng = rng_seeded(1);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t s = 0; s < COUNT(shapes); s++) {
            struct operands o = make(&rng, act, s);
            size_t n = (size_t)(o.n_rows * o.dim);
            uint16_t *a = device_host(n * sizeof *a);
            float *out = device_host(n * sizeof *out);
            run(&o, &ppi_cuda_gate[act], 0, 1, s % 2, a, out);
            for (size_t i = 0; i < n; i++)
                expect_act(o.dtype, device_value(o.dtype, a, i),
                           device_value(o.dtype, o.a, i) * sigmoid(o.gate[i]), (int64_t)i);
            free(a);
            free(out);
            free_operands(&o);
        }
}

static void activations(void)
{
    struct rng rng = rng_seeded(2);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t s = 0; s < COUNT(shapes); s++) {
            struct operands o = make(&rng, act, s);
            size_t n = (size_t)(o.n_rows * o.dim);
            uint16_t *a = device_host(n * sizeof *a);
            float *out = device_host(n * sizeof *out);
            int32_t activation = (s + (size_t)act) % 2 ? PPI_CUDA_SILU : PPI_CUDA_GELU_TANH;
            run(&o, &ppi_cuda_activate[act], activation, 1, s % 2, a, out);
            for (int64_t i = 0; i < (int64_t)n; i++) {
                double x = o.x[i / o.dim * o.x_stride + i % o.dim];
                expect_act(o.dtype, device_value(o.dtype, a, (size_t)i),
                           activated(activation, o.gate[i]) * x, i);
            }
            free(a);
            free(out);
            free_operands(&o);
        }
}

static void additions(void)
{
    struct rng rng = rng_seeded(3);
    for (size_t s = 0; s < COUNT(shapes); s++) {
        struct operands o = make(&rng, 0, s);
        size_t n = (size_t)(o.n_rows * o.dim);
        uint16_t *a = device_host(n * sizeof *a);
        float *out = device_host(n * sizeof *out), scale = s % 2 ? 1 : 0.375f;
        run(&o, &ppi_cuda_add_gated[0], 0, scale, s % 2, a, out);
        for (int64_t i = 0; i < (int64_t)n; i++) {
            double x = o.x[i / o.dim * o.x_stride + i % o.dim];
            double expected = o.out[i] + scale * sigmoid(o.gate[i / o.dim]) * x;
            EXPECT(fabs(out[i] - expected) <= 1e-6 * (fabs((double)o.out[i]) + fabs(x)),
                   "element %lld: %g, expected %g", (long long)i, (double)out[i], expected);
        }
        free(a);
        free(out);
        free_operands(&o);
    }
}

static void factors(void)
{
    static const int64_t sizes[] = {1, 3, 4, 1023, 4096, 9999};
    struct rng rng = rng_seeded(4);
    for (size_t s = 0; s < COUNT(sizes); s++) {
        size_t bytes = (size_t)sizes[s] * sizeof(float);
        float *x = device_random(&rng, PP_DTYPE_F32, (size_t)sizes[s], 1), factor = -0.3f;
        float *got = device_host(bytes);
        struct ppi_cuda_multiply_args args = {device_upload(x, bytes),
                                              device_upload(&factor, sizeof factor), sizes[s]};
        device_launch(&ppi_cuda_multiply[0], s % 2 ? 1 : ppi_cuda_striding_blocks(sizes[s]), &args);
        device_download(got, args.x, bytes);
        for (int64_t i = 0; i < sizes[s]; i++)
            EXPECT(got[i] == factor * x[i], "element %lld of %lld: %g", (long long)i,
                   (long long)sizes[s], (double)got[i]);
        device_free(args.x);
        device_free((void *)(uintptr_t)args.factor);
        free(got);
        free(x);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"gates", gates},
        {"activations", activations},
        {"additions", additions},
        {"factors", factors},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
