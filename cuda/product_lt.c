/*
 * product_lt.c: what we ask of cuBLASLt. It sees columns first, so a row-major [rows, k] is its k x
 * rows matrix, and our product is  out^T (n x rows) = w (n x k, stored transposed) a^T (k x rows):
 * its M is our n, its N our rows. All leading dimensions are k or n. Descriptors are plain structs
 * of ours: no call allocates, apart from the heuristic.
 */
#include "cuda/products.h"

#include <stdio.h>

/* Tensor cores take k in groups of 16, and rows of out start on 32 bytes then. */
#define MULTIPLE 16

static cudaDataType_t data_type(int32_t type)
{
    return type == PPI_CUDA_F32 ? CUDA_R_32F : type == PPI_CUDA_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

#define LT_TRY(expression)                                                                         \
    do {                                                                                           \
        cublasStatus_t lt_status_ = (expression);                                                  \
        if (lt_status_ != CUBLAS_STATUS_SUCCESS)                                                   \
            return lt_status_;                                                                     \
    } while (0)

bool ppi_cuda_lt_fits(const struct ppi_cuda_shape *shape)
{
    return shape->n % MULTIPLE == 0 && shape->k % MULTIPLE == 0 && shape->n <= INT32_MAX &&
           shape->k <= INT32_MAX;
}

pp_status ppi_cuda_lt_check(cublasStatus_t status, const char *what, pp_error *err)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return PP_OK;
    return ppi_error(err,
                     status == CUBLAS_STATUS_ALLOC_FAILED ? PP_ERR_DEVICE_NOMEM : PP_ERR_DEVICE,
                     "%s: %s", what, cublasLtGetStatusString(status));
}

bool ppi_cuda_lt_refuses(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
           status == CUBLAS_STATUS_ARCH_MISMATCH;
}

static cublasStatus_t describe(const struct ppi_cuda_shape *shape,
                               struct ppi_cuda_lt_problem *problem)
{
    uint64_t n = (uint64_t)shape->n, k = (uint64_t)shape->k, rows = PPI_CUDA_ROW_PADDING;
    cudaDataType_t type = data_type(shape->type), out_type = data_type(shape->out_type);
    int32_t transposed = CUBLAS_OP_T;
    LT_TRY(cublasLtMatmulDescInit(&problem->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    LT_TRY(cublasLtMatmulDescSetAttribute(&problem->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                          &transposed, sizeof transposed));
    LT_TRY(cublasLtMatrixLayoutInit(&problem->w, type, k, n, shape->k));
    LT_TRY(cublasLtMatrixLayoutInit(&problem->a, type, k, rows, shape->k));
    LT_TRY(cublasLtMatrixLayoutInit(&problem->out, out_type, n, rows, shape->n));
    return CUBLAS_STATUS_SUCCESS;
}

pp_status ppi_cuda_lt_describe(struct ppi_cuda_class *class, pp_error *err)
{
    return ppi_cuda_lt_check(describe(&class->shape, &class->problem), "cublasLtMatrixLayoutInit",
                             err);
}

/* The class's problem with n_rows rows. */
static cublasStatus_t with_rows(const struct ppi_cuda_class *class, int32_t n_rows,
                                struct ppi_cuda_lt_problem *problem)
{
    uint64_t cols = (uint64_t)n_rows;
    *problem = class->problem;
    LT_TRY(cublasLtMatrixLayoutSetAttribute(&problem->a, CUBLASLT_MATRIX_LAYOUT_COLS, &cols,
                                            sizeof cols));
    return cublasLtMatrixLayoutSetAttribute(&problem->out, CUBLASLT_MATRIX_LAYOUT_COLS, &cols,
                                            sizeof cols);
}

/* ---- the heuristic ---- */

/* Partial sums over parts of k, added later: how many parts there are may depend on the number of
 * rows. Algorithms that cannot split report 0 or 1 parts. */
static cublasStatus_t is_split(const cublasLtMatmulAlgo_t *algorithm, bool *split)
{
    int32_t parts = 0;
    uint32_t scheme = 0;
    size_t written;
    LT_TRY(cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts,
                                                sizeof parts, &written));
    LT_TRY(cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                &scheme, sizeof scheme, &written));
    *split = parts < 0 || parts > 1 || scheme != CUBLASLT_REDUCTION_SCHEME_NONE;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t prefer(cublasLtMatmulPreferenceOpaque_t *preference, uint64_t workspace_bytes,
                             uint32_t schemes)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint32_t alignment = PPI_CUDA_LT_ALIGNMENT;
    LT_TRY(cublasLtMatmulPreferenceInit(preference));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference,
                                                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                &workspace_bytes, sizeof workspace_bytes));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes));
    for (size_t i = 0; i < PPI_COUNT(alignments); i++)
        LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment,
                                                    sizeof alignment));
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t ask(cublasLtHandle_t lt, const struct ppi_cuda_class *class, int32_t n_rows,
                          uint64_t workspace_bytes, bool may_split,
                          cublasLtMatmulHeuristicResult_t *results, int *n)
{
    struct ppi_cuda_lt_problem problem;
    cublasLtMatmulPreferenceOpaque_t preference;
    LT_TRY(with_rows(class, n_rows, &problem));
    LT_TRY(prefer(&preference, workspace_bytes,
                  may_split ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_NONE));
    return cublasLtMatmulAlgoGetHeuristic(lt, &problem.operation, &problem.w, &problem.a,
                                          &problem.out, &problem.out, &preference,
                                          PPI_CUDA_LT_CANDIDATES, results, n);
}

