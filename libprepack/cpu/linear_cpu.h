/*
 * linear_cpu.h: what the kernels of a linear layer get. The projected rows are worked on in place:
 * first each head's channels of q, k and v are convolved, then v becomes what the state gives, at
 * last that is normed. (linear.h has the formulas.)
 */
#ifndef PPI_CPU_LINEAR_CPU_H
#define PPI_CPU_LINEAR_CPU_H

#include "linear.h"

#define PPI_CPU_SCAN_COLUMNS 32 /* most columns of a state that a scan takes at a time */

/* The convolution, silu, and of q and k of the delta rule the norm, of a head's channels. */
struct ppi_cpu_conv {
    float *x; /* [n_rows, row_stride], the first channel; in place */
    int64_t n_rows, row_stride;
    int32_t dim, kernel;
    const float *seen;   /* [kernel - 1, dim]: the rows before the first */
    const float *weight; /* [kernel, dim], the latest token last */
    const float *bias;   /* [dim], or NULL */
    float scale;         /* x = x / sqrt(sum of squares + 1e-6) * scale; 0: not */
};

/* Some columns of a value head over the rows of a segment. */
struct ppi_cpu_scan {
    bool delta;
    const float *q, *k; /* of the head, in the first row; those of others are row_stride further */
    float *v;           /* first column; becomes out */
    const float *time;  /* a (delta) or dt of the head */
    const float *beta;  /* b of the head; delta */
    int64_t n_rows, row_stride;
    int32_t k_dim, n_columns; /* at most scan_columns */
    float *state;             /* [k_dim, scan_columns], zeros behind n_columns; in place */
    float rate;               /* exp(a_log) */
    float dt_bias, dt_min, dt_max, d;
};

/* The gated norm of one row. */
struct ppi_cpu_linear_norm {
    bool delta;
    float *x;       /* [n_parts, dim], used up */
    const float *z; /* [n_parts, dim] */
    const float *weight;
    int64_t weight_stride; /* from part to part */
    int32_t n_parts;
    int64_t dim;
    double eps;
    void *out; /* act [n_parts, dim] */
};

#endif
