/*
 * bench_device_rows.c: the kernels that only move bytes, at the sizes of a large pass: GB/s of what
 * each must read and write once, and the share of what a copy on the device reaches.
 *
 *     bench_device_rows [--tiny]
 *
 * figures: rows.KERNEL.gbs, rows.KERNEL.share
 */
#include "cuda/kernels.h"
#include "device_measure.h"
#include "score.h"

#include <stdlib.h>

#define N_HEADS     32
#define N_KV_HEADS  8
#define HEAD_DIM    128
#define PAGE_TOKENS 16

struct job {
    const struct ppi_cuda_kernel *kernel;
    int64_t blocks;
    const void *args;
};

static void enqueue(void *user)
{
    const struct job *job = user;
    void *arguments[] = {(void *)(uintptr_t)job->args};
    dim3 grid = {(unsigned)job->blocks, 1, 1}, block = {(unsigned)job->kernel->threads, 1, 1};
    measure_check(cudaLaunchKernel(job->kernel->entry, grid, block, arguments,
                                   job->kernel->shared_bytes, NULL),
                  job->kernel->name);
}

static void report(const struct roofs *roofs, const char *what,
                   const struct ppi_cuda_kernel *kernel, int64_t blocks, const void *args,
                   double bytes)
{
    char key[64];
    struct job job = {kernel, blocks, args};
    measure_check(cudaFuncSetAttribute(kernel->entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       (int)kernel->shared_bytes),
                  kernel->name);
    double seconds = measure_seconds(enqueue, &job),
           share = measure_share(roofs, 0, bytes, seconds);
    printf("%-10s %8.1f us %6.0f GB/s %4.0f %% of a copy\n", what, seconds * 1e6,
           bytes / seconds * 1e-9, 100 * share);
    snprintf(key, sizeof key, "rows.%s.gbs", what);
    figure(key, bytes / seconds * 1e-9);
    snprintf(key, sizeof key, "rows.%s.share", what);
    figure(key, 100 * share);
}

/* i -> i * 7919 % n: rows in an order that no prefetcher guesses. */
static int32_t *scattered(int32_t n_rows, int32_t n)
{
    int32_t *rows = measure_host((size_t)n_rows * sizeof *rows);
    for (int32_t i = 0; i < n_rows; i++)
        rows[i] = (int32_t)((int64_t)i * 7919 % n);
    int32_t *device = measure_upload(rows, (size_t)n_rows * sizeof *rows);
    free(rows);
    return device;
}

static void bench_rows(const struct roofs *roofs, int32_t n_rows, int32_t dim, int32_t n)
{
    const int32_t vocab = measure_tiny ? 64 : 32000;
    const double elements = (double)n_rows * dim;
    size_t count = (size_t)n_rows * (size_t)dim;
    void *table = measure_random_bf16((size_t)vocab * (size_t)dim);
    int32_t *tokens = scattered(n_rows, vocab), *order = scattered(n_rows, n_rows);
    float *wide = measure_random_f32(count), *weight = measure_random_f32((size_t)dim);
    void *narrow = measure_alloc(count * 2);
    void *gate_up = measure_random_bf16((size_t)n_rows * 2 * (size_t)n);
    void *gated = measure_alloc((size_t)n_rows * (size_t)n * 2);
    void *gathered = measure_alloc(count * 4);

    struct ppi_cuda_embed_args embed = {table, tokens, gathered, n_rows, dim, 1, 0};
    report(roofs, "embed", &ppi_cuda_embed[0], ppi_cuda_row_blocks(n_rows, dim), &embed,
           elements * 6);
    struct ppi_cuda_norm_args norm = {
        .x = wide, .weight = weight, .out = narrow, .n = n_rows, .dim = dim, .eps = 1e-5f};
    report(roofs, "rmsnorm", &ppi_cuda_norm[0][0], ppi_cuda_row_blocks(n_rows, dim), &norm,
           elements * 6);
    report(roofs, "layernorm", &ppi_cuda_norm[1][0], ppi_cuda_row_blocks(n_rows, dim), &norm,
           elements * 6);
    norm.out = gathered;
    report(roofs, "norm_add", &ppi_cuda_norm_add[0], ppi_cuda_row_blocks(n_rows, dim), &norm,
           elements * 12);
    struct ppi_cuda_norm_args heads = {.x = wide,
                                       .weight = weight,
                                       .row_stride = dim,
                                       .n = n_rows * (dim / 128),
                                       .n_parts = dim / 128,
                                       .dim = 128,
                                       .eps = 1e-5f};
    if (dim >= 128)
        report(roofs, "norm_parts", &ppi_cuda_norm_parts[0], ppi_cuda_row_blocks(heads.n, 128),
               &heads, (double)heads.n * 128 * 8);
    struct ppi_cuda_glu_args glu = {.gate_up = gate_up, .out = gated, .n_rows = n_rows, .n = n};
    const int64_t n_gated = (int64_t)n_rows * n;
    report(roofs, "swiglu", &ppi_cuda_glu[0], ppi_cuda_striding_blocks(n_gated), &glu,
           (double)n_gated * 6);
    glu.activation = PPI_CUDA_GELU_TANH;
    report(roofs, "geglu", &ppi_cuda_glu[0], ppi_cuda_striding_blocks(n_gated), &glu,
           (double)n_gated * 6);
    struct ppi_cuda_gather_args gather = {wide, order, gathered, (int64_t)dim * 4, n_rows, 0};
    report(roofs, "gather", &ppi_cuda_gather[0], n_rows, &gather, elements * 8);
    struct ppi_cuda_convert_args convert = {wide, narrow, (int64_t)count, PPI_CUDA_F32,
                                            PPI_CUDA_BF16};
    report(roofs, "convert", &ppi_cuda_convert[0], ppi_cuda_striding_blocks(convert.n), &convert,
           elements * 6);
    void *taken[] = {table, tokens, order, wide, weight, narrow, gate_up, gated, gathered};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        measure_free(taken[i]);
}

