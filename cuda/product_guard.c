/*
 * product_guard.c: the self-test that a cuBLASLt algorithm has to pass before a class uses it.
 *
 * PERIOD rows of a, repeated, are multiplied with the class's weights at row counts from 64 to the
 * most that a call may have. 1. The first 64 rows agree with our own product: rows that pick one
 * element of k exactly, random rows within a rounding bound, so that a dropped tail of k is found.
 * 2. At every row count every row has the bits that its base row has among the first 64. PERIOD is
 * prime, so base rows fall on all places of all tiles. 3. Nothing is written beyond the rows. The
 * algorithm that passes at all row counts is the class's reference; groups of fewer rows get the
 * first algorithm of their own that gives the reference's bits, else the reference.
 */
#include "cuda/products.h"
#include "dtype.h"

#include <math.h>
#include <string.h>

#define PERIOD        61
#define PICKING_ROWS  16 /* the first base rows: a single 1 */
#define CHECKED_ROWS  32 /* base rows whose values are looked at: half of them random */
#define TAIL_ROWS     8  /* beyond the product's rows: must stay as they are */
#define NAN_BYTE      0xFF
#define SCRATCH_BYTES ((size_t)256 << 20)

/* Every power of two, with its neighbours among the multiples of 64. */
static const int32_t row_counts[] = {64,   128,  192,  256,  320,  448,  512,  768, 960,
                                     1024, 1088, 1984, 2048, 4032, 4096, 8128, 8192};

struct trial {
    struct ppi_backend *backend;
    struct ppi_cuda_class *class;
    const void *w;
    int32_t max_rows;
    size_t row_bytes; /* of out */
    void *scratch;
    size_t scratch_bytes;
    /* device, in scratch */
    char *a;               /* act [max_rows, k] */
    char *out;             /* [max_rows + TAIL_ROWS, n] */
    char *expected;        /* [64, n]: the reference's first rows */
    char *own;             /* [64, n]: our own product's */
    char *start;           /* [PERIOD, n]: what is in out before, with accumulate */
    char *untouched;       /* [TAIL_ROWS, n] of NAN_BYTE */
    uint32_t *n_different; /* groups of bytes that were not as expected */
    /* host, f32 [CHECKED_ROWS, n] */
    float *own_values, *values;
    void *raw; /* as downloaded */
};

static int32_t dtype_of(int32_t type)
{
    return type == PPI_CUDA_F32    ? PP_DTYPE_F32
           : type == PPI_CUDA_BF16 ? PP_DTYPE_BF16
                                   : PP_DTYPE_F16;
}

/* ---- memory ---- */

static char *take(const struct trial *t, size_t *at, size_t bytes)
{
    size_t offset = *at;
    *at += (size_t)ppi_round_up((int64_t)bytes, PPI_CUDA_LT_ALIGNMENT);
    return t->scratch ? (char *)t->scratch + offset : NULL;
}

/* Places the parts of scratch; returns the bytes they need. */
static size_t lay_out(struct trial *t)
{
    size_t at = 0, rows = (size_t)t->max_rows;
    t->a = take(t, &at, rows * (size_t)t->class->shape.k * 2);
    t->out = take(t, &at, (rows + TAIL_ROWS) * t->row_bytes);
    t->expected = take(t, &at, PPI_CUDA_ROW_PADDING * t->row_bytes);
    t->own = take(t, &at, PPI_CUDA_ROW_PADDING * t->row_bytes);
    t->start = take(t, &at, t->class->shape.accumulate ? PERIOD * t->row_bytes : 0);
    t->untouched = take(t, &at, TAIL_ROWS * t->row_bytes);
    t->n_different = (uint32_t *)(void *)take(t, &at, sizeof *t->n_different);
    return at;
}

