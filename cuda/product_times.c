/*
 * product_times.c: what packing invariance costs: a class as it runs, beside the best that cuBLASLt
 * has when nothing is asked of it, and beside our own kernel.
 */
#include "cuda/products.h"

#define FREE_WORKSPACE ((size_t)32 << 20) /* what cuBLAS itself takes on large GPUs */
#define N_TRIES        5                  /* of which the best counts, for the seam */
#define PRODUCTS_A_TRY 4                  /* in a row, so that launches hide behind products */

struct job {
    struct ppi_backend *backend;
    const struct ppi_cuda_class *class;
    const cublasLtMatmulAlgo_t *algorithm; /* NULL: as the class says, or our own kernel */
    void *workspace;
    bool own;
    const void *a, *w;
    int64_t n_rows;
    void *out;
    cudaEvent_t begin, end;
};

static pp_status run_once(const struct job *job, pp_error *err)
{
    if (job->own)
        return ppi_cuda_product_own(job->backend, &job->class->shape, job->a, job->w, job->n_rows,
                                    1, job->out, err);
    if (!job->algorithm)
        return ppi_cuda_product_run(job->backend, job->class, job->a, job->w, job->n_rows, 1,
                                    job->out, err);
    return ppi_cuda_lt_check(ppi_cuda_lt_multiply(job->backend->products->lt, job->class,
                                                  job->algorithm, job->workspace, FREE_WORKSPACE,
                                                  job->backend->stream, job->a, job->w,
                                                  (int32_t)job->n_rows, 1, job->out),
                             "cublasLtMatmul", err);
}

/* The least seconds of a product; the first try, which loads code, does not count. */
static pp_status best_of(const struct job *job, int32_t n_tries, double *seconds, pp_error *err)
{
    cudaStream_t stream = job->backend->stream;
    *seconds = 0;
    for (int32_t i = 0; i <= n_tries; i++) {
        float milliseconds = 0;
        PP_TRY(ppi_cuda_check(cudaEventRecord(job->begin, stream), "cudaEventRecord", err));
        for (int32_t j = 0; j < PRODUCTS_A_TRY; j++)
            PP_TRY(run_once(job, err));
        PP_TRY(ppi_cuda_check(cudaEventRecord(job->end, stream), "cudaEventRecord", err));
        PP_TRY(ppi_cuda_check(cudaEventSynchronize(job->end), "cudaEventSynchronize", err));
        PP_TRY(ppi_cuda_check(cudaEventElapsedTime(&milliseconds, job->begin, job->end),
                              "cudaEventElapsedTime", err));
        double each = milliseconds * 1e-3 / PRODUCTS_A_TRY;
        if (i > 0 && (*seconds == 0 || each < *seconds))
            *seconds = each;
    }
    return PP_OK;
}

/* The best of what the heuristic proposes for just these rows. */
static pp_status time_free(struct job *job, int32_t n_tries, double *seconds, pp_error *err)
{
    cublasLtMatmulAlgo_t algorithms[PPI_CUDA_LT_CANDIDATES];
    int32_t n;
    PP_TRY(ppi_cuda_lt_unrestricted(job->backend->products->lt, job->class, (int32_t)job->n_rows,
                                    FREE_WORKSPACE, algorithms, &n, err));
    for (int32_t i = 0; i < n; i++) {
        double each;
        job->algorithm = &algorithms[i];
        PP_TRY(best_of(job, n_tries, &each, err));
        if (*seconds == 0 || each < *seconds)
            *seconds = each;
    }
    return PP_OK;
}

static pp_status time_all(struct job *job, int32_t n_tries, struct ppi_cuda_product_times *times,
                          pp_error *err)
{
    PP_TRY(ppi_cuda_check(cudaEventCreate(&job->begin), "cudaEventCreate", err));
    PP_TRY(ppi_cuda_check(cudaEventCreate(&job->end), "cudaEventCreate", err));
    PP_TRY(best_of(job, n_tries, &times->guarded, err));
    job->own = true;
    PP_TRY(best_of(job, n_tries, &times->own, err));
    job->own = false;
    if (!job->backend->products->lt)
        return PP_OK;
    job->workspace = ppi_cuda_alloc(job->backend, FREE_WORKSPACE);
    if (!job->workspace)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM, "no device memory for a workspace of %zu bytes",
                         FREE_WORKSPACE);
    return time_free(job, n_tries, &times->free, err);
}

pp_status ppi_cuda_product_time(struct ppi_backend *backend, const struct ppi_cuda_class *class,
                                const void *a, const void *w, int64_t n_rows, void *out,
                                int32_t n_tries, struct ppi_cuda_product_times *times,
                                pp_error *err)
{
    struct job job = {
        .backend = backend, .class = class, .a = a, .w = w, .n_rows = n_rows, .out = out};
    *times = (struct ppi_cuda_product_times){0};
    pp_status status = time_all(&job, n_tries, times, err);
    cudaStreamSynchronize(backend->stream);
    ppi_cuda_release(backend, job.workspace, FREE_WORKSPACE);
    if (job.begin)
        cudaEventDestroy(job.begin);
    if (job.end)
        cudaEventDestroy(job.end);
    return status;
}

pp_status ppi_cuda_compare_products(struct ppi_backend *backend, const void *a,
                                    const struct ppi_matrix *w, int64_t n_rows, bool accumulate,
                                    void *out, struct ppi_product_times *times, pp_error *err)
{
    struct ppi_cuda_shape shape = ppi_cuda_shape_of(w, accumulate);
    const struct ppi_cuda_class *class = ppi_cuda_class_find(backend->products, &shape);
    const struct ppi_cuda_class own = {.shape = shape, .state = PPI_CUDA_CLASS_OWN};
    struct ppi_cuda_product_times found;
    PP_TRY(ppi_cuda_product_time(backend, class ? class : &own, a, w->data, n_rows, out, N_TRIES,
                                 &found, err));
    *times = (struct ppi_product_times){
        .guarded = found.guarded, .unguarded = found.free, .own = found.own};
    return PP_OK;
}
