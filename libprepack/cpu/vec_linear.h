/*
 * vec_linear.h: the kernels of linear layers (linear_cpu.h) and of gates in vectors.
 */
#ifndef PPI_CPU_VEC_LINEAR_H
#define PPI_CPU_VEC_LINEAR_H

#include "cpu/linear_cpu.h"
#include "cpu/norm_kernels.h"
#include "cpu/vec_math.h"

/* ---- the convolution ---- */

/* A row's channels from the rows that its taps see, the last of which is the row itself. */
PPI_INLINE void convolve_row(int32_t kernel, const struct ppi_cpu_conv *c, const float *const *from,
                             float *x)
{
    for (int32_t i = 0; i < c->dim; i += LANES) {
        int32_t n = c->dim - i < LANES ? c->dim - i : LANES;
        vf sum = c->bias ? v_load_part(c->bias + i, n) : v_zero();
        for (int32_t tap = 0; tap < kernel; tap++)
            sum = v_fma(v_load_part(c->weight + tap * c->dim + i, n), v_load_part(from[tap] + i, n),
                        sum);
        v_store_act_part(false, x + i, v_silu(sum), n);
    }
}

PPI_INLINE void convolve_rows(const struct ppi_cpu_conv *c)
{
    const float *from[PPI_MAX_CONV_KERNEL];
    for (int64_t row = c->n_rows - 1; row >= 0; row--) { /* those behind it need its input */
        float *x = c->x + row * c->row_stride;
        for (int32_t tap = 0; tap < c->kernel; tap++) {
            int64_t at = row + tap - (c->kernel - 1);
            from[tap] =
                at >= 0 ? c->x + at * c->row_stride : c->seen + (at + c->kernel - 1) * c->dim;
        }
        if (c->kernel == 4)
            convolve_row(4, c, from, x);
        else
            convolve_row(c->kernel, c, from, x);
        if (c->scale == 0)
            continue;
        double squares = (double)sum_of_squares(x, 0, c->dim);
        float scale = (float)((double)c->scale / sqrt(squares + PPI_LINEAR_EPS));
        for (int32_t i = 0; i < c->dim; i++)
            x[i] *= scale;
    }
}

/* ---- the recurrence ---- */

/* Columns of a state in registers: four vectors would not leave room in the first-level cache of
 * some processors, nor two more registers on others. */
#if defined(__aarch64__)
#define SCAN_VECTORS 4
#else
#define SCAN_VECTORS 2
#endif
#define SCAN_COLUMNS (SCAN_VECTORS * LANES)
#define SCAN_STEPS   64 /* tokens whose gates are computed at a time */

static_assert(SCAN_COLUMNS <= PPI_CPU_SCAN_COLUMNS, "a scan's scratch");

/* What tokens do to the state: S = decay S + k (part v - correction S^T k)^T */
struct scan_steps {
    float decay[SCAN_STEPS], part[SCAN_STEPS], correction[SCAN_STEPS];
};

PPI_INLINE void make_steps(bool delta, const struct ppi_cpu_scan *scan, int64_t row, int32_t n,
                           struct scan_steps *steps)
{
    const float *time = scan->time + row * scan->row_stride;
    const float *beta = scan->beta + row * scan->row_stride;
    for (int32_t i = 0; i < n; i++) {
        steps->part[i] = time[i * scan->row_stride];
        steps->correction[i] = delta ? beta[i * scan->row_stride] : 0;
    }
    for (int32_t i = n; i % LANES > 0; i++)
        steps->part[i] = steps->correction[i] = 0;
    for (int32_t i = 0; i < n; i += LANES) {
        vf dt = v_softplus(v_add(v_load(steps->part + i), v_set1(scan->dt_bias)));
        if (!delta)
            dt = v_min(v_set1(scan->dt_max), v_max(v_set1(scan->dt_min), dt));
        vf decay = v_exp(v_mul(v_set1(-scan->rate), dt));
        vf part = delta ? v_sigmoid(v_load(steps->correction + i)) : dt;
        v_store(steps->decay + i, decay);
        v_store(steps->part + i, part);
        v_store(steps->correction + i, v_mul(part, decay));
    }
}

/* sums = S^T x of all columns. */
PPI_INLINE void read_state(const struct ppi_cpu_scan *scan, const float *x, vf *sums)
{
    UNROLL
    for (int j = 0; j < SCAN_VECTORS; j++)
        sums[j] = v_zero();
    for (int32_t i = 0; i < scan->k_dim; i++) {
        UNROLL
        for (int j = 0; j < SCAN_VECTORS; j++)
            sums[j] =
                v_fma(v_load(scan->state + i * SCAN_COLUMNS + j * LANES), v_set1(x[i]), sums[j]);
    }
}

/* S = decay S + k added^T, and of the new S out = S^T q and, where there is another token whose key
 * is next, seen = S^T next: each element is in a register once. */
PPI_INLINE void step_state(bool has_next, const struct ppi_cpu_scan *scan, float decay,
                           const float *k, const float *q, const float *next, const vf *added,
                           vf *out, vf *seen)
{
    vf factor = v_set1(decay);
    UNROLL
    for (int j = 0; j < SCAN_VECTORS; j++)
        out[j] = seen[j] = v_zero();
    for (int32_t i = 0; i < scan->k_dim; i++) {
        float *row = scan->state + i * SCAN_COLUMNS;
        UNROLL
        for (int j = 0; j < SCAN_VECTORS; j++) {
            vf s = v_mul(factor, v_load(row + j * LANES));
            s = v_fma(v_set1(k[i]), added[j], s);
            v_store(row + j * LANES, s);
            out[j] = v_fma(s, v_set1(q[i]), out[j]);
            if (has_next)
                seen[j] = v_fma(s, v_set1(next[i]), seen[j]);
        }
    }
}

