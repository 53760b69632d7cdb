/*
 * device_measure.h: what the benchmarks of kernels share: a GPU, data on it, time by its own clock,
 * the two roofs that figures are compared with. A failed call ends the program with one sentence.
 *
 * A figure is a line "figure KEY VALUE" on stdout; run.sh collects them for its table.
 */
#ifndef BENCH_DEVICE_MEASURE_H
#define BENCH_DEVICE_MEASURE_H

#include "figure.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes that only show that the program runs ("--tiny"). */
extern bool measure_tiny;

/* Reads --tiny and says on which GPU the program runs. Ends it where there is none. */
void measure_start(int argc, char **argv);
void measure_check(cudaError_t error, const char *what);

void *measure_alloc(size_t bytes);          /* device memory, of zeros */
void *measure_random_bf16(size_t n);        /* device memory, normal with deviation 1 */
void *measure_random_f32(size_t n);         /* the same */
void *measure_upload(const void *, size_t); /* a copy on the device */
void measure_free(void *device);
void *measure_host(size_t bytes); /* malloc that ends the program when there is none */

/* Seconds of one call of enqueue, which puts work on the default stream: the median of several
 * tries of as many calls in a row as take a millisecond or more. */
double measure_seconds(void (*enqueue)(void *user), void *user);

struct roofs {
    double bytes; /* a second, read and written, by a large copy on the device */
    double flops; /* a second, by cuBLASLt's best product of 8192^3 in bf16 */
};
/* Measures both once. */
struct roofs measure_roofs(void);

/* The share of the lower roof that work reaches which takes `seconds`. */
double measure_share(const struct roofs *roofs, double flops, double bytes, double seconds);

#endif
