/*
 * op_device_rows.c: embed, glu, add_bias, softcap, gather, convert and compare against straight
 * computations in double precision, and their bits against those of other companies of rows.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* In a warp, at the border, in a block's registers, behind them. */
static const int32_t dims[] = {8, 16, 24, 64, 288, 1000, 1024, 1032, 2048, 4096, 8192, 11008};

static int32_t rows_for_test(int32_t emulated, int32_t real)
{
    return device_is_emulated() ? emulated : real;
}

/* Half a unit of act, relative; and what the smallest results may be off by. */
static double act_rounding(int32_t dtype)
{
    return dtype == PP_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
}

static double act_floor(int32_t dtype)
{
    return dtype == PP_DTYPE_BF16 ? 1e-36 : 0x1p-25;
}

static int32_t device_type(int32_t dtype)
{
    return dtype == PP_DTYPE_F32    ? PPI_CUDA_F32
           : dtype == PP_DTYPE_BF16 ? PPI_CUDA_BF16
                                    : PPI_CUDA_F16;
}

/* ---- embed, gather ---- */

static void embed_is_exact(void)
{
    struct rng rng = rng_seeded(1);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t d = 0; d < COUNT(dims); d++) {
            int32_t dim = dims[d], n = 19, n_rows = rows_for_test(11, 1037);
            int32_t dtype = device_act(act);
            uint16_t *table = device_random(&rng, dtype, (size_t)n * (size_t)dim, 1);
            int32_t *tokens = device_host((size_t)n_rows * sizeof *tokens);
            for (int32_t i = 0; i < n_rows; i++)
                tokens[i] = (int32_t)rng_between(&rng, 0, n - 1);
            tokens[n_rows - 1] = n - 1;
            size_t bytes = (size_t)n_rows * (size_t)dim * sizeof(float);
            float *out = device_alloc(bytes), *got = device_host(bytes);
            void *device_table = device_upload(table, (size_t)n * (size_t)dim * sizeof *table);
            void *device_tokens = device_upload(tokens, (size_t)n_rows * sizeof *tokens);
            float scale = d % 2 ? 1 : 11.3125f;
            struct ppi_cuda_embed_args args = {device_table, device_tokens, out, n_rows,
                                               dim,          scale,         0};
            device_launch(&ppi_cuda_embed[act], ppi_cuda_row_blocks(n_rows, dim), &args);
            device_download(got, out, bytes);
            for (int64_t i = 0; i < (int64_t)n_rows * dim; i++) {
                int64_t from = (int64_t)tokens[i / dim] * dim + i % dim;
                float expected = scale * (float)device_value(dtype, table, (size_t)from);
                EXPECT(got[i] == expected, "dim %d element %lld: %g, expected %g", dim,
                       (long long)i, got[i], expected);
            }
            device_free(device_tokens);
            device_free(device_table);
            device_free(out);
            free(got);
            free(tokens);
            free(table);
        }
}

static void gather_is_exact(void)
{
    static const int32_t sizes[] = {16, 48, 128, 4096, 16400, 22016, 44032};
    struct rng rng = rng_seeded(2);
    for (size_t s = 0; s < COUNT(sizes); s++) {
        int32_t n = 23, n_rows = rows_for_test(7, 301);
        size_t row_bytes = (size_t)sizes[s];
        char *src = device_random(&rng, PP_DTYPE_F32, (size_t)n * row_bytes / 4, 1);
        int32_t *rows = device_host((size_t)n_rows * sizeof *rows);
        for (int32_t i = 0; i < n_rows; i++)
            rows[i] = (int32_t)rng_between(&rng, 0, n - 1);
        rows[0] = n - 1;
        char *got = device_host((size_t)n_rows * row_bytes);
        void *device_src = device_upload(src, (size_t)n * row_bytes);
        void *device_rows = device_upload(rows, (size_t)n_rows * sizeof *rows);
        void *out = device_alloc((size_t)n_rows * row_bytes);
        struct ppi_cuda_gather_args args = {device_src, device_rows, out, sizes[s], n_rows, 0};
        device_launch(ppi_cuda_gather, n_rows, &args);
        device_download(got, out, (size_t)n_rows * row_bytes);
        for (int32_t i = 0; i < n_rows; i++)
            EXPECT(memcmp(got + (size_t)i * row_bytes, src + (size_t)rows[i] * row_bytes,
                          row_bytes) == 0,
                   "%d bytes: row %d is not row %d of the source", sizes[s], i, rows[i]);
        device_free(out);
        device_free(device_rows);
        device_free(device_src);
        free(got);
        free(rows);
        free(src);
    }
}

