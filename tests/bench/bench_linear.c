/*
 * bench_linear.c: a linear layer of Qwen3.5-4B's shape: what the operation `linear` takes beside
 * the layer's products.
 *
 *     bench_linear [threads [variant [seconds per figure]]]
 *
 * Nanoseconds of a token, best of many, taken in turns, because other work on the machine only ever
 * adds.
 */
#define _GNU_SOURCE
#include "backend.h"
#include "cpu/cpu.h"
#include "dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HIDDEN   2560
#define MAX_ROWS 1024

static const struct ppi_linear_shape shape = {.rule = PPI_LINEAR_DELTA,
                                              .n_k_heads = 16,
                                              .n_v_heads = 32,
                                              .k_dim = 128,
                                              .v_dim = 128,
                                              .conv_kernel = 4};

static struct ppi_mem mem;

/* One thread: its own CPU time, which other work on the machine does not count in. */
static clockid_t time_source = CLOCK_MONOTONIC;

static double seconds(void)
{
    struct timespec time;
    clock_gettime(time_source, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Like a trained model's: about 0. */
static float value_at(int64_t i)
{
    return (float)((i * 2654435761u) % 2048) / 1024 - 1;
}

static struct ppi_matrix *make_matrix(struct ppi_backend *backend, int32_t kind, int64_t n,
                                      int64_t k)
{
    struct ppi_matrix_spec spec = {.kind = kind, .n = n, .k = k};
    struct ppi_matrix *matrix = NULL;
    float *row = malloc((size_t)k * sizeof *row);
    if (!row || ppi_cpu_ops.matrix_create(backend, &mem, &spec, &matrix, NULL) < 0)
        exit(1);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < k; j++)
            row[j] = value_at(i * k + j) / 32;
        ppi_cpu_ops.matrix_fill(backend, matrix, i, 1, row, PP_DTYPE_F32, NULL);
    }
    free(row);
    return matrix;
}

static struct ppi_matrix *make_vector(struct ppi_backend *backend, int64_t n)
{
    return make_matrix(backend, PPI_MATRIX_VECTOR, 1, n);
}

struct bench {
    struct ppi_backend *backend;
    struct ppi_matrix *in, *out;
    struct ppi_linear linear;
    float *rows, *hidden; /* [MAX_ROWS, ppi_linear_row], [MAX_ROWS, HIDDEN] */
    void *a, *h, *states;
};

struct times {
    double in, linear, scan, out;
};

static void keep_best(double *best, double start, double n_rows)
{
    double ns = (seconds() - start) * 1e9 / n_rows;
    if (*best == 0 || ns < *best)
        *best = ns;
}

/* The recurrence of all heads, by one thread. */
static void scan_all(const struct bench *bench, int64_t n_rows)
{
    const struct ppi_cpu_kernels *kernels = bench->backend->kernels;
    int64_t v = 2 * ppi_linear_k_size(&shape), gates = ppi_linear_row(&shape) - shape.n_v_heads;
    for (int32_t head = 0; head < shape.n_v_heads; head++)
        for (int32_t column = 0; column < shape.v_dim; column += kernels->scan_columns) {
            const struct ppi_cpu_scan scan = {.delta = true,
                                              .q = bench->rows + head / 2 * shape.k_dim,
                                              .k = bench->rows + ppi_linear_k_size(&shape) +
                                                   head / 2 * shape.k_dim,
                                              .v = bench->rows + v + head * shape.v_dim + column,
                                              .time = bench->rows + gates + head,
                                              .beta = bench->rows + gates + head - shape.n_v_heads,
                                              .n_rows = n_rows,
                                              .row_stride = ppi_linear_row(&shape),
                                              .k_dim = shape.k_dim,
                                              .n_columns = kernels->scan_columns,
                                              .state = (float *)(void *)bench->backend->scratch,
                                              .rate = 1};
            kernels->scan(&scan);
        }
}

/* A pass of n_rows rows, prompts of `each` tokens. */
static struct times measure(struct bench *bench, int32_t n_rows, int32_t each, double limit)
{
    const struct ppi_epilogue alone = {NULL, 1, false}, add = {NULL, 1, true};
    struct ppi_segment segments[MAX_ROWS] = {{0}};
    struct ppi_pass pass = {.n_rows = n_rows, .n_segments = n_rows / each, .segments = segments};
    struct times best = {0};
    for (int32_t i = 0; i < pass.n_segments; i++) {
        void *state = (char *)bench->states + i % 8 * ppi_linear_state_bytes(&shape);
        segments[i] = (struct ppi_segment){
            .row = i * each, .n_rows = each, .position = 1, .state = state, .state_before = state};
    }
    double end = seconds() + limit;
    do {
        double start = seconds();
        ppi_cpu_ops.matmul(bench->backend, bench->h, bench->in, n_rows, &alone, bench->rows, NULL);
        keep_best(&best.in, start, n_rows);
        start = seconds();
        ppi_cpu_ops.linear(bench->backend, &pass, &bench->linear, bench->rows, bench->a, NULL);
        keep_best(&best.linear, start, n_rows);
        start = seconds();
        ppi_cpu_ops.matmul(bench->backend, bench->a, bench->out, n_rows, &add, bench->hidden, NULL);
        keep_best(&best.out, start, n_rows);
        start = seconds();
        scan_all(bench, n_rows);
        keep_best(&best.scan, start, n_rows);
    } while (seconds() < end);
    return best;
}

