/*
 * length_list.h: what the planner's benchmarks start from: seeded randomness, lists of lengths, a
 * clock. Its functions end the program where they cannot go on.
 */
#ifndef BENCH_LENGTH_LIST_H
#define BENCH_LENGTH_LIST_H

#include "support/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where lengths come from: a list, or where that is empty a log-normal distribution. */
struct length_list {
    const char *name;
    int64_t *lengths; /* [n] */
    size_t n;
    double median;
    double sigma;
};

/* A file with lengths, one a line. At least one. The caller frees them. */
static inline struct length_list read_lengths(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct length_list list = {.name = slash ? slash + 1 : path};
    size_t room = 1024;
    FILE *file = fopen(path, "r");
    list.lengths = malloc(room * sizeof *list.lengths);
    while (file && list.lengths && fscanf(file, "%" SCNd64, &list.lengths[list.n]) == 1)
        if (++list.n == room)
            list.lengths = realloc(list.lengths, (room *= 2) * sizeof *list.lengths);
    if (!file || !list.lengths || list.n == 0) {
        fprintf(stderr, "no lengths in %s\n", path);
        exit(1);
    }
    fclose(file);
    return list;
}

static inline int64_t draw_length(struct rng *rng, const struct length_list *list)
{
    if (list->n > 0)
        return list->lengths[rng_next(rng) % list->n];
    double u = ((double)(rng_next(rng) >> 11) + 0.5) * 0x1p-53;
    double v = ((double)(rng_next(rng) >> 11) + 0.5) * 0x1p-53;
    double normal = sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
    double length = list->median * exp(list->sigma * normal);
    return length < 1 ? 1 : (int64_t)length;
}

static inline double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif
