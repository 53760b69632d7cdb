/*
 * under_test.h: what tests of CUDA kernels share. A test launches a kernel through the CUDA
 * runtime, so the same program runs on a GPU and, linked with the fake runtime of tests/emu, in
 * emulation. No test framework: machines with a GPU need not have one. Prints TAP.
 */
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include "cuda/kernels.h"
#include "cuda/kernels_layers.h"
#include "dtype.h"
#include "support/rng.h"

#include <cuda_runtime_api.h>
#include <prepack/common.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Device memory between guard bands that device_free checks; contents are NaN in every type. */
void *device_alloc(size_t bytes);
void *device_upload(const void *host, size_t bytes); /* a new block with these contents */
void device_download(void *host, const void *device, size_t bytes);
void device_free(void *device);

/* Launches and waits. A failed launch fails the test. */
void device_launch(const struct ppi_cuda_kernel *kernel, int64_t blocks, const void *args);

/* n act values of PP_DTYPE_F32, F16 or BF16 from a normal distribution, malloc'ed. */
void *device_random(struct rng *rng, int32_t dtype, size_t n, double deviation);
double device_value(int32_t dtype, const void *x, size_t i);
/* malloc that ends the test when there is none. */
void *device_host(size_t bytes);

/* PP_DTYPE of the i-th act: bf16, f16. */
int32_t device_act(int i);
/* Sizes are to be small: in emulation, or where PREPACK_TEST_DEVICE_EMULATED asks for it because a
 * tool slows the GPU down. */
bool device_is_emulated(void);
/* 80, 90, ..., or what PREPACK_TEST_CAPABILITY says: kernels for older GPUs run on newer ones. */
int32_t device_compute_capability(void);

/* One test: a function and its name. A failed EXPECT ends it with "not ok". */
struct device_test {
    const char *name;
    void (*run)(void);
};
int device_main(const struct device_test *tests, size_t n, int argc, char **argv);

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            device_fail(__FILE__, __LINE__, __VA_ARGS__);                                          \
    } while (0)
void device_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#endif
