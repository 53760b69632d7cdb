/*
 * bench_attention.c: causal attention of prompts, in GFLOP/s of the products that the mask
 * leaves (half of the square, and the diagonal) and as a share of a weight product's speed; short
 * prompts come by the pass. And decoding: one row over a long cache; and suffixes that share the
 * pages of a prefix.
 *
 *     bench_attention [threads [variant [seconds per figure [head_dim [heads that share keys
 *     [rows of a pass]]]]]]
 */
#define _GNU_SOURCE
#include "backend.h"
#include "cpu/cpu.h"
#include "dtype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_HEADS   16
#define MAX_ROWS  4096
#define MOST_ROWS 2048 /* of several prompts */
#define MAX_PAGES (MAX_ROWS / PPI_CPU_PAGE)

/* One thread: its own CPU time, which other work on the machine does not count in. */
static clockid_t time_source = CLOCK_MONOTONIC;
static int32_t most_rows = MOST_ROWS;

static double seconds(void)
{
    struct timespec time;
    clock_gettime(time_source, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct bench {
    struct ppi_backend *backend;
    void *pages[MAX_PAGES];
    float *qkv, *rope;
    void *q, *out;
    double time_limit;
    int32_t head_dim, n_kv_heads;
};

/* Best seconds of a pass. */
static double time_of(const struct bench *b, const struct ppi_segment *segments, int32_t n_segments,
                      void *const *pages, int32_t n_pages)
{
    const struct ppi_segment *last = &segments[n_segments - 1];
    const struct ppi_attention attention = {.softmax_scale = 1 / sqrtf((float)b->head_dim)};
    struct ppi_pass pass = {.n_rows = last->row + last->n_rows,
                            .n_segments = n_segments,
                            .segments = segments,
                            .pages = {pages},
                            .n_pages = n_pages};
    double best = 1e9, end = seconds() + b->time_limit;
    do {
        double start = seconds();
        ppi_cpu_ops.attention(b->backend, &pass, &attention, b->q, b->out, NULL);
        double time = seconds() - start;
        if (time < best)
            best = time;
    } while (seconds() < end);
    return best;
}

/* Best seconds of n_prompts prompts' tokens [position, position + n_rows). They lie in one cache.
 */
static double best_time(const struct bench *b, int32_t position, int32_t n_rows, int32_t n_prompts)
{
    struct ppi_segment segments[MAX_ROWS];
    int32_t n_pages = n_prompts == 1 ? 0 : (n_rows + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE;
    for (int32_t i = 0; i < n_prompts; i++)
        segments[i] = (struct ppi_segment){.row = i * n_rows,
                                           .n_rows = n_rows,
                                           .position = position,
                                           .first_page = i * n_pages,
                                           .rope_row = position};
    return time_of(b, segments, n_prompts, b->pages, MAX_PAGES);
}

#define SUFFIXES 64

/* Best seconds of SUFFIXES prompts' last n_rows tokens, which stand behind one prefix of n_prefix
 * tokens: its whole pages are shared, the others are each prompt's own. */
static double suffix_time(const struct bench *b, int32_t n_prefix, int32_t n_rows)
{
    static void *pages[SUFFIXES * MAX_PAGES];
    struct ppi_segment segments[SUFFIXES];
    int32_t n_shared = n_prefix / PPI_CPU_PAGE, next = n_shared;
    int32_t n_pages = (n_prefix + n_rows + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE;
    for (int32_t i = 0; i < SUFFIXES; i++) {
        segments[i] = (struct ppi_segment){.row = i * n_rows,
                                           .n_rows = n_rows,
                                           .position = n_prefix,
                                           .first_page = i * n_pages,
                                           .rope_row = n_prefix};
        for (int32_t page = 0; page < n_pages; page++)
            pages[i * n_pages + page] =
                b->pages[page < n_shared ? page : next++ % (MAX_PAGES - n_shared) + n_shared];
    }
    return time_of(b, segments, SUFFIXES, pages, SUFFIXES * n_pages);
}

/* FLOP/s of a product of usual size, which attention is compared with. */
static double product_speed(struct ppi_mem *mem, const struct bench *b)
{
    const int64_t k = 768, n = 768, n_rows = 768;
    const struct ppi_matrix_spec spec = {.kind = PPI_MATRIX_LINEAR, .n = n, .k = k};
    const struct ppi_epilogue epilogue = {.scale = 1};
    struct ppi_matrix *matrix;
    float *weights = ppi_alloc(mem, (size_t)(n * k), sizeof *weights);
    float *out = ppi_alloc(mem, (size_t)(n * n_rows), sizeof *out);
    for (int64_t i = 0; i < n * k; i++)
        weights[i] = b->qkv[i];
    double best = 1e9, end = seconds() + b->time_limit;
    if (ppi_cpu_ops.matrix_create(b->backend, mem, &spec, &matrix, NULL) < 0 ||
        ppi_cpu_ops.matrix_fill(b->backend, matrix, 0, n, weights, PP_DTYPE_F32, NULL) < 0)
        return 0;
    do {
        double start = seconds();
        ppi_cpu_ops.matmul(b->backend, b->q, matrix, n_rows, &epilogue, out, NULL);
        double time = seconds() - start;
        if (time < best)
            best = time;
    } while (seconds() < end);
    ppi_cpu_ops.matrix_destroy(matrix);
    ppi_free(mem, out);
    ppi_free(mem, weights);
    return 2.0 * (double)(n * k * n_rows) / best;
}

static void write_cache(const struct bench *b)
{
    struct ppi_segment segment = {.n_rows = MAX_ROWS};
    const struct ppi_rope rope = {.rotary_dim = b->head_dim, .angles = b->rope};
    struct ppi_pass pass = {.n_rows = MAX_ROWS,
                            .n_segments = 1,
                            .segments = &segment,
                            .pages = {b->pages},
                            .n_pages = MAX_PAGES};
    double start = seconds();
    ppi_cpu_ops.rope_kv(b->backend, &pass, &rope, b->qkv, b->q, NULL);
    ppi_cpu_ops.rope_kv(b->backend, &pass, &rope, b->qkv, b->q, NULL);
    printf("  rope_kv of %d rows: %.2f ms\n", MAX_ROWS, (seconds() - start) * 500);
}

static int bench(struct ppi_mem *mem, const char *variant, int32_t dtype, int32_t n_threads,
                 double time_limit, int32_t head_dim, int32_t n_kv_heads)
{
    const struct ppi_layer_place place = {0, 0};
    struct ppi_backend_params params = {.variant = variant,
                                        .mem = mem,
                                        .dtype = dtype,
                                        .n_threads = n_threads,
                                        .n_heads = N_HEADS,
                                        .n_layers = 1,
                                        .places = &place,
                                        .n_page_classes = 1,
                                        .classes = {{0, n_kv_heads, head_dim, 1}}};
    pp_error err = {.struct_size = sizeof err};
    struct bench b = {.time_limit = time_limit, .head_dim = head_dim, .n_kv_heads = n_kv_heads};
    if (ppi_cpu_ops.open(&params, &b.backend, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(b.backend, &info);
    char *pages = ppi_alloc(mem, MAX_PAGES, (size_t)info.page_bytes[0]);
    for (int i = 0; i < MAX_PAGES; i++)
        b.pages[i] = pages + (size_t)i * (size_t)info.page_bytes[0];
    size_t qkv_count = (size_t)MAX_ROWS * (size_t)((N_HEADS + 2 * n_kv_heads) * head_dim);
    b.qkv = ppi_alloc(mem, qkv_count, sizeof(float));
    b.rope = ppi_alloc(mem, (size_t)MAX_ROWS * (size_t)head_dim, sizeof(float));
    b.q = ppi_alloc(mem, (size_t)MAX_ROWS * N_HEADS * (size_t)head_dim, sizeof(float));
    b.out = ppi_alloc(mem, (size_t)MAX_ROWS * N_HEADS * (size_t)head_dim, sizeof(float));
    for (size_t i = 0; i < qkv_count; i++)
        b.qkv[i] = (float)((i * 2654435761u) % 2048) / 512 - 2;
    for (size_t i = 0; i < (size_t)MAX_ROWS * (size_t)head_dim; i++)
        b.rope[i] = 0.7f;

    printf("%s %s, %d threads, %d heads over %d, head_dim %d\n", info.name, pp_dtype_name(dtype),
           n_threads, N_HEADS, n_kv_heads, head_dim);
    write_cache(&b);
    static const int32_t lengths[] = {5, 25, 50, 100, 200, 500, 1000, 2000, 4000};
    double roof = product_speed(mem, &b);
    printf("  products: %7.1f GFLOP/s\n", roof * 1e-9);
    for (size_t i = 0; i < PPI_COUNT(lengths); i++) {
        int32_t rows_of_pages = (lengths[i] + PPI_CPU_PAGE - 1) / PPI_CPU_PAGE * PPI_CPU_PAGE;
        int32_t n_prompts = most_rows / rows_of_pages > 1 ? most_rows / rows_of_pages : 1;
        double n = lengths[i], flops = 2 * n * (n + 1) * head_dim * N_HEADS * n_prompts;
        double speed = flops / best_time(&b, 0, lengths[i], n_prompts);
        printf("  %5d tokens: %7.1f GFLOP/s, %5.1f %%\n", lengths[i], speed * 1e-9,
               100 * speed / roof);
    }
    double cache_bytes = (double)info.page_bytes[0] * MAX_PAGES;
    printf("  1 row over %d keys: %.1f GB/s of cache\n", MAX_ROWS,
           cache_bytes / best_time(&b, MAX_ROWS - 1, 1, 1) * 1e-9);
    static const int32_t prefixes[] = {600, 2000}, suffixes[] = {1, 2, 4, 8, 16, 64};
    for (size_t p = 0; p < PPI_COUNT(prefixes); p++)
        for (size_t i = 0; i < PPI_COUNT(suffixes); i++)
            printf("  %d suffixes of %2d behind %4d: %7.3f ms\n", SUFFIXES, suffixes[i],
                   prefixes[p], 1e3 * suffix_time(&b, prefixes[p], suffixes[i]));
    ppi_free(mem, b.out);
    ppi_free(mem, b.q);
    ppi_free(mem, b.rope);
    ppi_free(mem, b.qkv);
    ppi_free(mem, pages);
    ppi_cpu_ops.close(b.backend);
    return 0;
}

static const struct {
    int32_t head_dim, group;
} shapes[] = {{64, 1}, {64, 4}, {80, 1}, {96, 1}, {128, 1}, {128, 4}, {256, 1}, {256, 8}, {512, 8}};

int main(int argc, char **argv)
{
    int32_t n_threads = argc > 1 ? atoi(argv[1]) : 2;
    const char *variant = argc > 2 && argv[2][0] ? argv[2] : NULL;
    double time_limit = argc > 3 ? atof(argv[3]) : 0.5;
    struct ppi_mem mem;
    ppi_mem_init(&mem, NULL, 0, NULL);
    if (n_threads == 1)
        time_source = CLOCK_THREAD_CPUTIME_ID;
    if (argc > 6)
        most_rows = atoi(argv[6]);
    int failed = 0;
    int32_t head_dim = argc > 4 ? atoi(argv[4]) : 0, group = argc > 5 ? atoi(argv[5]) : 0;
    for (int32_t dtype = PP_DTYPE_F32; dtype <= PP_DTYPE_BF16; dtype += 2)
        for (size_t i = 0; i < PPI_COUNT(shapes); i++)
            if ((!head_dim || head_dim == shapes[i].head_dim) &&
                (!group || group == shapes[i].group))
                failed |= bench(&mem, variant, dtype, n_threads > 0 ? n_threads : 1, time_limit,
                                shapes[i].head_dim, N_HEADS / shapes[i].group);
    return failed;
}
