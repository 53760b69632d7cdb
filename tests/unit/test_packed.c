/*
 * test_packed.c: rows in few bits: what quantising loses, rows that are not finite or nearly
 * nothing, the rotation, and blocks of a GGUF file against gguf_blocks.c, bit for bit.
 */
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_blocks.h"
#include "dtype.h"
#include "packed/formats.h"
#include "support/rng.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define MAX_K 512

static struct rng rng;
static float numbers[MAX_K], scales[MAX_K / 32], offsets[MAX_K / 32];
static uint8_t codes[MAX_K];
static struct ppi_code_row row = {codes, scales, offsets};

/* The number of code i of `row`. */
static float number_at(int32_t format, int64_t i)
{
    const struct ppi_format *f = &ppi_formats[format];
    int64_t g = f->group > 0 ? i / f->group : 0;
    int level = f->levels ? f->levels[codes[i]] : codes[i];
    float value = scales[g] * (float)(level - f->zero);
    return f->has_offsets ? value + offsets[g] : value;
}

static void draw(float *x, int64_t k, double deviation)
{
    for (int64_t i = 0; i < k; i++)
        x[i] = (float)(rng_normal(&rng) * deviation);
}

/* Error of a row, relative to it, both as roots of sums of squares. */
static double loss(int32_t format, const float *expected, int64_t k)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < k; i++) {
        double difference = (double)number_at(format, i) - expected[i];
        error += difference * difference;
        size += (double)expected[i] * expected[i];
    }
    return sqrt(error / size);
}

/* Uniform steps of the largest of 512 normals / 127 lose 0.7 %; four bits 8 to 10 %. */
START_TEST(losses_are_bounded)
{
    static const struct {
        int32_t format;
        double most;
    } bounds[] = {{PPI_FORMAT_INT8, 0.012}, {PPI_FORMAT_INT4, 0.11}, {PPI_FORMAT_NF4, 0.11}};
    for (size_t b = 0; b < PPI_COUNT(bounds); b++)
        for (int try = 0; try < 20; try++) {
            int64_t k = try % 2 ? MAX_K : 500;
            float expected[MAX_K] = {0};
            draw(expected, k, try < 10 ? 0.02 : 300);
            memcpy(numbers, expected, sizeof numbers);
            ppi_quantize_row(bounds[b].format, numbers, k, &row);
            if (bounds[b].format == PPI_FORMAT_INT8)
                ppi_rotate(expected, MAX_K);
            double lost = loss(bounds[b].format, expected, MAX_K);
            ck_assert_msg(lost > 0 && lost <= bounds[b].most, "%s: a row loses %g",
                          ppi_formats[bounds[b].format].name, lost);
        }
}
END_TEST

START_TEST(rows_that_are_not_finite)
{
    static const float odd_ones[] = {NAN, INFINITY, -INFINITY};
    for (int32_t format = PPI_FORMAT_INT8; format <= PPI_FORMAT_NF4; format++)
        for (size_t o = 0; o < PPI_COUNT(odd_ones); o++) {
            int64_t group = ppi_formats[format].group > 0 ? ppi_formats[format].group : 256;
            draw(numbers, 256, 1);
            numbers[100] = odd_ones[o];
            ppi_quantize_row(format, numbers, 256, &row);
            for (int64_t g = 0; g < 256 / group; g++)
                ck_assert_msg((g == 100 / group) == !!isnan(scales[g]),
                              "%s: the scale of group %d is %g", ppi_formats[format].name, (int)g,
                              scales[g]);
            for (int64_t i = 0; i < 256; i++)
                ck_assert_int_lt(codes[i], 1 << ppi_formats[format].bits);
        }
}
END_TEST

START_TEST(rows_of_nothing)
{
    static const float sizes[] = {0, 1e-45f, 0x1p-130f, 0x1p-121f};
    for (int32_t format = PPI_FORMAT_INT8; format <= PPI_FORMAT_NF4; format++)
        for (size_t s = 0; s < PPI_COUNT(sizes); s++) {
            for (int i = 0; i < 256; i++)
                numbers[i] = i % 3 ? sizes[s] : -sizes[s];
            ppi_quantize_row(format, numbers, 256, &row);
            for (int64_t i = 0; i < 256; i++)
                ck_assert_msg(fabsf(number_at(format, i)) <= 8 * sizes[s], "%s: %g became %g",
                              ppi_formats[format].name, sizes[s], number_at(format, i));
        }
}
END_TEST