/* One token. seen: S^T k of it, then of the next, where there is one and a rule needs it. */
PPI_INLINE void scan_row(bool delta, const struct ppi_cpu_scan *scan, int64_t row,
                         const struct scan_steps *steps, int32_t step, vf *seen)
{
    int64_t at = row * scan->row_stride;
    float *v = scan->v + at, columns[SCAN_COLUMNS] = {0};
    bool whole = scan->n_columns == SCAN_COLUMNS;
    vf part = v_set1(steps->part[step]), correction = v_set1(steps->correction[step]);
    vf added[SCAN_VECTORS], out[SCAN_VECTORS];
    if (!whole)
        memcpy(columns, v, (size_t)scan->n_columns * sizeof *v);
    float *x = whole ? v : columns;
    UNROLL
    for (int j = 0; j < SCAN_VECTORS; j++) {
        added[j] = v_mul(part, v_load(x + j * LANES));
        if (delta)
            added[j] = v_sub(added[j], v_mul(correction, seen[j]));
    }
    const float *k = scan->k + at;
    if (delta && row + 1 < scan->n_rows)
        step_state(true, scan, steps->decay[step], k, scan->q + at, k + scan->row_stride, added,
                   out, seen);
    else
        step_state(false, scan, steps->decay[step], k, scan->q + at, NULL, added, out, seen);
    UNROLL
    for (int j = 0; j < SCAN_VECTORS; j++) {
        if (!delta)
            out[j] = v_fma(v_set1(scan->d), v_load(x + j * LANES), out[j]);
        v_store(x + j * LANES, out[j]);
    }
    if (!whole)
        memcpy(v, columns, (size_t)scan->n_columns * sizeof *v);
}

/* A token's q, k and v are far from those of the one before it. */
PPI_INLINE void fetch_row(const struct ppi_cpu_scan *scan, int64_t row)
{
    int64_t at = row * scan->row_stride;
    for (int32_t i = 0; i < scan->k_dim; i += 16) {
        v_prefetch(scan->q + at + i);
        v_prefetch(scan->k + at + i);
    }
    for (int32_t i = 0; i < scan->n_columns; i += 16)
        v_prefetch(scan->v + at + i);
}

PPI_INLINE void scan_rows(bool delta, const struct ppi_cpu_scan *scan)
{
    struct scan_steps steps;
    vf seen[SCAN_VECTORS];
    read_state(scan, scan->k, seen);
    for (int64_t row = 0; row < scan->n_rows; row++) {
        int32_t step = (int32_t)(row % SCAN_STEPS);
        int64_t left = scan->n_rows - row;
        if (step == 0)
            make_steps(delta, scan, row, left < SCAN_STEPS ? (int32_t)left : SCAN_STEPS, &steps);
        if (left > 2)
            fetch_row(scan, row + 2);
        scan_row(delta, scan, row, &steps, step, seen);
    }
}

/* ---- the gated norm ---- */

PPI_INLINE void norm_gated_part(bool bf16, const struct ppi_cpu_linear_norm *norm, float *x,
                                const float *z, const float *weight, char *out)
{
    int32_t dim = (int32_t)norm->dim;
    for (int32_t i = 0; !norm->delta && i < dim; i += LANES) {
        int32_t n = dim - i < LANES ? dim - i : LANES;
        vf gate = v_silu(v_load_part(z + i, n));
        v_store_act_part(false, x + i, v_mul(v_load_part(x + i, n), gate), n);
    }
    double mean = (double)sum_of_squares(x, 0, dim) / (double)dim;
    vf scale = v_set1((float)(1.0 / sqrt(mean + norm->eps)));
    for (int32_t i = 0; i < dim; i += LANES) {
        int32_t n = dim - i < LANES ? dim - i : LANES;
        vf y = v_mul(v_mul(v_load_part(x + i, n), scale), v_load_part(weight + i, n));
        if (norm->delta)
            y = v_mul(y, v_silu(v_load_part(z + i, n)));
        v_store_act_part(bf16, out + (size_t)i * (bf16 ? sizeof(uint16_t) : sizeof(float)), y, n);
    }
}

PPI_INLINE void norm_gated_row(bool bf16, const struct ppi_cpu_linear_norm *norm)
{
    size_t part_bytes = (size_t)norm->dim * (bf16 ? sizeof(uint16_t) : sizeof(float));
    for (int32_t part = 0; part < norm->n_parts; part++)
        norm_gated_part(bf16, norm, norm->x + part * norm->dim, norm->z + part * norm->dim,
                        norm->weight + part * norm->weight_stride,
                        (char *)norm->out + (size_t)part * part_bytes);
}

/* ---- gates ---- */

PPI_INLINE void gate_values(bool bf16, const float *gate, int64_t n, void *a)
{
    size_t size = bf16 ? sizeof(uint16_t) : sizeof(float);
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t left = n - i < LANES ? (int32_t)(n - i) : LANES;
        char *at = (char *)a + (size_t)i * size;
        vf x = v_load_act_part(bf16, at, left);
        v_store_act_part(bf16, at, v_gate(x, v_load_part(gate + i, left)), left);
    }
}

PPI_INLINE void activate_values(bool bf16, int32_t activation, const float *gate, const float *x,
                                int64_t n, void *out)
{
    size_t size = bf16 ? sizeof(uint16_t) : sizeof(float);
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t left = n - i < LANES ? (int32_t)(n - i) : LANES;
        vf g = v_load_part(gate + i, left);
        vf active = activation == PPI_ACTIVATION_SILU ? v_silu(g) : v_gelu_tanh(g);
        v_store_act_part(bf16, (char *)out + (size_t)i * size,
                         v_mul(active, v_load_part(x + i, left)), left);
    }
}

#endif