/* ---- glu ---- */

static void run_glu(int act, int32_t activation, const uint16_t *gate_up, const float *bias,
                    int32_t n_rows, int32_t n, int64_t blocks, uint16_t *got)
{
    size_t size = (size_t)n_rows * (size_t)n;
    void *device_gate_up = device_upload(gate_up, 2 * size * sizeof *gate_up);
    void *device_bias = bias ? device_upload(bias, 2 * (size_t)n * sizeof *bias) : NULL;
    void *out = device_alloc(size * sizeof *got);
    struct ppi_cuda_glu_args args = {device_gate_up, device_bias, out, n_rows, n, activation, 0};
    device_launch(&ppi_cuda_glu[act], blocks, &args);
    device_download(got, out, size * sizeof *got);
    device_free(out);
    if (device_bias)
        device_free(device_bias);
    device_free(device_gate_up);
}

static double activated(int32_t activation, double x)
{
    if (x == -INFINITY)
        return -0.0;
    if (activation == PPI_CUDA_SILU)
        return x / (1 + exp(-x));
    /* As 1 + tanh(u), which has no digits left far below 0, is written by the exponential. */
    return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void expect_glu(int32_t dtype, int32_t activation, const uint16_t *gate_up,
                       const float *bias, const uint16_t *got, int32_t n_rows, int32_t n)
{
    double first_infinite = dtype == PP_DTYPE_BF16 ? 0x1.ffp127 : 65520; /* what rounds to it */
    for (int64_t i = 0; i < (int64_t)n_rows * n; i++) {
        int64_t from = i / n * 2 * n + i % n;
        double gate = device_value(dtype, gate_up, (size_t)from);
        double up = device_value(dtype, gate_up, (size_t)(from + n));
        gate += bias ? bias[i % n] : 0;
        up += bias ? bias[n + i % n] : 0;
        double expected = activated(activation, gate) * up;
        double value = device_value(dtype, got, (size_t)i);
        /* The exponent, up to 128 where it matters, is rounded to 24 bits, a few times for gelu. */
        double before_narrowing =
            fabs(expected) * (activation == PPI_CUDA_SILU ? 0x1p-16 : 0x1p-14);
        double allowed = before_narrowing + fabs(expected) * act_rounding(dtype) + act_floor(dtype);
        /* A sum with a bias is rounded once in f32, relative to its larger part. */
        if (bias)
            allowed += 0x1p-22 * (1 + fabs(gate)) * (1 + fabs(up)) + 0x1p-20;
        bool right;
        if (isnan(expected))
            right = isnan(value);
        else if (isinf(value) || isinf(expected))
            right = isinf(value) && (value > 0) == (expected > 0) &&
                    fabs(expected) + before_narrowing >= first_infinite;
        else
            right = fabs(value - expected) <= allowed;
        EXPECT(right, "dtype %d activation %d n %d element %lld: of %g * %g: %.9g, expected %.9g",
               dtype, activation, n, (long long)i, gate, up, value, expected);
    }
}

static void glu_values(void)
{
    static const int32_t widths[] = {8, 24, 288, 1000, 4864, 11008};
    struct rng rng = rng_seeded(5);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t w = 0; w < 2 * COUNT(widths); w++) {
            int32_t n = widths[w / 2], n_rows = rows_for_test(3, 211), dtype = device_act(act);
            int32_t activation = w % 2 ? PPI_CUDA_GELU_TANH : PPI_CUDA_SILU;
            size_t size = (size_t)n_rows * (size_t)n;
            uint16_t *gate_up = device_random(&rng, dtype, 2 * size, 4);
            float *bias = device_random(&rng, PP_DTYPE_F32, 2 * (size_t)n, 1);
            uint16_t *whole = device_host(size * sizeof *whole);
            uint16_t *got = device_host(size * sizeof *got);
            int64_t blocks = ppi_cuda_striding_blocks((int64_t)size);
            run_glu(act, activation, gate_up, bias, n_rows, n, blocks, got);
            expect_glu(dtype, activation, gate_up, bias, got, n_rows, n);
            run_glu(act, activation, gate_up, NULL, n_rows, n, blocks, whole);
            expect_glu(dtype, activation, gate_up, NULL, whole, n_rows, n);
            /* Any number of blocks, one row alone. */
            run_glu(act, activation, gate_up, NULL, n_rows, n, 1 + (int64_t)w % 3, got);
            EXPECT(memcmp(got, whole, size * sizeof *got) == 0, "n %d: blocks show", n);
            int32_t row = n_rows / 2;
            run_glu(act, activation, gate_up + 2 * row * n, NULL, 1, n, 1, got);
            EXPECT(memcmp(got, whole + row * n, (size_t)n * sizeof *got) == 0,
                   "n %d: row %d alone has other bits", n, row);
            free(got);
            free(whole);
            free(bias);
            free(gate_up);
        }
}