static pp_status candidates(cublasLtHandle_t lt, const struct ppi_cuda_class *class, int32_t n_rows,
                            uint64_t workspace_bytes, bool may_split,
                            cublasLtMatmulAlgo_t *algorithms, int32_t *n, pp_error *err)
{
    cublasLtMatmulHeuristicResult_t results[PPI_CUDA_LT_CANDIDATES];
    int n_results = 0;
    *n = 0;
    cublasStatus_t status = ask(lt, class, n_rows, workspace_bytes, may_split, results, &n_results);
    if (ppi_cuda_lt_refuses(status))
        return PP_OK;
    PP_TRY(ppi_cuda_lt_check(status, "cublasLtMatmulAlgoGetHeuristic", err));
    for (int i = 0; i < n_results; i++) {
        bool split = false;
        if (results[i].state != CUBLAS_STATUS_SUCCESS)
            continue;
        PP_TRY(ppi_cuda_lt_check(is_split(&results[i].algo, &split),
                                 "cublasLtMatmulAlgoConfigGetAttribute", err));
        if (may_split || !split)
            algorithms[(*n)++] = results[i].algo;
    }
    return PP_OK;
}

pp_status ppi_cuda_lt_candidates(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                 int32_t n_rows, cublasLtMatmulAlgo_t *algorithms, int32_t *n,
                                 pp_error *err)
{
    return candidates(lt, class, n_rows, PPI_CUDA_LT_WORKSPACE, false, algorithms, n, err);
}

pp_status ppi_cuda_lt_unrestricted(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                   int32_t n_rows, size_t workspace_bytes,
                                   cublasLtMatmulAlgo_t *algorithms, int32_t *n, pp_error *err)
{
    return candidates(lt, class, n_rows, workspace_bytes, true, algorithms, n, err);
}

/* ---- an algorithm ---- */

pp_status ppi_cuda_lt_takes(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                            const cublasLtMatmulAlgo_t *algorithm, int32_t n_rows, bool *takes,
                            pp_error *err)
{
    struct ppi_cuda_lt_problem problem;
    cublasLtMatmulHeuristicResult_t result = {.workspaceSize = 0};
    PP_TRY(ppi_cuda_lt_check(with_rows(class, n_rows, &problem), "cublasLtMatrixLayoutSetAttribute",
                             err));
    cublasStatus_t status = cublasLtMatmulAlgoCheck(lt, &problem.operation, &problem.w, &problem.a,
                                                    &problem.out, &problem.out, algorithm, &result);
    *takes = status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= PPI_CUDA_LT_WORKSPACE;
    return ppi_cuda_lt_refuses(status) ? PP_OK
                                       : ppi_cuda_lt_check(status, "cublasLtMatmulAlgoCheck", err);
}

cublasStatus_t ppi_cuda_lt_multiply(cublasLtHandle_t lt, const struct ppi_cuda_class *class,
                                    const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                                    size_t workspace_bytes, cudaStream_t stream, const void *a,
                                    const void *w, int32_t n_rows, float scale, void *out)
{
    struct ppi_cuda_lt_problem problem;
    float alpha = scale, beta = class->shape.accumulate ? 1 : 0;
    LT_TRY(with_rows(class, n_rows, &problem));
    return cublasLtMatmul(lt, &problem.operation, &alpha, w, &problem.w, a, &problem.a, &beta, out,
                          &problem.out, out, &problem.out, algorithm, workspace, workspace_bytes,
                          stream);
}

static long attribute(const cublasLtMatmulAlgo_t *algorithm,
                      cublasLtMatmulAlgoConfigAttributes_t which, size_t bytes)
{
    union {
        uint16_t two;
        uint32_t four;
    } value = {0};
    size_t written;
    if (cublasLtMatmulAlgoConfigGetAttribute(algorithm, which, &value, bytes, &written) !=
        CUBLAS_STATUS_SUCCESS)
        return -1;
    return bytes == sizeof value.two ? value.two : (long)value.four;
}

void ppi_cuda_lt_name(const cublasLtMatmulAlgo_t *algorithm, char *text, size_t size)
{
    snprintf(text, size, "algorithm %ld tile %ld stages %ld cluster %ld",
             attribute(algorithm, CUBLASLT_ALGO_CONFIG_ID, sizeof(uint32_t)),
             attribute(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID, sizeof(uint32_t)),
             attribute(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID, sizeof(uint32_t)),
             attribute(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, sizeof(uint16_t)));
}
