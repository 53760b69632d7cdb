/*
 * ref_score.c: the sum of exp over a tile of logits, in plain C. Sixteen sums side by side, so that
 * none is long.
 */
#include "cpu/ref_kernels.h"

#include <math.h>

#define SUMS 16

struct ppi_score_part ppi_cpu_ref_sum_exp(const float *x, int64_t n)
{
    float max = -INFINITY, sums[SUMS] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    float origin = max == -INFINITY ? 0 : max; /* from itself it differs by NaN */
    for (int64_t i = 0; i < n; i++)
        sums[i % SUMS] += expf(x[i] - origin);
    for (int i = 0; i < SUMS; i++)
        sum += sums[i];
    return (struct ppi_score_part){max, sum};
}
