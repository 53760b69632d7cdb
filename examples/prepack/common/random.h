/*
 * random.h: seeded random numbers, the same on every machine: xoshiro256** (Blackman and Vigna)
 * whose state comes from splitmix64.
 */
#ifndef PREPACK_RANDOM_H
#define PREPACK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

/* The stream number `stream` of a seed; different streams are independent. */
void rng_start(struct rng *rng, uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, n), n at least 1. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* Uniform in [0, 1). */
double rng_unit(struct rng *rng);
/* Shuffles indices (Fisher and Yates). */
void rng_shuffle(struct rng *rng, size_t *items, size_t n);

#endif
