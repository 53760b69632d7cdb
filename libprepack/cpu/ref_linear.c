/*
 * ref_linear.c: the reference of the kernels of linear layers, and of gates, in plain C; it defines
 * their meaning. Sums over a key's elements are one chain in order from zero.
 */
#include "cpu/norm_kernels.h"
#include "cpu/ref_kernels.h"

#include <math.h>

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float silu(float x)
{
    return ppi_cpu_ref_activate(PPI_ACTIVATION_SILU, x);
}

static float softplus(float x)
{
    return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
}

/* ---- the convolution ---- */

static float convolve(const struct ppi_cpu_conv *c, int64_t row, int32_t channel)
{
    float sum = c->bias ? c->bias[channel] : 0;
    for (int32_t tap = 0; tap < c->kernel; tap++) {
        int64_t from = row + tap - (c->kernel - 1);
        float x = from >= 0 ? c->x[from * c->row_stride + channel]
                            : c->seen[(from + c->kernel - 1) * c->dim + channel];
        sum += c->weight[tap * c->dim + channel] * x;
    }
    return sum;
}

/* The last row first: a row is needed by those behind it. */
void ppi_cpu_ref_convolve(const struct ppi_cpu_conv *c)
{
    for (int64_t row = c->n_rows - 1; row >= 0; row--) {
        float *x = c->x + row * c->row_stride;
        for (int32_t channel = 0; channel < c->dim; channel++)
            x[channel] = silu(convolve(c, row, channel));
        if (c->scale == 0)
            continue;
        double squares = (double)sum_of_squares(x, 0, c->dim);
        float scale = (float)((double)c->scale / sqrt(squares + PPI_LINEAR_EPS));
        for (int32_t channel = 0; channel < c->dim; channel++)
            x[channel] *= scale;
    }
}

/* ---- the recurrence ---- */

/* What a token does to the state: S = decay S + k (part v - correction S^T k)^T */
struct step {
    float decay, part, correction;
};

static struct step make_step(const struct ppi_cpu_scan *scan, int64_t row)
{
    float dt = softplus(scan->time[row * scan->row_stride] + scan->dt_bias);
    if (scan->delta) {
        float beta = sigmoid(scan->beta[row * scan->row_stride]);
        float decay = expf(-scan->rate * dt);
        return (struct step){decay, beta, beta * decay};
    }
    dt = fminf(fmaxf(dt, scan->dt_min), scan->dt_max);
    return (struct step){expf(-scan->rate * dt), dt, 0};
}

/* sums[column] = S^T x */
static void multiply_state(const struct ppi_cpu_scan *scan, const float *x,
                           float sums[PPI_CPU_SCAN_COLUMNS])
{
    for (int32_t column = 0; column < scan->n_columns; column++) {
        sums[column] = 0;
        for (int32_t i = 0; i < scan->k_dim; i++)
            sums[column] += scan->state[i * PPI_CPU_SCAN_COLUMNS + column] * x[i];
    }
}

void ppi_cpu_ref_scan(const struct ppi_cpu_scan *scan)
{
    float added[PPI_CPU_SCAN_COLUMNS], out[PPI_CPU_SCAN_COLUMNS];
    for (int64_t row = 0; row < scan->n_rows; row++) {
        const float *q = scan->q + row * scan->row_stride, *k = scan->k + row * scan->row_stride;
        float *v = scan->v + row * scan->row_stride;
        struct step step = make_step(scan, row);
        multiply_state(scan, k, added);
        for (int32_t column = 0; column < scan->n_columns; column++)
            added[column] = step.part * v[column] - step.correction * added[column];
        for (int32_t i = 0; i < scan->k_dim; i++)
            for (int32_t column = 0; column < scan->n_columns; column++) {
                float *s = &scan->state[i * PPI_CPU_SCAN_COLUMNS + column];
                *s = step.decay * *s + k[i] * added[column];
            }
        multiply_state(scan, q, out);
        for (int32_t column = 0; column < scan->n_columns; column++)
            v[column] = scan->delta ? out[column] : out[column] + scan->d * v[column];
    }
}

/* ---- the gated norm ---- */

static void norm_gated(bool bf16, const struct ppi_cpu_linear_norm *norm)
{
    float *x = norm->x;
    const float *z = norm->z;
    for (int32_t part = 0; part < norm->n_parts; part++, x += norm->dim, z += norm->dim) {
        const float *weight = norm->weight + part * norm->weight_stride;
        for (int64_t i = 0; !norm->delta && i < norm->dim; i++)
            x[i] *= silu(z[i]);
        double mean = (double)sum_of_squares(x, 0, norm->dim) / (double)norm->dim;
        float scale = (float)(1.0 / sqrt(mean + norm->eps));
        for (int64_t i = 0; i < norm->dim; i++) {
            float normed = x[i] * scale * weight[i];
            store_act(bf16, norm->out, part * norm->dim + i,
                      norm->delta ? normed * silu(z[i]) : normed);
        }
    }
}

void ppi_cpu_ref_norm_gated_f32(const struct ppi_cpu_linear_norm *norm)
{
    norm_gated(false, norm);
}

void ppi_cpu_ref_norm_gated_bf16(const struct ppi_cpu_linear_norm *norm)
{
    norm_gated(true, norm);
}

/* ---- gates ---- */

void ppi_cpu_ref_gate_f32(const float *gate, int64_t n, void *a)
{
    for (int64_t i = 0; i < n; i++)
        ((float *)a)[i] *= sigmoid(gate[i]);
}

void ppi_cpu_ref_gate_bf16(const float *gate, int64_t n, void *a)
{
    for (int64_t i = 0; i < n; i++)
        store_act(true, a, i, ppi_bf16_to_f32(((uint16_t *)a)[i]) * sigmoid(gate[i]));
}

void ppi_cpu_ref_activate_f32(int32_t activation, const float *gate, const float *x, int64_t n,
                              void *out)
{
    for (int64_t i = 0; i < n; i++)
        store_act(false, out, i, ppi_cpu_ref_activate(activation, gate[i]) * x[i]);
}

void ppi_cpu_ref_activate_bf16(int32_t activation, const float *gate, const float *x, int64_t n,
                               void *out)
{
    for (int64_t i = 0; i < n; i++)
        store_act(true, out, i, ppi_cpu_ref_activate(activation, gate[i]) * x[i]);
}
