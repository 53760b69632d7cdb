/*
 * op_rows.c: embed, softcap, gather_rows, copy; and the threads that share them.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

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
        ppi_cpu_ops.matrix_create(
            backend, &checkop_mem,
            &(struct ppi_matrix_spec){.kind = PPI_MATRIX_TABLE, .n = n, .k = k}, &table, NULL);
        ppi_cpu_ops.matrix_fill(backend, table, 0, n, src, src_dtypes[s], NULL);
        float *out = checkop_alloc((size_t)(pass.n_rows * k), sizeof *out);
        float scale = s == 0 ? 1 : 55.4256f;
        ppi_cpu_ops.embed(backend, table, &pass, scale, out, NULL);
        for (int64_t i = 0; i < pass.n_rows * k; i++) {
            float expected =
                (float)checkop_get(src_dtypes[s], src, (size_t)(tokens[i / k] * k + i % k));
            if (dtype == PP_DTYPE_BF16)
                expected = ppi_bf16_to_f32(ppi_f32_to_bf16(expected));
            expected *= scale;
            EXPECT(out[i] == expected, "%s dtype %d: element %ld", variant, dtype, (long)i);
        }
        ppi_cpu_ops.matrix_destroy(table);
        ppi_cpu_ops.close(backend);
        free(out);
        free(src);
    }
}
END_TEST

/* All magnitudes, both signs; a few roundings of the quotient, the tanh and the product. */
START_TEST(softcap_values)
{
    enum { N = 20011 };
    static const float caps[] = {30, 50, 1, 0.01f};
    struct rng rng = rng_seeded(25);
    float *x = checkop_alloc(N, sizeof *x);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t c = 0; c < PPI_COUNT(caps); c++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        float before[N];
        for (int i = 0; i < N; i++) {
            float magnitude = (float)exp((double)rng_between(&rng, -12000, 4000) * 1e-3);
            x[i] = before[i] = (i % 2 ? -caps[c] : caps[c]) * magnitude;
        }
        x[0] = before[0] = 0;
        x[1] = before[1] = -INFINITY;
        x[2] = before[2] = INFINITY;
        x[3] = before[3] = NAN;
        ppi_cpu_ops.softcap(backend, x, N, caps[c], NULL);
        for (int i = 0; i < N; i++) {
            double expected = caps[c] * tanh((double)before[i] / caps[c]);
            EXPECT(i == 3 ? isnan(x[i]) : fabs(x[i] - expected) <= fabs(expected) * 6e-7,
                   "%s cap %g: %.9g gives %.9g, expected %.9g", variant, caps[c], before[i], x[i],
                   expected);
        }
        ppi_cpu_ops.close(backend);
    }
    free(x);
}
END_TEST

/* An element has its bits wherever it stands, and the reference is near. */
START_TEST(softcap_bits)
{
    enum { N = 40000 };
    struct rng rng = rng_seeded(28);
    float *x = checkop_random(&rng, PP_DTYPE_F32, N, 40);
    float *whole = checkop_alloc(N, sizeof *whole), *part = checkop_alloc(N, sizeof *part);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, n_threads, checkop_any_shape);
        memcpy(whole, x, N * sizeof *x);
        ppi_cpu_ops.softcap(backend, whole, N, 30, NULL);
        for (int i = 0; i < 60; i++) {
            int64_t first = rng_between(&rng, 0, N - 1);
            int64_t n = rng_between(&rng, 1, i < 40 ? 40 : N), left = N - first;
            n = n < left ? n : left;
            memcpy(part, x + first, (size_t)n * sizeof *x);
            ppi_cpu_ops.softcap(backend, part, n, 30, NULL);
            EXPECT(memcmp(part, whole + first, (size_t)n * sizeof *x) == 0,
                   "%s: bits of elements %ld + %ld with %d threads differ", variant, (long)first,
                   (long)n, n_threads);
        }
        ppi_cpu_ops.close(backend);
    }
    free(part);
    free(whole);
    free(x);
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

Suite *checkop_rows_suite(void)
{
    Suite *suite = suite_create("rows");
    TCase *brief = tcase_create("values");
    tcase_set_timeout(brief, 300);
    tcase_add_test(brief, embed_values);
    tcase_add_test(brief, softcap_values);
    suite_add_tcase(suite, brief);
    TCase *tcase = tcase_create("rows");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, softcap_bits);
    tcase_add_test(tcase, gather_and_copy);
    suite_add_tcase(suite, tcase);
    return suite;
}
