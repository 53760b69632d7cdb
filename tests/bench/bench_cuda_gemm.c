/*
 * bench_cuda_gemm.c: matrix products of decoder layers on a GPU: TFLOP/s as the library runs them,
 * what packing invariance costs (against the fastest that cuBLASLt proposes for just that number of
 * rows, split k and all), and our own kernel.
 *
 *     bench_cuda_gemm [--tiny | MODEL]
 *
 * Lines "figure gemm.MODEL.ROWS.NAME VALUE" are for programs.
 */
#include "cuda/context.h"
#include "cuda/products.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model {
    const char *name;
    int32_t hidden, inner, qkv, q, vocab;
};

static const struct model models[] = {
    {"llama-3.2-1b", 2048, 8192, 3072, 2048, 128256},
    {"llama2-7b", 4096, 11008, 12288, 4096, 32000},
    {"llama3-8b", 4096, 14336, 6144, 4096, 128256},
    {"qwen2.5-0.5b", 896, 4864, 1152, 896, 151936},
};
static const struct model tiny_model = {"tiny", 32, 48, 64, 32, 80};

static const int32_t all_counts[] = {64, 256, 1024, 4096, 16384};
static const int32_t tiny_counts[] = {64, 130};

#define N_TRIES   7
#define HEAD_ROWS 64 /* logits are computed for this many rows at a time */

struct bench {
    struct ppi_backend *backend;
    struct ppi_mem mem;
    const struct model *model;
    char *a, *out;
    size_t a_bytes, out_bytes;
};

struct product {
    const char *name;
    int32_t kind;
    int64_t n, k;
    bool accumulate, in_layer;
};

struct sums {
    double flops, guarded, free;
};

static void must(pp_status status, const pp_error *err)
{
    if (status >= 0)
        return;
    fprintf(stderr, "bench_cuda_gemm: %s\n", err->message);
    exit(1);
}

/* Random bf16 in -1 .. 1: power, and so the clock, depend on the values. */
static void fill(struct bench *bench, void *device, size_t bytes)
{
    enum { BLOCK = 1 << 18 };
    static uint16_t block[BLOCK];
    pp_error err = {.struct_size = sizeof err};
    uint32_t state = 1;
    for (int i = 0; i < BLOCK; i++) {
        state = state * 1664525u + 1013904223u;
        block[i] = (uint16_t)((state >> 16 & 0x80ff) | 0x3f00); /* +-0.5 .. +-2 */
    }
    size_t done = bytes < sizeof block ? bytes : sizeof block;
    must(ppi_cuda_upload(bench->backend, device, block, done, &err), &err);
    for (; done < bytes; done *= 2)
        must(ppi_cuda_check(cudaMemcpyAsync((char *)device + done, device,
                                            done < bytes - done ? done : bytes - done,
                                            cudaMemcpyDeviceToDevice, bench->backend->stream),
                            "filling memory", &err),
             &err);
}

