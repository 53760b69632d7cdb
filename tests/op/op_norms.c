/*
 * op_norms.c: norm, norm_add and norm_parts, each as RMSNorm and as LayerNorm.
 *
 * Tolerance: the sum, the scale and three products round, 2^-20 of the result in all; a mean is off
 * by a part of the mean magnitude, which the scale and the weight pass on. Narrowing to bf16 adds
 * half a unit of 2^-8.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

#define EPS 1e-5

static const int64_t dims[] = {1, 2, 63, 64, 65, 127, 288, 1000, 2048};

static struct ppi_matrix *make_vector(struct ppi_backend *backend, const float *x, int64_t n)
{
    struct ppi_matrix *vector;
    ppi_cpu_ops.matrix_create(backend, &checkop_mem,
                              &(struct ppi_matrix_spec){.kind = PPI_MATRIX_VECTOR, .n = 1, .k = n},
                              &vector, NULL);
    ppi_cpu_ops.matrix_fill(backend, vector, 0, 1, x, PP_DTYPE_F32, NULL);
    return vector;
}

/* Random rows; where they are centered, about values other than 0. */
static float *random_rows(struct rng *rng, int64_t n_rows, int64_t dim, bool center)
{
    float *x = checkop_random(rng, PP_DTYPE_F32, (size_t)(n_rows * dim), 3);
    for (int64_t i = 0; center && i < n_rows * dim; i++)
        x[i] += (float)(i / dim % 4 * 40 - 30);
    return x;
}

/* norm(x) of element i of dim, and what it may be off by. */
static double expected_norm(const float *x, const float *weight, int64_t dim, bool center,
                            int64_t i, double *allowed)
{
    double mean = 0, magnitude = 0, sum = 0;
    for (int64_t j = 0; j < dim; j++) {
        mean += x[j];
        magnitude += fabs(x[j]);
    }
    mean = center ? mean / (double)dim : 0;
    magnitude = center ? magnitude / (double)dim : 0;
    for (int64_t j = 0; j < dim; j++)
        sum += (x[j] - mean) * (x[j] - mean);
    double scale = weight[i] / sqrt(sum / (double)dim + EPS);
    *allowed = 0x1p-20 * (fabs((x[i] - mean) * scale) + magnitude * fabs(scale)) + 1e-30;
    return (x[i] - mean) * scale;
}

static void check_norm(struct rng *rng, const char *variant, int32_t dtype, int64_t dim,
                       bool center)
{
    int64_t n_rows = 5;
    struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
    float *x = random_rows(rng, n_rows, dim, center);
    float *weight = checkop_random(rng, PP_DTYPE_F32, (size_t)dim, 1);
    void *out = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    struct ppi_matrix *vector = make_vector(backend, weight, dim);
    const struct ppi_norm norm = {vector, EPS, center};
    ppi_cpu_ops.norm(backend, x, &norm, n_rows, dim, out, NULL);
    for (int64_t i = 0; i < n_rows * dim; i++) {
        double allowed,
            expected = expected_norm(x + i / dim * dim, weight, dim, center, i % dim, &allowed);
        double got = checkop_get(dtype, out, (size_t)i);
        if (dtype == PP_DTYPE_BF16)
            allowed += fabs(expected) * 0x1p-8;
        EXPECT(fabs(got - expected) <= allowed,
               "%s dtype %d dim %ld center %d element %ld: %.9g, expected %.9g", variant, dtype,
               (long)dim, center, (long)i, got, expected);
    }
    ppi_cpu_ops.matrix_destroy(vector);
    ppi_cpu_ops.close(backend);
    free(out);
    free(weight);
    free(x);
}

START_TEST(norm_values)
{
    struct rng rng = rng_seeded(21);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t d = 0; d < PPI_COUNT(dims); d++)
        for (int center = 0; center < 2; center++)
            check_norm(&rng, variant, dtype, dims[d], center);
}
END_TEST

START_TEST(norm_add_values)
{
    struct rng rng = rng_seeded(26);
    int64_t n_rows = 4;
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t d = 0; d < 2 * PPI_COUNT(dims); d++) {
        int64_t dim = dims[d / 2];
        bool center = d % 2;
        float scale = center ? 0.25f : -1.5f;
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        float *x = random_rows(&rng, n_rows, dim, center);
        float *weight = checkop_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        float *before = checkop_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * dim), 2);
        float *out = checkop_alloc((size_t)(n_rows * dim), sizeof *out);
        memcpy(out, before, (size_t)(n_rows * dim) * sizeof *out);
        struct ppi_matrix *vector = make_vector(backend, weight, dim);
        const struct ppi_norm norm = {vector, EPS, center};
        ppi_cpu_ops.norm_add(backend, x, &norm, scale, n_rows, dim, out, NULL);
        for (int64_t i = 0; i < n_rows * dim; i++) {
            double allowed,
                expected = expected_norm(x + i / dim * dim, weight, dim, center, i % dim, &allowed);
            expected = before[i] + scale * expected;
            allowed = fabs(scale) * allowed + 0x1p-23 * (fabs(before[i]) + fabs(expected));
            EXPECT(fabs(out[i] - expected) <= allowed,
                   "%s dim %ld center %d element %ld: %.9g, expected %.9g", variant, (long)dim,
                   center, (long)i, out[i], expected);
        }
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        free(out);
        free(before);
        free(weight);
        free(x);
    }
}
END_TEST

