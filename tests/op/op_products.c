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

static const struct ppi_epilogue replace = {.scale = 1}, add = {.scale = 1, .accumulate = true};

struct products_case {
    int32_t kind;
    int64_t n, k;
    int32_t src_dtype;
};

static struct ppi_matrix *make_matrix(struct ppi_backend *backend, const struct products_case *c,
                                      const void *src, int64_t n_rows)
{
    struct ppi_matrix *matrix;
    int64_t before = atomic_load(&checkop_mem.bytes);
    ck_assert_int_eq(
        ppi_cpu_ops.matrix_create(backend, &checkop_mem, c->kind, c->n, c->k, &matrix, NULL),
        PP_OK);
    int64_t taken = atomic_load(&checkop_mem.bytes) - before;
    int64_t told = (int64_t)ppi_cpu_ops.matrix_bytes(backend, c->kind, c->n, c->k);
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

static void check_values(struct rng *rng, const char *variant, int32_t dtype,
                         const struct products_case *c, int64_t n_rows)
{
    bool gated = c->kind == PPI_MATRIX_GATE_UP;
    struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
    int64_t w_rows = gated ? 2 * c->n : c->n;
    void *src = checkop_random(rng, c->src_dtype, (size_t)(w_rows * c->k), 0.3);
    void *a = checkop_random(rng, dtype, (size_t)(n_rows * c->k), 1);
    struct ppi_matrix *matrix = make_matrix(backend, c, src, w_rows);
    float *out = checkop_alloc((size_t)(n_rows * c->n), sizeof *out);
    if (gated) {
        ppi_cpu_ops.gate_up(backend, a, matrix, NULL, PPI_ACTIVATION_SILU, n_rows, out, NULL);
    } else {
        for (int64_t i = 0; i < n_rows * c->n; i++)
            out[i] = 3;
        ppi_cpu_ops.matmul(backend, a, matrix, n_rows, &replace, out, NULL);
        ppi_cpu_ops.matmul(backend, a, matrix, n_rows, &add, out, NULL);
    }
    double unit = 8 * sqrt((double)c->k) * 0x1p-24;
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t j = 0; j < c->n; j++) {
            double scale, expected = dot(c, dtype, a, row, src, j, &scale), got, allowed;
            if (gated) {
                double up_scale, up = dot(c, dtype, a, row, src, c->n + j, &up_scale);
                double gate = expected;
                expected = gate / (1 + exp(-gate)) * up;
                got = checkop_get(dtype, out, (size_t)(row * c->n + j));
                /* silu has a slope of at most 1.1 */
                allowed = 1.1 * unit * (scale * fabs(up) + up_scale * (fabs(gate) + 1)) +
                          fabs(expected) * (dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-21);
            } else {
                expected *= 2;
                got = out[row * c->n + j];
                allowed = 2 * unit * scale;
            }
            EXPECT(fabs(got - expected) <= allowed + 1e-30,
                   "%s dtype %d kind %d n %ld k %ld: row %ld of %ld, column %ld: %.9g, "
                   "expected %.9g +- %.2g",
                   variant, dtype, c->kind, (long)c->n, (long)c->k, (long)row, (long)n_rows,
                   (long)j, got, expected, allowed);
        }
    ppi_cpu_ops.matrix_destroy(matrix);
    ppi_cpu_ops.close(backend);
    free(out);
    free(a);
    free(src);
}

START_TEST(values)
{
    static const struct products_case cases[] = {
        {PPI_MATRIX_LINEAR, 64, 64, PP_DTYPE_BF16},   {PPI_MATRIX_LINEAR, 1, 1, PP_DTYPE_F32},
        {PPI_MATRIX_LINEAR, 65, 7, PP_DTYPE_F16},     {PPI_MATRIX_LINEAR, 200, 129, PP_DTYPE_F32},
        {PPI_MATRIX_LINEAR, 47, 300, PP_DTYPE_BF16},  {PPI_MATRIX_GATE_UP, 32, 64, PP_DTYPE_BF16},
        {PPI_MATRIX_GATE_UP, 1, 3, PP_DTYPE_F16},     {PPI_MATRIX_GATE_UP, 33, 96, PP_DTYPE_F32},
        {PPI_MATRIX_GATE_UP, 100, 33, PP_DTYPE_BF16}, {PPI_MATRIX_GATE_UP, 75, 256, PP_DTYPE_F16},
    };
    struct rng rng = rng_seeded(11);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        check_values(&rng, variant, dtype, &cases[i], 13);
        check_values(&rng, variant, dtype, &cases[i], 1 + (int64_t)i % 6);
    }
}
END_TEST

