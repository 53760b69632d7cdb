/*
 * op_packed.c: the kernels of packed.h. Each kernel of each set gives the reference's bits; only
 * what gates a product is compared within a tolerance, because the exponential is each set's own.
 */
#include "checkop.h"

#include <math.h>
#include <string.h>

/* Which NaN it is depends on a compiler's order of operands. */
static bool same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static float *random_floats(struct rng *rng, size_t n)
{
    return checkop_random(rng, PP_DTYPE_F32, n, 1);
}

/* ---- integer products ---- */

struct integer_case {
    int64_t k, n_rows;
    int32_t n_columns;
    bool groups, offsets, bias, accumulate;
    float scale;
    bool scattered; /* rows go to out in the other order */
    int32_t activation;
};

static int32_t *other_order(int64_t n)
{
    int32_t *rows = checkop_alloc((size_t)n, sizeof *rows);
    for (int64_t i = 0; i < n; i++)
        rows[i] = (int32_t)(n - 1 - i);
    return rows;
}

/* A product with random numbers; what it points to is the caller's to free. */
static struct ppi_cpu_integer make_integer(struct rng *rng, const struct integer_case *c)
{
    int64_t n_groups = c->groups ? c->k / PPI_CPU_CODE_GROUP : 1, at = c->n_rows * n_groups;
    int8_t *a = checkop_alloc((size_t)(c->n_rows * c->k), 1);
    uint8_t *panel = checkop_alloc((size_t)c->k, PPI_CPU_PANEL);
    int32_t *starts = checkop_alloc((size_t)at, sizeof *starts);
    float *a_scales = random_floats(rng, (size_t)at), *a_sums = random_floats(rng, (size_t)at);
    for (int64_t i = 0; i < c->n_rows * c->k; i++)
        a[i] = (int8_t)rng_between(rng, -127, 127);
    for (int64_t i = 0; i < c->k * PPI_CPU_PANEL; i++)
        panel[i] = (uint8_t)rng_between(rng, 0, 255);
    for (int64_t i = 0; i < c->k && i < PPI_CPU_PANEL; i++) { /* the largest sums */
        a[i] = -127;
        panel[4 * i] = panel[4 * i + 1] = 255;
    }
    for (int64_t i = 0; i < at; i++)
        starts[i] = (int32_t)rng_between(rng, -1000000, 1000000);
    for (int64_t i = 0; i < at; i += 7) /* a row that is nothing, or was not finite */
        a_scales[i] = a_sums[i] = i % 2 ? NAN : 0;
    int64_t scales = n_groups * PPI_CPU_PANEL;
    return (struct ppi_cpu_integer){
        .product = {.a = a,
                    .n_rows = c->n_rows,
                    .k = c->k,
                    .panel = panel,
                    .next_panel = panel,
                    .out_stride = PPI_CPU_PANEL + 3,
                    .n_columns = c->n_columns,
                    .bias = c->bias ? random_floats(rng, PPI_CPU_PANEL) : NULL,
                    .up_bias = c->bias ? random_floats(rng, PPI_CPU_GATED) : NULL,
                    .scale = c->scale,
                    .accumulate = c->accumulate,
                    .rows = c->scattered ? other_order(c->n_rows) : NULL,
                    .scales = c->scattered ? random_floats(rng, (size_t)c->n_rows) : NULL,
                    .activation = c->activation,
                    .limit = 2e5f,
                    .alpha = 1e-5f},
        .n_groups = n_groups,
        .a_scales = a_scales,
        .a_sums = a_sums,
        .a_starts = starts,
        .scales = random_floats(rng, (size_t)scales),
        .offsets = c->offsets ? random_floats(rng, (size_t)scales) : NULL,
    };
}

static void free_integer(struct ppi_cpu_integer *p)
{
    const void *parts[] = {p->product.a, p->product.panel, p->product.bias,  p->product.up_bias,
                           p->a_scales,  p->a_sums,        p->a_starts,      p->scales,
                           p->offsets,   p->product.rows,  p->product.scales};
    for (size_t i = 0; i < PPI_COUNT(parts); i++)
        free((void *)(uintptr_t)parts[i]);
}

/* out [n_rows, stride] of a product, from `filled` everywhere. */
static float *run_integer(void (*kernel)(const struct ppi_cpu_integer *),
                          const struct ppi_cpu_integer *p, float filled)
{
    size_t n = (size_t)(p->product.n_rows * p->product.out_stride);
    float *out = checkop_alloc(n, sizeof *out);
    struct ppi_cpu_integer job = *p;
    for (size_t i = 0; i < n; i++)
        out[i] = filled;
    job.product.out = out;
    kernel(&job);
    return out;
}