static pp_status allocate(struct trial *t, pp_error *err)
{
    struct ppi_mem *mem = t->backend->params.mem;
    size_t n = (size_t)t->class->shape.n;
    t->max_rows = PPI_CUDA_LT_MAX_ROWS;
    while (t->max_rows > PPI_CUDA_ROW_PADDING && lay_out(t) > SCRATCH_BYTES)
        t->max_rows /= 2;
    t->scratch_bytes = lay_out(t);
    t->scratch = ppi_cuda_alloc(t->backend, t->scratch_bytes);
    if (!t->scratch)
        return ppi_error(err, PP_ERR_DEVICE_NOMEM,
                         "no device memory for the self-test of matrix products (%zu bytes)",
                         t->scratch_bytes);
    lay_out(t);
    t->own_values = ppi_alloc(mem, CHECKED_ROWS * n, sizeof *t->own_values);
    t->values = ppi_alloc(mem, CHECKED_ROWS * n, sizeof *t->values);
    t->raw = ppi_alloc(mem, CHECKED_ROWS * n, sizeof(float));
    if (!t->own_values || !t->values || !t->raw)
        return ppi_error_nomem(err, "the self-test of matrix products",
                               3 * CHECKED_ROWS * n * sizeof(float));
    return PP_OK;
}

static void release(struct trial *t)
{
    struct ppi_mem *mem = t->backend->params.mem;
    cudaStreamSynchronize(t->backend->stream); /* nothing of ours is under way after this */
    ppi_cuda_release(t->backend, t->scratch, t->scratch_bytes);
    ppi_free(mem, t->own_values);
    ppi_free(mem, t->values);
    ppi_free(mem, t->raw);
}

static pp_status copy(struct trial *t, void *dst, const void *src, size_t bytes,
                      enum cudaMemcpyKind kind, pp_error *err)
{
    return ppi_cuda_check(cudaMemcpyAsync(dst, src, bytes, kind, t->backend->stream),
                          "cudaMemcpyAsync", err);
}

static pp_status fill(struct trial *t, void *dst, int byte, size_t bytes, pp_error *err)
{
    return ppi_cuda_check(cudaMemsetAsync(dst, byte, bytes, t->backend->stream), "cudaMemsetAsync",
                          err);
}

static pp_status wait(struct trial *t, pp_error *err)
{
    return ppi_cuda_check(cudaStreamSynchronize(t->backend->stream), "cudaStreamSynchronize", err);
}

/* Repeats the first `period` bytes up to `bytes`. */
static pp_status repeat(struct trial *t, char *memory, size_t period, size_t bytes, pp_error *err)
{
    for (size_t done = period; done < bytes; done *= 2)
        PP_TRY(copy(t, memory + done, memory, done <= bytes - done ? done : bytes - done,
                    cudaMemcpyDeviceToDevice, err));
    return PP_OK;
}

/* ---- inputs ---- */

/* Mean 0, deviation 1. */
static float next_random(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(*state >> 40) * 0x1p-24f - 0.5f;
    }
    return sum * 1.7320508f;
}

static pp_status make_rows(struct trial *t, pp_error *err)
{
    size_t k = (size_t)t->class->shape.k, base_bytes = PERIOD * k * 2;
    bool bf16 = t->class->shape.type == PPI_CUDA_BF16;
    uint64_t state = 1;
    uint16_t *rows = ppi_alloc(t->backend->params.mem, PERIOD * k, sizeof *rows);
    if (!rows)
        return ppi_error_nomem(err, "the self-test of matrix products", base_bytes);
    for (size_t i = 0; i < PERIOD; i++) {
        size_t picked = k - 1 - i * k / PICKING_ROWS; /* from the tail on */
        for (size_t j = 0; j < k; j++) {
            float x = i >= PICKING_ROWS ? next_random(&state) : j == picked ? 1 : 0;
            rows[i * k + j] = bf16 ? ppi_f32_to_bf16(x) : ppi_f32_to_f16(x);
        }
    }
    pp_status status = copy(t, t->a, rows, base_bytes, cudaMemcpyHostToDevice, err);
    pp_status waited = wait(t, status < 0 ? NULL : err);
    ppi_free(t->backend->params.mem, rows);
    PP_TRY(status);
    PP_TRY(waited);
    return repeat(t, t->a, base_bytes, (size_t)t->max_rows * k * 2, err);
}

