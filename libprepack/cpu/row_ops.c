/*
 * row_ops.c: operations on rows that share nothing: norms, softcap and gather_rows; and copying.
 * Threads take equal runs of rows.
 */
#include "cpu/cpu.h"
#include "dtype.h"

#include <assert.h>
#include <string.h>

#define WORTH_A_THREAD 16384              /* elements */
#define COPY_BYTES     ((int64_t)1 << 20) /* worth a thread */
#define CACHE_LINE     64

struct norm_job {
    const struct ppi_cpu_kernels *kernels;
    struct ppi_cpu_norm norm;
    int64_t n_rows;
    const float *x;
    char *out;
    size_t act_bytes;
    float scale; /* norm_add */
    float *sums; /* norm_add, norm_parts */
    int64_t row_stride, n_parts;
};

/* A job over n_rows rows, or parts of rows, of dim elements. */
static struct norm_job make_job(const struct ppi_backend *backend, const struct ppi_norm *norm,
                                int64_t n_rows, int64_t dim)
{
    assert(norm->weight->kind == PPI_MATRIX_VECTOR && norm->weight->k == dim);
    return (struct norm_job){
        .kernels = backend->kernels,
        .norm = {ppi_cpu_vector(norm->weight), norm->eps, norm->center, dim},
        .n_rows = n_rows,
        .act_bytes = backend->act_bytes,
    };
}

static void run_norm(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct norm_job *job = arg;
    int64_t first = ppi_cpu_share(job->n_rows, i_thread, n_threads);
    int64_t end = ppi_cpu_share(job->n_rows, i_thread + 1, n_threads);
    int64_t at = first * job->norm.dim;
    job->kernels->norm(&job->norm, job->x + at, end - first,
                       job->out + (size_t)at * job->act_bytes);
}

static void run_narrow(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct norm_job *job = arg;
    int64_t first = ppi_cpu_share(job->n_rows, i_thread, n_threads) * job->norm.dim;
    int64_t end = ppi_cpu_share(job->n_rows, i_thread + 1, n_threads) * job->norm.dim;
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
        struct norm_job narrow = {.norm = {.dim = dim},
                                  .n_rows = n_rows,
                                  .act_bytes = backend->act_bytes,
                                  .x = x,
                                  .out = out};
        ppi_cpu_run(backend->pool, n_rows * dim / WORTH_A_THREAD + 1, run_narrow, &narrow);
        return PP_OK;
    }
    struct norm_job job = make_job(backend, norm, n_rows, dim);
    job.x = x;
    job.out = out;
    ppi_cpu_run(backend->pool, n_rows * dim / WORTH_A_THREAD + 1, run_norm, &job);
    return PP_OK;
}

static void run_norm_add(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct norm_job *job = arg;
    int64_t first = ppi_cpu_share(job->n_rows, i_thread, n_threads);
    int64_t end = ppi_cpu_share(job->n_rows, i_thread + 1, n_threads);
    int64_t at = first * job->norm.dim;
    job->kernels->norm_add(&job->norm, job->scale, job->x + at, end - first, job->sums + at);
}

pp_status ppi_cpu_norm_add(struct ppi_backend *backend, const float *x, const struct ppi_norm *norm,
                           float scale, int64_t n_rows, int64_t dim, float *out, pp_error *err)
{
    (void)err;
    struct norm_job job = make_job(backend, norm, n_rows, dim);
    job.x = x;
    job.scale = scale;
    job.sums = out;
    ppi_cpu_run(backend->pool, n_rows * dim / WORTH_A_THREAD + 1, run_norm_add, &job);
    return PP_OK;
}

static void run_norm_parts(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct norm_job *job = arg;
    int64_t end = ppi_cpu_share(job->n_rows, i_thread + 1, n_threads);
    for (int64_t row = ppi_cpu_share(job->n_rows, i_thread, n_threads); row < end; row++)
        job->kernels->norm_parts(&job->norm, job->sums + row * job->row_stride, job->n_parts);
}

pp_status ppi_cpu_norm_parts(struct ppi_backend *backend, float *x, const struct ppi_norm *norm,
                             int64_t n_rows, int64_t row_stride, int32_t n_parts, int64_t dim,
                             pp_error *err)
{
    (void)err;
    assert(n_parts * dim <= row_stride);
    struct norm_job job = make_job(backend, norm, n_rows, dim);
    job.sums = x;
    job.row_stride = row_stride;
    job.n_parts = n_parts;
    ppi_cpu_run(backend->pool, n_rows * n_parts * dim / WORTH_A_THREAD + 1, run_norm_parts, &job);
    return PP_OK;
}

struct capping {
    const struct ppi_cpu_kernels *kernels;
    float *x;
    int64_t n;
    float cap;
};

static void run_softcap(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct capping *job = arg;
    int64_t first = ppi_cpu_share(job->n, i_thread, n_threads);
    int64_t end = ppi_cpu_share(job->n, i_thread + 1, n_threads);
    job->kernels->softcap(job->x + first, end - first, job->cap);
}

pp_status ppi_cpu_softcap(struct ppi_backend *backend, float *x, int64_t n, float cap,
                          pp_error *err)
{
    (void)err;
    assert(cap > 0);
    struct capping job = {backend->kernels, x, n, cap};
    ppi_cpu_run(backend->pool, n / WORTH_A_THREAD + 1, run_softcap, &job);
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

static void run_copy(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct copying *job = arg;
    int64_t lines = ppi_div_up((int64_t)job->bytes, CACHE_LINE);
    size_t first = (size_t)ppi_cpu_share(lines, i_thread, n_threads) * CACHE_LINE;
    size_t end = (size_t)ppi_cpu_share(lines, i_thread + 1, n_threads) * CACHE_LINE;
    if (end > job->bytes)
        end = job->bytes;
    memcpy(job->dst + first, job->src + first, end - first);
}

pp_status ppi_cpu_copy(struct ppi_backend *backend, void *dst, const void *src, size_t bytes,
                       pp_error *err)
{
    (void)err;
    struct copying job = {dst, src, bytes};
    ppi_cpu_run(backend->pool, (int64_t)bytes / COPY_BYTES + 1, run_copy, &job);
    return PP_OK;
}
