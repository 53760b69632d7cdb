/*
 * op_device_norms.c: RMSNorm and LayerNorm to act, added to a residual, and of parts in place:
 * against double precision, and their bits against those of other companies of rows.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define EPS          1e-5f

/* In a warp, at the border, in a block's registers, behind them. */
static const int32_t dims[] = {8, 16, 24, 64, 288, 1000, 1024, 1032, 2048, 4096, 8192, 11008};

static int32_t rows_for_test(int32_t emulated, int32_t real)
{
    return device_is_emulated() ? emulated : real;
}

/* The norms of n vectors of x, vector i at x + places[i], in double precision. */
static void expected_norms(const float *x, const float *weight, bool center, int64_t n,
                           const int64_t *places, int32_t dim, double *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float *from = x + places[i];
        double mean = 0, square = 0;
        for (int32_t j = 0; j < dim && center; j++)
            mean += (double)from[j] / dim;
        for (int32_t j = 0; j < dim; j++)
            square += (from[j] - mean) * (from[j] - mean) / dim;
        for (int32_t j = 0; j < dim; j++)
            out[i * dim + j] = (from[j] - mean) / sqrt(square + (double)EPS) * weight[j];
    }
}

static int64_t *packed_places(int64_t n, int32_t dim)
{
    int64_t *places = device_host((size_t)n * sizeof *places);
    for (int64_t i = 0; i < n; i++)
        places[i] = i * dim;
    return places;
}

/* Of a result before it is narrowed: a sum has at most 60 roundings in a chain; its root halves
 * their effect; a mean that is taken away has its own. */
static double norm_error(double expected, bool center, float weight)
{
    return (fabs(expected) + (center ? fabs(weight) : 0)) * 0x1p-18;
}

/* ---- norm ---- */

static void run_norm(int act, bool center, const float *x, const float *weight, int32_t n_rows,
                     int32_t dim, uint16_t *got)
{
    size_t n = (size_t)n_rows * (size_t)dim;
    void *device_x = device_upload(x, n * sizeof *x);
    void *device_weight = device_upload(weight, (size_t)dim * sizeof *weight);
    void *out = device_alloc(n * sizeof *got);
    struct ppi_cuda_norm_args args = {
        .x = device_x, .weight = device_weight, .out = out, .n = n_rows, .dim = dim, .eps = EPS};
    device_launch(&ppi_cuda_norm[center][act], ppi_cuda_row_blocks(n_rows, dim), &args);
    device_download(got, out, n * sizeof *got);
    device_free(out);
    device_free(device_weight);
    device_free(device_x);
}

static void norm_values(void)
{
    struct rng rng = rng_seeded(3);
    for (size_t d = 0; d < 4 * COUNT(dims); d++) {
        int act = d % 2;
        bool center = d / 2 % 2;
        int32_t dim = dims[d / 4], n_rows = rows_for_test(9, 259), dtype = device_act(act);
        size_t n = (size_t)n_rows * (size_t)dim;
        double unit = dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
        double floor = dtype == PP_DTYPE_BF16 ? 1e-36 : 0x1p-25;
        float *x = device_random(&rng, PP_DTYPE_F32, n, 3);
        for (size_t i = 0; i < n; i++)
            x[i] += 1;
        float *weight = device_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        uint16_t *got = device_host(n * sizeof *got);
        double *expected = device_host(n * sizeof *expected);
        int64_t *places = packed_places(n_rows, dim);
        expected_norms(x, weight, center, n_rows, places, dim, expected);
        run_norm(act, center, x, weight, n_rows, dim, got);
        for (size_t i = 0; i < n; i++) {
            double value = device_value(dtype, got, i);
            double error = norm_error(expected[i], center, weight[i % (size_t)dim]);
            double allowed = error + (fabs(expected[i]) + error) * unit + floor;
            EXPECT(fabs(value - expected[i]) <= allowed,
                   "dtype %d dim %d center %d element %zu: %.9g, expected %.9g", dtype, dim, center,
                   i, value, expected[i]);
        }
        free(places);
        free(expected);
        free(got);
        free(weight);
        free(x);
    }
}