static pp_status download(struct trial *t, const char *rows, float *values, pp_error *err)
{
    PP_TRY(copy(t, t->raw, rows, CHECKED_ROWS * t->row_bytes, cudaMemcpyDeviceToHost, err));
    PP_TRY(wait(t, err));
    ppi_to_f32(values, t->raw, dtype_of(t->class->shape.out_type),
               CHECKED_ROWS * (size_t)t->class->shape.n);
    return PP_OK;
}

/* Products that are mostly 0, or not finite, would tell nothing about an algorithm. */
static bool is_telling(const struct trial *t)
{
    size_t n = (size_t)t->class->shape.n, first = PICKING_ROWS * n, n_zeros = 0;
    for (size_t i = first; i < CHECKED_ROWS * n; i++) {
        if (!isfinite(t->own_values[i]))
            return false;
        n_zeros += t->own_values[i] == 0;
    }
    return n_zeros <= (CHECKED_ROWS * n - first) / 2;
}

/* Our own product of the base rows. With accumulate they are added to those of the next base row.
 */
static pp_status make_own(struct trial *t, bool *telling, pp_error *err)
{
    struct ppi_cuda_shape shape = t->class->shape;
    shape.accumulate = false;
    PP_TRY(fill(t, t->untouched, NAN_BYTE, TAIL_ROWS * t->row_bytes, err));
    PP_TRY(ppi_cuda_product_own(t->backend, &shape, t->a, t->w, PERIOD, 1, t->own, err));
    PP_TRY(download(t, t->own, t->own_values, err));
    *telling = is_telling(t);
    if (!t->class->shape.accumulate || !*telling)
        return PP_OK;
    size_t but_one = (PERIOD - 1) * t->row_bytes;
    PP_TRY(copy(t, t->start, t->own + t->row_bytes, but_one, cudaMemcpyDeviceToDevice, err));
    PP_TRY(copy(t, t->start + but_one, t->own, t->row_bytes, cudaMemcpyDeviceToDevice, err));
    PP_TRY(copy(t, t->own, t->start, PERIOD * t->row_bytes, cudaMemcpyDeviceToDevice, err));
    PP_TRY(ppi_cuda_product_own(t->backend, &t->class->shape, t->a, t->w, PERIOD, 1, t->own, err));
    return download(t, t->own, t->own_values, err);
}

/* ---- trying an algorithm ---- */

/* out = the product of n_rows rows. *passed is false when the library will not run it. */
static pp_status multiply(struct trial *t, const cublasLtMatmulAlgo_t *algorithm, int32_t n_rows,
                          bool *passed, pp_error *err)
{
    const struct ppi_cuda_products *products = t->backend->products;
    size_t bytes = (size_t)n_rows * t->row_bytes, period_bytes = PERIOD * t->row_bytes;
    PP_TRY(fill(t, t->out, NAN_BYTE, bytes + TAIL_ROWS * t->row_bytes, err));
    if (t->class->shape.accumulate) {
        PP_TRY(copy(t, t->out, t->start, period_bytes, cudaMemcpyDeviceToDevice, err));
        PP_TRY(repeat(t, t->out, period_bytes, bytes, err));
    }
    cublasStatus_t status = ppi_cuda_lt_multiply(products->lt, t->class, algorithm,
                                                 products->workspace, PPI_CUDA_LT_WORKSPACE,
                                                 t->backend->stream, t->a, t->w, n_rows, 1, t->out);
    *passed = !ppi_cuda_lt_refuses(status);
    return *passed ? ppi_cuda_lt_check(status, "cublasLtMatmul", err) : PP_OK;
}

/* Adds to n_different what differs between n rows of `bytes` bytes and expected. */
static pp_status compare(struct trial *t, const char *rows, int32_t n, size_t bytes,
                         const char *expected, pp_error *err)
{
    struct ppi_cuda_compare_args args = {.x = rows,
                                         .expected = expected,
                                         .n_different = t->n_different,
                                         .row_bytes = (int64_t)bytes,
                                         .n_rows = n,
                                         .period = 1};
    return ppi_cuda_launch(t->backend, &ppi_cuda_compare[0], n, &args, err);
}

