/*
 * quantize.c: rows of INT8, INT4 and NF4 from numbers. Everything is decided by the row alone.
 */
#include "dtype.h"
#include "packed/formats.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* rounds to nearest even, |x| below 2^22 */
static float round_even(float x)
{
    const float shift = 12582912.0f; /* 1.5 2^23 */
    return (x + shift) - shift;
}

static float largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]);
        most = magnitude > most ? magnitude : most;
    }
    return most;
}

static bool all_finite(const float *x, int64_t n)
{
    float sum = 0; /* of zeros and NaNs */
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * 0.0f;
    return sum == 0;
}

void ppi_rotate(float *x, int64_t n)
{
    for (float *end = x + n; x < end; x += PPI_ROTATED) {
        for (int distance = 1; distance < PPI_ROTATED; distance *= 2)
            for (int first = 0; first < PPI_ROTATED; first += 2 * distance)
                for (int i = first; i < first + distance; i++) {
                    float a = x[i], b = x[i + distance];
                    x[i] = a + b;
                    x[i + distance] = a - b;
                }
        for (int i = 0; i < PPI_ROTATED; i++)
            x[i] *= 0.125f;
    }
}

static void quantize_int8(float *x, int64_t n, struct ppi_code_row *row)
{
    ppi_rotate(x, n);
    float most = largest(x, n), inverse = most > 127.0f / FLT_MAX ? 127.0f / most : 0.0f;
    row->scales[0] = all_finite(x, n) ? most / 127.0f : NAN; /* sums of huge numbers are not */
    for (int64_t i = 0; i < n; i++)
        row->codes[i] = (uint8_t)(row->scales[0] > 0 ? (int)round_even(x[i] * inverse) + 128 : 128);
}

/* ---- INT4 ---- */

/* Codes of 32 numbers for a scale, less 8, as floats. */
static void int4_levels(const float *x, float scale, float levels[32])
{
    float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (int i = 0; i < 32; i++) {
        float level = round_even(x[i] * inverse);
        level = level < -8.0f ? -8.0f : level;
        levels[i] = level > 7.0f ? 7.0f : level;
    }
}

/* The scale for 32 numbers. The largest lands on -8, the level without a mirror image, or a little
 * beyond it: clipping one number may be cheaper than widening 31 steps. Each try is judged with
 * the scale that is best for its levels (sum x l / sum l l), which leaves an error of
 * sum x x - (sum x l)^2 / sum l l. */
static float int4_scale(const float *x)
{
    static const float tries[] = {-8.0f, -8.4f, -8.9f, -9.5f, -10.2f, -7.5f, 8.4f, 9.2f};
    float extreme = 0, levels[32], best = 0, best_gain = -1;
    for (int i = 0; i < 32; i++)
        extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
    if (extreme == 0)
        return 0;
    for (size_t t = 0; t < PPI_COUNT(tries); t++) {
        float products = 0, squares = 0;
        int4_levels(x, extreme / tries[t], levels);
        for (int i = 0; i < 32; i++) {
            products += x[i] * levels[i];
            squares += levels[i] * levels[i];
        }
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
        int4_levels(x, row->scales[g], levels);
        for (int i = 0; i < 32; i++)
            row->codes[32 * g + i] = (uint8_t)((int)levels[i] + 8);
    }
}

/* ---- NF4 ---- */

/* The code whose level is nearest to x, in units of the scale. */
static uint8_t nearest_level(const uint8_t *levels, int32_t zero, float x)
{
    int code = 0;
    for (int c = 1; c < 16; c++) /* how many middles between neighbours lie below x */
        code += x > 0.5f * (float)(levels[c - 1] + levels[c]) - (float)zero;
    return (uint8_t)code;
}

static void quantize_nf4(const float *x, int64_t n, struct ppi_code_row *row)
{
    const struct ppi_format *format = &ppi_formats[PPI_FORMAT_NF4];
    for (int64_t g = 0; g < n / format->group; g++, x += format->group) {
        float most = largest(x, format->group);
        float inverse = most > 127.0f / FLT_MAX ? 127.0f / most : 0.0f;
        for (int i = 0; i < format->group; i++)
            row->codes[g * format->group + i] =
                nearest_level(format->levels, format->zero, x[i] * inverse);
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
        quantize_int8(x, n, row);
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

void ppi_quantize_table_row(const float *numbers, int64_t k, struct ppi_code_row *row)
{
    float most = largest(numbers, k), scale = all_finite(numbers, k) ? most / 127.0f : NAN;
    for (int64_t i = 0; i < k; i++)
        row->codes[i] = (uint8_t)((scale > 0 ? (int)rintf(numbers[i] * (127.0f / most)) : 0) + 128);
    row->scales[0] = scale;
}
