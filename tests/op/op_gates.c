/*
 * op_gates.c: gate, activate, add_gated and multiply.
 *
 * Tolerance: an exponential, a sum, a quotient and a product round, 2^-21 of the result in all.
 * Narrowing to bf16 adds half a unit of 2^-8.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

#define N_ROWS 5
#define DIM    131
#define N      (N_ROWS * DIM)

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double activated(int32_t activation, double x)
{
    if (activation == PPI_ACTIVATION_SILU)
        return x * sigmoid(x);
    return x * sigmoid(2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x));
}

static double allowed(int32_t dtype, double expected)
{
    return fabs(expected) * (0x1p-21 + (dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0)) + 1e-37;
}

/* Gates of all magnitudes. */
static float *random_gates(struct rng *rng, size_t n)
{
    float *gate = checkop_random(rng, PP_DTYPE_F32, n, 4);
    for (size_t i = 0; i < n; i += 7)
        gate[i] *= 6;
    gate[0] = 0;
    gate[1] = 300;
    return gate;
}

START_TEST(gate_values)
{
    struct rng rng = rng_seeded(71);
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        float *gate = random_gates(&rng, N);
        void *a = checkop_random(&rng, dtype, N, 1), *before = checkop_alloc(N, sizeof(float));
        memcpy(before, a, N * pp_dtype_size(dtype));
        ppi_cpu_ops.gate(backend, gate, N_ROWS, DIM, a, NULL);
        for (size_t i = 0; i < N; i++) {
            double expected = checkop_get(dtype, before, i) * sigmoid(gate[i]);
            double got = checkop_get(dtype, a, i);
            EXPECT(fabs(got - expected) <= allowed(dtype, expected),
                   "%s dtype %d: gate %g gives %.9g, expected %.9g", variant, dtype, gate[i], got,
                   expected);
        }
        ppi_cpu_ops.close(backend);
        free(before);
        free(a);
        free(gate);
    }
}
END_TEST

START_TEST(activate_values)
{
    enum { STRIDE = DIM + 6 };
    struct rng rng = rng_seeded(72);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (int32_t activation = PPI_ACTIVATION_SILU; activation <= PPI_ACTIVATION_GELU_TANH;
         activation++) {
        struct ppi_backend *backend = checkop_open(variant, dtype, 2, checkop_any_shape);
        float *gate = random_gates(&rng, N);
        float *x = checkop_random(&rng, PP_DTYPE_F32, N_ROWS * STRIDE, 1);
        void *out = checkop_alloc(N, sizeof(float));
        ppi_cpu_ops.activate(backend, activation, gate, x, STRIDE, N_ROWS, DIM, out, NULL);
        for (size_t i = 0; i < N; i++) {
            double expected = activated(activation, gate[i]) * x[i / DIM * STRIDE + i % DIM];
            double got = checkop_get(dtype, out, i);
            /* Far below 0 the rounding of gelu's exponent counts, at most about 90. */
            double few = gate[i] < 0 ? fabs(expected) * 0x1p-17 : 0;
            EXPECT(fabs(got - expected) <= allowed(dtype, expected) + few,
                   "%s dtype %d activation %d: %g gives %.9g, expected %.9g", variant, dtype,
                   activation, gate[i], got, expected);
        }
        ppi_cpu_ops.close(backend);
        free(out);
        free(x);
        free(gate);
    }
}
END_TEST