/* A whole period is one row to the comparison. */
static pp_status compare_rows(struct trial *t, int32_t n_rows, pp_error *err)
{
    size_t period_bytes = PERIOD * t->row_bytes;
    int32_t periods = n_rows / PERIOD, rest = n_rows % PERIOD;
    const char *tail = t->out + (size_t)n_rows * t->row_bytes;
    PP_TRY(compare(t, t->out, periods, period_bytes, t->expected, err));
    PP_TRY(compare(t, t->out + (size_t)periods * period_bytes, rest > 0,
                   (size_t)rest * t->row_bytes, t->expected, err));
    return compare(t, tail, 1, TAIL_ROWS * t->row_bytes, t->untouched, err);
}

/* Whether the library takes all row counts that may occur above `above` up to `most`. */
static pp_status takes_row_counts(struct trial *t, const cublasLtMatmulAlgo_t *algorithm,
                                  int32_t above, int32_t most, bool *takes, pp_error *err)
{
    *takes = true;
    for (int32_t n = above + PPI_CUDA_ROW_PADDING; n <= most && *takes; n += PPI_CUDA_ROW_PADDING)
        PP_TRY(ppi_cuda_lt_takes(t->backend->products->lt, t->class, algorithm, n, takes, err));
    return PP_OK;
}

/* Whether products of those row counts that are tried, of the same range, have the expected bits.
 */
static pp_status try_row_counts(struct trial *t, const cublasLtMatmulAlgo_t *algorithm,
                                int32_t above, int32_t most, bool *passed, pp_error *err)
{
    uint32_t n_different;
    PP_TRY(fill(t, t->n_different, 0, sizeof n_different, err));
    for (size_t i = 0; i < PPI_COUNT(row_counts); i++) {
        if (row_counts[i] <= above || row_counts[i] > most)
            continue;
        PP_TRY(multiply(t, algorithm, row_counts[i], passed, err));
        if (!*passed)
            return PP_OK;
        PP_TRY(compare_rows(t, row_counts[i], err));
    }
    PP_TRY(copy(t, &n_different, t->n_different, sizeof n_different, cudaMemcpyDeviceToHost, err));
    PP_TRY(wait(t, err));
    *passed = n_different == 0;
    return PP_OK;
}

/*
 * Agrees with our own product? A step of a chain over k adds at least 8 products and rounds off at
 * most 2^-22 of the sum so far; sums of random terms stay, on average over the chain, below 4 times
 * the deviation of the last, which the rows' mean square gives. What is added at the end and a
 * narrow output round once more in each of the two.
 */
static bool values_agree(const struct trial *t)
{
    const struct ppi_cuda_shape *shape = &t->class->shape;
    size_t n = (size_t)shape->n;
    double chain = 4 * 0x1p-22 * ((double)shape->k / 8 + 32);
    double last = shape->out_type == PPI_CUDA_F32    ? 0x1p-22
                  : shape->out_type == PPI_CUDA_BF16 ? 0x1p-7
                                                     : 0x1p-10;
    for (size_t i = 0; i < PICKING_ROWS * n; i++)
        if (t->values[i] != t->own_values[i])
            return false;
    for (size_t j = 0; j < n; j++) {
        double squares = 0;
        for (size_t i = PICKING_ROWS; i < CHECKED_ROWS; i++)
            squares += (double)t->own_values[i * n + j] * t->own_values[i * n + j];
        double deviation = sqrt(squares / (CHECKED_ROWS - PICKING_ROWS));
        for (size_t i = PICKING_ROWS; i < CHECKED_ROWS; i++) {
            double own = t->own_values[i * n + j], got = t->values[i * n + j];
            if (!(fabs(got - own) <= chain * deviation + last * fabs(own)))
                return false;
        }
    }
    return true;
}

/* All row counts, and the values. Its first rows are what all others have to give. */
static pp_status try_reference(struct trial *t, const cublasLtMatmulAlgo_t *algorithm, bool *passed,
                               pp_error *err)
{
    PP_TRY(multiply(t, algorithm, PPI_CUDA_ROW_PADDING, passed, err));
    if (!*passed)
        return PP_OK;
    PP_TRY(download(t, t->out, t->values, err));
    *passed = values_agree(t);
    if (!*passed)
        return PP_OK;
    PP_TRY(copy(t, t->expected, t->out, PPI_CUDA_ROW_PADDING * t->row_bytes,
                cudaMemcpyDeviceToDevice, err));
    return try_row_counts(t, algorithm, 0, t->max_rows, passed, err);
}

