/*
 * under_test.c: memory with guard bands, launches, and the loop over tests.
 */
#include "under_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES ((size_t)1024)
#define GUARD       0xA5
#define NAN_BYTE    0xFF /* 0xFFFF is NaN in bf16 and f16, 0xFFFFFFFF in f32 */

struct block {
    struct block *next;
    char *memory; /* with the guards */
    size_t bytes; /* without */
};

static struct block *blocks;
static jmp_buf failed;

void device_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    longjmp(failed, 1);
}

static void check(cudaError_t error, const char *what)
{
    if (error != cudaSuccess)
        device_fail(__FILE__, __LINE__, "%s: %s", what, cudaGetErrorString(error));
}

void *device_host(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        printf("Bail out! no memory\n");
        exit(1);
    }
    return memory;
}

void *device_alloc(size_t bytes)
{
    struct block *block = device_host(sizeof *block);
    void *memory = NULL;
    check(cudaMalloc(&memory, bytes + 2 * GUARD_BYTES), "cudaMalloc");
    *block = (struct block){.next = blocks, .memory = memory, .bytes = bytes};
    blocks = block;
    check(cudaMemset(memory, GUARD, bytes + 2 * GUARD_BYTES), "cudaMemset");
    check(cudaMemset(block->memory + GUARD_BYTES, NAN_BYTE, bytes), "cudaMemset");
    return block->memory + GUARD_BYTES;
}

void *device_upload(const void *host, size_t bytes)
{
    void *device = device_alloc(bytes);
    check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    return device;
}

void device_download(void *host, const void *device, size_t bytes)
{
    check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
}

static void check_guard(const char *device, size_t offset)
{
    unsigned char guard[GUARD_BYTES];
    device_download(guard, device, GUARD_BYTES);
    for (size_t i = 0; i < GUARD_BYTES; i++)
        EXPECT(guard[i] == GUARD, "a kernel wrote outside its memory, at byte %zd",
               (ssize_t)(offset + i));
}

void device_free(void *device)
{
    struct block **link = &blocks;
    while (*link && (*link)->memory + GUARD_BYTES != device)
        link = &(*link)->next;
    struct block *block = *link;
    EXPECT(block != NULL, "device_free: not from device_alloc");
    *link = block->next;
    char *memory = block->memory;
    size_t bytes = block->bytes;
    free(block);
    check_guard(memory, (size_t)0 - GUARD_BYTES);
    check_guard(memory + GUARD_BYTES + bytes, bytes);
    check(cudaFree(memory), "cudaFree");
}

void device_launch(const struct ppi_cuda_kernel *kernel, int64_t n_blocks, const void *args)
{
    void *arguments[] = {(void *)(uintptr_t)args};
    dim3 grid = {(unsigned)n_blocks, 1, 1}, block = {(unsigned)kernel->threads, 1, 1};
    if (n_blocks == 0)
        return;
    check(cudaFuncSetAttribute(kernel->entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               (int)kernel->shared_bytes),
          kernel->name);
    check(cudaLaunchKernel(kernel->entry, grid, block, arguments, kernel->shared_bytes, NULL),
          kernel->name);
    check(cudaDeviceSynchronize(), kernel->name);
}

void *device_random(struct rng *rng, int32_t dtype, size_t n, double deviation)
{
    void *x = device_host(n * pp_dtype_size(dtype));
    for (size_t i = 0; i < n; i++) {
        float value = (float)(rng_normal(rng) * deviation);
        if (dtype == PP_DTYPE_F32)
            ((float *)x)[i] = value;
        else if (dtype == PP_DTYPE_F16)
            ((uint16_t *)x)[i] = ppi_f32_to_f16(value);
        else
            ((uint16_t *)x)[i] = ppi_f32_to_bf16(value);
    }
    return x;
}

double device_value(int32_t dtype, const void *x, size_t i)
{
    if (dtype == PP_DTYPE_F32)
        return ((const float *)x)[i];
    if (dtype == PP_DTYPE_F16)
        return ppi_f16_to_f32(((const uint16_t *)x)[i]);
    return ppi_bf16_to_f32(((const uint16_t *)x)[i]);
}

int32_t device_act(int i)
{
    return i == 0 ? PP_DTYPE_BF16 : PP_DTYPE_F16;
}

bool device_is_emulated(void)
{
#ifdef PPI_EMULATION
    return true;
#else
    const char *text = getenv("PREPACK_TEST_DEVICE_EMULATED");
    return text && strcmp(text, "0") != 0;
#endif
}

int32_t device_compute_capability(void)
{
    int major, minor;
    const char *older = getenv("PREPACK_TEST_CAPABILITY");
    if (older)
        return (int32_t)strtol(older, NULL, 10);
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0),
          "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0),
          "cudaDeviceGetAttribute");
    return 10 * major + minor;
}

int device_main(const struct device_test *tests, size_t n, int argc, char **argv)
{
    volatile int n_failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", n);
    for (volatile size_t i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) {
            printf("ok %zu - %s # SKIP not asked for\n", i + 1, tests[i].name);
            continue;
        }
        if (setjmp(failed) == 0) {
            tests[i].run();
            printf("ok %zu - %s\n", i + 1, tests[i].name);
        } else {
            printf("not ok %zu - %s\n", i + 1, tests[i].name);
            n_failed++;
            while (blocks) { /* what the test left behind */
                struct block *block = blocks;
                blocks = block->next;
                cudaFree(block->memory);
                free(block);
            }
        }
    }
    return n_failed ? 1 : 0;
}
