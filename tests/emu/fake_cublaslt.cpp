/*
 * fake_cublaslt.cpp: cuBLASLt without a GPU: our part of its interface, a handful of algorithms
 * that multiply on the CPU when the stream gets there, and some that misbehave when a test asks for
 * them. What the real library refuses at the call (alignment, leading dimensions, workspace,
 * descriptors that do not fit) is refused here as well.
 */
#include "fake_impl.h"
#include "hw_emu.h"

#include <cublasLt.h>
#include <fake_cublaslt.h>

#include <stdlib.h>
#include <string.h>

/* Opens an entry point: the lock, and the failure where it is the call that is to fail. */
#define FAKE_LT_CALL(status)                                                                       \
    fake_lock lock;                                                                                \
    if (fake_call_fails(__func__))                                                                 \
    return status

/* ---- the descriptors' contents ---- */

template <typename T, typename OPAQUE> static T opened(const OPAQUE *opaque)
{
    static_assert(sizeof(T) <= sizeof(OPAQUE), "the real descriptor is smaller");
    T contents;
    memcpy(&contents, opaque, sizeof contents);
    return contents;
}

template <typename T, typename OPAQUE> static void put(OPAQUE *opaque, const T &contents)
{
    memcpy(opaque, &contents, sizeof contents);
}

struct layout {
    static constexpr uint32_t MAGIC = 0x1a701;
    uint32_t magic, type;
    uint64_t rows, cols;
    int64_t ld;
};

struct operation {
    static constexpr uint32_t MAGIC = 0x1a702;
    uint32_t magic;
    int32_t compute_type, scale_type, trans_a, trans_b;
};

struct preference {
    static constexpr uint32_t MAGIC = 0x1a703;
    uint32_t magic, schemes;
    uint64_t workspace_bytes;
    uint32_t alignments[4];
};

struct algorithm {
    static constexpr uint32_t MAGIC = 0x1a704;
    uint32_t magic;
    int32_t id;
    uint32_t alignments[4]; /* what it was told it may rely on */
};

struct cublasLtContext {
    uint32_t magic;
};
constexpr uint32_t CONTEXT_MAGIC = 0x1a705;

template <typename T, typename OPAQUE> static bool is(const OPAQUE *opaque)
{
    return opaque && opened<T>(opaque).magic == T::MAGIC;
}

static bool is_open(cublasLtHandle_t handle)
{
    return handle && handle->magic == CONTEXT_MAGIC;
}

