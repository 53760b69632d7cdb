/*
 * row_ops.c: operations on rows that share nothing: norms, softcap and gather_rows; and copying.
 * Threads take runs of rows.
 */
#include "cpu/cpu.h"
#include "dtype.h"

#include <assert.h>
#include <string.h>

#define NORM_NS    0.3 /* of one element on one thread */
#define CAP_NS     0.5
#define COPY_NS    5.0 /* of one cache line */
#define CACHE_LINE 64
#define CAP_UNIT   64 /* elements that one thread caps */

struct norm_job {
    const struct ppi_cpu_kernels *kernels;
    struct ppi_cpu_norm norm;
    const float *x;
    char *out;
    size_t act_bytes;
    float scale; /* norm_add */
    float *sums; /* norm_add, norm_parts */
    int64_t row_stride, n_parts;
};

/* A job over rows, or parts of rows, of dim elements. */
static struct norm_job make_job(const struct ppi_backend *backend, const struct ppi_norm *norm,
                                int64_t dim)
{
    assert(!norm->weight || (norm->weight->kind == PPI_MATRIX_VECTOR && norm->weight->k == dim));
    return (struct norm_job){
        .kernels = backend->kernels,
        .norm = {ppi_cpu_vector(norm->weight), norm->eps, norm->center, dim},
        .act_bytes = backend->act_bytes,
    };
}

static void run_norm(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct norm_job *job = arg;
    int64_t at = first * job->norm.dim;
    job->kernels->norm(&job->norm, job->x + at, end - first,
                       job->out + (size_t)at * job->act_bytes);
}

static void run_narrow(void *arg, int64_t first_row, int64_t end_row, int32_t i_thread)
{
    (void)i_thread;
    const struct norm_job *job = arg;
    int64_t first = first_row * job->norm.dim, end = end_row * job->norm.dim;
    if (job->act_bytes == sizeof(float)) {
        memcpy((float *)(void *)job->out + first, job->x + first,
               (size_t)(end - first) * sizeof(float));
        return;
    }
    for (int64_t i = first; i < end; i++)
        ((uint16_t *)(void *)job->out)[i] = ppi_f32_to_bf16(job->x[i]);
}

pp_status ppi_cpu_norm(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                       int64_t n_rows, int64_t dim, void *out, pp_error *err)
{
    (void)err;
    if (!norm) {
        struct norm_job narrow = {
            .norm = {.dim = dim}, .act_bytes = backend->act_bytes, .x = x, .out = out};
        ppi_cpu_run(backend->pool, n_rows, NORM_NS * (double)dim, run_narrow, &narrow);
        return PP_OK;
    }
    struct norm_job job = make_job(backend, norm, dim);
    job.x = x;
    job.out = out;
    ppi_cpu_run(backend->pool, n_rows, NORM_NS * (double)dim, run_norm, &job);
    return PP_OK;
}

static void run_norm_add(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct norm_job *job = arg;
    int64_t at = first * job->norm.dim;
    job->kernels->norm_add(&job->norm, job->scale, job->x + at, end - first, job->sums + at);
}

pp_status ppi_cpu_norm_add(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                           float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err)
{
    (void)err;
    struct norm_job job = make_job(backend, norm, dim);
    job.x = x;
    job.scale = scale;
    job.sums = out;
    ppi_cpu_run(backend->pool, n_rows, NORM_NS * (double)dim, run_norm_add, &job);
    return PP_OK;
}

static void run_norm_parts(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct norm_job *job = arg;
    for (int64_t row = first; row < end; row++)
        job->kernels->norm_parts(&job->norm, job->sums + row * job->row_stride, job->n_parts);
}

pp_status ppi_cpu_norm_parts(struct ppi_backend *backend, float *x, const struct ppi_norm *norm,
                             int64_t n_rows, int64_t row_stride, int32_t n_parts, int64_t dim,
                             pp_error *err)
{
    (void)err;
    assert(n_parts * dim <= row_stride);
    struct norm_job job = make_job(backend, norm, dim);
    job.sums = x;
    job.row_stride = row_stride;
    job.n_parts = n_parts;
    ppi_cpu_run(backend->pool, n_rows, NORM_NS * (double)(n_parts * dim), run_norm_parts, &job);
    return PP_OK;
}

struct capping {
    const struct ppi_cpu_kernels *kernels;
    float *x;
    int64_t n;
    float cap;
};

static void run_softcap(void *arg, int64_t first_unit, int64_t end_unit, int32_t i_thread)
{
    (void)i_thread;
    const struct capping *job = arg;
    int64_t first = first_unit * CAP_UNIT, end = end_unit * CAP_UNIT;
    job->kernels->softcap(job->x + first, (end < job->n ? end : job->n) - first, job->cap);
}

pp_status ppi_cpu_softcap(struct ppi_backend *backend, float *x, int64_t n, float cap,
                          pp_error *err)
{
    (void)err;
    assert(cap > 0);
    struct capping job = {backend->kernels, x, n, cap};
    ppi_cpu_run(backend->pool, ppi_div_up(n, CAP_UNIT), CAP_NS * CAP_UNIT, run_softcap, &job);
    return PP_OK;
}

pp_status ppi_cpu_gather_rows(struct ppi_backend *backend, const void *src,
                              const struct ppi_pass *pass, size_t row_bytes, void *out,
                              pp_error *err)
{
    (void)backend;
    (void)err;
    for (int32_t i = 0; i < pass->n_rows; i++)
        memcpy((char *)out + (size_t)i * row_bytes,
               (const char *)src + (size_t)pass->source_rows[i] * row_bytes, row_bytes);
    return PP_OK;
}

struct copying {
    char *dst;
    const char *src;
    size_t bytes;
};

static void run_copy(void *arg, int64_t first_line, int64_t end_line, int32_t i_thread)
{
    (void)i_thread;
    const struct copying *job = arg;
    size_t first = (size_t)first_line * CACHE_LINE, end = (size_t)end_line * CACHE_LINE;
    if (end > job->bytes)
        end = job->bytes;
    memcpy(job->dst + first, job->src + first, end - first);
}

pp_status ppi_cpu_copy(struct ppi_backend *backend, void *dst, const void *src, size_t bytes,
                       pp_error *err)
{
    (void)err;
    struct copying job = {dst, src, bytes};
    ppi_cpu_run(backend->pool, ppi_div_up((int64_t)bytes, CACHE_LINE), COPY_NS, run_copy, &job);
    return PP_OK;
}