START_TEST(narrow_and_special_values)
{
    /* Large gates: silu is the identity, small ones 0, without NaN. */
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct ppi_backend *backend = checkop_open(variant, dtype, 1, checkop_any_shape);
        struct products_case c = {PPI_MATRIX_GATE_UP, 2, 2, PP_DTYPE_F32};
        const float src[] = {1, 0, -1, 0, 0, 1, 0, 1};
        struct ppi_matrix *matrix = make_matrix(backend, &c, src, 4);
        const float gates[] = {0, 90, 1e4f, 1e30f};
        for (size_t i = 0; i < PPI_COUNT(gates); i++) {
            float wide[] = {gates[i], 1};
            uint16_t half[] = {ppi_f32_to_bf16(gates[i]), ppi_f32_to_bf16(1)};
            float out[2];
            ppi_cpu_ops.gate_up(backend, dtype == PP_DTYPE_F32 ? (void *)wide : (void *)half,
                                matrix, NULL, PPI_ACTIVATION_SILU, 1, out, NULL);
            double gate =
                checkop_get(dtype, dtype == PP_DTYPE_F32 ? (void *)wide : (void *)half, 0);
            double high = checkop_get(dtype, out, 0), low = checkop_get(dtype, out, 1);
            EXPECT(high == gate, "%s: silu(%g) = %g", variant, gate, high);
            EXPECT(low <= 0 && low > -1e-30, "%s: silu(%g) = %g", variant, -gate, low);
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
    struct ppi_matrix *matrix = NULL;
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, checkop_any_shape);
        if (!matrix) {
            matrix = make_matrix(backend, c, src, w_rows);
            if (gated)
                ppi_cpu_ops.gate_up(backend, a, matrix, NULL, PPI_ACTIVATION_SILU, max_rows, whole,
                                    NULL);
            else
                ppi_cpu_ops.matmul(backend, a, matrix, max_rows, &replace, (float *)(void *)whole,
                                   NULL);
        }
        for (int64_t n_rows = 1; n_rows <= max_rows; n_rows += n_rows < 14 ? 1 : step) {
            int64_t first = rng_between(rng, 0, max_rows - n_rows);
            const char *rows = a + (size_t)first * a_bytes;
            if (gated)
                ppi_cpu_ops.gate_up(backend, rows, matrix, NULL, PPI_ACTIVATION_SILU, n_rows, part,
                                    NULL);
            else
                ppi_cpu_ops.matmul(backend, rows, matrix, n_rows, &replace, (float *)(void *)part,
                                   NULL);
            EXPECT(memcmp(part, whole + (size_t)first * out_bytes, (size_t)n_rows * out_bytes) == 0,
                   "%s dtype %d kind %d: bits of rows %ld + %ld with %d threads differ", variant,
                   dtype, c->kind, (long)first, (long)n_rows, n_threads);
        }
        ppi_cpu_ops.close(backend);
    }
    ppi_cpu_ops.matrix_destroy(matrix);
    free(part);
    free(whole);
    free(a);
    free(src);
}

START_TEST(bits_do_not_depend_on_rows)
{
    static const struct products_case cases[] = {
        {PPI_MATRIX_LINEAR, 150, 96, PP_DTYPE_BF16},
        {PPI_MATRIX_LINEAR, 64, 33, PP_DTYPE_BF16},
        {PPI_MATRIX_GATE_UP, 70, 96, PP_DTYPE_BF16},
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
    struct products_case c = {PPI_MATRIX_LINEAR, 80, 16, PP_DTYPE_F32};
    struct rng rng = rng_seeded(13);
    FOR_EACH_KERNEL_SET(variant, dtype)
    check_invariance(&rng, variant, dtype, &c, 1700, 211);
}
END_TEST

Suite *checkop_products_suite(void)
{
    Suite *suite = suite_create("products");
    TCase *tcase = tcase_create("products");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, values);
    tcase_add_test(tcase, narrow_and_special_values);
    tcase_add_test(tcase, bits_do_not_depend_on_rows);
    tcase_add_test(tcase, bits_do_not_depend_on_row_blocks);
    suite_add_tcase(suite, tcase);
    return suite;
}