static bool make_bench(struct bench *bench)
{
    struct ppi_backend *backend = bench->backend;
    int64_t row = ppi_linear_row(&shape), v_size = ppi_linear_v_size(&shape);
    size_t act_bytes = backend->act_bytes;
    bench->in = make_matrix(backend, PPI_MATRIX_LINEAR, row, HIDDEN);
    bench->out = make_matrix(backend, PPI_MATRIX_LINEAR, HIDDEN, v_size);
    bench->linear = (struct ppi_linear){
        .shape = &shape,
        .conv = make_vector(backend, ppi_linear_channels(&shape) * shape.conv_kernel),
        .a_log = make_vector(backend, shape.n_v_heads),
        .dt_bias = make_vector(backend, shape.n_v_heads),
        .norm = make_vector(backend, shape.v_dim),
        .norm_eps = 1e-6};
    bench->rows = ppi_cpu_ops.alloc(backend, (size_t)(MAX_ROWS * row) * sizeof(float));
    bench->hidden = ppi_cpu_ops.alloc(backend, (size_t)MAX_ROWS * HIDDEN * sizeof(float));
    bench->a = ppi_cpu_ops.alloc(backend, (size_t)(MAX_ROWS * v_size) * act_bytes);
    bench->h = ppi_cpu_ops.alloc(backend, (size_t)MAX_ROWS * HIDDEN * act_bytes);
    bench->states = ppi_cpu_ops.alloc(backend, 8 * (size_t)ppi_linear_state_bytes(&shape));
    if (!bench->rows || !bench->hidden || !bench->a || !bench->h || !bench->states)
        return false;
    memset(bench->states, 0, 8 * (size_t)ppi_linear_state_bytes(&shape));
    memset(bench->hidden, 0, (size_t)MAX_ROWS * HIDDEN * sizeof(float));
    for (int64_t i = 0; i < (int64_t)MAX_ROWS * HIDDEN; i++)
        if (act_bytes == sizeof(float))
            ((float *)bench->h)[i] = value_at(i);
        else
            ((uint16_t *)bench->h)[i] = ppi_f32_to_bf16(value_at(i));
    return true;
}

static void destroy_bench(struct bench *bench)
{
    struct ppi_backend *backend = bench->backend;
    const struct ppi_matrix *matrices[] = {bench->in,
                                           bench->out,
                                           bench->linear.conv,
                                           bench->linear.a_log,
                                           bench->linear.dt_bias,
                                           bench->linear.norm};
    void *memory[] = {bench->rows, bench->hidden, bench->a, bench->h, bench->states};
    for (size_t i = 0; i < PPI_COUNT(matrices); i++)
        ppi_cpu_ops.matrix_destroy((struct ppi_matrix *)matrices[i]);
    for (size_t i = 0; i < PPI_COUNT(memory); i++)
        ppi_cpu_ops.release(backend, memory[i], 0);
    ppi_cpu_ops.close(backend);
}

static void report(const struct times *t, int32_t n_rows, int32_t each, int32_t n_threads)
{
    double layer = t->in + t->linear + t->out;
    printf("%6d %6d %10.0f %10.0f %10.0f %8.1f %% %10.0f\n", n_rows, each, t->in, t->out, t->linear,
           100 * t->linear / layer, t->scan / n_threads);
}

int main(int argc, char **argv)
{
    int32_t n_threads = argc > 1 ? atoi(argv[1]) : 1;
    const char *variant = argc > 2 && argv[2][0] ? argv[2] : NULL;
    double limit = argc > 3 ? atof(argv[3]) : 2;
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16};
    static const int32_t cases[][2] = {{1, 1}, {8, 1}, {64, 64}, {1024, 64}, {1024, 1024}};
    const struct ppi_layer_place place = {0, 0};
    if (n_threads == 1)
        time_source = CLOCK_THREAD_CPUTIME_ID;
    ppi_mem_init(&mem, NULL, 0, NULL);
    for (size_t d = 0; d < PPI_COUNT(dtypes); d++) {
        struct ppi_backend_params params = {
            .variant = variant,
            .mem = &mem,
            .dtype = dtypes[d],
            .n_threads = n_threads,
            .n_heads = 1,
            .n_layers = 1,
            .places = &place,
            .n_page_classes = 1,
            .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}},
            .hidden_size = HIDDEN,
            .max_pass_tokens = MAX_ROWS,
            .linear = &shape};
        pp_error err = {.struct_size = sizeof err};
        struct bench bench = {0};
        if (ppi_cpu_ops.open(&params, &bench.backend, &err) < 0 || !make_bench(&bench)) {
            fprintf(stderr, "bench_linear: %s\n", err.message[0] ? err.message : "out of memory");
            return 1;
        }
        printf("cpu:%s, %s, %d threads: ns of a token\n%6s %6s %10s %10s %10s %10s %10s\n",
               bench.backend->variant->name, dtypes[d] == PP_DTYPE_F32 ? "f32" : "bf16", n_threads,
               "rows", "each", "projection", "output", "linear", "of layer", "recurrence");
        for (size_t i = 0; i < PPI_COUNT(cases); i++) {
            struct times best = measure(&bench, cases[i][0], cases[i][1], limit);
            report(&best, cases[i][0], cases[i][1], n_threads);
        }
        destroy_bench(&bench);
    }
    return 0;
}
