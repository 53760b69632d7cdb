/*
 * products.h: what the files of the matrix products share. A product's class is its shape without
 * the number of rows: for each class it is settled once, when a matrix of it is prepared, whether
 * cuBLASLt computes it and by which algorithms, or our own kernel does. Nothing is chosen by the
 * number of rows later than that, and the choice depends on the class, the device and the library's
 * version alone: not on weights, on memory that is free or on max_pass_tokens.
 */
#ifndef PPI_CUDA_PRODUCTS_H
#define PPI_CUDA_PRODUCTS_H

#include "cuda/cuda_impl.h"

#include <cublasLt.h>

/* Most rows of one call; more rows are several calls. Few where a CPU has to run the self-test. */
#ifdef PPI_EMULATION
#define PPI_CUDA_LT_MAX_ROWS 512
#else
#define PPI_CUDA_LT_MAX_ROWS 8192
#endif
/* Row counts up to 64, 256, 1024 and beyond have an algorithm each, all of the same bits. */
#define PPI_CUDA_LT_GROUPS 4
/* Algorithms that are asked for, and so tried at most, for a group of row counts. */
#define PPI_CUDA_LT_CANDIDATES 8
/* What an algorithm may use. Enough for counters and descriptors, not for partial sums. */
#define PPI_CUDA_LT_WORKSPACE ((size_t)4 << 20)
#define PPI_CUDA_LT_ALIGNMENT 256 /* of every pointer it gets */
#define PPI_CUDA_MAX_CLASSES  24  /* a model has up to 17; further ones run on our own kernel */

/* out [rows, n] = a [rows, k] w^T, w [n, k]; added to out when accumulate. */
struct ppi_cuda_shape {
    int64_t n, k;
    int32_t type;     /* of a and w: PPI_CUDA_BF16 or F16 */
    int32_t out_type; /* PPI_CUDA_F32 or type */
    bool accumulate;
};

#define PPI_CUDA_CLASS_UNTESTED 0 /* weights so far told nothing: our own kernel */
#define PPI_CUDA_CLASS_OWN      1
#define PPI_CUDA_CLASS_LT       2

/* The operation and its matrices in cuBLASLt's words; the number of rows is set for each call. */
struct ppi_cuda_lt_problem {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t w, a, out;
};

struct ppi_cuda_class {
    struct ppi_cuda_shape shape;
    struct ppi_cuda_lt_problem problem;
    int32_t state;
    int32_t max_rows; /* of one call of cuBLASLt: what the self-test ran */
    int32_t n_tried;  /* algorithms that the self-test ran */
    cublasLtMatmulAlgo_t algorithms[PPI_CUDA_LT_GROUPS];
};

struct ppi_cuda_products {
    cublasLtHandle_t lt; /* NULL: our own kernel for everything */
    void *workspace;     /* PPI_CUDA_LT_WORKSPACE bytes, with lt */
    void *gate_up;       /* act [gate_up_rows, 2 intermediate_size], or NULL */
    int32_t gate_up_rows;
    int32_t n_classes;
    struct ppi_cuda_class classes[PPI_CUDA_MAX_CLASSES];
};

static inline size_t ppi_cuda_type_bytes(int32_t type)
{
    return type == PPI_CUDA_F32 ? 4 : 2;
}

struct ppi_cuda_shape ppi_cuda_shape_of(const struct ppi_matrix *w, bool accumulate);
/* The class of a matrix, or NULL: it was not prepared. */
struct ppi_cuda_class *ppi_cuda_class_find(struct ppi_cuda_products *products,
                                           const struct ppi_cuda_shape *shape);
/* The group that a number of rows is in, and its most rows. */
static inline int32_t ppi_cuda_group_rows(int32_t group)
{
    return group == 0 ? 64 : group == 1 ? 256 : group == 2 ? 1024 : PPI_CUDA_LT_MAX_ROWS;
}

static inline int32_t ppi_cuda_group_of(int32_t n_rows)
{
    int32_t group = 0;
    while (n_rows > ppi_cuda_group_rows(group))
        group++;
    return group;
}

