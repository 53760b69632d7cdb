/*
 * op_amx.c: the kernels on tiles, whose instructions are plain C here, so that what is around them
 * runs on machines that have no tiles: against the plain C kernels, and rows in any company.
 */
#include "amx_under_test.h"
#include "checkop.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS 70

/* A product whose memory ends where its numbers do: a sanitizer sees what reads behind them. */
struct amx_case {
    int64_t n_rows, k;
    int32_t n_columns;
    bool gated, has_bias, accumulate, scattered;
    float scale;
    int32_t activation;
};

struct amx_memory {
    uint16_t *a, *panel;
    float *bias, *before; /* before: what out holds */
    int32_t *rows;        /* where scattered rows go: the other way round */
    float *scales;
};

static void *random_act(struct rng *rng, size_t n, double deviation)
{
    uint16_t *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = ppi_f32_to_bf16((float)(rng_normal(rng) * deviation));
    return x;
}

static float *random_f32(struct rng *rng, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(rng);
    return x;
}

static struct amx_memory make_memory(struct rng *rng, const struct amx_case *c)
{
    int64_t groups = (c->k + 1) / 2;
    struct amx_memory memory = {
        .a = random_act(rng, (size_t)(c->n_rows * c->k), 1),
        .panel = random_act(rng, (size_t)(groups * PPI_CPU_PANEL * 2), 0.3),
        .bias = random_f32(rng, PPI_CPU_PANEL),
        .before = random_f32(rng, (size_t)c->n_rows * PPI_CPU_PANEL),
        .rows = malloc((size_t)c->n_rows * sizeof(int32_t)),
        .scales = random_f32(rng, (size_t)c->n_rows),
    };
    for (int64_t i = 0; i < c->n_rows; i++)
        memory.rows[i] = (int32_t)(c->n_rows - 1 - i);
    for (int j = 0; c->k % 2 && j < PPI_CPU_PANEL; j++)
        memory.panel[((groups - 1) * PPI_CPU_PANEL + j) * 2 + 1] = 0;
    return memory;
}

static void free_memory(struct amx_memory *memory)
{
    free(memory->a);
    free(memory->panel);
    free(memory->bias);
    free(memory->before);
    free(memory->rows);
    free(memory->scales);
}

static struct ppi_cpu_product product_of(const struct amx_case *c, const struct amx_memory *memory,
                                         int64_t row, int64_t n_rows, void *out)
{
    return (struct ppi_cpu_product){
        .a = memory->a + row * c->k,
        .n_rows = n_rows,
        .k = c->k,
        .panel = memory->panel,
        .out = out,
        .out_stride = PPI_CPU_PANEL,
        .n_columns = c->n_columns,
        .bias = c->has_bias ? memory->bias : NULL,
        .up_bias = c->has_bias ? memory->bias + PPI_CPU_GATED : NULL,
        .scale = c->scale,
        .accumulate = c->accumulate,
        .rows = c->scattered ? memory->rows + row : NULL,
        .scales = memory->scales + row,
        .activation = c->activation,
        .limit = 0.7f,
        .alpha = 1.702f,
    };
}

/* Rows [row, row + n_rows) to out, f32 or bf16 in rows of 64 floats' room; scattered: to where they
 * are in the whole. */
static void multiply_rows(const struct amx_case *c, const struct amx_memory *memory, int64_t row,
                          int64_t n_rows, bool reference, float *out)
{
    if (c->scattered)
        memcpy(out, memory->before, (size_t)c->n_rows * PPI_CPU_PANEL * sizeof *out);
    else
        memcpy(out, memory->before + row * PPI_CPU_PANEL,
               (size_t)n_rows * PPI_CPU_PANEL * sizeof *out);
    struct ppi_cpu_product p = product_of(c, memory, row, n_rows, out);
    if (reference)
        (c->gated ? ppi_cpu_ref.bf16.gated : ppi_cpu_ref.bf16.products)(&p);
    else
        (c->gated ? emulated_gated : emulated_products)(&p);
    ck_assert_int_eq(emulated_tiles_in_use(), 0);
}

static double value_at(const struct amx_case *c, const float *out, int64_t row, int column)
{
    if (!c->gated)
        return out[row * PPI_CPU_PANEL + column];
    return ppi_bf16_to_f32(((const uint16_t *)(const void *)out)[row * PPI_CPU_PANEL + column]);
}

/* The sum of magnitudes of a column, in the unit of op_products.c. */
static double allowed(const struct amx_case *c, const struct amx_memory *memory, int64_t row,
                      int column)
{
    double sum = 0;
    for (int64_t i = 0; i < c->k; i++)
        sum += fabs((double)ppi_bf16_to_f32(memory->a[row * c->k + i]) *
                    ppi_bf16_to_f32(memory->panel[(i / 2 * PPI_CPU_PANEL + column) * 2 + i % 2]));
    return 16 * sqrt((double)c->k) * 0x1p-24 * (sum + 1);
}

