/*
 * draw.h: the arithmetic of the filters of a draw (struct ppi_draw of backend.h), for the C of the
 * CPU and, included with PPI_DRAW_FUNCTION set, for kernels. Everything that is compared or summed
 * is a whole number, so neither the order of a sum nor the device shows in what stays.
 *
 * Tokens are ordered by their keys, equals by their ids, the smaller first. Shares of probability
 * are of weights: 2^32 for the largest logit of the row. +infinity is the largest where there is
 * one, and then alone has weight; -infinity has none. No function is for NaN.
 */
#ifndef PPI_DRAW_H
#define PPI_DRAW_H

#include <stdint.h>
#include <string.h>

#ifndef PPI_DRAW_FUNCTION
#define PPI_DRAW_FUNCTION static inline
#endif

#define PPI_DRAW_ONE ((uint64_t)1 << 32) /* the weight of the largest logit */

/* Larger for larger logits; -0 and 0 are equal. */
PPI_DRAW_FUNCTION uint32_t ppi_draw_key(float logit)
{
    float positive_zero = logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &positive_zero, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Halvings of the weight for each unit that a logit is below the largest; temperature above 0. */
PPI_DRAW_FUNCTION float ppi_draw_steepness(float temperature)
{
    double steepness = 1.4426950408889634 / (double)temperature;
    return (float)(steepness < 3.4e38 ? steepness : 3.4e38);
}

/* 2^-f of f / 2^32, in 32 bits behind the point: within 4 units of the last. A polynomial that
 * interpolates (1 - 2^-f) / f at Chebyshev nodes. */
PPI_DRAW_FUNCTION uint64_t ppi_draw_exp2(uint32_t f)
{
    uint64_t y = 0xbda6u;
    y = 0x9c200u - (y * f >> 32);
    y = 0x5728b0u - (y * f >> 32);
    y = 0x27641a9u - (y * f >> 32);
    y = 0xe358127u - (y * f >> 32);
    y = 0x3d7f7bcbu - (y * f >> 32);
    y = 0xb17217f7u - (y * f >> 32);
    return PPI_DRAW_ONE - (y * f >> 32);
}

/* 2^32 exp((logit - max) / temperature), rounded down. max: the row's largest. */
PPI_DRAW_FUNCTION uint64_t ppi_draw_weight(float logit, float max, float steepness)
{
    if (logit == max)
        return PPI_DRAW_ONE;
    float halvings = (max - logit) * steepness;
    if (!(halvings < 33.0f))
        return 0;
    uint32_t whole = (uint32_t)halvings;
    uint32_t rest = (uint32_t)((halvings - (float)whole) * 4294967296.0f); /* exact */
    return ppi_draw_exp2(rest) >> whole;
}

/* The smallest weight that is a share of `total`, at least 1. */
PPI_DRAW_FUNCTION uint64_t ppi_draw_share(float share, uint64_t total)
{
    double product = (double)share * (double)total;
    uint64_t whole = (uint64_t)product;
    if ((double)whole < product || whole == 0)
        whole++;
    return whole;
}

/* What the filters leave: tokens above key; those of that key up to token; of these, those that
 * weigh at least `weight`. */
struct ppi_draw_bound {
    uint32_t key;
    int32_t token;
    uint64_t weight;
};

#endif
