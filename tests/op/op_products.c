/*
 * op_products.c: matmul and gate_up.
 *
 * Tolerance of a sum of k products: k units in the last place of the sum of magnitudes would be the
 * worst case; errors of roundings average out, so sqrt(k) with a factor of 8 is allowed. Narrowing
 * to bf16 adds half a unit of 2^-8.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

struct products_case {
    int32_t kind;
    int64_t n, k;
    int32_t src_dtype;
    bool has_bias;
    float scale;        /* 0: as 1 */
    int32_t activation; /* 0: as silu */
};

static float scale_of(const struct products_case *c)
{
    return c->scale != 0 ? c->scale : 1;
}

/* The bias of a case, and its numbers; NULL of none. */
static struct ppi_matrix *make_bias(struct rng *rng, struct ppi_backend *backend,
                                    const struct products_case *c, float **numbers)
{
    struct ppi_matrix *bias;
    int64_t n = c->kind == PPI_MATRIX_GATE_UP ? 2 * c->n : c->n;
    *numbers = NULL;
    if (!c->has_bias)
        return NULL;
    *numbers = checkop_random(rng, PP_DTYPE_F32, (size_t)n, 2);
    ppi_cpu_ops.matrix_create(backend, &checkop_mem,
                              &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = 1, .k = n},
                              &bias, NULL);
    ppi_cpu_ops.matrix_fill(backend, bias, 0, 1, *numbers, PP_DTYPE_F32, NULL);
    return bias;
}

/* matmul, accumulating or not, or gate_up, as the case says. */
static void multiply(struct ppi_backend *backend, const struct products_case *c,
                     const struct ppi_matrix *w, const struct ppi_matrix *bias, const void *a,
                     int64_t n_rows, bool accumulate, void *out)
{
    const struct ppi_epilogue epilogue = {bias, scale_of(c), accumulate};
    if (c->kind == PPI_MATRIX_GATE_UP)
        ppi_cpu_ops.gate_up(backend, a, w, bias,
                            c->activation ? c->activation : PPI_ACTIVATION_SILU, n_rows, out, NULL);
    else
        ppi_cpu_ops.matmul(backend, a, w, n_rows, &epilogue, out, NULL);
}

static struct ppi_matrix *make_matrix(struct ppi_backend *backend, const struct products_case *c,
                                      const void *src, int64_t n_rows)
{
    struct ppi_matrix *matrix;
    int64_t before = atomic_load(&checkop_mem.bytes);
    ck_assert_int_eq(
        ppi_cpu_ops.matrix_create(backend, &checkop_mem,
                                  &(struct ppi_matrix_spec){.kind = c->kind, .n = c->n, .k = c->k},
                                  &matrix, NULL),
        PP_OK);
    int64_t taken = atomic_load(&checkop_mem.bytes) - before;
    int64_t told = (int64_t)ppi_cpu_ops.matrix_bytes(
        backend, &(struct ppi_matrix_spec){.kind = c->kind, .n = c->n, .k = c->k});
    ck_assert_int_ge(taken, told);
    ck_assert_int_le(taken, told + 64); /* the allocator's header */
    /* In three pieces with borders inside panels. */
    size_t row_bytes = (size_t)c->k * pp_dtype_size(c->src_dtype);
    int64_t borders[] = {0, n_rows / 3, n_rows / 3 + n_rows / 2, n_rows};
    for (int i = 0; i < 3; i++)
        ppi_cpu_ops.matrix_fill(backend, matrix, borders[i], borders[i + 1] - borders[i],
                                (const char *)src + (size_t)borders[i] * row_bytes, c->src_dtype,
                                NULL);
    return matrix;
}

/* The value a weight has in the backend. */
static double weight_at(const struct products_case *c, int32_t dtype, const void *src, int64_t i)
{
    double value = checkop_get(c->src_dtype, src, (size_t)i);
    return dtype == PP_DTYPE_BF16 ? ppi_bf16_to_f32(ppi_f32_to_bf16((float)value)) : value;
}

/* Row of a times row of the matrix; the sum of magnitudes in *scale. */
static double dot(const struct products_case *c, int32_t dtype, const void *a, int64_t a_row,
                  const void *src, int64_t w_row, double *scale)
{
    double sum = 0, magnitude = 0;
    for (int64_t i = 0; i < c->k; i++) {
        double product = checkop_get(dtype, a, (size_t)(a_row * c->k + i)) *
                         weight_at(c, dtype, src, w_row * c->k + i);
        sum += product;
        magnitude += fabs(product);
    }
    *scale = magnitude;
    return sum;
}