static void check_case(struct rng *rng, const struct amx_case *c)
{
    struct amx_memory memory = make_memory(rng, c);
    size_t n = (size_t)c->n_rows * PPI_CPU_PANEL;
    float *out = malloc(n * sizeof *out), *expected = malloc(n * sizeof *expected);
    float *alone = malloc(n * sizeof *alone);
    size_t row_bytes = PPI_CPU_PANEL * (c->gated ? sizeof(uint16_t) : sizeof(float));
    multiply_rows(c, &memory, 0, c->n_rows, false, out);
    multiply_rows(c, &memory, 0, c->n_rows, true, expected);
    for (int64_t row = 0; row < c->n_rows; row++) {
        for (int j = 0; j < PPI_CPU_PANEL; j++) {
            if (j >= c->n_columns) {
                size_t bytes = row_bytes / PPI_CPU_PANEL,
                       at = (size_t)row * row_bytes + (size_t)j * bytes;
                EXPECT(memcmp((char *)out + at, (char *)expected + at, bytes) == 0,
                       "%d columns, gated %d: row %ld, column %d is written", c->n_columns,
                       c->gated, (long)row, j);
                continue;
            }
            double got = value_at(c, out, row, j), want = value_at(c, expected, row, j), unit;
            if (!c->gated)
                unit = c->scattered
                           ? allowed(c, &memory, memory.rows[row], j) *
                                     fabs(memory.scales[memory.rows[row]]) +
                                 4 * 0x1p-22
                           : allowed(c, &memory, row, j) * fabs(c->scale) + fabs(want) * 0x1p-22;
            else
                unit = 2 *
                           (allowed(c, &memory, row, j) +
                            allowed(c, &memory, row, PPI_CPU_GATED + j)) *
                           (1 + fabs(want)) +
                       fabs(want) * 0x1p-7;
            EXPECT(fabs(got - want) <= unit,
                   "%ld rows, k %ld, %d columns, gated %d, bias %d: row %ld, column %d: %.9g, "
                   "expected %.9g +- %.2g",
                   (long)c->n_rows, (long)c->k, c->n_columns, c->gated, c->has_bias, (long)row, j,
                   got, want, unit);
        }
        if (row % 7 == 0 || row == c->n_rows - 1) {
            int64_t to = c->scattered ? memory.rows[row] : row;
            multiply_rows(c, &memory, row, 1, false, alone);
            EXPECT(memcmp((char *)alone + (c->scattered ? (size_t)to * row_bytes : 0),
                          (char *)out + (size_t)to * row_bytes,
                          (size_t)c->n_columns * row_bytes / PPI_CPU_PANEL) == 0,
                   "row %ld of %ld, k %ld: other bits alone", (long)row, (long)c->n_rows,
                   (long)c->k);
        }
    }
    free(alone);
    free(out);
    free(expected);
    free_memory(&memory);
}

START_TEST(tiles_multiply)
{
    static const int64_t rows[] = {1, 5, 16, 17, 32, 33, MAX_ROWS};
    static const int64_t ks[] = {1, 2, 31, 32, 33, 64, 95, 160};
    struct rng rng = {51};
    for (size_t r = 0; r < PPI_COUNT(rows); r++)
        for (size_t i = 0; i < PPI_COUNT(ks); i++)
            for (int kind = 0; kind < 9; kind++) {
                struct amx_case c = {.n_rows = rows[r],
                                     .k = ks[i],
                                     .gated = kind >= 4 && kind < 7,
                                     .scattered = kind >= 7,
                                     .activation = kind == 6 ? PPI_ACTIVATION_SWIGLU_CLAMPED
                                                             : PPI_ACTIVATION_SILU,
                                     .has_bias = kind % 2,
                                     .accumulate = kind == 2 || kind == 3,
                                     .scale = kind == 3 ? 0.22f : 1};
                c.n_columns = kind == 1 ? 17 : kind == 5 ? 9 : c.gated ? 32 : 64;
                check_case(&rng, &c);
            }
}
END_TEST

/* Another row's NaN stays there; infinities come out as in the plain kernels. */
START_TEST(special_values_stay_in_their_row)
{
    struct rng rng = {52};
    struct amx_case c = {.n_rows = 20, .k = 70, .n_columns = 64, .scale = 1};
    struct amx_memory memory = make_memory(&rng, &c);
    float out[20 * PPI_CPU_PANEL];
    memory.a[3 * c.k + 69] = 0x7fc0;
    memory.a[7 * c.k + 1] = 0x7f80;
    multiply_rows(&c, &memory, 0, c.n_rows, false, out);
    for (int64_t row = 0; row < c.n_rows; row++)
        for (int j = 0; j < PPI_CPU_PANEL; j++) {
            float value = out[row * PPI_CPU_PANEL + j];
            if (row == 3)
                EXPECT(isnan(value), "row 3, column %d is %g", j, (double)value);
            else if (row == 7)
                EXPECT(isinf(value) || isnan(value), "row 7, column %d is %g", j, (double)value);
            else
                EXPECT(isfinite(value), "row %ld, column %d is %g", (long)row, j, (double)value);
        }
    free_memory(&memory);
}
END_TEST

