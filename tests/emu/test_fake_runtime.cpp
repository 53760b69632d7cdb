/*
 * test_fake_runtime.cpp: the fake CUDA runtime: work runs late and in order, misuse is refused or
 * shows, memory runs out, every call can fail, leaks are counted.
 */
#include "hw.h"

#include "emu_test.h"
#include "fake_stream.h"

#include <stdlib.h>

struct add_args {
    uint32_t *x;
    uint32_t value;
    int32_t out_of_bounds;
};

/* x[i] += value, one block of 32 threads. */
HW_KERNEL(add_kernel, add_args, 32, 1)
{
    args.x[hw::thread()] += args.value;
    if (args.out_of_bounds)
        hw::load_shared<uint32_t>(hw::shared_base() + 4096);
}

static cudaError_t launch(add_args args, cudaStream_t stream, size_t shared = 64)
{
    void *list[] = {&args};
    return cudaLaunchKernel(HW_KERNEL_ENTRY(add_kernel), {1, 1, 1}, {32, 1, 1}, list, shared,
                            stream);
}

struct fixture {
    cudaStream_t stream = NULL, other = NULL;
    cudaEvent_t event = NULL;
    uint32_t *device = NULL, *pinned = NULL;

    fixture()
    {
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
        cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        cudaMalloc((void **)&device, 128);
        cudaHostAlloc((void **)&pinned, 128, cudaHostAllocDefault);
        memset(pinned, 0, 128);
    }
    ~fixture()
    {
        cudaFree(device);
        cudaFreeHost(pinned);
        cudaEventDestroy(event);
        cudaStreamDestroy(stream);
        cudaStreamDestroy(other);
    }
};

static bool work_runs_late_and_in_order()
{
    fixture f;
    uint32_t pageable[32] = {5};
    cudaMemcpyAsync(f.device, pageable, 128, cudaMemcpyHostToDevice, f.stream);
    pageable[0] = 100; /* staged at the call: 5 arrives */
    CHECK(launch({f.device, 2, 0}, f.stream) == cudaSuccess, "launch");
    cudaMemcpyAsync(f.pinned, f.device, 128, cudaMemcpyDeviceToHost, f.stream);
    CHECK(f.pinned[0] == 0, "a copy ran before anybody waited");
    CHECK(cudaStreamSynchronize(f.stream) == cudaSuccess && f.pinned[0] == 7, "got %u",
          f.pinned[0]);

    f.pinned[0] = 1; /* pinned memory is read when the copy runs */
    cudaMemcpyAsync(f.device, f.pinned, 128, cudaMemcpyHostToDevice, f.stream);
    f.pinned[0] = 2;
    cudaStreamSynchronize(f.stream);
    uint32_t back[32];
    CHECK(cudaMemcpy(back, f.device, 128, cudaMemcpyDeviceToHost) == cudaSuccess && back[0] == 2,
          "got %u", back[0]);
    return true;
}

static bool events_order_streams()
{
    fixture f;
    cudaMemsetAsync(f.device, 0, 128, f.stream);
    launch({f.device, 3, 0}, f.stream);
    cudaEventRecord(f.event, f.stream);
    launch({f.device, 100, 0}, f.stream); /* behind the event */
    cudaStreamWaitEvent(f.other, f.event, 0);
    cudaMemcpyAsync(f.pinned, f.device, 128, cudaMemcpyDeviceToHost, f.other);
    CHECK(cudaStreamSynchronize(f.other) == cudaSuccess && f.pinned[0] == 3, "got %u", f.pinned[0]);
    CHECK(cudaEventQuery(f.event) == cudaSuccess, "the event was reached");
    cudaMemcpyAsync(f.pinned, f.device, 128, cudaMemcpyDeviceToHost, f.stream);
    cudaError_t state = cudaStreamQuery(f.stream);
    for (int i = 0; i < 10 && state == cudaErrorNotReady; i++)
        state = cudaStreamQuery(f.stream);
    CHECK(state == cudaSuccess && f.pinned[0] == 103, "got %u", f.pinned[0]);
    return true;
}