/* Parts have the bits of rows that norm was given, and what is around them stays. */
START_TEST(norm_parts_bits)
{
    struct rng rng = rng_seeded(27);
    static const int64_t part_dims[] = {1, 2, 64, 80, 128, 129, 256};
    int64_t n_rows = 7, n_parts = 3, behind = 5;
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t d = 0; d < 2 * PPI_COUNT(part_dims); d++) {
        int64_t dim = part_dims[d / 2], stride = n_parts * dim + behind;
        bool center = d % 2;
        struct ppi_backend *f32 = checkop_open(variant, PP_DTYPE_F32, 1, checkop_any_shape);
        struct ppi_backend *backend = checkop_open(variant, dtype, 3, checkop_any_shape);
        float *x = random_rows(&rng, n_rows, stride, center);
        float *weight = checkop_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        float *expected = checkop_alloc((size_t)(n_rows * stride), sizeof *expected);
        memcpy(expected, x, (size_t)(n_rows * stride) * sizeof *x);
        struct ppi_matrix *vector = make_vector(backend, weight, dim);
        const struct ppi_norm norm = {vector, EPS, center};
        for (int64_t row = 0; row < n_rows; row++)
            ppi_cpu_ops.norm(f32, x + row * stride, &norm, n_parts, dim, expected + row * stride,
                             NULL);
        ppi_cpu_ops.norm_parts(backend, x, &norm, n_rows, stride, (int32_t)n_parts, dim, NULL);
        EXPECT(memcmp(x, expected, (size_t)(n_rows * stride) * sizeof *x) == 0,
               "%s dtype %d dim %ld center %d: other bits", variant, dtype, (long)dim, center);
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        ppi_cpu_ops.close(f32);
        free(expected);
        free(weight);
        free(x);
    }
}
END_TEST

/* Without a weight parts have the bits of a weight of 1. */
START_TEST(norm_parts_without_weight)
{
    struct rng rng = rng_seeded(29);
    int64_t n_rows = 4, n_parts = 3, dim = 80, n = n_rows * n_parts * dim;
    float *weight = checkop_alloc((size_t)dim, sizeof *weight);
    float *expected = checkop_alloc((size_t)n, sizeof *expected);
    for (int64_t i = 0; i < dim; i++)
        weight[i] = 1;
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        struct ppi_matrix *vector = make_vector(backend, weight, dim);
        float *x = random_rows(&rng, n_rows, n_parts * dim, false);
        const struct ppi_norm ones = {vector, EPS, false}, none = {NULL, EPS, false};
        memcpy(expected, x, (size_t)n * sizeof *x);
        ppi_cpu_ops.norm_parts(backend, expected, &ones, n_rows, n_parts * dim, (int32_t)n_parts,
                               dim, NULL);
        ppi_cpu_ops.norm_parts(backend, x, &none, n_rows, n_parts * dim, (int32_t)n_parts, dim,
                               NULL);
        EXPECT(memcmp(x, expected, (size_t)n * sizeof *x) == 0, "%s: other bits", variant);
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        free(x);
    }
    free(expected);
    free(weight);
}
END_TEST

/* The shape of the sum is fixed, so every kernel set, number of rows and thread gives one result.
 */
START_TEST(norm_bits)
{
    struct rng rng = rng_seeded(22);
    int64_t dim = 1100, n_rows = 70;
    float *weight = checkop_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
    char *whole = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    char *part = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    float *sums = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    float *some = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        bool center = n_threads != 2;
        float *x = random_rows(&rng, n_rows, dim, center);
        size_t row_bytes = (size_t)dim * pp_dtype_size(dtype);
        struct ppi_backend *ref = checkop_open("ref", dtype, 1, checkop_any_shape);
        struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, checkop_any_shape);
        struct ppi_matrix *vector = make_vector(ref, weight, dim);
        const struct ppi_norm norm = {vector, 1e-6, center};
        memcpy(sums, x, (size_t)(n_rows * dim) * sizeof *sums);
        ppi_cpu_ops.norm(ref, x, &norm, n_rows, dim, whole, NULL);
        ppi_cpu_ops.norm_add(ref, x, &norm, 0.3f, n_rows, dim, sums, NULL);
        for (int64_t n = 1; n <= n_rows; n++) {
            int64_t first = rng_between(&rng, 0, n_rows - n);
            const float *rows = x + first * dim;
            memcpy(some, rows, (size_t)(n * dim) * sizeof *some);
            ppi_cpu_ops.norm(backend, rows, &norm, n, dim, part, NULL);
            ppi_cpu_ops.norm_add(backend, rows, &norm, 0.3f, n, dim, some, NULL);
            EXPECT(memcmp(part, whole + (size_t)first * row_bytes, (size_t)n * row_bytes) == 0 &&
                       memcmp(some, sums + first * dim, (size_t)(n * dim) * sizeof *some) == 0,
                   "%s dtype %d: bits of rows %ld + %ld with %d threads differ", variant, dtype,
                   (long)first, (long)n, n_threads);
        }
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        ppi_cpu_ops.close(ref);
        free(x);
    }
    free(some);
    free(sums);
    free(part);
    free(whole);
    free(weight);
}
END_TEST

Suite *checkop_norms_suite(void)
{
    Suite *suite = suite_create("norms");
    TCase *tcase = tcase_create("norms");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, norm_values);
    tcase_add_test(tcase, norm_add_values);
    tcase_add_test(tcase, norm_parts_bits);
    tcase_add_test(tcase, norm_parts_without_weight);
    tcase_add_test(tcase, norm_bits);
    suite_add_tcase(suite, tcase);
    return suite;
}
