/*
 * fake_launch.cpp: kernels on streams: what a real launch refuses is refused at the call; the
 * kernel runs in emulation when its stream gets there.
 */
#include "emu.h"
#include "fake_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

constexpr int SHARED_DEFAULT = 48 << 10;

/* The shared memory that cudaFuncSetAttribute allowed. */
struct allowance {
    allowance *next;
    const void *function;
    int shared_bytes;
};
static allowance *allowances;

static const emu_kernel *kernel_at(const void *function)
{
    const emu_kernel *kernel = (const emu_kernel *)function;
    return kernel && kernel->magic == EMU_KERNEL_MAGIC ? kernel : NULL;
}

static int allowed_shared(const void *function)
{
    for (const allowance *a = allowances; a; a = a->next)
        if (a->function == function)
            return a->shared_bytes > SHARED_DEFAULT ? a->shared_bytes : SHARED_DEFAULT;
    return SHARED_DEFAULT;
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!kernel_at(function))
        return fake_result(cudaErrorInvalidDeviceFunction);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess;
    if (value < 0 || value > fake_shared_optin())
        return fake_result(cudaErrorInvalidValue);
    allowance *a = allowances;
    while (a && a->function != function)
        a = a->next;
    if (!a) {
        a = (allowance *)malloc(sizeof *a);
        if (!a)
            return fake_result(cudaErrorMemoryAllocation);
        *a = {allowances, function, 0};
        allowances = a;
    }
    a->shared_bytes = value;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function)
{
    FAKE_CALL(cudaErrorUnknown);
    const emu_kernel *kernel = kernel_at(function);
    if (!kernel)
        return fake_result(cudaErrorInvalidDeviceFunction);
    memset(attributes, 0, sizeof *attributes);
    attributes->maxThreadsPerBlock = kernel->max_threads;
    attributes->numRegs = 64;
    attributes->maxDynamicSharedSizeBytes = allowed_shared(function);
    return cudaSuccess;
}

/* ---- host pointers ---- */

/* Is the word an address of memory that the process has and the device has not? Two numbers side by
 * side may look like an address, but hardly like one that is mapped. */
static bool is_host_address(uint64_t word)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned char resident;
    if (word < (uint64_t)0x5000 << 32 || word >= (uint64_t)0x8000 << 32 || word % 4 != 0)
        return false;
    const void *pointer = (const void *)(uintptr_t)word;
    if (fake_is_device(pointer, 0) || fake_is_pinned(pointer, 0))
        return false;
    return mincore((void *)(uintptr_t)(word / page * page), 1, &resident) == 0 || errno != ENOMEM;
}

/* A kernel that gets a host pointer works in emulation and nowhere else. */
static bool has_host_pointer(const emu_kernel *kernel, const char *args)
{
    for (size_t i = 0; i + 8 <= kernel->args_bytes; i += 8) {
        uint64_t word;
        memcpy(&word, args + i, sizeof word);
        if (is_host_address(word)) {
            fprintf(stderr,
                    "emulation: %s: bytes %zu to %zu of the arguments point to host memory\n",
                    kernel->name, i, i + 7);
            return true;
        }
    }
    return false;
}

/* ---- launches ---- */

struct launch {
    const emu_kernel *kernel;
    int64_t blocks;
    int threads;
    uint32_t shared_bytes;
    bool illegal;
    alignas(16) char args[]; /* as they were at the call */
};

static void run_launch(void *arg)
{
    launch *l = (launch *)arg;
    if (!fake_work_has_failed()) {
        if (l->illegal)
            fake_work_failed(cudaErrorIllegalAddress);
        else if (fake_call_fails("a kernel while it ran") ||
                 emu_launch(l->kernel, l->blocks, l->threads, l->shared_bytes, l->args, 0) != 0)
            fake_work_failed(cudaErrorLaunchFailure);
    }
    free(l);
}

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **args,
                             size_t shared_bytes, cudaStream_t stream)
{
    FAKE_CALL(cudaErrorLaunchOutOfResources);
    const emu_kernel *kernel = kernel_at(function);
    if (!kernel)
        return fake_result(cudaErrorInvalidDeviceFunction);
    if (!fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    if (grid.x < 1 || grid.x > 0x7fffffffu || grid.y != 1 || grid.z != 1 || block.x < 1 ||
        block.x > EMU_MAX_THREADS || block.y != 1 || block.z != 1)
        return fake_result(cudaErrorInvalidConfiguration);
    if ((int)block.x > kernel->max_threads)
        return fake_result(cudaErrorLaunchOutOfResources);
    if (shared_bytes > (size_t)allowed_shared(function))
        return fake_result(cudaErrorInvalidValue);
    launch *l = (launch *)malloc(sizeof *l + kernel->args_bytes);
    if (!l)
        return fake_result(cudaErrorMemoryAllocation);
    l->kernel = kernel;
    l->blocks = grid.x;
    l->threads = (int)block.x;
    l->shared_bytes = (uint32_t)shared_bytes;
    memcpy(l->args, args[0], kernel->args_bytes);
    l->illegal = has_host_pointer(kernel, l->args);
    fake_stream_enqueue(stream, run_launch, l);
    return cudaSuccess;
}
