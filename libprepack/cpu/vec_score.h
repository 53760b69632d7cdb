/*
 * vec_score.h: the sum of exp over a tile of logits.
 */
#ifndef PPI_CPU_VEC_SCORE_H
#define PPI_CPU_VEC_SCORE_H

#include "cpu/vec_math.h"

#include <math.h>

#define SCORE_SUMS 4 /* chains under way at a time */

/* The first n lanes of x, behind them minus infinity. */
PPI_INLINE vf load_logits(const float *x, int64_t n)
{
    if (n >= LANES)
        return v_load(x);
    float lanes[LANES];
    for (int l = 0; l < LANES; l++)
        lanes[l] = l < n ? x[l] : -INFINITY;
    return v_load(lanes);
}

/* v_max gives its second operand where there is a NaN, or the NaN: then the sum is NaN as well. */
PPI_INLINE float max_logit(const float *x, int64_t n)
{
    vf max[SCORE_SUMS];
    UNROLL
    for (int s = 0; s < SCORE_SUMS; s++)
        max[s] = v_set1(-INFINITY);
    int64_t i = 0;
    for (; i + SCORE_SUMS * LANES <= n; i += SCORE_SUMS * LANES) {
        UNROLL
        for (int s = 0; s < SCORE_SUMS; s++)
            max[s] = v_max(v_load(x + i + s * LANES), max[s]);
    }
    for (; i < n; i += LANES)
        max[0] = v_max(load_logits(x + i, n - i), max[0]);
    return v_max_lanes(v_max(v_max(max[0], max[1]), v_max(max[2], max[3])));
}

PPI_INLINE struct ppi_score_part sum_logits(const float *x, int64_t n)
{
    float max = max_logit(x, n);
    /* From itself minus infinity differs by NaN. */
    vf origin = v_set1(max == -INFINITY ? 0.0f : max), log2_e = v_set1(1.44269504f);
    vf sums[SCORE_SUMS];
    UNROLL
    for (int s = 0; s < SCORE_SUMS; s++)
        sums[s] = v_zero();
    int64_t i = 0;
    for (; i + SCORE_SUMS * LANES <= n; i += SCORE_SUMS * LANES) {
        UNROLL
        for (int s = 0; s < SCORE_SUMS; s++) {
            vf below = v_sub(v_load(x + i + s * LANES), origin);
            sums[s] = v_add(sums[s], v_exp2(v_mul(below, log2_e)));
        }
    }
    for (; i < n; i += LANES) {
        vf below = v_sub(load_logits(x + i, n - i), origin);
        sums[0] = v_add(sums[0], v_exp2(v_mul(below, log2_e)));
    }
    vf sum = v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3]));
    return (struct ppi_score_part){max, v_sum_lanes(sum)};
}

#endif
