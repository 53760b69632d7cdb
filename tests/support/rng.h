/*
 * rng.h: seeded randomness for tests (splitmix64). Tests print their seed; PREPACK_TEST_SEED sets
 * it.
 */
#ifndef TEST_RNG_H
#define TEST_RNG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [low, high]. */
static inline int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}

/* About normal, mean 0, standard deviation 1. */
static inline double rng_normal(struct rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(rng_next(rng) >> 11) * 0x1p-53;
    return sum - 6;
}

static inline struct rng rng_seeded(uint64_t fallback)
{
    const char *text = getenv("PREPACK_TEST_SEED");
    struct rng rng = {text ? strtoull(text, NULL, 0) : fallback};
    printf("# seed %llu\n", (unsigned long long)rng.state);
    return rng;
}

#endif