/* Gated values of f32, each a few units from the reference's; what does not exist is untouched. */
static void check_gated(const char *name, const struct ppi_cpu_integer *p, const float *got,
                        const float *expected)
{
    for (int64_t i = 0; i < p->product.n_rows * p->product.out_stride; i++) {
        double allowed = fabs((double)expected[i]) * 0x1p-20 + 1e-30;
        bool both_nan = isnan(got[i]) && isnan(expected[i]);
        EXPECT(both_nan || fabs((double)got[i] - expected[i]) <= allowed,
               "%s k %ld: element %ld of gated: %.9g, expected %.9g", name, (long)p->product.k,
               (long)i, got[i], expected[i]);
    }
}

static void check_bf16_gated(const struct ppi_cpu_variant *variant, const struct ppi_cpu_integer *p,
                             const float *wide)
{
    float *out = run_integer(variant->bf16.integer_gated, p, 0);
    const uint16_t *narrow = (const uint16_t *)out;
    for (int64_t row = 0; row < p->product.n_rows; row++)
        for (int64_t j = 0; j < p->product.n_columns; j++) {
            int64_t at = row * p->product.out_stride + j;
            EXPECT(narrow[at] == ppi_f32_to_bf16(wide[at]) || isnan(wide[at]),
                   "%s: element %ld of gated in bf16 is not the rounded one", variant->name,
                   (long)at);
        }
    free(out);
}

static void check_integer(struct rng *rng, const struct integer_case *c)
{
    struct ppi_cpu_integer p = make_integer(rng, c), gated = p;
    gated.product.n_columns = c->n_columns < PPI_CPU_GATED ? c->n_columns : PPI_CPU_GATED;
    float *expected = run_integer(ppi_cpu_ref.f32.integer_products, &p, 3);
    float *expected_gated = run_integer(ppi_cpu_ref.f32.integer_gated, &gated, 3);
    const struct ppi_cpu_variant *variant;
    for (int i = 1; (variant = ppi_cpu_variant_at(i)) != NULL; i++) {
        float *out = run_integer(variant->f32.integer_products, &p, 3);
        EXPECT(same_bits(out, expected, (size_t)(c->n_rows * p.product.out_stride)),
               "%s k %ld rows %ld columns %d groups %d offsets %d: other bits", variant->name,
               (long)c->k, (long)c->n_rows, c->n_columns, c->groups, c->offsets);
        free(out);
        out = run_integer(variant->f32.integer_gated, &gated, 3);
        check_gated(variant->name, &gated, out, expected_gated);
        check_bf16_gated(variant, &gated, out);
        free(out);
    }
    free(expected_gated);
    free(expected);
    free_integer(&p);
}

START_TEST(integer_products)
{
    static const int64_t lengths[] = {32, 64, 96, 224, 256, 704};
    static const int32_t columns[] = {64, 1, 31, 33, 63};
    struct rng rng = rng_seeded(41);
    for (size_t i = 0; i < PPI_COUNT(lengths); i++)
        for (int64_t n_rows = 1; n_rows <= 13; n_rows++)
            for (int form = 0; form < 3; form++) {
                struct integer_case c = {.k = form == 0 ? ppi_round_up(lengths[i], 64) : lengths[i],
                                         .n_rows = n_rows,
                                         .n_columns = columns[rng_between(&rng, 0, 4)],
                                         .groups = form > 0,
                                         .offsets = form == 2,
                                         .bias = n_rows % 3 == 1,
                                         .accumulate = n_rows % 4 == 2,
                                         .scale = n_rows % 2 ? 1 : -0.3f,
                                         .scattered = n_rows % 5 == 3,
                                         .activation = n_rows % 3 ? PPI_ACTIVATION_SILU
                                                                  : PPI_ACTIVATION_SWIGLU_CLAMPED};
                check_integer(&rng, &c);
            }
}
END_TEST

/* ---- activations ---- */

struct code_rows {
    struct ppi_cpu_codes to;
    size_t n_codes, n_groups;
};

static struct code_rows make_code_rows(int64_t n_rows, int64_t k, bool rotated)
{
    struct code_rows rows = {.n_codes = (size_t)(n_rows * k)};
    rows.n_groups = (size_t)(n_rows * (rotated ? 1 : k / PPI_CPU_CODE_GROUP));
    rows.to = (struct ppi_cpu_codes){
        checkop_alloc(rows.n_codes, 1), checkop_alloc(rows.n_groups, sizeof(float)),
        checkop_alloc(rows.n_groups, sizeof(int32_t)), checkop_alloc(rows.n_groups, sizeof(float))};
    return rows;
}

