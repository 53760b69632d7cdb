/*
 * convert_rows.c: rows of a weight as bytes of a converted model's file (tensor_codes.h): numbers
 * of another dtype, or codes with their scales, quantised as a session quantises them.
 */
#include "dtype.h"
#include "model/convert.h"

#include <string.h>

struct ppi_convert_bytes ppi_convert_row_bytes(int32_t kind, int32_t format, int32_t dtype,
                                               int64_t n_cols)
{
    if (!ppi_format_has_codes(format))
        return (struct ppi_convert_bytes){.main = n_cols * (int64_t)pp_dtype_size(dtype),
                                          .n_codes = n_cols};
    const struct ppi_format *f = &ppi_formats[format];
    int64_t k = kind == PPI_MATRIX_TABLE ? n_cols : ppi_format_k(format, n_cols);
    int64_t groups = ppi_format_groups(format, k);
    struct ppi_convert_bytes bytes = {
        .main = k * f->bits / 8, .scales = groups * f->scale_bytes, .n_scales = groups};
    bytes.n_codes = bytes.main;
    bytes.offsets = f->has_offsets ? bytes.scales : 0;
    return bytes;
}

/* A row of numbers, of codes and of scales. */
size_t ppi_convert_room(int64_t n_cols)
{
    return (size_t)(ppi_round_up(n_cols, PPI_ROTATED) * 6 + 64);
}

static void put_numbers(int32_t dtype, const float *numbers, int64_t n, char *to)
{
    if (dtype == PP_DTYPE_F32) {
        memcpy(to, numbers, (size_t)n * sizeof *numbers);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint16_t half =
            dtype == PP_DTYPE_F16 ? ppi_f32_to_f16(numbers[i]) : ppi_f32_to_bf16(numbers[i]);
        memcpy(to + 2 * i, &half, sizeof half);
    }
}

/* Codes of a byte become signed; of two neighbours the first is the low half. */
static void put_codes(int32_t bits, const uint8_t *codes, int64_t k, char *to)
{
    for (int64_t i = 0; bits == 8 && i < k; i++)
        to[i] = (char)(codes[i] ^ 0x80);
    for (int64_t i = 0; bits == 4 && i < k; i += 2)
        to[i / 2] = (char)(codes[i] | codes[i + 1] << 4);
}

static void put_scales(int32_t scale_bytes, const float *scales, int64_t n, char *to)
{
    if (scale_bytes > 1)
        put_numbers(scale_bytes == 2 ? PP_DTYPE_F16 : PP_DTYPE_F32, scales, n, to);
    for (int64_t i = 0; scale_bytes == 1 && i < n; i++)
        to[i] = (char)ppi_power_byte(scales[i]);
}

/* To row i of the bytes. */
static void put_row(const struct ppi_convert_rows *rows, const struct ppi_convert_bytes *bytes,
                    int64_t i, const struct ppi_code_row *row)
{
    const struct ppi_format *f = &ppi_formats[rows->format];
    put_codes(f->bits, row->codes, bytes->main * 8 / f->bits, rows->main + i * bytes->main);
    put_scales(f->scale_bytes, row->scales, bytes->n_scales, rows->scales + i * bytes->scales);
    if (f->has_offsets)
        put_scales(f->scale_bytes, row->offsets, bytes->n_scales,
                   rows->offsets + i * bytes->offsets);
}

/* Quantises a row, or takes the codes that are there. */
static void convert_codes(const struct ppi_convert_rows *rows,
                          const struct ppi_convert_bytes *bytes, int64_t i, float *numbers)
{
    int64_t k = bytes->main * 8 / ppi_formats[rows->format].bits, groups = bytes->n_scales;
    struct ppi_code_row row = {.scales = numbers + ppi_round_up(rows->n_cols, PPI_ROTATED)};
    row.codes = (uint8_t *)(row.scales + groups);
    if (!rows->numbers) {
        /* put_row only reads them */
        row.codes = (uint8_t *)(uintptr_t)rows->codes->codes + i * k;
        row.scales = (float *)(uintptr_t)rows->codes->scales + i * groups;
        if (rows->codes->offsets)
            row.offsets = (float *)(uintptr_t)rows->codes->offsets + i * groups;
    } else if (rows->kind == PPI_MATRIX_TABLE) {
        ppi_quantize_table_row(numbers, rows->n_cols, &row);
    } else {
        ppi_quantize_row(rows->format, numbers, rows->n_cols, &row);
    }
    put_row(rows, bytes, rows->first + i * rows->step, &row);
}

void ppi_convert_rows(const struct ppi_convert_rows *rows, int64_t first, int64_t end, void *room)
{
    struct ppi_convert_bytes bytes =
        ppi_convert_row_bytes(rows->kind, rows->format, rows->dtype, rows->n_cols);
    size_t row_bytes = (size_t)rows->n_cols * pp_dtype_size(rows->numbers_dtype);
    float *numbers = room;
    for (int64_t i = first; i < end; i++) {
        if (rows->numbers)
            ppi_to_f32(numbers, (const char *)rows->numbers + (size_t)i * row_bytes,
                       rows->numbers_dtype, (size_t)rows->n_cols);
        for (int64_t j = 0; rows->minus_one && j < rows->n_cols; j++)
            numbers[j] -= 1;
        if (ppi_format_has_codes(rows->format))
            convert_codes(rows, &bytes, i, numbers);
        else
            put_numbers(rows->dtype, numbers, rows->n_cols,
                        rows->main + (rows->first + i * rows->step) * bytes.main);
    }
}