/* Every gate that act has: no NaN but from NaN, right limits; factors 1, -3, 0, infinite. */
static void glu_of_every_gate(void)
{
    static const float factors[] = {1, -3, 0, INFINITY};
    int32_t n = 4096;
    uint16_t *gate_up = device_host(2 * 65536 * sizeof *gate_up);
    uint16_t *got = device_host(65536 * sizeof *got);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t f = 0; f < 2 * COUNT(factors); f++) {
            int32_t dtype = device_act(act);
            int32_t activation = f % 2 ? PPI_CUDA_GELU_TANH : PPI_CUDA_SILU;
            float factor = factors[f / 2];
            double least = activation == PPI_CUDA_SILU ? -87 : -9; /* above it, not 0 */
            uint16_t up = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(factor) : ppi_f32_to_f16(factor);
            for (int32_t i = 0; i < 65536; i++) {
                gate_up[i / n * 2 * n + i % n] = (uint16_t)i;
                gate_up[i / n * 2 * n + n + i % n] = up;
            }
            run_glu(act, activation, gate_up, NULL, 65536 / n, n, ppi_cuda_striding_blocks(65536),
                    got);
            /* -0 times infinity is NaN for large negative gates; which are large enough is not
             * promised. */
            if (isinf(factor)) {
                for (int32_t i = 0; i < 65536; i++) {
                    double gate = device_value(dtype, gate_up, (size_t)(i / n * 2 * n + i % n));
                    double value = device_value(dtype, got, (size_t)i);
                    EXPECT(gate < least || gate == 0 || isnan(gate) || isinf(value),
                           "activation %d of %g times infinity: %g", activation, gate, value);
                }
                continue;
            }
            expect_glu(dtype, activation, gate_up, NULL, got, 65536 / n, n);
        }
    free(got);
    free(gate_up);
}

/* ---- add_bias, softcap ---- */

static void bias_is_added(void)
{
    static const int32_t widths[] = {1, 3, 4, 96, 1026, 3072, 12288};
    struct rng rng = rng_seeded(8);
    for (size_t w = 0; w < COUNT(widths); w++) {
        int32_t n = widths[w], n_rows = rows_for_test(5, 307);
        size_t size = (size_t)n_rows * (size_t)n;
        float scale = w % 2 ? 1 : 0.2183f;
        float *x = device_random(&rng, PP_DTYPE_F32, size, 2),
              *got = device_host(size * sizeof *got);
        float *bias = device_random(&rng, PP_DTYPE_F32, (size_t)n, 1);
        void *out = device_upload(x, size * sizeof *x);
        void *device_bias = device_upload(bias, (size_t)n * sizeof *bias);
        struct ppi_cuda_add_bias_args args = {out, device_bias, n, n_rows, scale};
        device_launch(ppi_cuda_add_bias, n_rows, &args);
        device_download(got, out, size * sizeof *got);
        for (size_t i = 0; i < size; i++) {
            double product = (double)scale * bias[i % (size_t)n], expected = x[i] + product;
            EXPECT(fabs(got[i] - expected) <= 0x1p-23 * (fabs(expected) + fabs(product)),
                   "n %d element %zu: %.9g, expected %.9g", n, i, (double)got[i], expected);
        }
        device_free(device_bias);
        device_free(out);
        free(bias);
        free(got);
        free(x);
    }
}

/* All lengths and places; limits; bits that are the same wherever an element is. */
static void softcap_values(void)
{
    static const int32_t lengths[] = {1, 3, 4, 1023, 4096, 20001};
    static const float caps[] = {30, 50, 1, 0.015625f};
    struct rng rng = rng_seeded(9);
    for (size_t l = 0; l < COUNT(lengths); l++)
        for (size_t offset = 0; offset < 3; offset++) {
            size_t n = (size_t)lengths[l];
            float cap = caps[(l + offset) % COUNT(caps)];
            float *x = device_random(&rng, PP_DTYPE_F32, n, 2 * (double)cap);
            float *got = device_host((n + offset) * sizeof *got);
            float *placed = device_host((n + offset) * sizeof *placed);
            x[0] = INFINITY;
            x[n / 2] = -INFINITY;
            x[n - 1] = n > 2 ? NAN : x[n - 1];
            memset(placed, 0xff, offset * sizeof *placed);
            memcpy(placed + offset, x, n * sizeof *x);
            float *device_x = device_upload(placed, (n + offset) * sizeof *x);
            struct ppi_cuda_softcap_args args = {device_x + offset, (int64_t)n, cap, 0};
            device_launch(ppi_cuda_softcap, 1 + (int64_t)offset, &args);
            device_download(got, device_x, (n + offset) * sizeof *x);
            for (size_t i = 0; i < n; i++) {
                double expected = (double)cap * tanh((double)x[i] / (double)cap);
                double value = (double)got[offset + i];
                bool right = isnan(expected) ? isnan(value)
                                             : fabs(value - expected) <= 0x1p-21 * (double)cap;
                EXPECT(right, "cap %g of %g: %.9g, expected %.9g", (double)cap, (double)x[i], value,
                       expected);
            }
            for (size_t i = 0; i < offset; i++)
                EXPECT(isnan(got[i]), "element %zu in front of x was written", i);
            device_free(device_x);
            free(placed);
            free(got);
            free(x);
        }
}