static size_t size_of(uint32_t type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

/* ---- handle and descriptors ---- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    FAKE_LT_CALL(CUBLAS_STATUS_ALLOC_FAILED);
    *handle = (cublasLtHandle_t)malloc(sizeof **handle);
    if (!*handle)
        return CUBLAS_STATUS_ALLOC_FAILED;
    (*handle)->magic = CONTEXT_MAGIC;
    fake_object_born();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    fake_lock lock;
    bool fails = fake_call_fails(__func__);
    if (!is_open(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->magic = 0;
    free(handle);
    fake_object_gone();
    return fails ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS         ? "success"
           : status == CUBLAS_STATUS_ALLOC_FAILED  ? "the resource allocation failed"
           : status == CUBLAS_STATUS_NOT_SUPPORTED ? "the requested functionality is not supported"
           : status == CUBLAS_STATUS_INVALID_VALUE ? "an unsupported value or parameter was passed"
                                                   : "an internal operation failed";
}

size_t cublasLtGetVersion(void)
{
    return 130100;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t matrix, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (size < sizeof *matrix)
        return CUBLAS_STATUS_ALLOC_FAILED;
    put(matrix, layout{layout::MAGIC, (uint32_t)type, rows, cols, ld});
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static cublasStatus_t set(T *to, const void *value, size_t bytes)
{
    if (!value || bytes != sizeof *to)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matrix,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (!is<layout>(matrix))
        return CUBLAS_STATUS_INVALID_VALUE;
    layout contents = opened<layout>(matrix);
    cublasStatus_t status =
        attribute == CUBLASLT_MATRIX_LAYOUT_TYPE   ? set(&contents.type, value, bytes)
        : attribute == CUBLASLT_MATRIX_LAYOUT_ROWS ? set(&contents.rows, value, bytes)
        : attribute == CUBLASLT_MATRIX_LAYOUT_COLS ? set(&contents.cols, value, bytes)
        : attribute == CUBLASLT_MATRIX_LAYOUT_LD   ? set(&contents.ld, value, bytes)
                                                   : CUBLAS_STATUS_INVALID_VALUE;
    put(matrix, contents);
    return status;
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t desc, size_t size,
                                               cublasComputeType_t compute_type,
                                               cudaDataType_t scale_type)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (size < sizeof *desc)
        return CUBLAS_STATUS_ALLOC_FAILED;
    put(desc, operation{operation::MAGIC, compute_type, scale_type, CUBLAS_OP_N, CUBLAS_OP_N});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (!is<operation>(desc))
        return CUBLAS_STATUS_INVALID_VALUE;
    operation contents = opened<operation>(desc);
    cublasStatus_t status =
        attribute == CUBLASLT_MATMUL_DESC_TRANSA   ? set(&contents.trans_a, value, bytes)
        : attribute == CUBLASLT_MATMUL_DESC_TRANSB ? set(&contents.trans_b, value, bytes)
                                                   : CUBLAS_STATUS_INVALID_VALUE;
    put(desc, contents);
    return status;
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t pref, size_t size)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (size < sizeof *pref)
        return CUBLAS_STATUS_ALLOC_FAILED;
    put(pref,
        preference{preference::MAGIC, CUBLASLT_REDUCTION_SCHEME_MASK, 0, {256, 256, 256, 256}});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (!is<preference>(pref))
        return CUBLAS_STATUS_INVALID_VALUE;
    preference contents = opened<preference>(pref);
    cublasStatus_t status =
        attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
            ? set(&contents.workspace_bytes, value, bytes)
        : attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
            ? set(&contents.schemes, value, bytes)
        : attribute >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
                attribute <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
            ? set(&contents.alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
                  value, bytes)
            : CUBLAS_STATUS_INVALID_VALUE;
    put(pref, contents);
    return status;
}

/* ---- algorithms ---- */

static int few[16], many[16], n_few, n_many;
static long n_products[FAKE_LT_N_ALGORITHMS];

static void propose(int *list, int *n_list, const int *ids, int n)
{
    fake_lock lock;
    *n_list = n;
    for (int i = 0; i < n; i++)
        list[i] = ids[i];
    memset(n_products, 0, sizeof n_products);
}

void fake_lt_propose_few(const int *ids, int n)
{
    propose(few, &n_few, ids, n);
}

void fake_lt_propose_many(const int *ids, int n)
{
    propose(many, &n_many, ids, n);
}

long fake_lt_products(int id)
{
    fake_lock lock;
    return n_products[id];
}

static size_t workspace_of(int id)
{
    return id == FAKE_LT_WANTS_MUCH ? (size_t)64 << 20 : id == FAKE_LT_SPLITS_K ? 4096 : 256;
}

static bool refuses_rows(uint64_t rows)
{
    return rows > 64 && rows / 64 % 2 == 1;
}

struct problem {
    operation op;
    layout a, b, c, d;
};

/* The one problem that this project has: D (m x n) = A^T (k x m, transposed) B (k x n) + C. */
static cublasStatus_t read_problem(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                   cublasLtMatrixLayout_t d, problem *p)
{
    if (!is<operation>(desc) || !is<layout>(a) || !is<layout>(b) || !is<layout>(c) ||
        !is<layout>(d))
        return CUBLAS_STATUS_INVALID_VALUE;
    *p = {opened<operation>(desc), opened<layout>(a), opened<layout>(b), opened<layout>(c),
          opened<layout>(d)};
    const layout *all[] = {&p->a, &p->b, &p->c, &p->d};
    for (const layout *each : all)
        if (each->rows == 0 || each->cols == 0 || each->ld < (int64_t)each->rows)
            return CUBLAS_STATUS_INVALID_VALUE;
    if (p->op.trans_a != CUBLAS_OP_T || p->op.trans_b != CUBLAS_OP_N ||
        p->op.compute_type != CUBLAS_COMPUTE_32F || p->op.scale_type != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->a.rows != p->b.rows || p->a.cols != p->d.rows || p->b.cols != p->d.cols ||
        memcmp(&p->c, &p->d, sizeof p->c) != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p->a.type != p->b.type || p->a.type == CUDA_R_32F ||
        (p->d.type != CUDA_R_32F && p->d.type != p->a.type))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (const layout *each : all)
        if (each->ld * size_of(each->type) % 16 != 0)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t pref, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    static const int usual_few[] = {FAKE_LT_SMALL, FAKE_LT_LARGE};
    static const int usual_many[] = {FAKE_LT_LARGE, FAKE_LT_SMALL};
    problem p;
    *n = 0;
    if (!is_open(handle) || !is<preference>(pref) || n_wanted < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = read_problem(desc, a, b, c, d, &p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    bool is_few = p.d.cols <= 128;
    const int *list = is_few ? (n_few ? few : usual_few) : n_many ? many : usual_many;
    int n_list = is_few ? (n_few ? n_few : 2) : n_many ? n_many : 2;
    preference wanted = opened<preference>(pref);
    for (int i = 0; i < n_list && *n < n_wanted; i++) {
        cublasLtMatmulHeuristicResult_t *result = &results[(*n)++];
        memset(result, 0, sizeof *result);
        algorithm each = {algorithm::MAGIC, list[i], {}};
        memcpy(each.alignments, wanted.alignments, sizeof each.alignments);
        put(&result->algo, each);
        result->state =
            list[i] == FAKE_LT_HAS_NO_STATE ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
        result->workspaceSize = workspace_of(list[i]);
        result->wavesCount = 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    problem p;
    if (!is_open(handle) || !is<algorithm>(algo))
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = read_problem(desc, a, b, c, d, &p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    int id = opened<algorithm>(algo).id;
    if (id == FAKE_LT_REFUSES_ROWS && refuses_rows(p.d.cols))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    result->state = CUBLAS_STATUS_SUCCESS;
    result->workspaceSize = workspace_of(id);
    result->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t bytes, size_t *written)
{
    FAKE_LT_CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    if (!is<algorithm>(algo))
        return CUBLAS_STATUS_INVALID_VALUE;
    bool splits = opened<algorithm>(algo).id == FAKE_LT_SPLITS_K;
    uint32_t id = (uint32_t)opened<algorithm>(algo).id;
    uint32_t x = attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? (splits ? 3 : 1)
                 : attribute == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME
                     ? (splits ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : 0)
                     : id;
    size_t size = attribute == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID ? 2 : 4;
    if (bytes != size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &x, size); /* little-endian */
    *written = size;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- products ---- */

struct product {
    problem p;
    int id;
    float alpha, beta;
    const char *a, *b;
    char *d;
    void *workspace;
};

static size_t extent(const layout &m)
{
    return ((size_t)(m.cols - 1) * (size_t)m.ld + m.rows) * size_of(m.type);
}

static float get(uint32_t type, const char *at)
{
    uint16_t half;
    float whole;
    if (type == CUDA_R_32F) {
        memcpy(&whole, at, sizeof whole);
        return whole;
    }
    memcpy(&half, at, sizeof half);
    return type == CUDA_R_16BF ? hw::widen(hw::bf16{half}) : hw::widen(hw::f16{half});
}

static void store(uint32_t type, char *at, float x)
{
    uint16_t half =
        type == CUDA_R_16BF ? hw::narrow<hw::bf16>(x).bits : hw::narrow<hw::f16>(x).bits;
    if (type == CUDA_R_32F)
        memcpy(at, &x, sizeof x);
    else
        memcpy(at, &half, sizeof half);
}

/* sums[j] = a chain over elements [first, last) of a and of column j of w [k, n]. */
static void chain(const float *a, const float *w, size_t n, size_t first, size_t last, bool rounded,
                  float *sums)
{
    for (size_t j = 0; j < n; j++)
        sums[j] = 0;
    for (size_t i = first; i < last; i++) {
        for (size_t j = 0; j < n; j++)
            sums[j] += a[i] * w[i * n + j];
        for (size_t j = 0; rounded && j < n; j++)
            sums[j] = hw::widen(hw::narrow<hw::bf16>(sums[j]));
    }
}

/* Row counts that fill no tile run in kernels of another order, as in the real library. */
static bool in_two_chains(int id, size_t row, size_t n_rows)
{
    return n_rows % 64 != 0 || id == FAKE_LT_OTHER_CHAIN || id == FAKE_LT_SPLITS_K ||
           (id == FAKE_LT_BY_ROW_COUNT && n_rows > 128) ||
           (id == FAKE_LT_BY_PLACE && row % 128 >= 64);
}

static void multiply(const product &m, float *a, float *w, float *sums, float *more)
{
    const problem &p = m.p;
    size_t k = p.a.rows, n = p.d.rows, n_rows = p.d.cols, last = k, out_size = size_of(p.d.type);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++)
            w[i * n + j] = get(p.a.type, m.a + (j * (size_t)p.a.ld + i) * 2);
    if (m.id == FAKE_LT_DROPS_TAIL)
        last = k - 16;
    for (size_t row = 0; row < n_rows; row++) {
        if (m.id == FAKE_LT_LEAVES_ROWS && n_rows > 256 && row + 1 == n_rows)
            continue;
        for (size_t i = 0; i < k; i++)
            a[i] = get(p.b.type, m.b + (row * (size_t)p.b.ld + i) * 2);
        if (m.id == FAKE_LT_SWAPS_K) {
            float first = a[0];
            a[0] = a[1];
            a[1] = first;
        }
        bool two = in_two_chains(m.id, row, n_rows);
        chain(a, w, n, 0, two ? last / 2 : last, m.id == FAKE_LT_ROUNDS_SUMS, sums);
        if (two)
            chain(a, w, n, last / 2, last, false, more);
        for (size_t j = 0; j < n; j++) {
            char *at = m.d + (row * (size_t)p.d.ld + j) * out_size;
            float x = m.alpha * (two ? sums[j] + more[j] : sums[j]);
            if (m.beta != 0 && m.id != FAKE_LT_IGNORES_OUT)
                x = x + m.beta * get(p.d.type, at);
            store(p.d.type, at, x);
        }
    }
    if (m.id == FAKE_LT_WRITES_BEYOND && n_rows % 128 != 0)
        memset(m.d + n_rows * (size_t)p.d.ld * out_size, 0, (size_t)p.d.ld * out_size);
}

static void run_product(void *arg)
{
    product *m = (product *)arg;
    const problem &p = m->p;
    size_t k = p.a.rows, n = p.d.rows;
    if (!fake_work_has_failed()) {
        if (!fake_is_device(m->a, extent(p.a)) || !fake_is_device(m->b, extent(p.b)) ||
            !fake_is_device(m->d, extent(p.d)) ||
            !fake_is_device(m->workspace, workspace_of(m->id))) {
            fake_work_failed(cudaErrorIllegalAddress);
        } else {
            float *memory = (float *)malloc((k + k * n + 2 * n) * sizeof *memory);
            if (!memory)
                abort();
            memset(m->workspace, 0xFF, workspace_of(m->id));
            multiply(*m, memory, memory + k, memory + k + k * n, memory + k + k * n + n);
            free(memory);
        }
    }
    free(m);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t a, const void *B,
                              cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    FAKE_LT_CALL(CUBLAS_STATUS_EXECUTION_FAILED);
    product m = {};
    if (!is_open(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!is<algorithm>(algo) || !A || !B || !C || !D || C != D || !fake_is_stream(stream))
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = read_problem(desc, a, b, c, d, &m.p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    algorithm chosen = opened<algorithm>(algo);
    m.id = chosen.id;
    const void *pointers[] = {A, B, C, D};
    for (int i = 0; i < 4; i++)
        if ((uintptr_t)pointers[i] % chosen.alignments[i] != 0)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    if (workspace_bytes < workspace_of(m.id) || !workspace || (uintptr_t)workspace % 256 != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (m.id == FAKE_LT_FAILS_ROWS && refuses_rows(m.p.d.cols))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memcpy(&m.alpha, alpha, sizeof m.alpha);
    memcpy(&m.beta, beta, sizeof m.beta);
    m.a = (const char *)A;
    m.b = (const char *)B;
    m.d = (char *)D;
    m.workspace = workspace;
    product *work = (product *)malloc(sizeof *work);
    if (!work)
        return CUBLAS_STATUS_ALLOC_FAILED;
    *work = m;
    n_products[m.id]++;
    fake_stream_enqueue(stream, run_product, work);
    return CUBLAS_STATUS_SUCCESS;
}
