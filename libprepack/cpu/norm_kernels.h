/*
 * norm_kernels.h: norms in plain C, compiled for each instruction set by its file. Sums have a
 * fixed shape (64 lanes, then a tree), so every instruction set gives the same bits.
 */
#ifndef PPI_CPU_NORM_KERNELS_H
#define PPI_CPU_NORM_KERNELS_H

#include "cpu/row_kernels.h"

#include <math.h>

#define NORM_LANES 64

PPI_INLINE float sum_lanes(float lanes[NORM_LANES])
{
    for (int half = NORM_LANES / 2; half >= 1; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

PPI_INLINE float sum_of(const float *x, int64_t n)
{
    float lanes[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int l = 0; l < NORM_LANES; l++)
            lanes[l] += x[i + l];
    for (int l = 0; i + l < n; l++)
        lanes[l] += x[i + l];
    return sum_lanes(lanes);
}

/* The sum of (x - center)^2. */
PPI_INLINE float sum_of_squares(const float *x, float center, int64_t n)
{
    float lanes[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int l = 0; l < NORM_LANES; l++) {
            float d = x[i + l] - center;
            lanes[l] += d * d;
        }
    for (int l = 0; i + l < n; l++) {
        float d = x[i + l] - center;
        lanes[l] += d * d;
    }
    return sum_lanes(lanes);
}

/* norm(x[i]) is (x[i] - center) * scale * weight[i]; a center of 0 changes no bit. */
struct row_norm {
    float center, scale;
};

PPI_INLINE struct row_norm measure_row(const struct ppi_cpu_norm *norm, const float *x)
{
    double dim = (double)norm->dim;
    float center = norm->center ? (float)((double)sum_of(x, norm->dim) / dim) : 0.0f;
    double mean = (double)sum_of_squares(x, center, norm->dim) / dim;
    return (struct row_norm){center, (float)(1.0 / sqrt(mean + norm->eps))};
}

PPI_INLINE void norm_rows(bool bf16, const struct ppi_cpu_norm *norm, const float *x,
                          int64_t n_rows, void *out)
{
    const float *weight = norm->weight;
    int64_t dim = norm->dim;
    for (int64_t row = 0; row < n_rows; row++, x += dim) {
        struct row_norm r = measure_row(norm, x);
        for (int64_t i = 0; i < dim; i++)
            store_act(bf16, out, row * dim + i, (x[i] - r.center) * r.scale * weight[i]);
    }
}

PPI_INLINE void norm_add_rows(const struct ppi_cpu_norm *norm, float scale, const float *x,
                              int64_t n_rows, float *out)
{
    const float *weight = norm->weight;
    int64_t dim = norm->dim;
    for (int64_t row = 0; row < n_rows; row++, x += dim, out += dim) {
        struct row_norm r = measure_row(norm, x);
        for (int64_t i = 0; i < dim; i++)
            out[i] += scale * ((x[i] - r.center) * r.scale * weight[i]);
    }
}

/* Without a weight the bits are those of a weight of 1. */
PPI_INLINE void norm_parts_in_place(const struct ppi_cpu_norm *norm, float *x, int64_t n_parts)
{
    const float *weight = norm->weight;
    int64_t dim = norm->dim;
    for (int64_t part = 0; part < n_parts; part++, x += dim) {
        struct row_norm r = measure_row(norm, x);
        for (int64_t i = 0; i < dim; i++)
            x[i] = (x[i] - r.center) * r.scale * (weight ? weight[i] : 1.0f);
    }
}

#endif
