/*
 * op_device_rows.c: embed, rmsnorm, swiglu, gather, convert and compare against straight
 * computations in double precision, and their bits against those of other companies of rows.
 */
#include "device.h"

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
            struct ppi_cuda_embed_args args = {device_table, device_tokens, out, n_rows, dim};
            device_launch(&ppi_cuda_embed[act], ppi_cuda_row_blocks(n_rows, dim), &args);
            device_download(got, out, bytes);
            for (int64_t i = 0; i < (int64_t)n_rows * dim; i++) {
                int64_t from = (int64_t)tokens[i / dim] * dim + i % dim;
                float expected = (float)device_value(dtype, table, (size_t)from);
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

/* ---- rmsnorm ---- */

static void run_norm(int act, const float *x, const float *weight, int32_t n_rows, int32_t dim,
                     uint16_t *got)
{
    size_t n = (size_t)n_rows * (size_t)dim;
    void *device_x = device_upload(x, n * sizeof *x);
    void *device_weight = device_upload(weight, (size_t)dim * sizeof *weight);
    void *out = device_alloc(n * sizeof *got);
    struct ppi_cuda_rmsnorm_args args = {device_x, device_weight, out, 1e-5f, n_rows, dim, 0};
    device_launch(&ppi_cuda_rmsnorm[act], ppi_cuda_row_blocks(n_rows, dim), &args);
    device_download(got, out, n * sizeof *got);
    device_free(out);
    device_free(device_weight);
    device_free(device_x);
}

static void rmsnorm_values(void)
{
    struct rng rng = rng_seeded(3);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t d = 0; d < COUNT(dims); d++) {
            int32_t dim = dims[d], n_rows = rows_for_test(9, 259), dtype = device_act(act);
            size_t n = (size_t)n_rows * (size_t)dim;
            float *x = device_random(&rng, PP_DTYPE_F32, n, 3);
            float *weight = device_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
            uint16_t *got = device_host(n * sizeof *got);
            run_norm(act, x, weight, n_rows, dim, got);
            for (int32_t row = 0; row < n_rows; row++) {
                double sum = 0;
                for (int32_t i = 0; i < dim; i++)
                    sum += (double)x[row * dim + i] * x[row * dim + i];
                double scale = 1 / sqrt(sum / dim + (double)1e-5f);
                for (int32_t i = 0; i < dim; i++) {
                    double expected = x[row * dim + i] * scale * weight[i];
                    double value = device_value(dtype, got, (size_t)(row * dim + i));
                    /* A sum has at most 60 roundings in a chain; its root halves their effect. */
                    double allowed =
                        fabs(expected) * (act_rounding(dtype) + 0x1p-18) + act_floor(dtype);
                    EXPECT(fabs(value - expected) <= allowed,
                           "dtype %d dim %d row %d element %d: %.9g, expected %.9g", dtype, dim,
                           row, i, value, expected);
                }
            }
            free(got);
            free(weight);
            free(x);
        }
}