static double activate(int32_t activation, double x)
{
    if (activation == PPI_ACTIVATION_GELU_TANH)
        return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    return x / (1 + exp(-x));
}

static void check_values(struct rng *rng, const char *variant, int32_t dtype,
                         const struct products_case *c, int64_t n_rows)
{
    bool gated = c->kind == PPI_MATRIX_GATE_UP;
    struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
    int64_t w_rows = gated ? 2 * c->n : c->n;
    void *src = checkop_random(rng, c->src_dtype, (size_t)(w_rows * c->k), 0.3);
    void *a = checkop_random(rng, dtype, (size_t)(n_rows * c->k), 1);
    struct ppi_matrix *matrix = make_matrix(backend, c, src, w_rows);
    float *out = checkop_alloc((size_t)(n_rows * c->n), sizeof *out), *numbers;
    struct ppi_matrix *bias = make_bias(rng, backend, c, &numbers);
    for (int64_t i = 0; !gated && i < n_rows * c->n; i++)
        out[i] = 3;
    multiply(backend, c, matrix, bias, a, n_rows, false, out);
    if (!gated)
        multiply(backend, c, matrix, bias, a, n_rows, true, out);
    double unit = 8 * sqrt((double)c->k) * 0x1p-24;
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t j = 0; j < c->n; j++) {
            double magnitude, expected = dot(c, dtype, a, row, src, j, &magnitude), got, allowed;
            double plus = numbers ? numbers[j] : 0;
            expected += plus;
            magnitude += fabs(plus);
            if (gated) {
                double up_magnitude, up = dot(c, dtype, a, row, src, c->n + j, &up_magnitude);
                up += numbers ? numbers[c->n + j] : 0;
                up_magnitude += numbers ? fabs(numbers[c->n + j]) : 0;
                double gate = expected;
                expected = activate(c->activation, gate) * up;
                got = checkop_get(dtype, out, (size_t)(row * c->n + j));
                /* The slopes are at most 1.13. The exponent of a far negative gate is off by a
                 * few units of its size. */
                allowed = 1.2 * unit * (magnitude * fabs(up) + up_magnitude * (fabs(gate) + 1)) +
                          fabs(expected) * (dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-21) +
                          fabs(expected) * gate * gate * 0x1p-23;
            } else {
                expected *= 2 * (double)scale_of(c);
                got = out[row * c->n + j];
                allowed = 2 * unit * magnitude * fabs(scale_of(c)) + fabs(expected) * 0x1p-22;
            }
            EXPECT(fabs(got - expected) <= allowed + 1e-30,
                   "%s dtype %d kind %d n %ld k %ld bias %d scale %g activation %d: row %ld of "
                   "%ld, column %ld: %.9g, expected %.9g +- %.2g",
                   variant, dtype, c->kind, (long)c->n, (long)c->k, c->has_bias, c->scale,
                   c->activation, (long)row, (long)n_rows, (long)j, got, expected, allowed);
        }
    ppi_cpu_ops.matrix_destroy(bias);
    ppi_cpu_ops.matrix_destroy(matrix);
    ppi_cpu_ops.close(backend);
    free(numbers);
    free(out);
    free(a);
    free(src);
}

