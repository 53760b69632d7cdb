/*
 * bench_device_attention.c: the varlen attention kernels over equal prompts of 50 to 16k tokens, a
 * mix of lengths, and decoding: TFLOP/s of the products that the causal mask leaves, and the share
 * of min(compute roof, memory roof). The memory roof counts q, k, v and out once.
 *
 *     bench_device_attention [--tiny] [LENGTHS_FILE]
 *
 * Keys and values are rows one after another, or, where the name says so, in the pages of a
 * session. figures: attention.SHAPE.CASE.tflops and .share; CASE: l50 .. l16000, mixed, decode,
 * paged-l200 .. On GPUs with kernels of their own also mma-l50 .., by the mma.sync kernels.
 */
#include "cuda/attention_choice.h"
#include "device_measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TOKENS       32768 /* of all prompts of a case */
#define MAX_MIXED    256   /* prompts of the file */
#define PAGE_TOKENS  16    /* of a session's pages */

static const struct shape {
    const char *name;
    int32_t n_heads, n_kv_heads, head_dim;
} shapes[] = {
    {"mha-d128", 16, 16, 128}, /* llama1b */
    {"gqa-d128", 32, 8, 128},  /* groups of 4 */
    {"gqa-d64", 14, 2, 64},    /* groups of 7 */
};

static const int32_t lengths[] = {50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000};

/* Both lists, as a pass has them. */
static int32_t capability, n_sms; /* of the GPU */

struct job {
    struct ppi_cuda_attention attention;
    const struct shape *shape;
    struct ppi_cuda_attention_args args;
    struct ppi_cuda_attention_item *items, *few_items;
    int64_t n_items, n_few;
    uint64_t *pages;
};

static void launch(const struct ppi_cuda_kernel *kernel, int64_t blocks, const void *args)
{
    void *arguments[] = {(void *)(uintptr_t)args};
    dim3 grid = {(unsigned)blocks, 1, 1}, block = {(unsigned)kernel->threads, 1, 1};
    measure_check(
        cudaLaunchKernel(kernel->entry, grid, block, arguments, kernel->shared_bytes, NULL),
        kernel->name);
}

static int32_t device_attribute(enum cudaDeviceAttr attribute)
{
    int value;
    measure_check(cudaDeviceGetAttribute(&value, attribute, 0), "cudaDeviceGetAttribute");
    return value;
}

static void allow_shared(const struct ppi_cuda_kernel *kernel)
{
    measure_check(cudaFuncSetAttribute(kernel->entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       (int)kernel->shared_bytes),
                  kernel->name);
}

static void enqueue(void *user)
{
    struct job *job = user;
    const struct ppi_cuda_attention *attention = &job->attention;
    if (job->n_items > 0) {
        job->args.items = job->items;
        job->args.n_items = (int32_t)job->n_items;
        launch(&attention->kernel[0],
               ppi_cuda_attention_blocks(attention, job->n_items, job->shape->n_kv_heads, n_sms),
               &job->args);
    }
    if (job->n_few > 0) {
        job->args.items = job->few_items;
        job->args.n_items = (int32_t)job->n_few;
        launch(&attention->few[0], job->n_few * job->shape->n_kv_heads, &job->args);
    }
}

/* The work lists of the spans, on the device. */
static void make_lists(struct job *job, const struct ppi_cuda_span *spans, int32_t n)
{
    int32_t group = job->shape->n_heads / job->shape->n_kv_heads;
    ppi_cuda_count_items(job->attention.tiles, spans, n, group, &job->n_items, &job->n_few);
    size_t bytes = (size_t)job->n_items * sizeof *job->items;
    size_t few_bytes = (size_t)job->n_few * sizeof *job->items;
    struct ppi_cuda_attention_item *items = measure_host(bytes), *few = measure_host(few_bytes);
    ppi_cuda_make_items(job->attention.tiles, spans, n, group, -1, 0, items, few);
    job->items = measure_upload(items, bytes);
    job->few_items = measure_upload(few, few_bytes);
    free(items);
    free(few);
}

