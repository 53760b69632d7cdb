/*
 * quantize.c: rows of INT8, INT4 and NF4 from numbers. Everything is decided by the row alone.
 */
#include "dtype.h"
#include "packed/formats.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define NF4_GROUP 64

/* rounds to nearest even, |x| below 2^22 */
static float round_even(float x)
{
    const float shift = 12582912.0f; /* 1.5 2^23 */
    return (x + shift) - shift;
}

/* Of n numbers, a multiple of 8: eight beside each other, for vectors of any length. */
/* n is a multiple of 8, here and below. */
static float largest(const float *x, int64_t n)
{
    float most[8] = {0};
    for (int64_t i = 0; i < n; i += 8)
        for (int j = 0; j < 8; j++) {
            float magnitude = fabsf(x[i + j]);
            most[j] = magnitude > most[j] ? magnitude : most[j];
        }
    for (int j = 1; j < 8; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static bool all_finite(const float *x, int64_t n)
{
    float sums[8] = {0}, sum = 0; /* of zeros and NaNs */
    for (int64_t i = 0; i < n; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += x[i + j] * 0.0f;
    for (int j = 0; j < 8; j++)
        sum += sums[j];
    return sum == 0;
}

/* Sums and differences of 64 at a distance. */
static inline void add_at(float *x, int distance)
{
    for (int first = 0; first < PPI_ROTATED; first += 2 * distance)
        for (int i = first; i < first + distance; i++) {
            float a = x[i], b = x[i + distance];
            x[i] = a + b;
            x[i + distance] = a - b;
        }
}

void ppi_rotate(float *x, int64_t n)
{
    for (float *end = x + n; x < end; x += PPI_ROTATED) {
        add_at(x, 1); /* constants: a compiler knows each loop */
        add_at(x, 2);
        add_at(x, 4);
        add_at(x, 8);
        add_at(x, 16);
        add_at(x, 32);
        for (int i = 0; i < PPI_ROTATED; i++)
            x[i] *= 0.125f;
    }
}

/* Codes for one scale. n is a multiple of 8. */
static void quantize_bytes(const float *x, int64_t n, struct ppi_code_row *row)
{
    float most = largest(x, n), inverse = most > 127.0f / FLT_MAX ? 127.0f / most : 0.0f;
    row->scales[0] = all_finite(x, n) ? most / 127.0f : NAN; /* sums of huge numbers are not */
    for (int64_t i = 0; i < n; i++)
        row->codes[i] = (uint8_t)(row->scales[0] > 0 ? (int)round_even(x[i] * inverse) + 128 : 128);
}

static void quantize_rotated(float *x, int64_t n, struct ppi_code_row *row)
{
    ppi_rotate(x, n);
    quantize_bytes(x, n, row);
}

/* ---- INT4 ---- */

/* Codes of 32 numbers, less 8, as floats; inverse: 1 / scale. */
static void int4_levels(const float *x, float inverse, float levels[32])
{
    for (int i = 0; i < 32; i++) {
        float level = round_even(x[i] * inverse);
        level = level < -8.0f ? -8.0f : level;
        levels[i] = level > 7.0f ? 7.0f : level;
    }
}

/* Of 32, in eight sums beside each other. */
static float sum_products(const float *a, const float *b)
{
    float sums[8] = {0};
    for (int i = 0; i < 32; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += a[i + j] * b[i + j];
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/* The scale for 32 numbers. The largest lands on -8, the level without a mirror image, or a little
 * beyond it: clipping one number may be cheaper than widening 31 steps. Each try is judged with
 * the scale that is best for its levels (sum x l / sum l l), which leaves an error of
 * sum x x - (sum x l)^2 / sum l l. */
static float int4_scale(const float *x)
{
    static const float tries[] = {-8.0f, -8.4f, -8.9f, -9.5f, -10.2f, -7.5f, 8.4f, 9.2f};
    float most = largest(x, 32), levels[32], best = 0, best_gain = -1;
    if (most <= 12.0f / FLT_MAX)
        return 0;
    int32_t positive = 0;
    for (int i = 0; i < 32; i++)
        positive |= x[i] == most;
    float inverse = (positive ? 1.0f : -1.0f) / most;
    for (size_t t = 0; t < PPI_COUNT(tries); t++) {
        int4_levels(x, tries[t] * inverse, levels);
        float products = sum_products(x, levels), squares = sum_products(levels, levels);
        float scale = squares > 0 ? products / squares : 0.0f, gain = scale * products;
        if (gain > best_gain) {
            best_gain = gain;
            best = scale;
        }
    }
    return ppi_f16_to_f32(ppi_f32_to_f16(best));
}

static void quantize_int4(const float *x, int64_t n, struct ppi_code_row *row)
{
    float levels[32];
    for (int64_t g = 0; g < n / 32; g++, x += 32) {
        row->scales[g] = int4_scale(x);
        float scale = row->scales[g];
        int4_levels(x, fabsf(scale) > 1.0f / FLT_MAX ? 1.0f / scale : 0.0f, levels);
        for (int i = 0; i < 32; i++)
            row->codes[32 * g + i] = (uint8_t)((int)levels[i] + 8);
    }
}

/* ---- NF4 ---- */

/* Codes whose levels are nearest to 64 numbers, `inverse` being 1 / scale: how many of the middles
 * between neighbours lie below a number. */
static void nearest_levels(const float *x, float inverse, uint8_t *codes)
{
    const struct ppi_format *format = &ppi_formats[PPI_FORMAT_NF4];
    float levels[NF4_GROUP];
    int32_t below[NF4_GROUP] = {0};
    for (int i = 0; i < NF4_GROUP; i++)
        levels[i] = x[i] * inverse;
    for (int c = 1; c < 16; c++) {
        float middle = 0.5f * (float)(format->levels[c - 1] + format->levels[c]);
        middle -= (float)format->zero;
        for (int i = 0; i < NF4_GROUP; i++)
            below[i] += levels[i] > middle;
    }
    for (int i = 0; i < NF4_GROUP; i++)
        codes[i] = (uint8_t)below[i];
}

static void quantize_nf4(const float *x, int64_t n, struct ppi_code_row *row)
{
    for (int64_t g = 0; g < n / NF4_GROUP; g++, x += NF4_GROUP) {
        float most = largest(x, NF4_GROUP);
        float inverse = most > 127.0f / FLT_MAX ? 127.0f / most : 0.0f;
        nearest_levels(x, inverse, row->codes + g * NF4_GROUP);
        row->scales[g] = most / 127.0f;
    }
}

/* ---- all ---- */

/* The code of 0. */
static uint8_t zero_code(const struct ppi_format *format)
{
    return (uint8_t)(format->levels ? 7 : format->zero);
}

static void quantize(int32_t format, float *x, int64_t n, struct ppi_code_row *row)
{
    if (format == PPI_FORMAT_INT8)
        quantize_rotated(x, n, row);
    else if (format == PPI_FORMAT_INT4)
        quantize_int4(x, n, row);
    else
        quantize_nf4(x, n, row);
}

void ppi_quantize_row(int32_t format, float *numbers, int64_t k, struct ppi_code_row *row)
{
    const struct ppi_format *f = &ppi_formats[format];
    int64_t n = ppi_format_k(format, k), group = f->group > 0 ? f->group : n;
    memset(numbers + k, 0, (size_t)(n - k) * sizeof *numbers);
    if (all_finite(numbers, n)) {
        quantize(format, numbers, n, row);
        return;
    }
    for (int64_t g = 0; g < n / group; g++) {
        struct ppi_code_row part = {row->codes + g * group, row->scales + g, NULL};
        if (all_finite(numbers + g * group, group)) {
            quantize(format, numbers + g * group, group, &part);
        } else {
            memset(part.codes, zero_code(f), (size_t)group);
            part.scales[0] = NAN;
        }
    }
}

void ppi_quantize_table_row(float *numbers, int64_t k, struct ppi_code_row *row)
{
    int64_t n = ppi_format_k(PPI_FORMAT_INT8, k);
    memset(numbers + k, 0, (size_t)(n - k) * sizeof *numbers);
    quantize_bytes(numbers, n, row);
}