static void bench_rope_kv(const struct roofs *roofs, int32_t n_rows)
{
    const int64_t head = 2 * HEAD_DIM;
    const int32_t n_pages = (n_rows + PAGE_TOKENS - 1) / PAGE_TOKENS;
    const size_t page = (size_t)(2 * N_KV_HEADS * PAGE_TOKENS * head);
    const double row_elements = (N_HEADS + 2 * N_KV_HEADS) * HEAD_DIM;
    float *qkv = measure_random_f32((size_t)n_rows * (size_t)row_elements);
    float *angles = measure_random_f32((size_t)n_rows * HEAD_DIM);
    char *pages = measure_alloc((size_t)n_pages * page);
    void *q = measure_alloc((size_t)n_rows * N_HEADS * (size_t)head);
    int32_t *rope_rows = measure_host((size_t)n_rows * sizeof *rope_rows);
    int64_t *slots = measure_host((size_t)n_rows * sizeof *slots);
    uint64_t *addresses = measure_host((size_t)n_pages * sizeof *addresses);
    for (int32_t i = 0; i < n_rows; i++) {
        rope_rows[i] = i % 500;
        slots[i] = i;
    }
    for (int32_t i = 0; i < n_pages; i++)
        addresses[i] = (uint64_t)(uintptr_t)(pages + (size_t)i * page);
    struct ppi_cuda_kv kv = {.v = page / 2,
                             .pages =
                                 measure_upload(addresses, (size_t)n_pages * sizeof *addresses),
                             .k_token_stride = head,
                             .v_token_stride = head,
                             .k_head_stride = head * PAGE_TOKENS,
                             .v_head_stride = head * PAGE_TOKENS,
                             .page_tokens = PAGE_TOKENS};
    struct ppi_cuda_rope_kv_args args = {
        .qkv = qkv,
        .angles = angles,
        .rope_rows = measure_upload(rope_rows, (size_t)n_rows * sizeof *rope_rows),
        .slots = measure_upload(slots, (size_t)n_rows * sizeof *slots),
        .q = q,
        .kv = kv,
        .n_rows = n_rows,
        .n_heads = N_HEADS,
        .n_kv_heads = N_KV_HEADS,
        .head_dim = HEAD_DIM,
        .rotary_dim = HEAD_DIM};
    report(roofs, "rope_kv", &ppi_cuda_rope_kv[0], n_rows, &args, n_rows * row_elements * 6);
    void *out = measure_alloc((size_t)n_rows * N_KV_HEADS * (size_t)head);
    struct ppi_cuda_kv_read_args read = {.kv = kv,
                                         .out = out,
                                         .n_tokens = n_rows,
                                         .n_kv_heads = N_KV_HEADS,
                                         .head_dim = HEAD_DIM,
                                         .out_type = PPI_CUDA_BF16};
    report(roofs, "kv_read", &ppi_cuda_kv_read[0], n_rows, &read,
           (double)n_rows * N_KV_HEADS * HEAD_DIM * 4);
    void *taken[] = {qkv,
                     angles,
                     pages,
                     q,
                     out,
                     (void *)(uintptr_t)args.rope_rows,
                     (void *)(uintptr_t)args.slots,
                     (void *)(uintptr_t)kv.pages};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        measure_free(taken[i]);
    free(rope_rows);
    free(slots);
    free(addresses);
}

