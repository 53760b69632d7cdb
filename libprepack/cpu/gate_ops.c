/*
 * gate_ops.c: small operations of gates: gate, activate, add_gated, multiply. Threads take runs of
 * rows, or of elements.
 */
#include "cpu/cpu.h"

#include <assert.h>
#include <math.h>

#define GATE_NS 0.6 /* of one element on one thread */
#define ADD_NS  0.3
#define UNIT    64 /* elements that one thread takes, where there are no rows */

struct gate_job {
    const struct ppi_cpu_kernels *kernels;
    const float *gate, *x;
    int32_t activation;
    int64_t dim, x_stride;
    float factor;
    char *out;
    size_t out_size; /* of an element */
};

static void run_gate(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct gate_job *job = arg;
    int64_t at = first * job->dim;
    job->kernels->gate(job->gate + at, (end - first) * job->dim,
                       job->out + (size_t)at * job->out_size);
}

pp_status ppi_cpu_gate(struct ppi_backend *backend, const float *gate, int64_t n_rows, int64_t dim,
                       void *a, pp_error *err)
{
    (void)err;
    struct gate_job job = {.kernels = backend->kernels,
                           .gate = gate,
                           .dim = dim,
                           .out = a,
                           .out_size = backend->act_bytes};
    ppi_cpu_run(backend->pool, n_rows, GATE_NS * (double)dim, run_gate, &job);
    return PP_OK;
}

static void run_activate(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct gate_job *job = arg;
    for (int64_t row = first; row < end; row++)
        job->kernels->activate(job->activation, job->gate + row * job->dim,
                               job->x + row * job->x_stride, job->dim,
                               job->out + (size_t)(row * job->dim) * job->out_size);
}

pp_status ppi_cpu_activate(struct ppi_backend *backend, int32_t activation, const float *gate,
                           const float *x, int64_t x_stride, int64_t n_rows, int64_t dim, void *out,
                           pp_error *err)
{
    (void)err;
    assert(activation == PPI_ACTIVATION_SILU || activation == PPI_ACTIVATION_GELU_TANH);
    struct gate_job job = {.kernels = backend->kernels,
                           .gate = gate,
                           .x = x,
                           .activation = activation,
                           .dim = dim,
                           .x_stride = x_stride,
                           .out = out,
                           .out_size = backend->act_bytes};
    ppi_cpu_run(backend->pool, n_rows, GATE_NS * (double)dim, run_activate, &job);
    return PP_OK;
}

static void run_add_gated(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct gate_job *job = arg;
    for (int64_t row = first; row < end; row++) {
        float factor = job->factor / (1.0f + expf(-job->gate[row]));
        const float *x = job->x + row * job->dim;
        float *out = (float *)(void *)job->out + row * job->dim;
        for (int64_t i = 0; i < job->dim; i++)
            out[i] += factor * x[i];
    }
}

pp_status ppi_cpu_add_gated(struct ppi_backend *backend, const float *gate, const float *x,
                            float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err)
{
    (void)err;
    struct gate_job job = {.gate = gate, .x = x, .dim = dim, .factor = scale, .out = (char *)out};
    ppi_cpu_run(backend->pool, n_rows, ADD_NS * (double)dim, run_add_gated, &job);
    return PP_OK;
}

static void run_multiply(void *arg, int64_t first_unit, int64_t end_unit, int32_t i_thread)
{
    (void)i_thread;
    const struct gate_job *job = arg;
    float *x = (float *)(void *)job->out;
    int64_t end = end_unit * UNIT < job->dim ? end_unit * UNIT : job->dim;
    for (int64_t i = first_unit * UNIT; i < end; i++)
        x[i] *= job->factor;
}

pp_status ppi_cpu_multiply(struct ppi_backend *backend, float *x, int64_t n,
                           const struct ppi_matrix *factor, pp_error *err)
{
    (void)err;
    assert(factor->kind == PPI_MATRIX_VECTOR && factor->k == 1);
    struct gate_job job = {.dim = n, .factor = ppi_cpu_vector(factor)[0], .out = (char *)x};
    ppi_cpu_run(backend->pool, ppi_div_up(n, UNIT), ADD_NS * UNIT, run_multiply, &job);
    return PP_OK;
}