/* ---- convert ---- */

static void run_convert(int32_t src_dtype, const void *src, int32_t dst_dtype, void *got, size_t n,
                        size_t src_offset, size_t dst_offset)
{
    size_t src_bytes = n * pp_dtype_size(src_dtype), dst_bytes = n * pp_dtype_size(dst_dtype);
    char *padded = device_host(src_bytes + src_offset);
    memset(padded, 0xff, src_offset);
    memcpy(padded + src_offset, src, src_bytes);
    char *device_src = device_upload(padded, src_bytes + src_offset);
    char *dst = device_alloc(dst_bytes + dst_offset), *all = device_host(dst_bytes + dst_offset);
    struct ppi_cuda_convert_args args = {device_src + src_offset, dst + dst_offset, (int64_t)n,
                                         device_type(src_dtype), device_type(dst_dtype)};
    int64_t blocks = ppi_cuda_striding_blocks((int64_t)n);
    device_launch(ppi_cuda_convert, blocks > 1 ? blocks - 1 : blocks, &args);
    device_download(all, dst, dst_bytes + dst_offset);
    for (size_t i = 0; i < dst_offset; i++)
        EXPECT((unsigned char)all[i] == 0xff, "byte %zu in front of dst was written", i);
    memcpy(got, all + dst_offset, dst_bytes);
    device_free(dst);
    device_free(device_src);
    free(all);
    free(padded);
}

static void expect_converted(int32_t src_dtype, const void *src, int32_t dst_dtype, const void *got,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = device_value(src_dtype, src, i), to = device_value(dst_dtype, got, i);
        if (isnan(value)) {
            EXPECT(isnan(to), "dtype %d to %d element %zu: NaN became %g", src_dtype, dst_dtype, i,
                   to);
            continue;
        }
        float wide = (float)value; /* exact: no source type is wider */
        uint32_t expected = dst_dtype == PP_DTYPE_F32    ? ppi_f32_bits(wide)
                            : dst_dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(wide)
                                                         : ppi_f32_to_f16(wide);
        uint32_t bits =
            dst_dtype == PP_DTYPE_F32 ? ((const uint32_t *)got)[i] : ((const uint16_t *)got)[i];
        EXPECT(bits == expected, "dtype %d to %d element %zu, %g: bits %x, expected %x", src_dtype,
               dst_dtype, i, value, bits, expected);
    }
}

static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16};

/* All 16-bit patterns to every type; to 16 bits also from their neighbourhood in f32: the value,
 * the middle between it and the next, where ties go to even, and a unit of f32 to both sides of
 * each. */
static void convert_every_pattern(void)
{
    uint16_t *patterns = device_host(65536 * sizeof *patterns);
    float *near = device_host(6 * 65536 * sizeof *near);
    void *got = device_host(6 * 65536 * sizeof(float));
    for (int32_t i = 0; i < 65536; i++)
        patterns[i] = (uint16_t)i;
    for (int act = 0; act < PPI_CUDA_N_ACT; act++) {
        int32_t dtype = device_act(act);
        for (size_t to = 0; to < COUNT(dtypes); to++) {
            run_convert(dtype, patterns, dtypes[to], got, 65536, 0, 0);
            expect_converted(dtype, patterns, dtypes[to], got, 65536);
        }
        size_t n = 0;
        for (int32_t i = 0; i < 65536; i++) {
            double value = device_value(dtype, patterns, (size_t)i);
            double next = device_value(dtype, patterns, (size_t)(i == 65535 ? i : i + 1));
            float middle = (float)((value + next) / 2);
            near[n++] = (float)value;
            near[n++] = nextafterf((float)value, INFINITY);
            near[n++] = nextafterf((float)value, -INFINITY);
            near[n++] = middle;
            near[n++] = nextafterf(middle, INFINITY);
            near[n++] = nextafterf(middle, -INFINITY);
        }
        run_convert(PP_DTYPE_F32, near, dtype, got, n, 0, 0);
        expect_converted(PP_DTYPE_F32, near, dtype, got, n);
    }
    run_convert(PP_DTYPE_F32, near, PP_DTYPE_F32, got, 4 * 65536, 0, 0);
    EXPECT(memcmp(got, near, 4 * 65536 * sizeof *near) == 0, "f32 to f32 is not a copy");
    free(got);
    free(near);
    free(patterns);
}