START_TEST(values)
{
    static const struct products_case cases[] = {
        {PPI_MATRIX_LINEAR, 64, 64, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_LINEAR, 1, 1, .src_dtype = PP_DTYPE_F32},
        {PPI_MATRIX_LINEAR, 65, 7, .src_dtype = PP_DTYPE_F16},
        {PPI_MATRIX_LINEAR, 200, 129, .src_dtype = PP_DTYPE_F32},
        {PPI_MATRIX_LINEAR, 47, 300, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_LINEAR, 128, 65, PP_DTYPE_BF16, .has_bias = true},
        {PPI_MATRIX_LINEAR, 77, 33, PP_DTYPE_F32, .has_bias = true, .scale = 0.22f},
        {PPI_MATRIX_LINEAR, 130, 40, PP_DTYPE_F16, .scale = -3},
        {PPI_MATRIX_LINEAR, 3, 5, PP_DTYPE_F32, .has_bias = true},
        {PPI_MATRIX_GATE_UP, 32, 64, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_GATE_UP, 1, 3, .src_dtype = PP_DTYPE_F16},
        {PPI_MATRIX_GATE_UP, 33, 96, .src_dtype = PP_DTYPE_F32},
        {PPI_MATRIX_GATE_UP, 100, 33, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_GATE_UP, 75, 256, .src_dtype = PP_DTYPE_F16},
        {PPI_MATRIX_GATE_UP, 75, 64, PP_DTYPE_F16, .has_bias = true},
        {PPI_MATRIX_GATE_UP, 32, 31, PP_DTYPE_BF16, .activation = PPI_ACTIVATION_GELU_TANH},
        {PPI_MATRIX_GATE_UP, 101, 48, PP_DTYPE_F32, .activation = PPI_ACTIVATION_GELU_TANH,
         .has_bias = true},
        {PPI_MATRIX_GATE_UP, 3, 300, PP_DTYPE_F32, .activation = PPI_ACTIVATION_GELU_TANH},
    };
    struct rng rng = rng_seeded(11);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        check_values(&rng, variant, dtype, &cases[i], 13);
        check_values(&rng, variant, dtype, &cases[i], 1 + (int64_t)i % 6);
    }
}
END_TEST

/* Nothing to add and a scale of 1 leave the bits of the plain product, whichever way it goes. */
START_TEST(empty_epilogue_has_the_plain_bits)
{
    struct products_case c = {PPI_MATRIX_LINEAR, 150, 65, .src_dtype = PP_DTYPE_F32};
    struct rng rng = rng_seeded(14);
    enum { ROWS = 9 };
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        void *src = checkop_random(&rng, c.src_dtype, (size_t)(c.n * c.k), 0.3);
        void *a = checkop_random(&rng, dtype, (size_t)(ROWS * c.k), 1);
        float plain[ROWS * 150], zeros[ROWS * 150], none[150] = {0};
        struct ppi_matrix *matrix = make_matrix(backend, &c, src, c.n), *bias;
        ppi_cpu_ops.matrix_create(
            backend, &checkop_mem,
            &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = 1, .k = c.n}, &bias, NULL);
        ppi_cpu_ops.matrix_fill(backend, bias, 0, 1, none, PP_DTYPE_F32, NULL);
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            for (int i = 0; i < ROWS * 150; i++)
                plain[i] = zeros[i] = 1 + (float)i;
            multiply(backend, &c, matrix, NULL, a, ROWS, accumulate, plain);
            multiply(backend, &c, matrix, bias, a, ROWS, accumulate, zeros);
            EXPECT(memcmp(plain, zeros, sizeof plain) == 0, "%s dtype %d accumulate %d: other bits",
                   variant, dtype, accumulate);
        }
        ppi_cpu_ops.matrix_destroy(bias);
        ppi_cpu_ops.matrix_destroy(matrix);
        ppi_cpu_ops.close(backend);
        free(a);
        free(src);
    }
}
END_TEST

/* Large gates: activations are the identity, or 0 on the other side, without NaN. */
START_TEST(narrow_and_special_values)
{
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t activation = PPI_ACTIVATION_SILU; activation <= PPI_ACTIVATION_GELU_TANH;
         activation++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, 1, checkop_any_shape);
        struct products_case c = {PPI_MATRIX_GATE_UP, 2, 2, .src_dtype = PP_DTYPE_F32};
        const float src[] = {1, 0, -1, 0, 0, 1, 0, 1};
        struct ppi_matrix *matrix = make_matrix(backend, &c, src, 4);
        const float gates[] = {0, 90, 1e4f, 1e30f};
        for (size_t i = 0; i < PPI_COUNT(gates); i++) {
            float wide[] = {gates[i], 1};
            uint16_t half[] = {ppi_f32_to_bf16(gates[i]), ppi_f32_to_bf16(1)};
            const void *a = dtype == PP_DTYPE_F32 ? (void *)wide : (void *)half;
            float out[2];
            ppi_cpu_ops.gate_up(backend, a, matrix, NULL, activation, 1, out, NULL);
            double gate = checkop_get(dtype, a, 0);
            double high = checkop_get(dtype, out, 0), low = checkop_get(dtype, out, 1);
            EXPECT(high == gate, "%s: activation %d of %g is %g", variant, activation, gate, high);
            EXPECT(low <= 0 && low > -1e-30, "%s: activation %d of %g is %g", variant, activation,
                   -gate, low);
        }
        ppi_cpu_ops.matrix_destroy(matrix);
        ppi_cpu_ops.close(backend);
    }
}
END_TEST

