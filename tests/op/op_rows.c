/*
 * op_rows.c: rmsnorm, embed, gather_rows, copy.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

static struct ppi_matrix *make_vector(struct ppi_backend *backend, const float *x, int64_t n)
{
    struct ppi_matrix *vector;
    ppi_cpu_ops.matrix_create(backend, &checkop_mem, PPI_MATRIX_VECTOR, 1, n, &vector, NULL);
    ppi_cpu_ops.matrix_fill(backend, vector, 0, 1, x, PP_DTYPE_F32, NULL);
    return vector;
}

START_TEST(rmsnorm_values)
{
    struct rng rng = rng_seeded(21);
    static const int64_t dims[] = {1, 2, 63, 64, 65, 288, 1000, 2048};
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t d = 0; d < PPI_COUNT(dims); d++) {
        int64_t dim = dims[d], n_rows = 5;
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        float *x = checkop_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * dim), 3);
        float *weight = checkop_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
        void *out = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
        struct ppi_matrix *vector = make_vector(backend, weight, dim);
        const struct ppi_norm norm = {.weight = vector, .eps = 1e-5};
        ppi_cpu_ops.norm(backend, x, &norm, n_rows, dim, out, NULL);
        ppi_cpu_ops.matrix_destroy(vector);
        for (int64_t i = 0; i < n_rows * dim; i++) {
            double sum = 0;
            for (int64_t j = 0; j < dim; j++)
                sum += (double)x[i / dim * dim + j] * x[i / dim * dim + j];
            double expected = x[i] / sqrt(sum / (double)dim + 1e-5) * weight[i % dim];
            double got = checkop_get(dtype, out, (size_t)i);
            /* Roundings of the sum, the scale and two products; then half a unit of bf16. */
            double allowed = fabs(expected) * (dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-20);
            EXPECT(fabs(got - expected) <= allowed + 1e-30,
                   "%s dtype %d dim %ld element %ld: %.9g, expected %.9g", variant, dtype,
                   (long)dim, (long)i, got, expected);
        }
        ppi_cpu_ops.close(backend);
        free(out);
        free(weight);
        free(x);
    }
}
END_TEST

/* The shape of the sum is fixed, so every kernel set, number of rows and thread gives one result.
 */
START_TEST(rmsnorm_bits)
{
    struct rng rng = rng_seeded(22);
    int64_t dim = 1100, n_rows = 70;
    float *x = checkop_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * dim), 3);
    float *weight = checkop_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
    char *whole = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    char *part = checkop_alloc((size_t)(n_rows * dim), sizeof(float));
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        size_t row_bytes = (size_t)dim * pp_dtype_size(dtype);
        struct ppi_backend *ref = checkop_open("ref", dtype, 1, checkop_any_shape);
        struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, checkop_any_shape);
        struct ppi_matrix *vector = make_vector(ref, weight, dim);
        const struct ppi_norm norm = {.weight = vector, .eps = 1e-6};
        ppi_cpu_ops.norm(ref, x, &norm, n_rows, dim, whole, NULL);
        for (int64_t n = 1; n <= n_rows; n++) {
            int64_t first = rng_between(&rng, 0, n_rows - n);
            ppi_cpu_ops.norm(backend, x + first * dim, &norm, n, dim, part, NULL);
            EXPECT(memcmp(part, whole + (size_t)first * row_bytes, (size_t)n * row_bytes) == 0,
                   "%s dtype %d: bits of rows %ld + %ld with %d threads differ", variant, dtype,
                   (long)first, (long)n, n_threads);
        }
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        ppi_cpu_ops.close(ref);
    }
    free(part);
    free(whole);
    free(weight);
    free(x);
}
END_TEST