static bool misuse_is_refused()
{
    fixture f;
    uint32_t host[64] = {0};
    CHECK(launch({f.device, 0, 0}, f.stream, (48 << 10) + 1) == cudaErrorInvalidValue,
          "more shared memory than allowed");
    CHECK(cudaFuncSetAttribute(HW_KERNEL_ENTRY(add_kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               64 << 10) == cudaSuccess &&
              launch({f.device, 0, 0}, f.stream, 64 << 10) == cudaSuccess,
          "allowed shared memory");
    CHECK(cudaFuncSetAttribute(HW_KERNEL_ENTRY(add_kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               256 << 10) == cudaErrorInvalidValue,
          "more shared memory than the device has");
    add_args args = {f.device, 0, 0};
    void *list[] = {&args};
    CHECK(cudaLaunchKernel(HW_KERNEL_ENTRY(add_kernel), {1, 1, 1}, {64, 1, 1}, list, 0, f.stream) ==
              cudaErrorLaunchOutOfResources,
          "more threads than the kernel was compiled for");
    CHECK(cudaLaunchKernel(host, {1, 1, 1}, {32, 1, 1}, list, 0, f.stream) ==
              cudaErrorInvalidDeviceFunction,
          "not a kernel");
    CHECK(cudaMemcpy(f.device, host, 256, cudaMemcpyHostToDevice) == cudaErrorInvalidValue,
          "behind the end of device memory");
    CHECK(cudaMemcpy(host, host + 32, 128, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue,
          "a host pointer as device memory");
    CHECK(cudaFree(host) == cudaErrorInvalidValue, "free of host memory");
    CHECK(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess,
          "the last error is told once");

    uint32_t *heap = (uint32_t *)malloc(128);
    memset(heap, 0, 128);
    launch({heap, 1, 0}, f.stream);
    cudaError_t error = cudaStreamSynchronize(f.stream);
    free(heap);
    CHECK(error == cudaErrorIllegalAddress, "a kernel took a host pointer");
    return true;
}

static bool a_failed_kernel_is_told_once()
{
    fixture f;
    emu_set_quiet(1);
    CHECK(launch({f.device, 0, 1}, f.stream) == cudaSuccess, "the launch itself is fine");
    launch({f.device, 1, 0}, f.stream); /* has no meaning any more */
    cudaError_t error = cudaStreamSynchronize(f.stream);
    emu_set_quiet(0);
    CHECK(error == cudaErrorLaunchFailure, "%s", cudaGetErrorString(error));
    CHECK(emu_last_error() && strstr(emu_last_error(), "outside the"), "the reason is kept");
    CHECK(cudaStreamSynchronize(f.stream) == cudaSuccess, "told twice");
    return true;
}

static bool memory_runs_out_and_is_counted()
{
    long live = fake_live_objects();
    void *first = NULL, *second = NULL;
    size_t free_bytes, total;
    fake_device_memory(1000);
    CHECK(cudaMalloc(&first, 600) == cudaSuccess, "600 of 1000");
    CHECK(cudaMalloc(&second, 600) == cudaErrorMemoryAllocation && !second, "1200 of 1000");
    CHECK(cudaMemGetInfo(&free_bytes, &total) == cudaSuccess && free_bytes == 400 && total == 1000,
          "%zu of %zu are free", free_bytes, total);
    CHECK(((unsigned char *)first)[599] == 0xff, "memory is NaN at first");
    CHECK(fake_live_objects() == live + 1, "one object lives");
    CHECK(cudaFree(first) == cudaSuccess && fake_live_objects() == live, "none lives");
    fake_device_memory((size_t)4 << 30);
    return true;
}

static bool every_call_can_fail()
{
    long live = fake_live_objects(), n;
    fake_fail_at(0);
    {
        fixture f;
        launch({f.device, 0, 0}, f.stream);
        cudaStreamSynchronize(f.stream);
    }
    n = fake_calls();
    CHECK(n > 10 && !fake_failed_call(), "%ld calls", n);
    for (long i = 1; i <= n; i++) {
        fake_fail_at(i);
        void *memory = NULL;
        cudaStream_t stream = NULL;
        bool failed = cudaMalloc(&memory, 128) != cudaSuccess;
        failed = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess || failed;
        if (memory && stream)
            failed = launch({(uint32_t *)memory, 0, 0}, stream) != cudaSuccess || failed;
        if (stream)
            failed = cudaStreamSynchronize(stream) != cudaSuccess || failed;
        if (stream)
            failed = cudaStreamDestroy(stream) != cudaSuccess || failed;
        failed = cudaFree(memory) != cudaSuccess || failed;
        CHECK(failed == (fake_failed_call() != NULL), "call %ld, %s", i,
              fake_failed_call() ? fake_failed_call() : "none");
        CHECK(failed == (i <= 7), "call %ld", i); /* six calls, and the kernel itself */
        CHECK(fake_live_objects() == live, "call %ld leaks", i);
    }
    fake_fail_at(0);
    return true;
}

static bool the_device_is_as_asked()
{
    int count, major, minor;
    CHECK(cudaGetDeviceCount(&count) == cudaSuccess && count == 1, "%d devices", count);
    setenv("PREPACK_EMU_CC", "75", 1);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    unsetenv("PREPACK_EMU_CC");
    CHECK(major == 7 && minor == 5, "%d.%d", major, minor);
    setenv("PREPACK_EMU_DEVICES", "0", 1);
    cudaError_t error = cudaGetDeviceCount(&count);
    unsetenv("PREPACK_EMU_DEVICES");
    CHECK(error == cudaErrorNoDevice && count == 0, "%d devices", count);
    CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice, "there is no device 1");
    return true;
}

int main()
{
    static const emu_test tests[] = {
        {"work_runs_late_and_in_order", work_runs_late_and_in_order},
        {"events_order_streams", events_order_streams},
        {"misuse_is_refused", misuse_is_refused},
        {"a_failed_kernel_is_told_once", a_failed_kernel_is_told_once},
        {"memory_runs_out_and_is_counted", memory_runs_out_and_is_counted},
        {"every_call_can_fail", every_call_can_fail},
        {"the_device_is_as_asked", the_device_is_as_asked},
    };
    return run_tests(tests);
}
