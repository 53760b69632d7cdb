/*
 * device_measure.c: see device_measure.h.
 */
#include "device_measure.h"

#include "dtype.h"
#include "support/rng.h"

#include <prepack/common.h>

#include <cublasLt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIES         7
#define RANDOM_VALUES ((size_t)1 << 20) /* made on the host, repeated on the device */
#define LT_CANDIDATES 8
#define WORKSPACE     ((size_t)32 << 20)
#define MAX_CALLS     4096 /* in a row */
#define SECONDS_A_TRY 1e-3

bool measure_tiny;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void measure_check(cudaError_t error, const char *what)
{
    if (error != cudaSuccess)
        fail(what, cudaGetErrorString(error));
}

static void check_lt(cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(what, cublasLtGetStatusString(status));
}

void measure_start(int argc, char **argv)
{
    int n, driver = 0, runtime = 0;
    struct cudaDeviceProp properties;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--tiny") == 0)
            measure_tiny = true;
    setvbuf(stdout, NULL, _IOLBF, 0);
    measure_check(cudaGetDeviceCount(&n), "no GPU");
    if (n < 1)
        fail("no GPU", "the driver sees none");
    measure_check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    measure_check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    measure_check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    printf("# %s, compute capability %d.%d, %d multiprocessors, %zu MiB, CUDA %d.%d (driver "
           "%d.%d)\n",
           properties.name, properties.major, properties.minor, properties.multiProcessorCount,
           properties.totalGlobalMem >> 20, runtime / 1000, runtime % 1000 / 10, driver / 1000,
           driver % 1000 / 10);
}

void *measure_host(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        fail("malloc", "no memory");
    return memory;
}

void *measure_alloc(size_t bytes)
{
    void *device = NULL;
    measure_check(cudaMalloc(&device, bytes ? bytes : 1), "cudaMalloc");
    measure_check(cudaMemset(device, 0, bytes), "cudaMemset");
    return device;
}

void *measure_upload(const void *host, size_t bytes)
{
    void *device = measure_alloc(bytes);
    measure_check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    return device;
}

void measure_free(void *device)
{
    measure_check(cudaFree(device), "cudaFree");
}

/* `bytes` of the block over and over. */
static void *repeat(const void *block, size_t block_bytes, size_t bytes)
{
    char *device = measure_alloc(bytes);
    size_t filled = bytes < block_bytes ? bytes : block_bytes;
    measure_check(cudaMemcpy(device, block, filled, cudaMemcpyHostToDevice), "cudaMemcpy");
    while (filled < bytes) {
        size_t n = bytes - filled < filled ? bytes - filled : filled;
        measure_check(cudaMemcpy(device + filled, device, n, cudaMemcpyDeviceToDevice),
                      "cudaMemcpy");
        filled += n;
    }
    return device;
}

static void *random_values(size_t n, int32_t dtype)
{
    struct rng rng = {20260311};
    size_t size = pp_dtype_size(dtype), n_made = n < RANDOM_VALUES ? n : RANDOM_VALUES;
    char *block = measure_host(n_made * size);
    for (size_t i = 0; i < n_made; i++) {
        float value = (float)rng_normal(&rng);
        uint16_t narrow = ppi_f32_to_bf16(value);
        memcpy(block + i * size, size == sizeof value ? (void *)&value : &narrow, size);
    }
    void *device = repeat(block, n_made * size, n * size);
    free(block);
    return device;
}

void *measure_random_bf16(size_t n)
{
    return random_values(n, PP_DTYPE_BF16);
}

void *measure_random_f32(size_t n)
{
    return random_values(n, PP_DTYPE_F32);
}

/* ---- time ---- */