/* A run of rows alone, and the same run among rows of NaN, give the bits that all rows gave. */
static void rmsnorm_bits(void)
{
    struct rng rng = rng_seeded(4);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t d = 0; d < COUNT(dims); d++) {
            int32_t dim = dims[d], n_rows = rows_for_test(13, 517);
            size_t n = (size_t)n_rows * (size_t)dim;
            float *x = device_random(&rng, PP_DTYPE_F32, n, 3);
            float *weight = device_random(&rng, PP_DTYPE_F32, (size_t)dim, 1);
            uint16_t *whole = device_host(n * sizeof *whole), *got = device_host(n * sizeof *got);
            run_norm(act, x, weight, n_rows, dim, whole);
            for (int round = 0; round < 4; round++) {
                int32_t n_part = (int32_t)rng_between(&rng, 1, n_rows);
                int32_t first = (int32_t)rng_between(&rng, 0, n_rows - n_part);
                size_t part_bytes = (size_t)n_part * (size_t)dim * sizeof *got;
                run_norm(act, x + first * dim, weight, n_part, dim, got);
                EXPECT(memcmp(got, whole + first * dim, part_bytes) == 0,
                       "dim %d: rows %d + %d alone have other bits", dim, first, n_part);
                float *poisoned = device_host(n * sizeof *poisoned);
                for (size_t i = 0; i < n; i++)
                    poisoned[i] = NAN;
                memcpy(poisoned + first * dim, x + first * dim, 2 * part_bytes);
                run_norm(act, poisoned, weight, n_rows, dim, got);
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

/* ---- swiglu ---- */

static void run_swiglu(int act, const uint16_t *gate_up, int32_t n_rows, int32_t n, int64_t blocks,
                       uint16_t *got)
{
    size_t size = (size_t)n_rows * (size_t)n;
    void *device_gate_up = device_upload(gate_up, 2 * size * sizeof *gate_up);
    void *out = device_alloc(size * sizeof *got);
    struct ppi_cuda_swiglu_args args = {device_gate_up, out, n_rows, n};
    device_launch(&ppi_cuda_swiglu[act], blocks, &args);
    device_download(got, out, size * sizeof *got);
    device_free(out);
    device_free(device_gate_up);
}

static double silu(double x)
{
    return x == -INFINITY ? -0.0 : x / (1 + exp(-x));
}

static void expect_swiglu(int32_t dtype, const uint16_t *gate_up, const uint16_t *got,
                          int32_t n_rows, int32_t n)
{
    double first_infinite = dtype == PP_DTYPE_BF16 ? 0x1.ffp127 : 65520; /* what rounds to it */
    for (int64_t i = 0; i < (int64_t)n_rows * n; i++) {
        int64_t from = i / n * 2 * n + i % n;
        double gate = device_value(dtype, gate_up, (size_t)from);
        double up = device_value(dtype, gate_up, (size_t)(from + n));
        double expected = silu(gate) * up, value = device_value(dtype, got, (size_t)i);
        /* The exponent, up to 128 where it matters, is rounded to 24 bits. */
        double before_narrowing = fabs(expected) * 0x1p-16;
        double allowed = before_narrowing + fabs(expected) * act_rounding(dtype) + act_floor(dtype);
        bool right;
        if (isnan(expected))
            right = isnan(value);
        else if (isinf(value) || isinf(expected))
            right = isinf(value) && (value > 0) == (expected > 0) &&
                    fabs(expected) + before_narrowing >= first_infinite;
        else
            right = fabs(value - expected) <= allowed;
        EXPECT(right, "dtype %d n %d element %lld: silu(%g) * %g: %.9g, expected %.9g", dtype, n,
               (long long)i, gate, up, value, expected);
    }
}

static void swiglu_values(void)
{
    static const int32_t widths[] = {8, 24, 288, 1000, 4864, 11008};
    struct rng rng = rng_seeded(5);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t w = 0; w < COUNT(widths); w++) {
            int32_t n = widths[w], n_rows = rows_for_test(3, 211), dtype = device_act(act);
            size_t size = (size_t)n_rows * (size_t)n;
            uint16_t *gate_up = device_random(&rng, dtype, 2 * size, 4);
            uint16_t *whole = device_host(size * sizeof *whole);
            uint16_t *got = device_host(size * sizeof *got);
            run_swiglu(act, gate_up, n_rows, n, ppi_cuda_swiglu_blocks(n_rows, n), whole);
            expect_swiglu(dtype, gate_up, whole, n_rows, n);
            /* Any number of blocks, one row alone. */
            run_swiglu(act, gate_up, n_rows, n, 1 + (int64_t)w % 3, got);
            EXPECT(memcmp(got, whole, size * sizeof *got) == 0, "n %d: blocks show", n);
            int32_t row = n_rows / 2;
            run_swiglu(act, gate_up + 2 * row * n, 1, n, 1, got);
            EXPECT(memcmp(got, whole + row * n, (size_t)n * sizeof *got) == 0,
                   "n %d: row %d alone has other bits", n, row);
            free(got);
            free(whole);
            free(gate_up);
        }
}

/* Every gate that act has: no NaN but from NaN, right limits; factors 1, -3, 0, infinite. */
static void swiglu_of_every_gate(void)
{
    static const float factors[] = {1, -3, 0, INFINITY};
    int32_t n = 4096;
    uint16_t *gate_up = device_host(2 * 65536 * sizeof *gate_up);
    uint16_t *got = device_host(65536 * sizeof *got);
    for (int act = 0; act < PPI_CUDA_N_ACT; act++)
        for (size_t f = 0; f < COUNT(factors); f++) {
            int32_t dtype = device_act(act);
            uint16_t up =
                dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(factors[f]) : ppi_f32_to_f16(factors[f]);
            for (int32_t i = 0; i < 65536; i++) {
                gate_up[i / n * 2 * n + i % n] = (uint16_t)i;
                gate_up[i / n * 2 * n + n + i % n] = up;
            }
            run_swiglu(act, gate_up, 65536 / n, n, ppi_cuda_swiglu_blocks(65536 / n, n), got);
            /* -0 times infinity is NaN for large negative gates; which are large enough is not
             * promised. */
            if (isinf(factors[f])) {
                for (int32_t i = 0; i < 65536; i++) {
                    double gate = device_value(dtype, gate_up, (size_t)(i / n * 2 * n + i % n));
                    double value = device_value(dtype, got, (size_t)i);
                    EXPECT(gate < -87 || gate == 0 || isnan(gate) || isinf(value),
                           "silu(%g) * infinity: %g", gate, value);
                }
                continue;
            }
            expect_swiglu(dtype, gate_up, got, 65536 / n, n);
        }
    free(got);
    free(gate_up);
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
    int64_t blocks = ppi_cuda_convert_blocks((int64_t)n);
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
        {"rmsnorm_values", rmsnorm_values},
        {"rmsnorm_bits", rmsnorm_bits},
        {"swiglu_values", swiglu_values},
        {"swiglu_of_every_gate", swiglu_of_every_gate},
        {"convert_every_pattern", convert_every_pattern},
        {"convert_any_length", convert_any_length},
        {"compare_counts", compare_counts},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