static void free_code_rows(struct code_rows *rows)
{
    free(rows->to.codes);
    free(rows->to.scales);
    free(rows->to.starts);
    free(rows->to.sums);
}

static struct code_rows run_quantize(const struct ppi_cpu_variant *variant, int32_t dtype,
                                     const void *a, int64_t n_rows, int64_t k, bool rotated,
                                     int64_t k_padded)
{
    struct code_rows rows = make_code_rows(n_rows, k_padded, rotated);
    struct ppi_cpu_quantize job = {.a = a,
                                   .n_rows = n_rows,
                                   .k = k,
                                   .k_padded = k_padded,
                                   .rotated = rotated,
                                   .zero = rotated ? 128 : 8,
                                   .to = rows.to,
                                   .room = checkop_alloc((size_t)k_padded, sizeof(float))};
    (dtype == PP_DTYPE_BF16 ? variant->bf16 : variant->f32).quantize(&job);
    free(job.room);
    return rows;
}

/* Rows of random numbers; among them zeros, NaN, infinity, numbers so small or so large that their
 * scale, or their rotation, is at the end of f32. */
static void *special_rows(struct rng *rng, int32_t dtype, int64_t n_rows, int64_t k)
{
    static const float factors[] = {1, 0, 0x1p-130f, 0x1p-119f, 0x1p+125f, 3e-39f};
    static const float odd_ones[] = {NAN, INFINITY, -INFINITY};
    void *a = checkop_random(rng, dtype, (size_t)(n_rows * k), 1);
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t odd = rng_between(rng, 0, k - 1);
        for (int64_t i = row * k; i < (row + 1) * k; i++) {
            float x =
                (float)checkop_get(dtype, a, (size_t)i) * factors[(size_t)row % PPI_COUNT(factors)];
            if (row % 4 == 2 && i == row * k + odd)
                x = odd_ones[(size_t)row / 4 % PPI_COUNT(odd_ones)];
            if (dtype == PP_DTYPE_BF16)
                ((uint16_t *)a)[i] = ppi_f32_to_bf16(x);
            else
                ((float *)a)[i] = x;
        }
    }
    return a;
}

static void check_quantize(struct rng *rng, int32_t dtype, int64_t k, bool rotated)
{
    enum { ROWS = 13 };
    int64_t k_padded = ppi_round_up(k, rotated || k % 3 == 0 ? 64 : 32);
    void *a = special_rows(rng, dtype, ROWS, k);
    struct code_rows want = run_quantize(&ppi_cpu_ref, dtype, a, ROWS, k, rotated, k_padded);
    const struct ppi_cpu_variant *variant;
    for (int i = 1; (variant = ppi_cpu_variant_at(i)) != NULL; i++) {
        struct code_rows got = run_quantize(variant, dtype, a, ROWS, k, rotated, k_padded);
        EXPECT(memcmp(got.to.codes, want.to.codes, want.n_codes) == 0 &&
                   memcmp(got.to.starts, want.to.starts, want.n_groups * sizeof(int32_t)) == 0 &&
                   same_bits(got.to.scales, want.to.scales, want.n_groups) &&
                   same_bits(got.to.sums, want.to.sums, want.n_groups),
               "%s dtype %d k %ld rotated %d: other codes", variant->name, dtype, (long)k, rotated);
        free_code_rows(&got);
    }
    free_code_rows(&want);
    free(a);
}

START_TEST(activations)
{
    static const int64_t lengths[] = {1, 7, 31, 32, 33, 63, 64, 65, 96, 127, 251, 448, 1021};
    struct rng rng = rng_seeded(48);
    for (size_t i = 0; i < PPI_COUNT(lengths); i++)
        for (int form = 0; form < 4; form++)
            check_quantize(&rng, form % 2 ? PP_DTYPE_BF16 : PP_DTYPE_F32, lengths[i], form / 2);
}
END_TEST

/* ---- panels taken apart ---- */