/* Keys and values of n_keys tokens as rows [token, head, head_dim]. */
static struct ppi_cuda_kv as_rows(const struct shape *shape, void *k, void *v)
{
    const int64_t head = 2 * shape->head_dim;
    return (struct ppi_cuda_kv){.k = (uint64_t)(uintptr_t)k,
                                .v = (uint64_t)(uintptr_t)v,
                                .k_token_stride = shape->n_kv_heads * head,
                                .v_token_stride = shape->n_kv_heads * head,
                                .k_head_stride = head,
                                .v_head_stride = head,
                                .page_tokens = 1};
}

/* The same memory as pages [head, token, head_dim], keys of a page in k, its values in v. */
static struct ppi_cuda_kv as_pages(const struct shape *shape, void *k, void *v, int32_t n_pages,
                                   uint64_t **pages)
{
    const int64_t head = 2 * shape->head_dim;
    const int64_t page = head * PAGE_TOKENS * shape->n_kv_heads;
    uint64_t *addresses = measure_host((size_t)n_pages * sizeof *addresses);
    for (int32_t i = 0; i < n_pages; i++)
        addresses[i] = (uint64_t)(uintptr_t)k + (uint64_t)(i * page);
    *pages = measure_upload(addresses, (size_t)n_pages * sizeof *addresses);
    free(addresses);
    return (struct ppi_cuda_kv){.k = 0,
                                .v = (uint64_t)(uintptr_t)v - (uint64_t)(uintptr_t)k,
                                .pages = *pages,
                                .k_token_stride = head,
                                .v_token_stride = head,
                                .k_head_stride = head * PAGE_TOKENS,
                                .v_head_stride = head * PAGE_TOKENS,
                                .page_tokens = PAGE_TOKENS};
}

/* A case: n_rows[i] queries of prompt i see n_keys[i] keys. */
struct prompts {
    const int32_t *n_rows, *n_keys;
    int32_t n;
    bool paged;
    bool by_mma; /* by the kernels for compute capability 8.0, wherever it runs */
};

static double time_case(const struct shape *shape, const struct prompts *prompts, double *flops,
                        double *bytes)
{
    struct job job = {.shape = shape,
                      .attention = ppi_cuda_choose_attention(prompts->by_mma ? 80 : capability,
                                                             shape->head_dim, false)};
    allow_shared(job.attention.kernel);
    if (job.attention.few)
        allow_shared(job.attention.few);
    struct ppi_cuda_span *spans = measure_host((size_t)prompts->n * sizeof *spans);
    int32_t rows = 0, keys = 0, entries = 0;
    double pairs = 0;
    for (int32_t i = 0; i < prompts->n; i++) {
        int32_t n_rows = prompts->n_rows[i], n_keys = prompts->n_keys[i];
        spans[i] = (struct ppi_cuda_span){rows, n_rows, n_keys, entries};
        rows += n_rows;
        keys += n_keys;
        entries += prompts->paged ? (n_keys + PAGE_TOKENS - 1) / PAGE_TOKENS : n_keys;
        pairs += n_rows * (n_keys - (n_rows - 1) / 2.0);
    }
    int32_t slots = prompts->paged ? entries * PAGE_TOKENS : entries;
    const int64_t head = 2 * shape->head_dim;
    size_t q_elements = (size_t)rows * (size_t)(shape->n_heads * shape->head_dim);
    size_t kv_elements = (size_t)slots * (size_t)(shape->n_kv_heads * shape->head_dim);
    *flops = 4 * pairs * shape->n_heads * shape->head_dim;
    *bytes = 2.0 * head * ((double)rows * shape->n_heads + (double)keys * shape->n_kv_heads);
    void *q = measure_random_bf16(q_elements), *out = measure_alloc(q_elements * 2);
    char *kv = measure_random_bf16(2 * kv_elements);
    job.args = (struct ppi_cuda_attention_args){
        .q = q,
        .out = out,
        .q_row_stride = shape->n_heads * head,
        .q_head_stride = head,
        .out_row_stride = shape->n_heads * head,
        .out_head_stride = head,
        .kv = prompts->paged ? as_pages(shape, kv, kv + kv_elements * 2, entries, &job.pages)
                             : as_rows(shape, kv, kv + kv_elements * 2),
        .n_heads = shape->n_heads,
        .n_kv_heads = shape->n_kv_heads,
        .head_dim = shape->head_dim,
        .scale_log2 = (float)(1.4426950408889634 / sqrt((double)shape->head_dim)),
        .window_left = -1,
        .window_right = 0};
    make_lists(&job, spans, prompts->n);
    double seconds = measure_seconds(enqueue, &job);
    void *taken[] = {job.items, job.few_items, job.pages, q, out, kv};
    for (size_t i = 0; i < COUNT(taken); i++)
        measure_free(taken[i]);
    free(spans);
    return seconds;
}

