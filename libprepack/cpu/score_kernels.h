/*
 * score_kernels.h: looking for logits above a bound, in plain C that is compiled for each
 * instruction set by its file. Whole numbers come out, the same from every set.
 */
#ifndef PPI_CPU_SCORE_KERNELS_H
#define PPI_CPU_SCORE_KERNELS_H

#include "cpu/row_kernels.h"

#define SEARCH_STEP 64 /* logits that are looked at together */

PPI_INLINE int32_t count_values(const float *x, int64_t n, float bound, bool equals)
{
    int32_t count = 0;
    if (equals)
        for (int64_t i = 0; i < n; i++)
            count += x[i] >= bound;
    else
        for (int64_t i = 0; i < n; i++)
            count += x[i] > bound;
    return count;
}

PPI_INLINE int64_t find_value(const float *x, int64_t n, float bound)
{
    int64_t i = 0;
    for (; i + SEARCH_STEP <= n; i += SEARCH_STEP) {
        int32_t any = 0;
        for (int l = 0; l < SEARCH_STEP; l++)
            any |= x[i + l] >= bound;
        if (any)
            break;
    }
    while (i < n && !(x[i] >= bound))
        i++;
    return i;
}

#endif