/* A panel of random codes. Scales are numbers, a few of them NaN or infinite. */
static char *make_panel(struct rng *rng, int32_t format, int64_t k_padded)
{
    const struct ppi_format *f = &ppi_formats[format];
    size_t codes = ppi_cpu_code_bytes(format, k_padded);
    size_t bytes = ppi_cpu_packed_bytes(format, k_padded);
    char *panel = checkop_alloc(bytes, 1);
    for (size_t i = 0; i < codes; i++)
        panel[i] = (char)rng_between(rng, 0, 255);
    for (size_t i = codes; i < bytes; i += (size_t)f->scale_bytes) {
        if (f->scale_bytes == 1) {
            panel[i] = (char)rng_between(rng, 0, 255);
            continue;
        }
        int64_t which = rng_between(rng, 0, 99);
        float x = which == 0 ? NAN : which == 1 ? INFINITY : (float)rng_normal(rng);
        uint16_t half = ppi_f32_to_f16(x);
        memcpy(panel + i, f->scale_bytes == 4 ? (void *)&x : (void *)&half, (size_t)f->scale_bytes);
    }
    return panel;
}

static void check_levels(struct rng *rng, int32_t format, int64_t k)
{
    int64_t k_padded = ppi_format_k(format, k), groups = k_padded / PPI_CPU_CODE_GROUP;
    size_t n_codes = (size_t)k_padded * PPI_CPU_PANEL, n_scales = (size_t)groups * PPI_CPU_PANEL;
    char *panel = make_panel(rng, format, k_padded);
    struct ppi_cpu_unpack want = {.format = format, .k = k, .k_padded = k_padded, .panel = panel};
    struct ppi_cpu_unpack got = want;
    struct ppi_cpu_unpack *both[] = {&want, &got};
    for (int i = 0; i < 2; i++) {
        both[i]->codes = checkop_alloc(n_codes, 1);
        both[i]->scales = checkop_alloc(n_scales, sizeof(float));
        both[i]->offsets = checkop_alloc(n_scales, sizeof(float));
    }
    ppi_cpu_ref.f32.unpack_codes(&want);
    const struct ppi_cpu_variant *variant;
    for (int i = 1; (variant = ppi_cpu_variant_at(i)) != NULL; i++) {
        memset(got.codes, 0x55, n_codes);
        variant->f32.unpack_codes(&got);
        EXPECT(memcmp(got.codes, want.codes, n_codes) == 0 &&
                   same_bits(got.scales, want.scales, n_scales) &&
                   (!ppi_formats[format].has_offsets ||
                    same_bits(got.offsets, want.offsets, n_scales)),
               "%s %s k %ld: other levels", variant->name, ppi_formats[format].name, (long)k);
    }
    for (int i = 0; i < 2; i++) {
        free(both[i]->codes);
        free(both[i]->scales);
        free(both[i]->offsets);
    }
    free(panel);
}

static bool same_numbers(int32_t dtype, const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x = checkop_get(dtype, a, i), y = checkop_get(dtype, b, i);
        if (!(isnan(x) && isnan(y)) && (x != y || signbit(x) != signbit(y)))
            return false;
    }
    return true;
}

static void check_numbers(struct rng *rng, int32_t format, int32_t dtype, int64_t k)
{
    int64_t k_padded = ppi_format_k(format, k), lines = ppi_round_up(k, 2) + 2;
    size_t n = (size_t)lines * PPI_CPU_PANEL, bytes = n * sizeof(float);
    char *panel = format == PPI_FORMAT_BF16
                      ? checkop_random(rng, PP_DTYPE_BF16, (size_t)(k + 1) * PPI_CPU_PANEL, 1)
                      : make_panel(rng, format, k_padded);
    struct ppi_cpu_unpack want = {.format = format, .k = k, .k_padded = k_padded, .panel = panel};
    struct ppi_cpu_unpack got = want;
    bool bf16 = dtype == PP_DTYPE_BF16;
    want.numbers = checkop_alloc(bytes, 1);
    got.numbers = checkop_alloc(bytes, 1);
    memset(want.numbers, 0x11, bytes);
    (bf16 ? ppi_cpu_ref.bf16 : ppi_cpu_ref.f32).unpack_numbers(&want);
    const struct ppi_cpu_variant *variant;
    for (int i = 1; (variant = ppi_cpu_variant_at(i)) != NULL; i++) {
        memset(got.numbers, 0x11, bytes);
        (bf16 ? variant->bf16 : variant->f32).unpack_numbers(&got);
        EXPECT(same_numbers(dtype, got.numbers, want.numbers, bf16 ? 2 * n : n),
               "%s %s dtype %d k %ld: other numbers", variant->name, ppi_formats[format].name,
               dtype, (long)k);
    }
    free(want.numbers);
    free(got.numbers);
    free(panel);
}