static void report(const struct roofs *roofs, const struct shape *shape, const char *what,
                   const struct prompts *prompts)
{
    char key[96];
    double flops, bytes;
    double seconds = time_case(shape, prompts, &flops, &bytes);
    double share = measure_share(roofs, flops, bytes, seconds);
    printf("%-9s %-11s %4d prompts %9.1f us %6.1f TFLOP/s %6.0f GB/s %4.0f %% of its roof\n",
           shape->name, what, prompts->n, seconds * 1e6, flops / seconds * 1e-12,
           bytes / seconds * 1e-9, 100 * share);
    snprintf(key, sizeof key, "attention.%s.%s.tflops", shape->name, what);
    figure(key, flops / seconds * 1e-12);
    snprintf(key, sizeof key, "attention.%s.%s.share", shape->name, what);
    figure(key, 100 * share);
}

static int32_t read_lengths(const char *path, int32_t *mixed, int32_t most)
{
    FILE *file = fopen(path, "r");
    int32_t n = 0;
    if (!file) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    while (n < most && fscanf(file, "%d", &mixed[n]) == 1)
        n += mixed[n] > 0;
    fclose(file);
    return n;
}

static void bench_equal(const struct roofs *roofs, const struct shape *shape, int32_t length,
                        int32_t tokens, bool paged, bool by_mma)
{
    char what[32];
    int32_t n = tokens / length;
    int32_t *same = measure_host((size_t)n * sizeof *same);
    for (int32_t i = 0; i < n; i++)
        same[i] = length;
    snprintf(what, sizeof what, "%s%sl%d", by_mma ? "mma-" : "", paged ? "paged-" : "", length);
    report(roofs, shape, what, &(struct prompts){same, same, n, paged, by_mma});
    free(same);
}

static void bench_shape(const struct roofs *roofs, const struct shape *shape, const int32_t *mixed,
                        int32_t n_mixed)
{
    int32_t tokens = measure_tiny ? 100 : TOKENS, ones[64], cached[64];
    for (size_t i = 0; i < COUNT(lengths) && lengths[i] <= tokens; i++) {
        bench_equal(roofs, shape, lengths[i], tokens, false, false);
        if (lengths[i] >= 100 && lengths[i] <= 500)
            bench_equal(roofs, shape, lengths[i], tokens, true, false);
        if (ppi_cuda_choose_attention(capability, shape->head_dim, false).is_persistent)
            bench_equal(roofs, shape, lengths[i], tokens, false, true);
    }
    if (n_mixed > 0)
        report(roofs, shape, "mixed", &(struct prompts){mixed, mixed, n_mixed, true, false});
    for (size_t i = 0; i < COUNT(ones); i++) {
        ones[i] = 1;
        cached[i] = measure_tiny ? 70 : 2000;
    }
    report(roofs, shape, "decode",
           &(struct prompts){ones, cached, measure_tiny ? 2 : (int32_t)COUNT(ones), true, false});
}

int main(int argc, char **argv)
{
    int32_t mixed[MAX_MIXED], n_mixed = 0;
    measure_start(argc, argv);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--", 2) != 0)
            n_mixed = read_lengths(argv[i], mixed, measure_tiny ? 4 : MAX_MIXED);
    capability = 10 * device_attribute(cudaDevAttrComputeCapabilityMajor) +
                 device_attribute(cudaDevAttrComputeCapabilityMinor);
    n_sms = device_attribute(cudaDevAttrMultiProcessorCount);
    struct roofs roofs = measure_roofs();
    figure("roof.copy.gbs", roofs.bytes * 1e-9);
    figure("roof.product.tflops", roofs.flops * 1e-12);
    for (size_t i = 0; i < COUNT(shapes); i++)
        bench_shape(&roofs, &shapes[i], mixed, n_mixed);
    return 0;
}