static void bench_sample(const struct roofs *roofs, int32_t n_rows, int32_t vocab)
{
    const double bytes = (double)n_rows * vocab * 4;
    float *logits = measure_random_f32((size_t)n_rows * (size_t)vocab);
    struct ppi_cuda_draw *draws = measure_host((size_t)n_rows * sizeof *draws);
    struct ppi_cuda_bound *bounds = measure_alloc((size_t)n_rows * sizeof *bounds);
    int32_t *tokens = measure_alloc((size_t)n_rows * sizeof *tokens);
    for (int kind = 0; kind < 3; kind++) {
        for (int32_t i = 0; i < n_rows; i++)
            draws[i] = (struct ppi_cuda_draw){.temperature = kind > 0,
                                              .top_k = kind == 2 ? 50 : 0,
                                              .top_p = kind == 2 ? 0.9f : 1,
                                              .position = i};
        struct ppi_cuda_draw *device_draws = measure_upload(draws, (size_t)n_rows * sizeof *draws);
        struct ppi_cuda_sample_bounds_args filters = {logits, device_draws, bounds,
                                                      vocab,  n_rows,       vocab};
        struct ppi_cuda_sample_args args = {
            logits, device_draws, kind == 2 ? bounds : NULL, tokens, vocab, n_rows, vocab};
        if (kind == 2)
            report(roofs, "bounds", &ppi_cuda_sample_bounds[0], n_rows, &filters, bytes);
        report(roofs,
               kind == 0   ? "argmax"
               : kind == 1 ? "sample"
                           : "filtered",
               &ppi_cuda_sample[0], n_rows, &args, bytes);
        measure_free(device_draws);
    }
    void *taken[] = {logits, bounds, tokens};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        measure_free(taken[i]);
    free(draws);
}

/* One target of every row, and its sums. */
static void bench_score(const struct roofs *roofs, int32_t n_rows, int32_t vocab)
{
    const double bytes = (double)n_rows * vocab * 4;
    int32_t n_tiles = (vocab + PPI_CUDA_SCORE_TILE - 1) / PPI_CUDA_SCORE_TILE;
    size_t n = (size_t)n_rows;
    struct ppi_cuda_score *scores = measure_host(n * sizeof *scores);
    int32_t *first_score = measure_host((n + 1) * sizeof *first_score);
    for (int32_t i = 0; i <= n_rows; i++)
        first_score[i] = i;
    for (int32_t i = 0; i < n_rows; i++)
        scores[i] = (struct ppi_cuda_score){.target = (int32_t)(i * 997ll % vocab)};
    struct ppi_cuda_score_args args = {
        .logits = measure_random_f32(n * (size_t)vocab),
        .parts = measure_alloc(n * (size_t)n_tiles * sizeof(struct ppi_score_part)),
        .scores = measure_upload(scores, n * sizeof *scores),
        .first_score = measure_upload(first_score, (n + 1) * sizeof *first_score),
        .stride = vocab,
        .n_rows = n_rows,
        .n_tiles = n_tiles,
        .vocab = vocab};
    report(roofs, "score", &ppi_cuda_score[0], (int64_t)n_rows * n_tiles, &args, bytes);
    void *taken[] = {(void *)(uintptr_t)args.logits, args.parts, args.scores,
                     (void *)(uintptr_t)args.first_score};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        measure_free(taken[i]);
    free(first_score);
    free(scores);
}

int main(int argc, char **argv)
{
    measure_start(argc, argv);
    struct roofs roofs = measure_roofs();
    bench_rows(&roofs, measure_tiny ? 9 : 16384, measure_tiny ? 64 : 4096,
               measure_tiny ? 72 : 11008);
    bench_rope_kv(&roofs, measure_tiny ? 33 : 16384);
    bench_sample(&roofs, measure_tiny ? 3 : 1024, measure_tiny ? 300 : 32000);
    bench_score(&roofs, measure_tiny ? 3 : 64, measure_tiny ? 300 : 128256);
    return 0;
}