START_TEST(embed_values)
{
    struct rng rng = rng_seeded(23);
    int64_t n = 50, k = 37;
    static const int32_t src_dtypes[] = {PP_DTYPE_F32, PP_DTYPE_F16, PP_DTYPE_BF16};
    int32_t tokens[] = {49, 0, 7, 7, 31};
    struct ppi_pass pass = {.n_rows = 5, .tokens = tokens};
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t s = 0; s < PPI_COUNT(src_dtypes); s++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        void *src = checkop_random(&rng, src_dtypes[s], (size_t)(n * k), 1);
        struct ppi_matrix *table;
        ppi_cpu_ops.matrix_create(backend, &checkop_mem, PPI_MATRIX_TABLE, n, k, &table, NULL);
        ppi_cpu_ops.matrix_fill(backend, table, 0, n, src, src_dtypes[s], NULL);
        float *out = checkop_alloc((size_t)(pass.n_rows * k), sizeof *out);
        ppi_cpu_ops.embed(backend, table, &pass, 1, out, NULL);
        for (int64_t i = 0; i < pass.n_rows * k; i++) {
            float expected =
                (float)checkop_get(src_dtypes[s], src, (size_t)(tokens[i / k] * k + i % k));
            if (dtype == PP_DTYPE_BF16)
                expected = ppi_bf16_to_f32(ppi_f32_to_bf16(expected));
            EXPECT(out[i] == expected, "%s dtype %d: element %ld", variant, dtype, (long)i);
        }
        ppi_cpu_ops.matrix_destroy(table);
        ppi_cpu_ops.close(backend);
        free(out);
        free(src);
    }
}
END_TEST

START_TEST(gather_and_copy)
{
    struct rng rng = rng_seeded(24);
    struct ppi_backend *backend = checkop_open(NULL, PP_DTYPE_BF16, 2, (struct shape){4, 2, 64, 3});
    struct ppi_backend_info info;
    ppi_cpu_ops.get_info(backend, &info);
    ck_assert_int_eq(info.chunk_tokens % 64, 0);
    ck_assert_int_eq(strncmp(info.name, "cpu:", 4), 0);

    float *src = checkop_random(&rng, PP_DTYPE_F32, 10 * 5, 1), out[3 * 5];
    int32_t rows[] = {9, 0, 4};
    struct ppi_pass pass = {.n_rows = 3, .source_rows = rows};
    ppi_cpu_ops.gather_rows(backend, src, &pass, 5 * sizeof(float), out, NULL);
    for (int i = 0; i < 3; i++)
        ck_assert(memcmp(&out[5 * i], &src[5 * rows[i]], 5 * sizeof(float)) == 0);
    free(src);

    const size_t room = 5000001;
    char *from = ppi_cpu_ops.alloc(backend, room);
    char *to = ppi_cpu_ops.alloc(backend, room + 1);
    ck_assert(from && to && (uintptr_t)from % 64 == 0);
    for (size_t i = 0; i < room; i++)
        from[i] = (char)rng_next(&rng);
    for (size_t bytes = 1; bytes <= room; bytes = bytes * 3 + 1) {
        memset(to, 77, room + 1);
        ppi_cpu_ops.copy(backend, to, from, bytes, NULL);
        ck_assert(memcmp(to, from, bytes) == 0);
        ck_assert_int_eq(to[bytes], 77);
    }
    ppi_cpu_ops.release(backend, from, room);
    ppi_cpu_ops.release(backend, to, room + 1);
    ppi_cpu_ops.close(backend);
}
END_TEST

static void count(void *arg, int32_t i_thread, int32_t n_threads)
{
    _Atomic int64_t *sums = arg;
    atomic_fetch_add(&sums[i_thread], 1);
    atomic_fetch_add(&sums[7], n_threads);
}

START_TEST(every_thread_runs_its_part_once)
{
    for (int32_t n_threads = 1; n_threads <= 6; n_threads++) {
        struct ppi_cpu_pool *pool;
        ck_assert_int_eq(ppi_cpu_pool_create(&checkop_mem, n_threads, &pool, NULL), PP_OK);
        for (int32_t n_parts = 1; n_parts <= 8; n_parts++) {
            _Atomic int64_t sums[8] = {0};
            int64_t n_active = n_parts < n_threads ? n_parts : n_threads;
            for (int i = 0; i < 100; i++)
                ppi_cpu_run(pool, n_parts, count, sums);
            for (int i = 0; i < 7; i++)
                ck_assert_int_eq(sums[i], i < n_active ? 100 : 0);
            ck_assert_int_eq(sums[7], 100 * n_active * n_active);
        }
        ppi_cpu_pool_destroy(pool);
    }
}
END_TEST

Suite *checkop_rows_suite(void)
{
    Suite *suite = suite_create("rows");
    TCase *tcase = tcase_create("rows");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, rmsnorm_values);
    tcase_add_test(tcase, rmsnorm_bits);
    tcase_add_test(tcase, embed_values);
    tcase_add_test(tcase, gather_and_copy);
    tcase_add_test(tcase, every_thread_runs_its_part_once);
    suite_add_tcase(suite, tcase);
    return suite;
}