/* ---- choosing ---- */

/* The first candidate for row counts in (above, most] that passes goes to *algorithm. */
static pp_status choose(struct trial *t, int32_t above, int32_t most, bool reference,
                        cublasLtMatmulAlgo_t *algorithm, bool *found, pp_error *err)
{
    cublasLtMatmulAlgo_t candidates[PPI_CUDA_LT_CANDIDATES];
    int32_t n;
    *found = false;
    PP_TRY(ppi_cuda_lt_candidates(t->backend->products->lt, t->class, most, candidates, &n, err));
    for (int32_t i = 0; i < n && !*found; i++) {
        if (!reference && memcmp(&candidates[i], algorithm, sizeof *algorithm) == 0)
            return PP_OK; /* it is the reference */
        PP_TRY(takes_row_counts(t, &candidates[i], above, most, found, err));
        if (!*found)
            continue;
        t->class->n_tried++;
        PP_TRY(reference ? try_reference(t, &candidates[i], found, err)
                         : try_row_counts(t, &candidates[i], above, most, found, err));
        if (*found)
            *algorithm = candidates[i];
    }
    return PP_OK;
}

static pp_status choose_all(struct trial *t, pp_error *err)
{
    struct ppi_cuda_class *class = t->class;
    int32_t last = ppi_cuda_group_of(t->max_rows);
    cublasLtMatmulAlgo_t reference;
    bool found;
    PP_TRY(choose(t, 0, t->max_rows, true, &reference, &found, err));
    if (!found) {
        class->state = PPI_CUDA_CLASS_OWN;
        return PP_OK;
    }
    for (int32_t group = 0; group < PPI_CUDA_LT_GROUPS; group++) {
        class->algorithms[group] = reference;
        if (group < last)
            PP_TRY(choose(t, group ? ppi_cuda_group_rows(group - 1) : 0, ppi_cuda_group_rows(group),
                          false, &class->algorithms[group], &found, err));
    }
    class->max_rows = t->max_rows;
    class->state = PPI_CUDA_CLASS_LT;
    return PP_OK;
}

static void report(const struct trial *t)
{
    const struct ppi_cuda_class *class = t->class;
    const struct ppi_log *log = &t->backend->params.log;
    char name[96];
    if (class->state == PPI_CUDA_CLASS_OWN) {
        ppi_log(log, PP_LOG_WARNING,
                "matrix product [%lld, %lld] %s to %s%s: none of %d algorithms of cuBLASLt passed "
                "the self-test; our own kernel computes it",
                (long long)class->shape.n, (long long)class->shape.k,
                class->shape.type == PPI_CUDA_BF16 ? "bf16" : "f16",
                class->shape.out_type == PPI_CUDA_F32 ? "f32" : "the same",
                class->shape.accumulate ? ", added" : "", class->n_tried);
        return;
    }
    ppi_cuda_lt_name(&class->algorithms[PPI_CUDA_LT_GROUPS - 1], name, sizeof name);
    ppi_log(log, PP_LOG_INFO, "matrix product [%lld, %lld]%s: cuBLASLt %s",
            (long long)class->shape.n, (long long)class->shape.k,
            class->shape.accumulate ? ", added" : "", name);
}

pp_status ppi_cuda_guard(struct ppi_backend *backend, struct ppi_cuda_class *class,
                         const void *data, pp_error *err)
{
    struct trial t = {.backend = backend,
                      .class = class,
                      .w = data,
                      .row_bytes =
                          (size_t) class->shape.n * ppi_cuda_type_bytes(class->shape.out_type)};
    bool telling = false;
    class->n_tried = 0;
    pp_status status = allocate(&t, err);
    if (status >= 0)
        status = make_rows(&t, err);
    if (status >= 0)
        status = make_own(&t, &telling, err);
    if (status >= 0 && telling)
        status = choose_all(&t, err);
    if (status >= 0 && telling)
        report(&t);
    release(&t);
    return status;
}