static void *take(struct bench *bench, size_t bytes)
{
    void *memory = ppi_cuda_alloc(bench->backend, bytes);
    if (!memory) {
        fprintf(stderr, "bench_cuda_gemm: no device memory for %zu bytes\n", bytes);
        exit(1);
    }
    fill(bench, memory, bytes);
    return memory;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void figure(const struct bench *bench, int32_t n_rows, const char *name, double value)
{
    printf("figure gemm.%s.%d.%s %.6g\n", bench->model->name, n_rows, name, value);
}

/* One line; adds to *sums what belongs to a layer. */
static void time_product(struct bench *bench, const struct product *p, const struct ppi_matrix *w,
                         int32_t n_rows, struct sums *sums)
{
    pp_error err = {.struct_size = sizeof err};
    struct ppi_cuda_shape shape = {.n = w->n_rows,
                                   .k = w->k,
                                   .type = w->type,
                                   .out_type =
                                       p->kind == PPI_MATRIX_GATE_UP ? w->type : PPI_CUDA_F32,
                                   .accumulate = p->accumulate};
    const struct ppi_cuda_class *class = ppi_cuda_class_find(bench->backend->products, &shape);
    struct ppi_cuda_product_times times;
    if (!class)
        return;
    must(ppi_cuda_product_time(bench->backend, class, bench->a, w->data, n_rows, bench->out,
                               N_TRIES, &times, &err),
         &err);
    double flops = 2.0 * n_rows * (double)shape.n * (double)shape.k;
    printf("%7d  %-8s %6lld x %-6lld %-9s %8.1f %8.1f %7.1f %% %8.1f\n", n_rows, p->name,
           (long long)shape.n, (long long)shape.k,
           class->state == PPI_CUDA_CLASS_LT ? "cuBLASLt" : "own", flops / times.guarded * 1e-12,
           times.free > 0 ? flops / times.free * 1e-12 : 0,
           percent(times.guarded - times.free, times.free), flops / times.own * 1e-12);
    if (p->in_layer) {
        sums->flops += flops;
        sums->guarded += times.guarded;
        sums->free += times.free;
    }
}

static void bench_model(struct bench *bench, const int32_t *counts, size_t n_counts)
{
    const struct model *m = bench->model;
    const struct product products[] = {
        {"qkv", PPI_MATRIX_LINEAR, m->qkv, m->hidden, false, true},
        {"o", PPI_MATRIX_LINEAR, m->hidden, m->q, true, true},
        {"gate, up", PPI_MATRIX_GATE_UP, m->inner, m->hidden, false, true},
        {"down", PPI_MATRIX_LINEAR, m->hidden, m->inner, true, true},
        {"head", PPI_MATRIX_LINEAR, m->vocab, m->hidden, false, false},
    };
    pp_error err = {.struct_size = sizeof err};
    struct ppi_matrix *w[PPI_COUNT(products)];
    for (size_t i = 0; i < PPI_COUNT(products); i++) {
        const struct ppi_matrix_spec spec = {
            .kind = products[i].kind, .n = products[i].n, .k = products[i].k};
        must(ppi_cuda_matrix_create(bench->backend, &bench->mem, &spec, &w[i], &err), &err);
        fill(bench, w[i]->data, w[i]->bytes);
        must(ppi_cuda_prepare(bench->backend, w[i], &err), &err);
    }
    printf("%s, bf16, %s; TFLOP/s\n%7s  %-8s %6s   %-6s %-9s %8s %8s %9s %8s\n", m->name,
           bench->backend->device_name, "rows", "product", "n", "k", "by", "guarded", "free",
           "cost", "own");
    for (size_t c = 0; c < n_counts; c++) {
        struct sums sums = {0};
        for (size_t i = 0; i < PPI_COUNT(products); i++)
            if (products[i].in_layer || counts[c] <= HEAD_ROWS)
                time_product(bench, &products[i], w[i], counts[c], &sums);
        if (sums.guarded <= 0)
            continue;
        printf("%7d  %-34s %8.1f %8.1f %7.1f %%\n", counts[c], "layer",
               sums.flops / sums.guarded * 1e-12,
               sums.free > 0 ? sums.flops / sums.free * 1e-12 : 0,
               percent(sums.guarded - sums.free, sums.free));
        figure(bench, counts[c], "tflops", sums.flops / sums.guarded * 1e-12);
        figure(bench, counts[c], "guard_percent", percent(sums.guarded - sums.free, sums.free));
    }
    for (size_t i = 0; i < PPI_COUNT(products); i++)
        ppi_cuda_matrix_destroy(w[i]);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* false: there is no GPU, which is said. */
static bool run(const struct model *model, const int32_t *counts, size_t n_counts)
{
    struct bench bench = {.model = model};
    pp_error err = {.struct_size = sizeof err};
    size_t rows = (size_t)ppi_round_up(counts[n_counts - 1], PPI_CUDA_ROW_PADDING);
    must(ppi_mem_init(&bench.mem, NULL, 0, &err), &err);
    struct ppi_backend_params params = {.mem = &bench.mem,
                                        .dtype = PP_DTYPE_BF16,
                                        .n_threads = 1,
                                        .n_heads = 1,
                                        .n_layers = 1,
                                        .hidden_size = model->hidden,
                                        .intermediate_size = model->inner,
                                        .max_pass_tokens = (int32_t)rows};
    pp_status status = ppi_cuda_open(&params, &bench.backend, &err);
    if (status == PP_ERR_NO_BACKEND) {
        printf("bench_cuda_gemm: %s\n", err.message);
        return false;
    }
    must(status, &err);
    size_t k = larger((size_t)model->inner, larger((size_t)model->hidden, (size_t)model->q));
    size_t row_bytes =
        larger(2 * (size_t)model->inner * 2, 4 * larger((size_t)model->qkv, (size_t)model->hidden));
    bench.a_bytes = rows * k * 2;
    bench.out_bytes = larger(rows * row_bytes, HEAD_ROWS * (size_t)model->vocab * 4);
    bench.a = take(&bench, bench.a_bytes);
    bench.out = take(&bench, bench.out_bytes);
    bench_model(&bench, counts, n_counts);
    ppi_cuda_release(bench.backend, bench.a, bench.a_bytes);
    ppi_cuda_release(bench.backend, bench.out, bench.out_bytes);
    ppi_cuda_close(bench.backend);
    return true;
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : NULL;
    if (wanted && strcmp(wanted, "--tiny") == 0) {
        run(&tiny_model, tiny_counts, PPI_COUNT(tiny_counts));
        return 0;
    }
    for (size_t i = 0; i < PPI_COUNT(models); i++)
        if ((!wanted || strcmp(wanted, models[i].name) == 0) &&
            !run(&models[i], all_counts, PPI_COUNT(all_counts)))
            break;
    return 0;
}