static void *random_bytes(struct rng *rng, size_t n, int32_t low, int32_t high)
{
    uint8_t *x = malloc(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (uint8_t)rng_between(rng, low, high);
    return x;
}

/* Whole numbers have one sum: the bits of the plain C kernels. */
static void check_codes(struct rng *rng, int64_t n_rows, int64_t k, bool bf16, bool gated)
{
    size_t n = (size_t)n_rows * PPI_CPU_PANEL;
    int8_t *a = random_bytes(rng, (size_t)(n_rows * k), -127, 127);
    uint8_t *panel = random_bytes(rng, (size_t)k * PPI_CPU_PANEL, 0, 255);
    float *scales = random_f32(rng, PPI_CPU_PANEL), *a_scales = random_f32(rng, (size_t)n_rows);
    float *before = random_f32(rng, n), *bias = random_f32(rng, PPI_CPU_PANEL);
    float *out = malloc(n * sizeof *out), *expected = malloc(n * sizeof *expected);
    int32_t starts[MAX_ROWS];
    for (int64_t row = 0; row < n_rows; row++) {
        starts[row] = 0;
        for (int64_t i = 0; i < k; i++)
            starts[row] -= 128 * a[row * k + i];
    }
    memcpy(out, before, n * sizeof *out);
    memcpy(expected, before, n * sizeof *out);
    struct ppi_cpu_integer p = {.product = {.a = a,
                                            .n_rows = n_rows,
                                            .k = k,
                                            .panel = panel,
                                            .out = out,
                                            .out_stride = PPI_CPU_PANEL,
                                            .n_columns = 29,
                                            .bias = bias,
                                            .up_bias = bias + PPI_CPU_GATED,
                                            .scale = 0.5f,
                                            .accumulate = true,
                                            .activation = PPI_ACTIVATION_SILU},
                                .n_groups = 1,
                                .a_scales = a_scales,
                                .a_starts = starts,
                                .scales = scales};
    ck_assert(emulated_integer(bf16, gated, &p));
    ck_assert_int_eq(emulated_tiles_in_use(), 0);
    const struct ppi_cpu_kernels *reference = bf16 ? &ppi_cpu_ref.bf16 : &ppi_cpu_ref.f32;
    p.product.out = expected;
    (gated ? reference->integer_gated : reference->integer_products)(&p);
    if (gated) /* exp is not the same function in both */
        for (int64_t row = 0; row < n_rows; row++)
            for (int j = 0; j < p.product.n_columns; j++) {
                size_t at = (size_t)(row * PPI_CPU_PANEL + j);
                int32_t dtype = bf16 ? PP_DTYPE_BF16 : PP_DTYPE_F32;
                double got = checkop_get(dtype, out, at), want = checkop_get(dtype, expected, at);
                EXPECT(fabs(got - want) <= fabs(want) * (bf16 ? 0x1p-7 : 0x1p-16) + 1e-30,
                       "%ld rows, k %ld: row %ld, column %d: %.9g, expected %.9g", (long)n_rows,
                       (long)k, (long)row, j, got, want);
            }
    else
        EXPECT(memcmp(out, expected, n * sizeof *out) == 0, "%ld rows, k %ld: other bits",
               (long)n_rows, (long)k);
    free(a);
    free(panel);
    free(scales);
    free(a_scales);
    free(before);
    free(bias);
    free(out);
    free(expected);
}

START_TEST(tiles_multiply_codes)
{
    static const int64_t rows[] = {1, 15, 16, 17, 32, 35, MAX_ROWS};
    struct rng rng = {53};
    for (size_t r = 0; r < PPI_COUNT(rows); r++)
        for (int64_t k = 64; k <= 256; k += 64)
            for (int kind = 0; kind < 3; kind++)
                check_codes(&rng, rows[r], k, kind == 2, kind > 0);
}
END_TEST

Suite *checkop_amx_suite(void)
{
    Suite *suite = suite_create("amx");
    TCase *tcase = tcase_create("amx");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, tiles_multiply);
    tcase_add_test(tcase, special_values_stay_in_their_row);
    tcase_add_test(tcase, tiles_multiply_codes);
    suite_add_tcase(suite, tcase);
    return suite;
}