START_TEST(panels_taken_apart)
{
    static const int64_t lengths[] = {1, 3, 29, 31, 32, 33, 62, 64, 65, 97, 130, 256};
    struct rng rng = rng_seeded(49);
    for (size_t i = 0; i < PPI_COUNT(lengths); i++) {
        check_numbers(&rng, PPI_FORMAT_BF16, PP_DTYPE_F32, lengths[i]);
        for (int32_t format = PPI_FORMAT_INT4; format < PPI_N_FORMATS; format++) {
            check_levels(&rng, format, lengths[i]);
            check_numbers(&rng, format, PP_DTYPE_F32, lengths[i]);
            check_numbers(&rng, format, PP_DTYPE_BF16, lengths[i]);
        }
    }
}
END_TEST

/* ---- products with panels as they are ---- */

/* The reference's values of p, whose panel is packed: it takes that apart first. */
static float *run_unpacked(const struct ppi_cpu_integer *p)
{
    int64_t k = p->product.k;
    size_t n_scales = (size_t)(k / PPI_CPU_CODE_GROUP * PPI_CPU_PANEL);
    struct ppi_cpu_unpack unpack = {.format = p->format,
                                    .k = k,
                                    .k_padded = k,
                                    .panel = p->product.panel,
                                    .codes = checkop_alloc((size_t)k, PPI_CPU_PANEL),
                                    .scales = checkop_alloc(n_scales, sizeof(float)),
                                    .offsets = checkop_alloc(n_scales, sizeof(float))};
    struct ppi_cpu_integer apart = *p;
    ppi_cpu_ref.f32.unpack_codes(&unpack);
    apart.format = 0;
    apart.product.panel = unpack.codes;
    apart.scales = unpack.scales;
    apart.offsets = ppi_formats[p->format].has_offsets ? unpack.offsets : NULL;
    float *out = run_integer(ppi_cpu_ref.f32.integer_products, &apart, 3);
    free(unpack.codes);
    free(unpack.scales);
    free(unpack.offsets);
    return out;
}

/* Every set of x86 has these kernels, no other. */
static void check_packed(struct rng *rng, int32_t format, const struct integer_case *c)
{
#if defined(__x86_64__)
    const bool taken = true;
#else
    const bool taken = false;
#endif
    struct ppi_cpu_integer made = make_integer(rng, c), p = made;
    char *panel = make_panel(rng, format, c->k);
    p.format = format;
    p.product.panel = panel;
    p.product.next_panel = NULL;
    p.scales = p.offsets = NULL;
    float *expected = run_unpacked(&p);
    const struct ppi_cpu_variant *variant;
    for (int i = 1; (variant = ppi_cpu_variant_at(i)) != NULL; i++) {
        EXPECT((variant->f32.packed_rows > 0) == taken &&
                   variant->bf16.packed_rows == variant->f32.packed_rows,
               "%s reads panels as they are up to %ld rows", variant->name,
               (long)variant->f32.packed_rows);
        if (!taken)
            continue;
        float *out = run_integer(variant->f32.integer_products, &p, 3);
        EXPECT(same_bits(out, expected, (size_t)(c->n_rows * p.product.out_stride)),
               "%s %s k %ld rows %ld columns %d: other bits than apart", variant->name,
               ppi_formats[format].name, (long)c->k, (long)c->n_rows, c->n_columns);
        free(out);
    }
    free(expected);
    free(panel);
    free_integer(&made);
}

START_TEST(packed_products)
{
    static const int64_t lengths[] = {32, 64, 96, 256, 704};
    static const int32_t columns[] = {64, 1, 31, 33, 63};
    struct rng rng = rng_seeded(53);
    for (int32_t format = PPI_FORMAT_INT4; format < PPI_N_FORMATS; format++)
        for (size_t i = 0; i < PPI_COUNT(lengths); i++)
            for (int64_t n_rows = 1; n_rows <= 13; n_rows++) {
                struct integer_case c = {.k = ppi_format_k(format, lengths[i]),
                                         .n_rows = n_rows,
                                         .n_columns = columns[rng_between(&rng, 0, 4)],
                                         .groups = true,
                                         .bias = n_rows % 3 == 1,
                                         .accumulate = n_rows % 4 == 2,
                                         .scale = n_rows % 2 ? 1 : -0.3f,
                                         .scattered = n_rows % 5 == 3};
                check_packed(&rng, format, &c);
            }
}
END_TEST

Suite *checkop_packed_suite(void)
{
    Suite *suite = suite_create("packed");
    TCase *tcase = tcase_create("packed");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, integer_products);
    tcase_add_test(tcase, activations);
    tcase_add_test(tcase, panels_taken_apart);
    tcase_add_test(tcase, packed_products);
    suite_add_tcase(suite, tcase);
    return suite;
}
