/*
 * keep_backend.c: see keep_backend.h.
 */
#include "keep_backend.h"

#include "dtype.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static size_t keep_bytes(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec)
{
    (void)backend;
    return (size_t)(spec->n * spec->k);
}

static pp_status keep_create(struct ppi_backend *backend, struct ppi_mem *mem,
                             const struct ppi_matrix_spec *spec, struct ppi_matrix **out,
                             pp_error *err)
{
    int64_t n_stacked = spec->n_stacked ? spec->n_stacked : 1;
    (void)backend;
    (void)mem;
    (void)err;
    struct ppi_matrix *m = calloc(1, sizeof *m);
    m->kind = spec->kind;
    m->format = spec->format;
    m->n_rows = n_stacked * spec->n * (spec->kind == PPI_MATRIX_GATE_UP ? 2 : 1);
    m->k = m->k_padded = spec->k;
    if (ppi_format_has_codes(spec->format) && spec->kind != PPI_MATRIX_TABLE)
        m->k_padded = ppi_format_k(spec->format, spec->k);
    m->groups =
        ppi_format_has_codes(spec->format) ? ppi_format_groups(spec->format, m->k_padded) : 0;
    m->values = calloc((size_t)(m->n_rows * m->k), sizeof(float));
    m->codes = calloc((size_t)(m->n_rows * m->k_padded), 1);
    m->scales = calloc((size_t)(m->n_rows * m->groups), sizeof(float));
    m->offsets = calloc((size_t)(m->n_rows * m->groups), sizeof(float));
    m->filled = calloc((size_t)m->n_rows, 1);
    *out = m;
    return PP_OK;
}

static void note_filled(struct ppi_matrix *m, int64_t first_row, int64_t n_rows)
{
    ck_assert_int_ge(first_row, 0);
    ck_assert_int_le(first_row + n_rows, m->n_rows);
    for (int64_t i = first_row; i < first_row + n_rows; i++)
        m->filled[i]++;
}

static void quantize(struct ppi_matrix *m, int64_t i, const float *values)
{
    int64_t room = ppi_round_up(m->k, 64);
    float *numbers = calloc((size_t)room, sizeof *numbers), scales[1024];
    uint8_t *codes = calloc((size_t)room, 1);
    struct ppi_code_row row = {codes, scales, NULL};
    ck_assert_int_le(m->groups, 1024);
    memcpy(numbers, values, (size_t)m->k * sizeof *numbers);
    if (m->kind == PPI_MATRIX_TABLE)
        ppi_quantize_table_row(numbers, m->k, &row);
    else
        ppi_quantize_row(m->format, numbers, m->k, &row);
    memcpy(m->codes + i * m->k_padded, codes, (size_t)m->k_padded);
    memcpy(m->scales + i * m->groups, scales, (size_t)m->groups * sizeof *scales);
    free(codes);
    free(numbers);
}

static pp_status keep_fill(struct ppi_backend *backend, struct ppi_matrix *m, int64_t first_row,
                           int64_t n_rows, const void *src, int32_t src_dtype, pp_error *err)
{
    float *values = m->values + first_row * m->k;
    (void)backend;
    (void)err;
    note_filled(m, first_row, n_rows);
    ppi_to_f32(values, src, src_dtype, (size_t)(n_rows * m->k));
    for (int64_t i = 0; m->format == PPI_FORMAT_BF16 && i < n_rows * m->k; i++)
        values[i] = ppi_bf16_to_f32(ppi_f32_to_bf16(values[i]));
    for (int64_t i = 0; ppi_format_has_codes(m->format) && i < n_rows; i++)
        quantize(m, first_row + i, values + i * m->k);
    if (ppi_format_has_codes(m->format))
        memset(values, 0, (size_t)(n_rows * m->k) * sizeof *values);
    return PP_OK;
}

static pp_status keep_fill_codes(struct ppi_backend *backend, struct ppi_matrix *m,
                                 int64_t first_row, int64_t n_rows,
                                 const struct ppi_code_rows *rows, pp_error *err)
{
    const struct ppi_format *f = &ppi_formats[m->format];
    size_t n_scales = (size_t)(n_rows * m->groups) * sizeof(float);
    (void)backend;
    (void)err;
    note_filled(m, first_row, n_rows);
    memcpy(m->codes + first_row * m->k_padded, rows->codes, (size_t)(n_rows * m->k_padded));
    memcpy(m->scales + first_row * m->groups, rows->scales, n_scales);
    if (rows->offsets)
        memcpy(m->offsets + first_row * m->groups, rows->offsets, n_scales);
    for (int64_t i = 0; m->format == PPI_FORMAT_MXFP4 && i < n_rows * m->k; i++)
        m->values[first_row * m->k + i] =
            rows->scales[i / f->group] * (float)(f->levels[rows->codes[i]] - f->zero);
    return PP_OK;
}

static void keep_destroy(struct ppi_matrix *m)
{
    if (!m)
        return;
    free(m->values);
    free(m->codes);
    free(m->scales);
    free(m->offsets);
    free(m->filled);
    free(m);
}

static bool supports_numbers(int32_t dtype, int32_t format)
{
    (void)dtype;
    return format == PPI_FORMAT_ACT;
}

static bool supports_all(int32_t dtype, int32_t format)
{
    (void)dtype;
    (void)format;
    return true;
}

#define OPS(supports)                                                                              \
    {                                                                                              \
        .name = "keep", .supports_format = supports, .matrix_bytes = keep_bytes,                   \
        .matrix_create = keep_create, .matrix_fill = keep_fill,                                    \
        .matrix_fill_codes = keep_fill_codes, .matrix_destroy = keep_destroy                       \
    }

const struct ppi_backend_ops KEEP_NUMBERS = OPS(supports_numbers);
const struct ppi_backend_ops KEEP_ALL = OPS(supports_all);
