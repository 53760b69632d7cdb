/*
 * bench_gemm.c: matrix products of a decoder layer against the machine's measured peak.
 *
 *     bench_gemm [threads [variant [seconds per figure]]]
 *
 * The peak is what the multiply instruction does on registers alone. Peak and products are measured
 * in turns, best of many, because other work on the machine only ever takes away.
 */
#define _GNU_SOURCE
#include "backend.h"
#include "cpu/cpu.h"
#include "dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
/* clang-format off */
#define M(op, r, to) op " %%" r "15, %%" r "15, %%" r to "\n\t"
#define MULTIPLY_12(op, r) \
    M(op, r, "0") M(op, r, "1") M(op, r, "2") M(op, r, "3") M(op, r, "4") M(op, r, "5") \
    M(op, r, "6") M(op, r, "7") M(op, r, "8") M(op, r, "9") M(op, r, "10") M(op, r, "11")
/* clang-format on */
#define MULTIPLY_LOOP(op, r)                                                                       \
    for (int64_t i = 0; i < n; i++)                                                                \
    __asm__ volatile(MULTIPLY_12(op, r) MULTIPLY_12(op, r)::                                       \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11")

/* n times 24 multiplies of registers; twelve chains cover the latency. Zeros: the speed of these
 * instructions does not depend on values other than subnormals. */
static void multiply_bf16_zmm(int64_t n)
{
    __asm__ volatile("vpxord %%zmm15, %%zmm15, %%zmm15" ::: "xmm15");
    MULTIPLY_LOOP("vdpbf16ps", "zmm");
}

static void multiply_bytes_zmm(int64_t n)
{
    __asm__ volatile("vpxord %%zmm15, %%zmm15, %%zmm15" ::: "xmm15");
    MULTIPLY_LOOP("vpdpbusd", "zmm");
}

static void multiply_f32_zmm(int64_t n)
{
    __asm__ volatile("vpxord %%zmm15, %%zmm15, %%zmm15" ::: "xmm15");
    MULTIPLY_LOOP("vfmadd231ps", "zmm");
}

static void multiply_f32_ymm(int64_t n)
{
    __asm__ volatile("vpxor %%ymm15, %%ymm15, %%ymm15" ::: "xmm15");
    MULTIPLY_LOOP("vfmadd231ps", "ymm");
}
#endif

struct unit {
    const char *name;
    void (*multiply)(int64_t n);
    double flops; /* of one multiply */
};

/* What products of a format are made of; of codes without an instruction for bytes: none. */
static struct unit unit_of(const char *variant, int32_t dtype, int32_t format)
{
    (void)variant;
    (void)dtype;
    (void)format;
#if defined(__x86_64__)
    if (ppi_format_has_codes(format)) {
        if (strcmp(variant, "avx512vnni") == 0 || strcmp(variant, "avx512bf16") == 0)
            return (struct unit){"vpdpbusd zmm", multiply_bytes_zmm, 128};
        return (struct unit){"none", NULL, 0};
    }
    if (strcmp(variant, "avx512bf16") == 0 && dtype == PP_DTYPE_BF16)
        return (struct unit){"vdpbf16ps zmm", multiply_bf16_zmm, 64};
    if (strncmp(variant, "avx512", 6) == 0)
        return (struct unit){"fma f32 zmm", multiply_f32_zmm, 32};
    if (strcmp(variant, "avx2") == 0)
        return (struct unit){"fma f32 ymm", multiply_f32_ymm, 16};
#endif
    return (struct unit){"none", NULL, 0};
}

/* One thread: its own CPU time, which other work on the machine does not count in. */
static clockid_t time_source = CLOCK_MONOTONIC;

static double seconds(void)
{
    struct timespec time;
    clock_gettime(time_source, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#define PEAK_UNITS   32 /* for each thread */
#define PEAK_ROUNDS  625
#define PEAK_UNIT_NS 4000.0

static void run_unit(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    ((struct unit *)arg)->multiply(PEAK_ROUNDS * (end - first));
}

/* GFLOP/s of one try of the peak. */
static double try_peak(struct ppi_backend *backend, struct unit *unit)
{
    if (!unit->multiply)
        return 0;
    int64_t n_units = PEAK_UNITS * backend->params.n_threads;
    double start = seconds();
    ppi_cpu_run(backend->pool, n_units, PEAK_UNIT_NS, run_unit, unit);
    return 24.0 * PEAK_ROUNDS * unit->flops * (double)n_units / (seconds() - start) * 1e-9;
}

static const struct {
    const char *name;
    int32_t kind;
    int64_t n, k;
} shapes[] = {
    {"qkv", PPI_MATRIX_LINEAR, 6144, 2048},
    {"o", PPI_MATRIX_LINEAR, 2048, 2048},
    {"gate+up", PPI_MATRIX_GATE_UP, 5504, 2048},
    {"down", PPI_MATRIX_LINEAR, 2048, 5504},
};
#define N_SHAPES ((int)PPI_COUNT(shapes))
#define MAX_ROWS 2048

static const int64_t row_counts[] = {1, 8, 64, 256, 1024, 2048};

static struct ppi_matrix *random_matrix(struct ppi_backend *backend, int shape, int32_t format)
{
    int64_t n = shapes[shape].n * (shapes[shape].kind == PPI_MATRIX_GATE_UP ? 2 : 1);
    int64_t k = shapes[shape].k;
    uint16_t *values = malloc((size_t)(n * k) * sizeof *values);
    struct ppi_matrix *matrix = NULL;
    uint32_t state = 1;
    for (int64_t i = 0; values && i < n * k; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ppi_f32_to_bf16((float)(int32_t)state * 0x1p-36f);
    }
    struct ppi_matrix_spec spec = {.kind = shapes[shape].kind,
                                   .format = format,
                                   .integer = ppi_format_has_codes(format),
                                   .n = shapes[shape].n,
                                   .k = k};
    if (values &&
        ppi_cpu_ops.matrix_create(backend, backend->params.mem, &spec, &matrix, NULL) == PP_OK)
        ppi_cpu_ops.matrix_fill(backend, matrix, 0, n, values, PP_DTYPE_BF16, NULL);
    free(values);
    return matrix;
}

static double time_product(struct ppi_backend *backend, const struct ppi_matrix *matrix,
                           const void *a, int64_t n_rows, void *out)
{
    const struct ppi_epilogue epilogue = {.scale = 1};
    double start = seconds();
    if (matrix->kind == PPI_MATRIX_GATE_UP)
        ppi_cpu_ops.gate_up(backend, a, matrix, NULL, PPI_ACTIVATION_SILU, n_rows, out, NULL);
    else
        ppi_cpu_ops.matmul(backend, a, matrix, n_rows, &epilogue, out, NULL);
    return seconds() - start;
}

static double flops_of(int shape, int64_t n_rows)
{
    int gated = shapes[shape].kind == PPI_MATRIX_GATE_UP;
    return 2.0 * (double)n_rows * (double)shapes[shape].n * (double)shapes[shape].k * (1 + gated);
}

static int bench(struct ppi_mem *mem, const char *variant, int32_t dtype, int32_t format,
                 int32_t n_threads, double time_limit)
{
    const struct ppi_layer_place place = {0, 0};
    struct ppi_backend_params params = {
        .variant = variant,
        .mem = mem,
        .dtype = dtype,
        .n_threads = n_threads,
        .n_heads = 1,
        .max_pass_tokens = MAX_ROWS,
        .hidden_size = 2048,
        .intermediate_size = 5504,
        .integer_products = ppi_format_has_codes(format),
        .n_layers = 1,
        .places = &place,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}}};
    pp_error err = {.struct_size = sizeof err};
    struct ppi_backend *backend;
    if (ppi_cpu_ops.open(&params, &backend, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct ppi_matrix *matrices[N_SHAPES];
    for (int i = 0; i < N_SHAPES; i++)
        matrices[i] = random_matrix(backend, i, format);
    size_t act_bytes = pp_dtype_size(dtype);
    size_t a_bytes = MAX_ROWS * 5504 * act_bytes;
    size_t out_bytes = (size_t)MAX_ROWS * 6144 * sizeof(float);
    char *a = ppi_cpu_ops.alloc(backend, a_bytes);
    float *out = ppi_cpu_ops.alloc(backend, out_bytes);
    for (int64_t i = 0; i < MAX_ROWS * 5504; i++) {
        float value = (float)((i * 2654435761u) % 2048) / 1024 - 1;
        if (dtype == PP_DTYPE_BF16)
            ((uint16_t *)(void *)a)[i] = ppi_f32_to_bf16(value);
        else
            ((float *)(void *)a)[i] = value;
    }

    struct unit unit = unit_of(backend->variant->name, dtype, format);
    double peak = 0, results[PPI_COUNT(row_counts)][N_SHAPES] = {{0}};
    for (size_t r = 0; r < PPI_COUNT(row_counts); r++) {
        for (int s = 0; s < N_SHAPES; s++) {
            double end = seconds() + time_limit;
            do {
                double speed = flops_of(s, row_counts[r]) /
                               time_product(backend, matrices[s], a, row_counts[r], out) * 1e-9;
                if (speed > results[r][s])
                    results[r][s] = speed;
                double each = try_peak(backend, &unit);
                if (each > peak)
                    peak = each;
            } while (seconds() < end);
        }
    }
    printf("cpu:%s %s, weights %s, %d threads; peak of %s: %.1f GFLOP/s\n", backend->variant->name,
           pp_dtype_name(dtype), ppi_formats[format].name, n_threads, unit.name, peak);
    printf("%6s", "rows");
    for (int s = 0; s < N_SHAPES; s++)
        printf("%10s    %%", shapes[s].name);
    printf("%10s    %%\n", "layer");
    for (size_t r = 0; r < PPI_COUNT(row_counts); r++) {
        double flops = 0, time = 0;
        printf("%6d", (int)row_counts[r]);
        for (int s = 0; s < N_SHAPES; s++) {
            printf("%10.1f %4.0f", results[r][s], peak > 0 ? 100 * results[r][s] / peak : 0);
            flops += flops_of(s, row_counts[r]);
            time += flops_of(s, row_counts[r]) / results[r][s];
        }
        printf("%10.1f %4.0f\n", flops / time, peak > 0 ? 100 * flops / time / peak : 0);
    }
    for (int i = 0; i < N_SHAPES; i++)
        ppi_cpu_ops.matrix_destroy(matrices[i]);
    ppi_cpu_ops.release(backend, out, out_bytes);
    ppi_cpu_ops.release(backend, a, a_bytes);
    ppi_cpu_ops.close(backend);
    return 0;
}

int main(int argc, char **argv)
{
    int32_t n_threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *variant = argc > 2 && argv[2][0] ? argv[2] : NULL;
    double time_limit = argc > 3 ? atof(argv[3]) : 0.5;
    struct ppi_mem mem;
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (n_threads == 1)
        time_source = CLOCK_THREAD_CPUTIME_ID;
    static const struct {
        int32_t dtype, format;
    } tables[] = {{PP_DTYPE_BF16, PPI_FORMAT_ACT},
                  {PP_DTYPE_F32, PPI_FORMAT_ACT},
                  {PP_DTYPE_BF16, PPI_FORMAT_INT8},
                  {PP_DTYPE_BF16, PPI_FORMAT_INT4},
                  {PP_DTYPE_BF16, PPI_FORMAT_NF4}};
    int failed = 0;
    for (size_t i = 0; i < PPI_COUNT(tables); i++)
        failed |= bench(&mem, variant, tables[i].dtype, tables[i].format,
                        n_threads > 0 ? n_threads : 1, time_limit);
    return failed;
}