/* A run of rows alone, and the same run among rows of NaN, give the bits that all rows gave. */
static void norm_bits(void)
{
    struct rng rng = rng_seeded(4);
    for (size_t d = 0; d < 4 * COUNT(dims); d++) {
        int act = d % 2;
        bool center = d / 2 % 2;
        int32_t dim = dims[d / 4], n_rows = rows_for_test(13, 517);
        size_t n = (size_t)n_rows * (size_t)dim;
        float *x = device_random(&rng, PP_DTYPE_F32, n, 3);
        float *weight = device_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        uint16_t *whole = device_host(n * sizeof *whole), *got = device_host(n * sizeof *got);
        run_norm(act, center, x, weight, n_rows, dim, whole);
        for (int round = 0; round < 4; round++) {
            int32_t n_part = (int32_t)rng_between(&rng, 1, n_rows);
            int32_t first = (int32_t)rng_between(&rng, 0, n_rows - n_part);
            size_t part_bytes = (size_t)n_part * (size_t)dim * sizeof *got;
            run_norm(act, center, x + first * dim, weight, n_part, dim, got);
            EXPECT(memcmp(got, whole + first * dim, part_bytes) == 0,
                   "dim %d: rows %d + %d alone have other bits", dim, first, n_part);
            float *poisoned = device_host(n * sizeof *poisoned);
            for (size_t i = 0; i < n; i++)
                poisoned[i] = NAN;
            memcpy(poisoned + first * dim, x + first * dim, 2 * part_bytes);
            run_norm(act, center, poisoned, weight, n_rows, dim, got);
            EXPECT(memcmp(got + first * dim, whole + first * dim, part_bytes) == 0,
                   "dim %d: rows %d + %d among NaN have other bits", dim, first, n_part);
            free(poisoned);
        }
        free(got);
        free(whole);
        free(weight);
        free(x);
    }
}

/* ---- norm_add ---- */

static void run_norm_add(bool center, const float *x, const float *weight, const float *start,
                         float scale, int32_t n_rows, int32_t dim, float *got)
{
    size_t n = (size_t)n_rows * (size_t)dim;
    void *device_x = device_upload(x, n * sizeof *x),
         *out = device_upload(start, n * sizeof *start);
    void *device_weight = device_upload(weight, (size_t)dim * sizeof *weight);
    struct ppi_cuda_norm_args args = {.x = device_x,
                                      .weight = device_weight,
                                      .out = out,
                                      .n = n_rows,
                                      .dim = dim,
                                      .eps = EPS,
                                      .scale = scale};
    device_launch(&ppi_cuda_norm_add[center], ppi_cuda_row_blocks(n_rows, dim), &args);
    device_download(got, out, n * sizeof *got);
    device_free(device_weight);
    device_free(out);
    device_free(device_x);
}

static void norm_is_added(void)
{
    struct rng rng = rng_seeded(5);
    for (size_t d = 0; d < 2 * COUNT(dims); d++) {
        bool center = d % 2;
        int32_t dim = dims[d / 2], n_rows = rows_for_test(9, 259);
        size_t n = (size_t)n_rows * (size_t)dim;
        float scale = d % 3 ? 1 : 0.22f;
        float *x = device_random(&rng, PP_DTYPE_F32, n, 3);
        float *start = device_random(&rng, PP_DTYPE_F32, n, 10);
        float *weight = device_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        float *got = device_host(n * sizeof *got), *alone = device_host(n * sizeof *alone);
        double *expected = device_host(n * sizeof *expected);
        int64_t *places = packed_places(n_rows, dim);
        expected_norms(x, weight, center, n_rows, places, dim, expected);
        run_norm_add(center, x, weight, start, scale, n_rows, dim, got);
        for (size_t i = 0; i < n; i++) {
            double sum = start[i] + (double)scale * expected[i];
            double allowed = norm_error(expected[i], center, weight[i % (size_t)dim]) * scale +
                             0x1p-22 * (fabs(sum) + fabs(expected[i]));
            EXPECT(fabs(got[i] - sum) <= allowed,
                   "dim %d center %d element %zu: %.9g, expected %.9g", dim, center, i,
                   (double)got[i], sum);
        }
        size_t row = (size_t)(n_rows / 2) * (size_t)dim;
        run_norm_add(center, x + row, weight, start + row, scale, 1, dim, alone);
        EXPECT(memcmp(alone, got + row, (size_t)dim * sizeof *got) == 0,
               "dim %d: a row alone has other bits", dim);
        free(places);
        free(expected);
        free(alone);
        free(got);
        free(weight);
        free(start);
        free(x);
    }
}

/* ---- norm_parts ---- */

struct parts {
    int32_t n_parts, dim;
    int32_t before, behind; /* elements of a row that are not to be touched */
};