/* Rows alone, in other numbers, at other places and with other threads have the bits of the rows
 * of a large product. */
static void check_invariance(struct rng *rng, const char *variant, int32_t dtype,
                             const struct products_case *c, int64_t max_rows, int64_t step)
{
    bool gated = c->kind == PPI_MATRIX_GATE_UP;
    int64_t w_rows = gated ? 2 * c->n : c->n;
    size_t a_bytes = (size_t)c->k * pp_dtype_size(dtype);
    size_t out_bytes = (size_t)c->n * (gated ? pp_dtype_size(dtype) : sizeof(float));
    void *src = checkop_random(rng, c->src_dtype, (size_t)(w_rows * c->k), 0.3);
    char *a = checkop_random(rng, dtype, (size_t)(max_rows * c->k), 1);
    char *whole = checkop_alloc((size_t)max_rows, out_bytes);
    char *part = checkop_alloc((size_t)max_rows, out_bytes);
    float *numbers = NULL;
    struct ppi_matrix *matrix = NULL, *bias = NULL;
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, checkop_any_shape);
        if (!matrix) {
            matrix = make_matrix(backend, c, src, w_rows);
            bias = make_bias(rng, backend, c, &numbers);
            multiply(backend, c, matrix, bias, a, max_rows, false, whole);
        }
        for (int64_t n_rows = 1; n_rows <= max_rows; n_rows += n_rows < 14 ? 1 : step) {
            int64_t first = rng_between(rng, 0, max_rows - n_rows);
            const char *rows = a + (size_t)first * a_bytes;
            multiply(backend, c, matrix, bias, rows, n_rows, false, part);
            EXPECT(memcmp(part, whole + (size_t)first * out_bytes, (size_t)n_rows * out_bytes) == 0,
                   "%s dtype %d kind %d: bits of rows %ld + %ld with %d threads differ", variant,
                   dtype, c->kind, (long)first, (long)n_rows, n_threads);
        }
        ppi_cpu_ops.close(backend);
    }
    ppi_cpu_ops.matrix_destroy(bias);
    ppi_cpu_ops.matrix_destroy(matrix);
    free(numbers);
    free(part);
    free(whole);
    free(a);
    free(src);
}

START_TEST(bits_do_not_depend_on_rows)
{
    static const struct products_case cases[] = {
        {PPI_MATRIX_LINEAR, 150, 96, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_LINEAR, 64, 33, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_LINEAR, 100, 33, PP_DTYPE_F32, .has_bias = true, .scale = 0.7f},
        {PPI_MATRIX_GATE_UP, 70, 96, .src_dtype = PP_DTYPE_BF16},
        {PPI_MATRIX_GATE_UP, 41, 20, PP_DTYPE_F32, .has_bias = true,
         .activation = PPI_ACTIVATION_GELU_TANH},
    };
    struct rng rng = rng_seeded(12);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        bool slow = strcmp(variant, "ref") == 0;
        check_invariance(&rng, variant, dtype, &cases[i], slow ? 70 : 512, slow ? 19 : 7);
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_row_blocks)
{
    struct products_case c = {PPI_MATRIX_LINEAR, 80, 16, .src_dtype = PP_DTYPE_F32};
    struct rng rng = rng_seeded(13);
    FOR_EACH_KERNEL_SET(variant, dtype)
    check_invariance(&rng, variant, dtype, &c, 1700, 211);
}
END_TEST

Suite *checkop_products_suite(void)
{
    Suite *suite = suite_create("products");
    TCase *brief = tcase_create("values");
    tcase_set_timeout(brief, 300);
    tcase_add_test(brief, values);
    tcase_add_test(brief, narrow_and_special_values);
    suite_add_tcase(suite, brief);
    TCase *tcase = tcase_create("products");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, empty_epilogue_has_the_plain_bits);
    tcase_add_test(tcase, bits_do_not_depend_on_rows);
    tcase_add_test(tcase, bits_do_not_depend_on_row_blocks);
    suite_add_tcase(suite, tcase);
    return suite;
}
