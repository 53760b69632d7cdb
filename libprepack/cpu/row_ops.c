/*
 * row_ops.c: operations on rows that share nothing: rmsnorm and gather_rows; and copying. Threads
 * take equal runs of rows.
 */
#include "cpu/cpu.h"

#include <assert.h>
#include <string.h>

#define WORTH_A_THREAD 16384              /* elements */
#define COPY_BYTES     ((int64_t)1 << 20) /* worth a thread */
#define CACHE_LINE     64

struct norm {
    const struct ppi_backend *backend;
    const float *x, *weight;
    double eps;
    int64_t n_rows, dim;
    char *out;
};

static void run_norm(void *arg, int32_t i_thread, int32_t n_threads)
{
    const struct norm *job = arg;
    int64_t first = ppi_cpu_share(job->n_rows, i_thread, n_threads);
    int64_t end = ppi_cpu_share(job->n_rows, i_thread + 1, n_threads);
    job->backend->kernels->rmsnorm(job->x + first * job->dim, job->weight, job->eps, end - first,
                                   job->dim,
                                   job->out + (size_t)(first * job->dim) * job->backend->act_bytes);
}

pp_status ppi_cpu_rmsnorm(struct ppi_backend *backend, const float *x,
                          const struct ppi_matrix *weight, double eps, int64_t n_rows, int64_t dim,
                          void *out, pp_error *err)
{
    (void)err;
    assert(weight->kind == PPI_MATRIX_VECTOR && weight->k == dim);
    struct norm job = {backend, x,  (const float *)(const void *)weight->data, eps, n_rows,
                       dim,     out};
    ppi_cpu_run(backend->pool, n_rows * dim / WORTH_A_THREAD + 1, run_norm, &job);
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
