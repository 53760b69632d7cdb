/*
 * fake_memory.cpp: device and pinned memory of the fake runtime, and copies.
 *
 * Device memory is host memory of exactly the size asked for, so that AddressSanitizer sees an
 * overrun, filled with 0xFF: NaN. Copies on a stream run late; one from pageable memory is staged
 * at the call, one from pinned memory reads when it runs.
 */
#include "fake_impl.h"

#include <stdlib.h>
#include <string.h>

constexpr size_t ALIGNMENT = 256;
constexpr size_t SMALL = (size_t)128 << 10;

struct allocation {
    allocation *next;
    char *memory;
    size_t bytes;
    bool is_device;
};

static allocation *allocations;
static size_t device_bytes, device_limit;

static size_t limit()
{
    const char *text = getenv("PREPACK_EMU_DEVICE_BYTES");
    if (!device_limit)
        device_limit = text && *text ? strtoull(text, NULL, 10) : (size_t)4 << 30;
    return device_limit;
}

void fake_device_memory(size_t bytes)
{
    fake_lock lock;
    device_limit = bytes;
}

/* Where [pointer, pointer + bytes) lies; NULL: in none. */
static const allocation *find(const void *pointer, size_t bytes)
{
    const char *p = (const char *)pointer;
    for (const allocation *a = allocations; a; a = a->next)
        if (p >= a->memory && p <= a->memory + a->bytes &&
            bytes <= (size_t)(a->memory + a->bytes - p))
            return a;
    return NULL;
}

bool fake_is_device(const void *pointer, size_t bytes)
{
    const allocation *a = find(pointer, bytes);
    return a && a->is_device;
}

bool fake_is_pinned(const void *pointer, size_t bytes)
{
    const allocation *a = find(pointer, bytes);
    return a && !a->is_device;
}

static cudaError_t allocate(void **memory, size_t bytes, bool is_device)
{
    *memory = NULL;
    if (bytes == 0)
        return cudaSuccess;
    if (is_device && (bytes > limit() || device_bytes > limit() - bytes))
        return cudaErrorMemoryAllocation;
    allocation *a = (allocation *)malloc(sizeof *a);
    void *room = NULL;
    if (!a || posix_memalign(&room, ALIGNMENT, bytes) != 0) {
        free(a);
        return cudaErrorMemoryAllocation;
    }
    memset(room, 0xff, bytes);
    *a = {allocations, (char *)room, bytes, is_device};
    allocations = a;
    device_bytes += is_device ? bytes : 0;
    fake_object_born();
    *memory = room;
    return cudaSuccess;
}

/* Waits for the device, as the real ones do. */
static cudaError_t release(void *memory, bool is_device)
{
    cudaError_t error = fake_drain_all(true);
    if (!memory)
        return error;
    allocation **link = &allocations;
    while (*link && ((*link)->memory != memory || (*link)->is_device != is_device))
        link = &(*link)->next;
    allocation *a = *link;
    if (!a)
        return cudaErrorInvalidValue;
    *link = a->next;
    device_bytes -= is_device ? a->bytes : 0;
    memset(a->memory, 0xff, a->bytes < SMALL ? a->bytes : SMALL); /* large memory is unmapped */
    free(a->memory);
    free(a);
    fake_object_gone();
    return error;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    FAKE_CALL(cudaErrorMemoryAllocation);
    return fake_result(allocate(memory, bytes, true));
}

cudaError_t cudaFree(void *memory)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    cudaError_t error = release(memory, true);
    return fake_result(fails ? cudaErrorUnknown : error);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned int flags)
{
    (void)flags;
    FAKE_CALL(cudaErrorMemoryAllocation);
    return fake_result(allocate(memory, bytes, false));
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    cudaError_t error = release(memory, false);
    return fake_result(fails ? cudaErrorUnknown : error);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    FAKE_CALL(cudaErrorUnknown);
    *total_bytes = limit();
    *free_bytes = limit() > device_bytes ? limit() - device_bytes : 0;
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer)
{
    FAKE_CALL(cudaErrorInvalidValue);
    memset(attributes, 0, sizeof *attributes);
    void *p = (void *)(uintptr_t)pointer;
    attributes->type = cudaMemoryTypeUnregistered;
    if (fake_is_device(pointer, 1)) {
        attributes->type = cudaMemoryTypeDevice;
        attributes->devicePointer = p;
    } else if (fake_is_pinned(pointer, 1)) {
        attributes->type = cudaMemoryTypeHost;
        attributes->hostPointer = p;
    }
    return cudaSuccess;
}

/* ---- copies ---- */

struct transfer {
    char *to;
    const char *from; /* NULL: a fill */
    size_t bytes;
    int value;
    char staged[]; /* bytes from pageable memory */
};

static void run_transfer(void *arg)
{
    transfer *t = (transfer *)arg;
    if (t->from)
        memmove(t->to, t->from, t->bytes);
    else
        memset(t->to, t->value, t->bytes);
    free(t);
}

static cudaError_t enqueue(void *to, const void *from, size_t bytes, int value, cudaStream_t stream)
{
    bool staged = from && !find(from, bytes);
    transfer *t = (transfer *)malloc(sizeof *t + (staged ? bytes : 0));
    if (!t)
        return cudaErrorMemoryAllocation;
    t->to = (char *)to;
    t->from = (const char *)from;
    t->bytes = bytes;
    t->value = value;
    if (staged) {
        memcpy(t->staged, from, bytes);
        t->from = t->staged;
    }
    fake_stream_enqueue(stream, run_transfer, t);
    return cudaSuccess;
}

static cudaError_t check_copy(const void *to, const void *from, size_t bytes,
                              enum cudaMemcpyKind kind)
{
    bool to_device = fake_is_device(to, bytes), from_device = fake_is_device(from, bytes);
    switch (kind) {
    case cudaMemcpyDefault:
        return cudaSuccess;
    case cudaMemcpyHostToHost:
        return to_device || from_device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyHostToDevice:
        return !to_device || from_device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToHost:
        return to_device || !from_device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToDevice:
        return !to_device || !from_device ? cudaErrorInvalidValue : cudaSuccess;
    }
    return cudaErrorInvalidMemcpyDirection;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    if (bytes == 0)
        return cudaSuccess;
    cudaError_t error = check_copy(to, from, bytes, kind);
    return fake_result(error != cudaSuccess ? error : enqueue(to, from, bytes, 0, stream));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    FAKE_CALL(cudaErrorUnknown);
    cudaError_t error = fake_drain_all(false);
    if (error == cudaSuccess && bytes > 0)
        error = check_copy(to, from, bytes, kind);
    if (error == cudaSuccess && bytes > 0)
        error = enqueue(to, from, bytes, 0, NULL);
    if (error == cudaSuccess)
        error = fake_drain(NULL);
    return fake_result(error);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    FAKE_CALL(cudaErrorUnknown);
    if (!fake_is_stream(stream))
        return fake_result(cudaErrorInvalidResourceHandle);
    if (bytes == 0)
        return cudaSuccess;
    if (!fake_is_device(memory, bytes))
        return fake_result(cudaErrorInvalidValue);
    return fake_result(enqueue(memory, NULL, bytes, value, stream));
}

cudaError_t cudaMemset(void *memory, int value, size_t bytes)
{
    return cudaMemsetAsync(memory, value, bytes, NULL);
}
