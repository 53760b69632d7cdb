/*
 * ref_packed.c: the reference of the kernels of packed.h in plain C. They define the meaning to the
 * bit: every instruction set gives these numbers.
 */
#include "cpu/ref_kernels.h"
#include "dtype.h"

#include <math.h>
#include <string.h>

/* ---- activations ---- */

static float act_at(bool bf16, const void *a, int64_t i)
{
    return bf16 ? ppi_bf16_to_f32(((const uint16_t *)a)[i]) : ((const float *)a)[i];
}

/* n numbers that share a scale. */
static void quantize_group(const float *x, int64_t n, int32_t zero, int8_t *codes, float *scale,
                           int32_t *start, float *sum)
{
    float most = 0;
    int32_t total = 0;
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        finite = finite && isfinite(x[i]);
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    }
    float inverse = finite && most > 0 ? 127.0f / most : 0.0f;
    if (isinf(inverse)) /* below 2^-121 all is nothing */
        inverse = 0;
    for (int64_t i = 0; i < n; i++) {
        codes[i] = (int8_t)(finite ? lrintf(x[i] * inverse) : 0);
        total += codes[i];
    }
    *scale = finite ? most / 127.0f : NAN;
    *start = -zero * total;
    *sum = *scale * (float)total;
}

static void quantize(bool bf16, const struct ppi_cpu_quantize *rows)
{
    int64_t k = rows->k_padded, group = rows->rotated ? k : PPI_CPU_CODE_GROUP;
    for (int64_t row = 0; row < rows->n_rows; row++) {
        for (int64_t i = 0; i < k; i++)
            rows->room[i] = i < rows->k ? act_at(bf16, rows->a, row * rows->k + i) : 0.0f;
        if (rows->rotated)
            ppi_rotate(rows->room, k);
        for (int64_t g = 0; g < k / group; g++) {
            int64_t at = row * (k / group) + g;
            quantize_group(rows->room + g * group, group, rows->zero,
                           rows->to.codes + row * k + g * group, &rows->to.scales[at],
                           &rows->to.starts[at], &rows->to.sums[at]);
        }
    }
}

void ppi_cpu_ref_quantize_f32(const struct ppi_cpu_quantize *rows)
{
    quantize(false, rows);
}

void ppi_cpu_ref_quantize_bf16(const struct ppi_cpu_quantize *rows)
{
    quantize(true, rows);
}

/* ---- products ---- */

/* Sums of 32 bits wrap on the way; what comes out is in their range. */
static int32_t sum_group(const int8_t *a, const uint8_t *codes, int64_t k, int32_t start)
{
    uint32_t sum = (uint32_t)start;
    for (int64_t i = 0; i < k; i++)
        sum += (uint32_t)((int32_t)a[i] * (int32_t)codes[i / 4 * 4 * PPI_CPU_PANEL + i % 4]);
    return (int32_t)sum;
}

/* p of a row and a column of the panel. */
static float multiply(const struct ppi_cpu_integer *p, int64_t row, int column)
{
    int64_t group = p->product.k / p->n_groups;
    const int8_t *a = (const int8_t *)p->product.a + row * p->product.k;
    const uint8_t *codes = (const uint8_t *)p->product.panel + 4 * column;
    float value = 0;
    for (int64_t g = 0; g < p->n_groups; g++) {
        int64_t at = row * p->n_groups + g, w = g * PPI_CPU_PANEL + column;
        float sum = (float)sum_group(a + g * group, codes + g * group * PPI_CPU_PANEL, group,
                                     p->a_starts[at]);
        float scale = p->a_scales[at] * p->scales[w];
        value = p->n_groups == 1 ? sum * scale : fmaf(sum, scale, value);
        if (p->offsets)
            value = fmaf(p->a_sums[at], p->offsets[w], value);
    }
    return value;
}

void ppi_cpu_ref_integer_products(const struct ppi_cpu_integer *p)
{
    const struct ppi_cpu_product *product = &p->product;
    for (int64_t row = 0; row < product->n_rows; row++)
        for (int j = 0; j < product->n_columns; j++)
            ppi_cpu_ref_store(product, row, j, multiply(p, row, j));
}