static double time_calls(void (*enqueue)(void *user), void *user, int n, cudaEvent_t begin,
                         cudaEvent_t end)
{
    float milliseconds;
    measure_check(cudaEventRecord(begin, NULL), "cudaEventRecord");
    for (int i = 0; i < n; i++)
        enqueue(user);
    measure_check(cudaEventRecord(end, NULL), "cudaEventRecord");
    measure_check(cudaEventSynchronize(end), "cudaEventSynchronize");
    measure_check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    return milliseconds * 1e-3 / n;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double measure_seconds(void (*enqueue)(void *user), void *user)
{
    cudaEvent_t begin, end;
    double times[TRIES];
    int n_tries = measure_tiny ? 1 : TRIES;
    measure_check(cudaEventCreate(&begin), "cudaEventCreate");
    measure_check(cudaEventCreate(&end), "cudaEventCreate");
    (void)time_calls(enqueue, user, 1, begin, end); /* loads and warms up */
    double once = measure_tiny ? SECONDS_A_TRY : time_calls(enqueue, user, 2, begin, end);
    int n = once >= SECONDS_A_TRY ? 1 : (int)ceil(SECONDS_A_TRY / fmax(once, 1e-7));
    n = n < MAX_CALLS ? n : MAX_CALLS;
    for (int i = 0; i < n_tries; i++)
        times[i] = time_calls(enqueue, user, n, begin, end);
    measure_check(cudaEventDestroy(begin), "cudaEventDestroy");
    measure_check(cudaEventDestroy(end), "cudaEventDestroy");
    qsort(times, (size_t)n_tries, sizeof *times, compare_doubles);
    return times[n_tries / 2];
}

/* ---- roofs ---- */

struct copy {
    void *to, *from;
    size_t bytes;
};

static void enqueue_copy(void *user)
{
    const struct copy *copy = user;
    measure_check(
        cudaMemcpyAsync(copy->to, copy->from, copy->bytes, cudaMemcpyDeviceToDevice, NULL),
        "cudaMemcpyAsync");
}

static double copy_rate(void)
{
    struct copy copy = {.bytes = measure_tiny ? (size_t)1 << 16 : (size_t)1 << 30};
    copy.from = measure_random_bf16(copy.bytes / 2);
    copy.to = measure_alloc(copy.bytes);
    double seconds = measure_seconds(enqueue_copy, &copy);
    measure_free(copy.from);
    measure_free(copy.to);
    return 2 * (double)copy.bytes / seconds;
}

/* out^T = w a^T, as cuBLASLt sees row-major matrices. */
struct product {
    cublasLtHandle_t lt;
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t w_layout, a_layout, out_layout;
    const cublasLtMatmulAlgo_t *algorithm;
    void *w, *a, *out, *workspace;
};

static void enqueue_product(void *user)
{
    struct product *p = user;
    const float alpha = 1, beta = 0;
    check_lt(cublasLtMatmul(p->lt, &p->operation, &alpha, p->w, &p->w_layout, p->a, &p->a_layout,
                            &beta, p->out, &p->out_layout, p->out, &p->out_layout, p->algorithm,
                            p->workspace, WORKSPACE, NULL),
             "cublasLtMatmul");
}

static double best_algorithm_seconds(struct product *p)
{
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t results[LT_CANDIDATES];
    uint64_t workspace = WORKSPACE;
    double best = 0;
    int n = 0;
    check_lt(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit");
    check_lt(cublasLtMatmulPreferenceSetAttribute(&preference,
                                                  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &workspace, sizeof workspace),
             "cublasLtMatmulPreferenceSetAttribute");
    check_lt(cublasLtMatmulAlgoGetHeuristic(p->lt, &p->operation, &p->w_layout, &p->a_layout,
                                            &p->out_layout, &p->out_layout, &preference,
                                            LT_CANDIDATES, results, &n),
             "cublasLtMatmulAlgoGetHeuristic");
    for (int i = 0; i < n; i++) {
        if (results[i].state != CUBLAS_STATUS_SUCCESS)
            continue;
        p->algorithm = &results[i].algo;
        double seconds = measure_seconds(enqueue_product, p);
        if (best == 0 || seconds < best)
            best = seconds;
    }
    if (best == 0)
        fail("cuBLASLt", "proposes no algorithm");
    return best;
}

static double product_rate(void)
{
    struct product p = {.lt = NULL};
    const uint64_t n = measure_tiny ? 64 : 8192;
    const int32_t transposed = CUBLAS_OP_T;
    check_lt(cublasLtCreate(&p.lt), "cublasLtCreate");
    check_lt(cublasLtMatmulDescInit(&p.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "cublasLtMatmulDescInit");
    check_lt(cublasLtMatmulDescSetAttribute(&p.operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                            sizeof transposed),
             "cublasLtMatmulDescSetAttribute");
    cublasLtMatrixLayoutOpaque_t *layouts[] = {&p.w_layout, &p.a_layout, &p.out_layout};
    for (size_t i = 0; i < 3; i++)
        check_lt(cublasLtMatrixLayoutInit(layouts[i], CUDA_R_16BF, n, n, (int64_t)n),
                 "cublasLtMatrixLayoutInit");
    p.w = measure_random_bf16(n * n);
    p.a = measure_random_bf16(n * n);
    p.out = measure_alloc(n * n * sizeof(uint16_t));
    p.workspace = measure_alloc(WORKSPACE);
    double seconds = best_algorithm_seconds(&p);
    measure_free(p.w);
    measure_free(p.a);
    measure_free(p.out);
    measure_free(p.workspace);
    check_lt(cublasLtDestroy(p.lt), "cublasLtDestroy");
    return 2.0 * (double)n * (double)n * (double)n / seconds;
}

struct roofs measure_roofs(void)
{
    struct roofs roofs = {.bytes = copy_rate(), .flops = product_rate()};
    printf("# roofs: copy %.0f GB/s read and written, cuBLASLt %.0f TFLOP/s\n", roofs.bytes * 1e-9,
           roofs.flops * 1e-12);
    return roofs;
}

double measure_share(const struct roofs *roofs, double flops, double bytes, double seconds)
{
    return fmax(flops / roofs->flops, bytes / roofs->bytes) / seconds;
}
