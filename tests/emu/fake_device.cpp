/*
 * fake_device.cpp: the device that is not there, errors, and faults on demand.
 */
#include "fake_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

constexpr int N_SMS = 4;

/* ---- the lock ---- */

static pthread_mutex_t *mutex()
{
    static pthread_mutex_t m;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(&m, &attributes);
    });
    return &m;
}

fake_lock::fake_lock()
{
    pthread_mutex_lock(mutex());
}

fake_lock::~fake_lock()
{
    pthread_mutex_unlock(mutex());
}

/* ---- faults and leaks ---- */

static long fail_at, n_calls, live_objects;
static char failed_call[64];

int fake_call_fails(const char *name)
{
    fake_lock lock;
    n_calls++;
    if (!fail_at || n_calls != fail_at)
        return 0;
    snprintf(failed_call, sizeof failed_call, "%s", name);
    return 1;
}

void fake_fail_at(long n)
{
    fake_lock lock;
    fail_at = n;
    n_calls = 0;
    failed_call[0] = 0;
}

long fake_calls(void)
{
    fake_lock lock;
    return n_calls;
}

const char *fake_failed_call(void)
{
    fake_lock lock;
    return failed_call[0] ? failed_call : NULL;
}

void fake_object_born(void)
{
    fake_lock lock;
    live_objects++;
}

void fake_object_gone(void)
{
    fake_lock lock;
    live_objects--;
}

long fake_live_objects(void)
{
    fake_lock lock;
    return live_objects;
}

/* ---- errors ---- */

static thread_local cudaError_t last_error;

cudaError_t fake_result(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "the driver is too old"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "devices are busy"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image for the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "illegal memory access"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorSystemDriverMismatch, "cudaErrorSystemDriverMismatch", "driver mismatch"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &e : errors)
        if (e.error == error)
            return e.text;
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &e : errors)
        if (e.error == error)
            return e.name;
    return "unrecognized error code";
}

/* ---- the device ---- */

static int from_environment(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

static int compute_capability()
{
    return from_environment("PREPACK_EMU_CC", 80);
}

static int n_devices()
{
    return from_environment("PREPACK_EMU_DEVICES", 1);
}

int fake_shared_optin(void)
{
    int cc = compute_capability();
    int kib = cc == 80 || cc == 87 ? 163 : cc == 90 || cc == 100 ? 227 : cc < 80 ? 64 : 99;
    return kib << 10;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    FAKE_CALL(cudaErrorInitializationError);
    *count = n_devices();
    return fake_result(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

static thread_local int chosen_device;

cudaError_t cudaSetDevice(int device)
{
    FAKE_CALL(cudaErrorDevicesUnavailable);
    if (device < 0 || device >= n_devices())
        return fake_result(cudaErrorInvalidDevice);
    chosen_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    FAKE_CALL(cudaErrorInitializationError);
    *device = chosen_device;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    FAKE_CALL(cudaErrorUnknown);
    if (device < 0 || device >= n_devices())
        return fake_result(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = 1024;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = 48 << 10;
        return cudaSuccess;
    case cudaDevAttrWarpSize:
        *value = 32;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = N_SMS;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = 4 << 20;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = compute_capability() / 10;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = compute_capability() % 10;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = fake_shared_optin() + 1024;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = fake_shared_optin();
        return cudaSuccess;
    }
    return fake_result(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    FAKE_CALL(cudaErrorUnknown);
    if (device < 0 || device >= n_devices())
        return fake_result(cudaErrorInvalidDevice);
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "emulated device");
    size_t free_bytes;
    cudaMemGetInfo(&free_bytes, &properties->totalGlobalMem);
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = (size_t)fake_shared_optin();
    properties->major = compute_capability() / 10;
    properties->minor = compute_capability() % 10;
    properties->multiProcessorCount = N_SMS;
    properties->l2CacheSize = 4 << 20;
    properties->memoryBusWidth = 64;
    properties->pciBusID = 0x3b;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    FAKE_CALL(cudaErrorInitializationError);
    *version = from_environment("PREPACK_EMU_DRIVER", CUDART_VERSION);
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    FAKE_CALL(cudaErrorInitializationError);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    cudaError_t error = fake_drain_all(true);
    return fake_result(fails ? cudaErrorLaunchFailure : error);
}