START_TEST(add_and_multiply_values)
{
    struct rng rng = rng_seeded(73);
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        struct ppi_backend *backend = checkop_open(variant, dtype, 3, checkop_any_shape);
        float *gate = random_gates(&rng, N_ROWS), factor = -0.37f;
        float *x = checkop_random(&rng, PP_DTYPE_F32, N, 1);
        float *before = checkop_random(&rng, PP_DTYPE_F32, N, 2);
        float *out = checkop_alloc(N, sizeof *out);
        const struct ppi_matrix_spec spec = {.kind = PPI_MATRIX_VECTOR, .n = 1, .k = 1};
        struct ppi_matrix *vector;
        memcpy(out, before, N * sizeof *out);
        ppi_cpu_ops.add_gated(backend, gate, x, 1.5f, N_ROWS, DIM, out, NULL);
        for (size_t i = 0; i < N; i++) {
            double added = 1.5 * sigmoid(gate[i / DIM]) * x[i];
            EXPECT(fabs(out[i] - (before[i] + added)) <=
                       (fabs(added) + fabs((double)before[i])) * 0x1p-21,
                   "%s: element %zu", variant, i);
        }
        ppi_cpu_ops.matrix_create(backend, &checkop_mem, &spec, &vector, NULL);
        ppi_cpu_ops.matrix_fill(backend, vector, 0, 1, &factor, PP_DTYPE_F32, NULL);
        memcpy(out, before, N * sizeof *out);
        ppi_cpu_ops.multiply(backend, out, N - 1, vector, NULL);
        for (size_t i = 0; i < N; i++)
            EXPECT(out[i] == (i < N - 1 ? before[i] * factor : before[i]), "%s: element %zu",
                   variant, i);
        ppi_cpu_ops.matrix_destroy(vector);
        ppi_cpu_ops.close(backend);
        free(out);
        free(before);
        free(x);
        free(gate);
    }
}
END_TEST

/* A row has its bits wherever it stands, whoever computes it. */
START_TEST(gate_bits)
{
    enum { ROWS = 40 };
    struct rng rng = rng_seeded(74);
    float *gate = random_gates(&rng, ROWS * DIM);
    float *x = checkop_random(&rng, PP_DTYPE_F32, ROWS * DIM, 1);
    FOR_EACH_KERNEL_SET(variant, dtype)
    {
        size_t row = DIM * pp_dtype_size(dtype);
        char *a = checkop_random(&rng, dtype, ROWS * DIM, 1);
        char *gated = checkop_alloc(ROWS, row), *active = checkop_alloc(ROWS, row);
        char *part = checkop_alloc(ROWS, row);
        struct ppi_backend *one = checkop_open(variant, dtype, 1, checkop_any_shape);
        struct ppi_backend *three = checkop_open(variant, dtype, 3, checkop_any_shape);
        memcpy(gated, a, ROWS * row);
        ppi_cpu_ops.gate(three, gate, ROWS, DIM, gated, NULL);
        ppi_cpu_ops.activate(three, PPI_ACTIVATION_SILU, gate, x, DIM, ROWS, DIM, active, NULL);
        for (int64_t n = 1; n <= ROWS; n++) {
            int64_t first = rng_between(&rng, 0, ROWS - n);
            size_t at = (size_t)first * row, bytes = (size_t)n * row;
            memcpy(part, a + at, bytes);
            ppi_cpu_ops.gate(one, gate + first * DIM, n, DIM, part, NULL);
            EXPECT(memcmp(part, gated + at, bytes) == 0, "%s: gate has other bits", variant);
            ppi_cpu_ops.activate(one, PPI_ACTIVATION_SILU, gate + first * DIM, x + first * DIM, DIM,
                                 n, DIM, part, NULL);
            EXPECT(memcmp(part, active + at, bytes) == 0, "%s: activate has other bits", variant);
        }
        ppi_cpu_ops.close(three);
        ppi_cpu_ops.close(one);
        free(part);
        free(active);
        free(gated);
        free(a);
    }
    free(x);
    free(gate);
}
END_TEST

Suite *checkop_gates_suite(void)
{
    Suite *suite = suite_create("gates");
    TCase *brief = tcase_create("values");
    tcase_set_timeout(brief, 300);
    tcase_add_test(brief, gate_values);
    tcase_add_test(brief, activate_values);
    tcase_add_test(brief, add_and_multiply_values);
    suite_add_tcase(suite, brief);
    TCase *tcase = tcase_create("gates");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, gate_bits);
    suite_add_tcase(suite, tcase);
    return suite;
}
