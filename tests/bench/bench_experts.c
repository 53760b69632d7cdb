/*
 * bench_experts.c: rows through experts against the plain products of the same sums, and against
 * the machine's measured peak.
 *
 *     bench_experts [threads [variant [seconds per figure]]]
 *
 * The shape is that of Qwen3-30B-A3B with half its experts: hidden size 2048, 64 experts of 768, 8
 * a row. Rows choose at random. "dense" has as many multiplications in two plain products: rows
 * times 8 through one expert's matrices where they are many, else one row through a matrix of as
 * many panels as are read. All in turns, best of many, as in bench_gemm.c.
 */
#define _GNU_SOURCE
#include "backend.h"
#include "cpu/cpu.h"
#include "dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HIDDEN    2048
#define SIZE      768
#define N_EXPERTS 64
#define TOP_K     8
#define MAX_ROWS  4283 /* the tokens of 64 prompts of MMLU: 535 rows an expert */

static const int32_t row_counts[] = {1, 2, 4, 8, 16, 64, 128, 512, 1536, MAX_ROWS};

/* One thread: its own CPU time, which other work on the machine does not count in. */
static clockid_t time_source = CLOCK_MONOTONIC;

static double seconds(void)
{
    struct timespec time;
    clock_gettime(time_source, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static uint32_t state = 1;

static float random_number(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(int32_t)state * 0x1p-36f;
}

/* ---- the peak ---- */

#define PEAK_UNITS   32 /* for each thread */
#define PEAK_ROUNDS  625
#define PEAK_UNIT_NS 4000.0
#define PEAK_FLOPS   64 /* of one multiply */

static void run_peak(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)arg;
    (void)i_thread;
#if defined(__x86_64__)
    for (int64_t i = 0; i < PEAK_ROUNDS * (end - first); i++)
        __asm__ volatile("vdpbf16ps %%zmm15, %%zmm15, %%zmm0\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm1\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm2\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm3\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm4\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm5\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm6\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm7\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm8\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm9\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm10\n\t"
                         "vdpbf16ps %%zmm15, %%zmm15, %%zmm11\n\t" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11");
#else
    (void)first;
    (void)end;
#endif
}

/* GFLOP/s of one try; 0 where this set of kernels has another instruction. */
static double try_peak(struct ppi_backend *backend)
{
    int64_t n_units = PEAK_UNITS * backend->params.n_threads;
    if (strcmp(backend->variant->name, "avx512bf16") != 0)
        return 0;
    double start = seconds();
    ppi_cpu_run(backend->pool, n_units, PEAK_UNIT_NS, run_peak, NULL);
    return 12.0 * PEAK_ROUNDS * PEAK_FLOPS * (double)n_units / (seconds() - start) * 1e-9;
}

/* ---- what is timed ---- */

struct bench {
    struct ppi_backend *backend;
    struct ppi_experts experts;
    struct ppi_matrix *dense[2], *wide[2]; /* of one expert; of eight */
    struct ppi_routing routing;
    char *a, *gated;
    float *out;
};

/* Rows of MXFP4 are codes from the start. */
static struct ppi_matrix *random_matrix(struct ppi_backend *backend, int32_t kind, int32_t format,
                                        bool integer, int64_t n, int64_t k, int64_t n_stacked)
{
    struct ppi_matrix_spec spec = {kind, format, integer, n, k, n_stacked};
    struct ppi_matrix *matrix = NULL;
    int64_t rows = n * (kind == PPI_MATRIX_GATE_UP ? 2 : 1);
    uint16_t *values = malloc((size_t)(rows * k) * sizeof *values);
    uint8_t *codes = malloc((size_t)(rows * k));
    float *scales = malloc((size_t)(rows * k / 32) * sizeof *scales);
    for (int64_t i = 0; i < rows * k; i++) {
        values[i] = ppi_f32_to_bf16(random_number());
        codes[i] = (uint8_t)(state >> 20 & 15);
        scales[i / 32] = 0x1p-8f;
    }
    const struct ppi_code_rows packed = {codes, scales, NULL};
    if (ppi_cpu_ops.matrix_create(backend, backend->params.mem, &spec, &matrix, NULL) < 0)
        exit(1);
    for (int64_t i = 0; i < (n_stacked ? n_stacked : 1); i++)
        if (format == PPI_FORMAT_MXFP4)
            ppi_cpu_ops.matrix_fill_codes(backend, matrix, i * rows, rows, &packed, NULL);
        else
            ppi_cpu_ops.matrix_fill(backend, matrix, i * rows, rows, values, PP_DTYPE_BF16, NULL);
    free(values);
    free(codes);
    free(scales);
    return matrix;
}

static double time_experts(struct bench *b, int64_t n_rows)
{
    double start = seconds();
    ppi_cpu_ops.experts(b->backend, &b->experts, &b->routing, b->a, n_rows, b->out, NULL);
    return seconds() - start;
}

/* The same multiplications, and where rows are few the same bytes of weights. */
static double time_dense(struct bench *b, int64_t n_rows)
{
    const struct ppi_epilogue add = {.scale = 1, .accumulate = true};
    bool few = n_rows == 1;
    double start = seconds();
    ppi_cpu_ops.gate_up(b->backend, b->a, few ? b->wide[0] : b->dense[0], NULL, PPI_ACTIVATION_SILU,
                        few ? 1 : n_rows * TOP_K, b->gated, NULL);
    ppi_cpu_ops.matmul(b->backend, b->gated, few ? b->wide[1] : b->dense[1],
                       few ? 1 : n_rows * TOP_K, &add, b->out, NULL);
    return seconds() - start;
}

static void choose_experts(int32_t *chosen)
{
    bool taken[N_EXPERTS] = {false};
    for (int32_t n = 0; n < TOP_K;) {
        state = state * 1664525u + 1013904223u;
        bool *of = &taken[state >> 20 & (N_EXPERTS - 1)];
        n += !*of;
        *of = true;
    }
    for (int32_t i = 0, n = 0; i < N_EXPERTS; i++)
        if (taken[i])
            chosen[n++] = i;
}

static int32_t active_experts(const struct ppi_routing *routing, int64_t n_rows)
{
    bool taken[N_EXPERTS] = {false};
    int32_t n = 0;
    for (int64_t i = 0; i < n_rows * TOP_K; i++) {
        n += !taken[routing->chosen[i]];
        taken[routing->chosen[i]] = true;
    }
    return n;
}

static void report(struct bench *b, double time_limit)
{
    double flop = 6.0 * HIDDEN * SIZE * TOP_K, peak = 0;
    printf("%6s %8s %8s %10s %10s %7s %6s %8s\n", "rows", "experts", "each", "GFLOP/s", "dense",
           "ratio", "%peak", "GB/s");
    for (size_t r = 0; r < PPI_COUNT(row_counts); r++) {
        int64_t n = row_counts[r];
        double best = 1e30, dense = 1e30, end = seconds() + time_limit;
        do {
            double time = time_experts(b, n), each = try_peak(b->backend);
            best = time < best ? time : best;
            time = time_dense(b, n);
            dense = time < dense ? time : dense;
            peak = each > peak ? each : peak;
        } while (seconds() < end);
        int32_t n_active = active_experts(&b->routing, n);
        double bytes =
            (double)n_active *
            (double)(b->experts.gate_up->panel_bytes * (size_t)b->experts.gate_up->n_panels +
                     b->experts.down->panel_bytes * (size_t)b->experts.down->n_panels);
        printf("%6d %8d %8.1f %10.1f %10.1f %7.2f %6.0f %8.1f\n", (int)n, n_active,
               (double)n * TOP_K / n_active, flop * (double)n / best * 1e-9,
               flop * (double)n / dense * 1e-9, dense / best,
               peak > 0 ? 100 * flop * (double)n / best * 1e-9 / peak : 0, bytes / best * 1e-9);
    }
    printf("peak: %.1f GFLOP/s\n\n", peak);
}

static int run(struct ppi_mem *mem, const char *variant, int32_t format, bool integer,
               int32_t n_threads, double time_limit)
{
    const struct ppi_layer_place place = {0, 0};
    struct ppi_backend_params params = {
        .variant = variant,
        .mem = mem,
        .dtype = PP_DTYPE_BF16,
        .n_threads = n_threads,
        .n_heads = 1,
        .n_layers = 1,
        .places = &place,
        .n_page_classes = 1,
        .classes = {{.n_kv_heads = 1, .head_dim = 64, .n_layers = 1}},
        .hidden_size = HIDDEN,
        .intermediate_size = TOP_K * SIZE,
        .n_experts = N_EXPERTS,
        .top_k = TOP_K,
        .expert_size = SIZE,
        .max_pass_tokens = MAX_ROWS * TOP_K,
        .integer_products = integer,
        .unpacked_products = format != PPI_FORMAT_ACT && !integer};
    struct bench b = {0};
    pp_error err = {.struct_size = sizeof err};
    if (ppi_cpu_ops.open(&params, &b.backend, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct ppi_matrix *gate_up =
        random_matrix(b.backend, PPI_MATRIX_GATE_UP, format, integer, SIZE, HIDDEN, N_EXPERTS);
    struct ppi_matrix *down =
        random_matrix(b.backend, PPI_MATRIX_LINEAR, format, integer, HIDDEN, SIZE, N_EXPERTS);
    b.dense[0] = random_matrix(b.backend, PPI_MATRIX_GATE_UP, format, integer, SIZE, HIDDEN, 0);
    b.dense[1] = random_matrix(b.backend, PPI_MATRIX_LINEAR, format, integer, HIDDEN, SIZE, 0);
    b.wide[0] =
        random_matrix(b.backend, PPI_MATRIX_GATE_UP, format, integer, TOP_K * SIZE, HIDDEN, 0);
    b.wide[1] =
        random_matrix(b.backend, PPI_MATRIX_LINEAR, format, integer, HIDDEN, TOP_K * SIZE, 0);
    b.experts = (struct ppi_experts){.n = N_EXPERTS,
                                     .top_k = TOP_K,
                                     .gate_up = gate_up,
                                     .down = down,
                                     .activation = PPI_ACTIVATION_SILU,
                                     .scale = 1,
                                     .accumulate = true};
    size_t rows = MAX_ROWS * TOP_K;
    b.a = malloc(rows * HIDDEN * sizeof(uint16_t));
    b.gated = malloc(rows * SIZE * sizeof(uint16_t));
    b.out = calloc(rows * HIDDEN, sizeof *b.out);
    b.routing.chosen = malloc(rows * sizeof *b.routing.chosen);
    b.routing.weights = malloc(rows * sizeof *b.routing.weights);
    for (size_t i = 0; i < rows * HIDDEN; i++)
        ((uint16_t *)(void *)b.a)[i] = ppi_f32_to_bf16(16 * random_number());
    for (size_t i = 0; i < rows; i++)
        b.routing.weights[i] = 0.125f;
    for (int i = 0; i < MAX_ROWS; i++)
        choose_experts(b.routing.chosen + (ptrdiff_t)i * TOP_K);
    printf("cpu:%s bf16, weights %s%s, %d threads\n", b.backend->variant->name,
           ppi_formats[format].name, integer ? " as integers" : "", n_threads);
    report(&b, time_limit);
    struct ppi_matrix *all[] = {gate_up, down, b.dense[0], b.dense[1], b.wide[0], b.wide[1]};
    for (size_t i = 0; i < PPI_COUNT(all); i++)
        ppi_cpu_ops.matrix_destroy(all[i]);
    free(b.a);
    free(b.gated);
    free(b.out);
    free(b.routing.chosen);
    free(b.routing.weights);
    ppi_cpu_ops.close(b.backend);
    return 0;
}

int main(int argc, char **argv)
{
    int32_t n_threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *variant = argc > 2 && argv[2][0] ? argv[2] : NULL;
    double time_limit = argc > 3 ? atof(argv[3]) : 2;
    struct ppi_mem mem;
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (n_threads == 1)
        time_source = CLOCK_THREAD_CPUTIME_ID;
    static const struct {
        int32_t format;
        bool integer;
    } tables[] = {{PPI_FORMAT_ACT, false},
                  {PPI_FORMAT_MXFP4, false},
                  {PPI_FORMAT_MXFP4, true},
                  {PPI_FORMAT_INT8, true}};
    int failed = 0;
    for (size_t i = 0; i < PPI_COUNT(tables); i++)
        failed |= run(&mem, variant, tables[i].format, tables[i].integer,
                      n_threads > 0 ? n_threads : 1, time_limit);
    return failed;
}