/* weight NULL: every one is 1, and the kernel gets none. */
static void run_norm_parts(bool center, float *x, const float *weight, const struct parts *parts,
                           int32_t n_rows, int64_t row_stride)
{
    size_t bytes = (size_t)(n_rows * row_stride) * sizeof *x;
    float *device_x = device_upload(x, bytes);
    void *device_weight =
        weight ? device_upload(weight, (size_t)parts->dim * sizeof *weight) : NULL;
    struct ppi_cuda_norm_args args = {.x = device_x + parts->before,
                                      .weight = device_weight,
                                      .row_stride = row_stride,
                                      .n = n_rows * parts->n_parts,
                                      .n_parts = parts->n_parts,
                                      .dim = parts->dim,
                                      .eps = EPS};
    device_launch(&ppi_cuda_norm_parts[center], ppi_cuda_row_blocks(args.n, parts->dim), &args);
    device_download(x, device_x, bytes);
    if (device_weight)
        device_free(device_weight);
    device_free(device_x);
}

static void expect_parts(struct rng *rng, bool center, bool has_weight, const struct parts *parts)
{
    int32_t n_rows = rows_for_test(4, 203), dim = parts->dim;
    int64_t row_stride = parts->before + (int64_t)parts->n_parts * dim + parts->behind;
    int64_t n_vectors = (int64_t)n_rows * parts->n_parts;
    size_t n = (size_t)(n_rows * row_stride);
    float *x = device_random(rng, PP_DTYPE_F32, n, 2), *got = device_host(n * sizeof *got);
    float *weight = device_random(rng, PP_DTYPE_F32, (size_t)dim, 1);
    for (int32_t i = 0; i < dim && !has_weight; i++)
        weight[i] = 1;
    double *expected = device_host((size_t)n_vectors * (size_t)dim * sizeof *expected);
    int64_t *places = device_host((size_t)n_vectors * sizeof *places);
    bool *in_part = device_host(n);
    memset(in_part, 0, n);
    for (int64_t i = 0; i < n_vectors; i++) {
        places[i] = i / parts->n_parts * row_stride + parts->before + i % parts->n_parts * dim;
        memset(in_part + places[i], 1, (size_t)dim);
    }
    expected_norms(x, weight, center, n_vectors, places, dim, expected);
    memcpy(got, x, n * sizeof *x);
    run_norm_parts(center, got, has_weight ? weight : NULL, parts, n_rows, row_stride);
    for (int64_t i = 0; i < n_vectors * dim; i++) {
        double value = got[places[i / dim] + i % dim];
        double allowed = norm_error(expected[i], center, weight[i % dim]) + 1e-30;
        EXPECT(fabs(value - expected[i]) <= allowed,
               "%d parts of %d, center %d: part %lld element %lld: %.9g, expected %.9g",
               parts->n_parts, dim, center, (long long)(i / dim), (long long)(i % dim), value,
               expected[i]);
    }
    for (size_t i = 0; i < n; i++)
        EXPECT(in_part[i] || got[i] == x[i], "%d parts of %d: element %zu of no part was written",
               parts->n_parts, dim, i);
    float *row = device_host((size_t)row_stride * sizeof *row);
    int64_t first = n_rows / 2 * row_stride;
    memcpy(row, x + first, (size_t)row_stride * sizeof *row);
    run_norm_parts(center, row, has_weight ? weight : NULL, parts, 1, row_stride);
    EXPECT(memcmp(row, got + first, (size_t)row_stride * sizeof *row) == 0,
           "%d parts of %d: a row alone has other bits", parts->n_parts, dim);
    free(row);
    free(in_part);
    free(places);
    free(expected);
    free(weight);
    free(got);
    free(x);
}

/* Heads of q, then of k; whole projections. */
static void parts_of_rows(void)
{
    static const struct parts cases[] = {{1, 8, 0, 0},      {14, 64, 0, 256},  {2, 64, 896, 128},
                                         {3, 24, 8, 48},    {5, 80, 400, 0},   {32, 128, 0, 2048},
                                         {8, 128, 4096, 0}, {9, 256, 64, 512}, {1, 2048, 0, 1024},
                                         {1, 1032, 64, 8},  {2, 4096, 8, 16},  {1, 9000, 0, 40}};
    struct rng rng = rng_seeded(6);
    for (size_t i = 0; i < 2 * COUNT(cases); i++)
        expect_parts(&rng, i % 2, i % 5 != 0, &cases[i / 2]);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"norm_values", norm_values},
        {"norm_bits", norm_bits},
        {"norm_is_added", norm_is_added},
        {"parts_of_rows", parts_of_rows},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