/* Short runs, ends that are not whole quads, sides that are not aligned. */
static void convert_any_length(void)
{
    struct rng rng = rng_seeded(6);
    char got[8400 * sizeof(float)];
    for (size_t from = 0; from < COUNT(dtypes); from++)
        for (size_t to = 0; to < COUNT(dtypes); to++)
            for (size_t n = 0; n < 12; n++) {
                size_t length = n < 10 ? n : n == 10 ? 1027 : 8393;
                void *src = device_random(&rng, dtypes[from], length, 1);
                size_t src_step = pp_dtype_size(dtypes[from]), dst_step = pp_dtype_size(dtypes[to]);
                size_t src_offset = (size_t)rng_between(&rng, 0, 8) * src_step;
                size_t dst_offset = (size_t)rng_between(&rng, 0, 8) * dst_step;
                run_convert(dtypes[from], src, dtypes[to], got, length, 0, 0);
                expect_converted(dtypes[from], src, dtypes[to], got, length);
                run_convert(dtypes[from], src, dtypes[to], got, length, src_offset, dst_offset);
                expect_converted(dtypes[from], src, dtypes[to], got, length);
                free(src);
            }
}

/* ---- compare ---- */

static void compare_counts(void)
{
    static const int32_t sizes[] = {16, 32, 4096, 16400, 22016};
    struct rng rng = rng_seeded(7);
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (int32_t period = 1; period <= 5; period += 2) {
            int32_t n_rows = rows_for_test(12, 403);
            size_t row_bytes = (size_t)sizes[s], n_words = (size_t)n_rows * row_bytes / 4;
            char *expected = device_random(&rng, PP_DTYPE_F32, (size_t)period * row_bytes / 4, 1);
            uint32_t *x = device_host(n_words * 4);
            for (int32_t i = 0; i < n_rows; i++)
                memcpy((char *)x + (size_t)i * row_bytes,
                       expected + (size_t)(i % period) * row_bytes, row_bytes);
            /* 0, 1 or many groups differ, in one bit of one word or in all words. */
            uint32_t n_groups = (uint32_t)(n_words / 4), n_flipped = 0;
            bool *flipped = device_host(n_groups);
            memset(flipped, 0, n_groups);
            int64_t n_flips = period == 1 ? 0 : period == 3 ? 1 : rng_between(&rng, 2, n_groups);
            for (int64_t i = 0; i < n_flips; i++) {
                int64_t group = i == 0 ? n_groups - 1 : rng_between(&rng, 0, n_groups - 1);
                if (flipped[group])
                    continue;
                flipped[group] = true;
                n_flipped++;
                x[4 * group + i % 4] ^= 1u << rng_between(&rng, 0, 31);
                if (i % 3 == 0)
                    x[4 * group + (i + 1) % 4] ^= 0x80000000u;
            }
            uint32_t start = 1000, got;
            void *device_x = device_upload(x, n_words * 4);
            void *device_expected = device_upload(expected, (size_t)period * row_bytes);
            void *count = device_upload(&start, sizeof start);
            struct ppi_cuda_compare_args args = {device_x, device_expected, count,
                                                 sizes[s], n_rows,          period};
            device_launch(ppi_cuda_compare, n_rows, &args);
            device_download(&got, count, sizeof got);
            EXPECT(got == start + n_flipped, "%d bytes, period %d: %u groups differ, counted %u",
                   sizes[s], period, n_flipped, got - start);
            device_free(count);
            device_free(device_expected);
            device_free(device_x);
            free(flipped);
            free(x);
            free(expected);
        }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"embed_is_exact", embed_is_exact},
        {"gather_is_exact", gather_is_exact},
        {"glu_values", glu_values},
        {"glu_of_every_gate", glu_of_every_gate},
        {"bias_is_added", bias_is_added},
        {"softcap_values", softcap_values},
        {"convert_every_pattern", convert_every_pattern},
        {"convert_any_length", convert_any_length},
        {"compare_counts", compare_counts},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