static void integer_gated(bool bf16, const struct ppi_cpu_integer *p)
{
    const struct ppi_cpu_product *product = &p->product;
    for (int64_t row = 0; row < product->n_rows; row++)
        for (int j = 0; j < product->n_columns; j++) {
            float gate = multiply(p, row, j), up = multiply(p, row, PPI_CPU_GATED + j);
            if (product->bias) {
                gate += product->bias[j];
                up += product->up_bias[j];
            }
            float value = ppi_cpu_ref_gate(product, gate, up);
            int64_t at = row * product->out_stride + j;
            if (bf16)
                ((uint16_t *)product->out)[at] = ppi_f32_to_bf16(value);
            else
                ((float *)product->out)[at] = value;
        }
}

void ppi_cpu_ref_integer_gated_f32(const struct ppi_cpu_integer *product)
{
    integer_gated(false, product);
}

void ppi_cpu_ref_integer_gated_bf16(const struct ppi_cpu_integer *product)
{
    integer_gated(true, product);
}

/* ---- taking panels apart ---- */

static uint8_t level_at(const struct ppi_cpu_unpack *p, int64_t k, int column)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    const uint8_t *bytes = p->panel;
    if (format->bits == 8)
        return bytes[(k / 4 * PPI_CPU_PANEL + column) * 4 + k % 4];
    int code = bytes[(k / 8 * PPI_CPU_PANEL + column) * 4 + k % 4] >> (k / 4 % 2 * 4) & 15;
    return format->levels ? format->levels[code] : (uint8_t)code;
}

static float number_at(const char *numbers, int32_t bytes, int64_t i)
{
    if (bytes == 1)
        return ppi_power_of_two(((const uint8_t *)numbers)[i]);
    return bytes == sizeof(float) ? ((const float *)(const void *)numbers)[i]
                                  : ppi_f16_to_f32(((const uint16_t *)(const void *)numbers)[i]);
}

/* Scale or offset of the group of k. */
static float scale_at(const struct ppi_cpu_unpack *p, bool offset, int64_t k, int column)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    const char *numbers = (const char *)p->panel + ppi_cpu_code_bytes(p->format, p->k_padded) +
                          (offset ? ppi_cpu_scale_bytes(p->format, p->k_padded) : 0);
    return number_at(numbers, format->scale_bytes, k / format->group * PPI_CPU_PANEL + column);
}

void ppi_cpu_ref_unpack_codes(const struct ppi_cpu_unpack *p)
{
    for (int64_t k = 0; k < p->k_padded; k++)
        for (int j = 0; j < PPI_CPU_PANEL; j++) {
            p->codes[(k / 4 * PPI_CPU_PANEL + j) * 4 + k % 4] = level_at(p, k, j);
            if (k % PPI_CPU_CODE_GROUP != 0)
                continue;
            int64_t to = k / PPI_CPU_CODE_GROUP * PPI_CPU_PANEL + j;
            p->scales[to] = scale_at(p, false, k, j);
            if (ppi_formats[p->format].has_offsets)
                p->offsets[to] = scale_at(p, true, k, j);
        }
}

static float weight_at(const struct ppi_cpu_unpack *p, int64_t k, int column)
{
    if (p->format == PPI_FORMAT_BF16)
        return ppi_bf16_to_f32(
            ((const uint16_t *)p->panel)[(k / 2 * PPI_CPU_PANEL + column) * 2 + k % 2]);
    const struct ppi_format *format = &ppi_formats[p->format];
    float value = scale_at(p, false, k, column) * (float)(level_at(p, k, column) - format->zero);
    return format->has_offsets ? value + scale_at(p, true, k, column) : value;
}

void ppi_cpu_ref_unpack_numbers_f32(const struct ppi_cpu_unpack *p)
{
    for (int64_t k = 0; k < p->k; k++)
        for (int j = 0; j < PPI_CPU_PANEL; j++)
            ((float *)p->numbers)[k * PPI_CPU_PANEL + j] = weight_at(p, k, j);
}

void ppi_cpu_ref_unpack_numbers_bf16(const struct ppi_cpu_unpack *p)
{
    for (int64_t k = 0; k < p->k; k++)
        for (int j = 0; j < PPI_CPU_PANEL; j++)
            ((uint16_t *)p->numbers)[(k / 2 * PPI_CPU_PANEL + j) * 2 + k % 2] =
                ppi_f32_to_bf16(weight_at(p, k, j));
    for (int j = 0; p->k % 2 && j < PPI_CPU_PANEL; j++)
        ((uint16_t *)p->numbers)[(p->k / 2 * PPI_CPU_PANEL + j) * 2 + 1] = 0;
}
