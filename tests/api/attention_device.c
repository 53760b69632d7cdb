/*
 * attention_device.c: the device under test and its memory.
 */
#include "attention_world.h"

#include <check.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

pp_error err = {.struct_size = sizeof err};

static const char *device_name(void)
{
    const char *name = getenv("PREPACK_TEST_DEVICE");
    return name ? name : "cpu";
}

static bool on_cpu(void)
{
    return strncmp(device_name(), "cpu", 3) == 0;
}

/* The runtime that the device's module uses, or one beside it; NULL: none. */
static void *runtime(const char *function)
{
    const char *paths[] = {getenv("PREPACK_BACKEND_CUDA"), "libcudart.so.13", "libcudart.so.12",
                           "libcudart.so"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        void *library = paths[i] ? dlopen(paths[i], RTLD_NOW | RTLD_LOCAL) : NULL;
        void *found = library ? dlsym(library, function) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

/* Calls a function of the runtime that returns 0 when all is well. */
#define CUDA(function, types, ...)                                                                 \
    do {                                                                                           \
        int(*call) types;                                                                          \
        void *found = runtime(function);                                                           \
        memcpy(&call, &found, sizeof call);                                                        \
        ck_assert_msg(call &&call(__VA_ARGS__) == 0, function " failed");                          \
    } while (0)

pp_session *world_session(int32_t n_threads)
{
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = device_name();
    params.n_threads = n_threads;
    pp_status status = pp_session_create(NULL, &params, &session, &err);
    if (status == PP_ERR_NO_BACKEND || (status >= 0 && !on_cpu() && !runtime("cudaMalloc"))) {
        printf("# left out: %s\n", status < 0 ? err.message : "no CUDA runtime for the test");
        pp_session_destroy(session);
        return NULL;
    }
    ck_assert_msg(status >= 0, "%s", err.message);
    return session;
}

const int32_t *world_dtypes(void)
{
    static const int32_t cpu[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16, 0};
    static const int32_t cuda[] = {PP_DTYPE_BF16, PP_DTYPE_F16, 0};
    return on_cpu() ? cpu : cuda;
}

void *device_take(size_t bytes)
{
    void *memory = NULL;
    if (on_cpu())
        ck_assert_int_eq(posix_memalign(&memory, 64, bytes ? bytes : 1), 0);
    else
        CUDA("cudaMalloc", (void **, size_t), &memory, bytes ? bytes : 1);
    return memory;
}

void device_give(void *device)
{
    if (on_cpu())
        free(device);
    else
        CUDA("cudaFree", (void *), device);
}

void device_put(void *device, const void *host, size_t bytes)
{
    if (on_cpu())
        memcpy(device, host, bytes);
    else
        CUDA("cudaMemcpy", (void *, const void *, size_t, int), device, host, bytes, 1);
}

void device_get(void *host, const void *device, size_t bytes)
{
    if (on_cpu()) {
        memcpy(host, device, bytes);
        return;
    }
    CUDA("cudaDeviceSynchronize", (void), );
    CUDA("cudaMemcpy", (void *, const void *, size_t, int), host, device, bytes, 2);
}