START_TEST(rotation_is_its_own_inverse)
{
    float x[128], once[128];
    draw(x, 128, 1);
    memcpy(once, x, sizeof x);
    ppi_rotate(once, 128);
    double before = 0, after = 0;
    for (int i = 0; i < 128; i++) {
        before += (double)x[i] * x[i];
        after += (double)once[i] * once[i];
    }
    ck_assert_double_le(fabs(after - before), 1e-5 * before);
    ppi_rotate(once, 128);
    for (int i = 0; i < 128; i++)
        ck_assert_float_le(fabsf(once[i] - x[i]), 4e-6f);
}
END_TEST

/* Random blocks, f16 scales of any bits among them. */
START_TEST(blocks_have_the_numbers_of_the_file)
{
    static const uint32_t types[] = {2, 3, 8, 12, 39};
    for (size_t t = 0; t < PPI_COUNT(types); t++)
        for (int try = 0; try < 10; try++) {
            const struct ppi_gguf_tensor_type *type = ppi_gguf_tensor_type(types[t]);
            int64_t n_blocks = MAX_K / type->block_len;
            int32_t format = ppi_format_of_blocks(types[t]);
            uint8_t blocks[MAX_K * 2];
            for (int64_t i = 0; i < n_blocks * type->block_bytes; i++)
                blocks[i] = (uint8_t)rng_between(&rng, 0, 255);
            ppi_gguf_decode(types[t], blocks, (size_t)n_blocks, numbers);
            ppi_blocks_to_row(format, blocks, n_blocks, &row);
            for (int64_t i = 0; i < MAX_K; i++) {
                float got = number_at(format, i);
                ck_assert_msg(memcmp(&got, &numbers[i], sizeof got) == 0 ||
                                  (isnan(got) && isnan(numbers[i])),
                              "%s: number %d is %g, expected %g", ppi_formats[format].name, (int)i,
                              got, numbers[i]);
            }
        }
}
END_TEST

/* Whatever stands behind the numbers. */
START_TEST(rows_of_tables)
{
    static float other_numbers[MAX_K];
    static uint8_t other_codes[MAX_K];
    float other_scale;
    struct ppi_code_row other = {other_codes, &other_scale, NULL};
    for (int64_t k = 1; k <= 130; k++) {
        draw(numbers, MAX_K, 1000);
        draw(numbers, k, 0.1);
        memcpy(other_numbers, numbers, (size_t)k * sizeof *numbers);
        memset(other_numbers + k, 0xff, (size_t)(MAX_K - k) * sizeof *numbers);
        float most = 0;
        for (int64_t i = 0; i < k; i++)
            most = fmaxf(most, fabsf(numbers[i]));
        ppi_quantize_table_row(numbers, k, &row);
        ppi_quantize_table_row(other_numbers, k, &other);
        ck_assert_mem_eq(codes, other_codes, (size_t)k);
        ck_assert(scales[0] == other_scale && scales[0] == most / 127.0f);
        for (int64_t i = 0; i < k; i++)
            ck_assert_float_le(fabsf(numbers[i] - scales[0] * (float)(codes[i] - 128)),
                               0.501f * scales[0]);
    }
}
END_TEST

int main(void)
{
    rng = rng_seeded(51);
    Suite *suite = suite_create("packed");
    TCase *tcase = tcase_create("packed");
    tcase_add_test(tcase, rows_of_tables);
    tcase_add_test(tcase, losses_are_bounded);
    tcase_add_test(tcase, rows_that_are_not_finite);
    tcase_add_test(tcase, rows_of_nothing);
    tcase_add_test(tcase, rotation_is_its_own_inverse);
    tcase_add_test(tcase, blocks_have_the_numbers_of_the_file);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