/* Enqueues scale times the product by our own kernel, for any shape and number of rows. */
pp_status ppi_cuda_product_own(struct ppi_backend *backend, const struct ppi_cuda_shape *shape,
                               const void *a, const void *w, int64_t n_rows, float scale, void *out,
                               pp_error *err);
/* Enqueues scale times the product as the class says. out has room for the next multiple of
 * PPI_CUDA_ROW_PADDING rows; a, w and out are 256-byte aligned. */
pp_status ppi_cuda_product_run(struct ppi_backend *backend, const struct ppi_cuda_class *class,
                               const void *a, const void *w, int64_t n_rows, float scale, void *out,
                               pp_error *err);

/* ---- product_lt.c: cuBLASLt ---- */

/* Shapes that cuBLASLt may get. Others run in tail code that sums in other orders. */
bool ppi_cuda_lt_fits(const struct ppi_cuda_shape *shape);
/* PP_OK, PP_ERR_DEVICE_NOMEM or PP_ERR_DEVICE with the library's text. */
pp_status ppi_cuda_lt_check(cublasStatus_t status, const char *what, pp_error *err);
/* The library will not do this, which is no error of the device. */
bool ppi_cuda_lt_refuses(cublasStatus_t status);
/* Sets class->problem from class->shape. */
pp_status ppi_cuda_lt_describe(struct ppi_cuda_class *class, pp_error *err);
/* Writes up to PPI_CUDA_LT_CANDIDATES algorithms that its heuristic proposes for n_rows rows, best
 * first, without those that split k; *n may be 0. */
pp_status ppi_cuda_lt_candidates(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                 int32_t n_rows, cublasLtMatmulAlgo_t *algorithms, int32_t *n,
                                 pp_error *err);
/* The same with any workspace and any number of parts of k: for comparison only. */
pp_status ppi_cuda_lt_unrestricted(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                   int32_t n_rows, size_t workspace_bytes,
                                   cublasLtMatmulAlgo_t *algorithms, int32_t *n, pp_error *err);
/* Whether an algorithm takes n_rows rows in our workspace. */
pp_status ppi_cuda_lt_takes(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                            const cublasLtMatmulAlgo_t *algorithm, int32_t n_rows, bool *takes,
                            pp_error *err);
/* Enqueues scale times a product of exactly n_rows rows. */
cublasStatus_t ppi_cuda_lt_multiply(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                    const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                                    size_t workspace_bytes, cudaStream_t stream, const void *a,
                                    const void *w, int32_t n_rows, float scale, void *out);
/* "algorithm 66 tile 15 stages 35 cluster 3" */
void ppi_cuda_lt_name(const cublasLtMatmulAlgo_t *algorithm, char *text, size_t size);

/* ---- product_guard.c: the self-test ---- */

/* Sets the class's state, and its algorithms where cuBLASLt passes. data: weights of the class, on
 * the device. Waits. Errors: PP_ERR_DEVICE_NOMEM, PP_ERR_NOMEM, PP_ERR_DEVICE; the class is
 * untested then. */
pp_status ppi_cuda_guard(struct ppi_backend *backend, struct ppi_cuda_class *class,
                         const void *data, pp_error *err);

/* ---- product_times.c: what the guard costs ---- */

struct ppi_cuda_product_times {
    double guarded; /* seconds as the class runs it */
    double free;    /* of cuBLASLt's best, split k and all, for just this many rows */
    double own;     /* of our own kernel */
};
/* Times a class for n_rows rows, the best of n_tries each; free is 0 where cuBLASLt is not used.
 * a and out hold n_rows rows rounded up to PPI_CUDA_ROW_PADDING. Waits. */
pp_status ppi_cuda_product_time(struct ppi_backend *backend, const struct ppi_cuda_class *class,
                                const void *a, const void *w, int64_t n_rows, void *out,
                                int32_t n_tries, struct ppi_cuda_product_times *times,
                                pp_error *err);

#endif
