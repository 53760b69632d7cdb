/*
 * matrix_codes.c: filling matrices with codes, row by row: quantised from numbers, or codes as they
 * are. Where a code stands in a panel is packed.h's. Threads share rows; two rows never share a
 * byte of a panel.
 */
#include "cpu/matrix_fill.h"
#include "dtype.h"

#include <assert.h>
#include <string.h>

/* The panel and the column of a row of the logical matrix. */
static void place_row(const struct ppi_matrix *m, int64_t row, int64_t *panel, int64_t *column)
{
    if (m->kind != PPI_MATRIX_GATE_UP) {
        *panel = row / PPI_CPU_PANEL;
        *column = row % PPI_CPU_PANEL;
        return;
    }
    int64_t output = row < m->n ? row : row - m->n;
    *panel = output / PPI_CPU_GATED;
    *column = output % PPI_CPU_GATED + (row < m->n ? 0 : PPI_CPU_GATED);
}

static void put_number(char *to, int32_t bytes, int64_t i, float value)
{
    if (bytes == sizeof(float))
        ((float *)(void *)to)[i] = value;
    else
        ((uint16_t *)(void *)to)[i] = ppi_f32_to_f16(value);
}

/* Four neighbours of k, 4 or 8 of them when there are two halves, to 4 bytes of a panel. */
static void put_codes(int32_t bits, const uint8_t *codes, int64_t k, char *to)
{
    if (bits == 8) {
        for (int64_t i = 0; i < k; i += 4, to += 4 * PPI_CPU_PANEL)
            memcpy(to, codes + i, 4);
        return;
    }
    for (int64_t i = 0; i < k; i += 8, to += 4 * PPI_CPU_PANEL)
        for (int b = 0; b < 4; b++)
            to[b] = (char)(codes[i + b] | codes[i + 4 + b] << 4);
}

static void put_row(const struct ppi_matrix *m, int64_t i_row, const struct ppi_code_row *row)
{
    const struct ppi_format *format = &ppi_formats[m->format];
    int64_t panel, column, k = ppi_format_k(m->format, m->k);
    place_row(m, i_row, &panel, &column);
    char *to = m->data + (size_t)panel * m->panel_bytes;
    char *scales = to + ppi_cpu_code_bytes(m->format, k);
    char *offsets = scales + ppi_cpu_scale_bytes(m->format, k);
    put_codes(format->bits, row->codes, k, to + 4 * column);
    for (int64_t g = 0; g < ppi_format_groups(m->format, k); g++) {
        put_number(scales, format->scale_bytes, g * PPI_CPU_PANEL + column, row->scales[g]);
        if (format->has_offsets)
            put_number(offsets, format->scale_bytes, g * PPI_CPU_PANEL + column, row->offsets[g]);
    }
}

/* ---- tables ---- */

/* Codes as unsigned bytes, one scale a row. */
static void put_table_codes(const struct ppi_matrix *m, int64_t i_row, const uint8_t *codes,
                            float scale)
{
    char *to = m->data + (size_t)i_row * m->panel_bytes;
    for (int64_t i = 0; i < m->k; i++)
        to[i] = (char)(codes[i] ^ 0x80);
    memcpy(to + m->panel_bytes - sizeof scale, &scale, sizeof scale);
}

void ppi_cpu_read_table_row(const char *row, int64_t k, float *out)
{
    float scale;
    memcpy(&scale, row + ppi_cpu_table_row_bytes(k) - sizeof scale, sizeof scale);
    for (int64_t i = 0; i < k; i++)
        out[i] = scale * (float)(signed char)row[i];
}

/* ---- jobs ---- */

/* A thread's room for one row. */
struct room {
    float *numbers;
    struct ppi_code_row row;
};

static struct room room_of(const struct ppi_cpu_fill *fill, int32_t i_thread)
{
    char *at = fill->backend->scratch + (size_t)i_thread * fill->backend->scratch_bytes;
    int64_t k = ppi_format_k(fill->matrix->format, fill->matrix->k);
    struct room room = {.numbers = (float *)(void *)at};
    room.row.scales = room.numbers + k;
    room.row.codes = (uint8_t *)(room.row.scales + k / 32 + 1);
    return room;
}

void ppi_cpu_quantize_weights(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    struct room room = room_of(fill, i_thread);
    size_t row_bytes = (size_t)m->k * pp_dtype_size(fill->src_dtype);
    for (int64_t i = first; i < end; i++) {
        ppi_to_f32(room.numbers, (const char *)fill->src + (size_t)i * row_bytes, fill->src_dtype,
                   (size_t)m->k);
        if (m->kind == PPI_MATRIX_TABLE) {
            ppi_quantize_table_row(room.numbers, m->k, &room.row);
            put_table_codes(m, fill->first_row + i, room.row.codes, room.row.scales[0]);
            continue;
        }
        ppi_quantize_row(m->format, room.numbers, m->k, &room.row);
        put_row(m, fill->first_row + i, &room.row);
    }
}

static void fill_codes(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    const struct ppi_code_rows *rows = fill->rows;
    int64_t k = m->kind == PPI_MATRIX_TABLE ? m->k : ppi_format_k(m->format, m->k);
    int64_t groups = ppi_format_groups(m->format, k);
    for (int64_t i = first; i < end; i++) {
        /* put_row only reads them */
        struct ppi_code_row row = {(uint8_t *)(uintptr_t)rows->codes + i * k,
                                   (float *)(uintptr_t)rows->scales + i * groups,
                                   rows->offsets ? (float *)(uintptr_t)rows->offsets + i * groups
                                                 : NULL};
        if (m->kind == PPI_MATRIX_TABLE)
            put_table_codes(m, fill->first_row + i, row.codes, row.scales[0]);
        else
            put_row(m, fill->first_row + i, &row);
    }
}

pp_status ppi_cpu_matrix_fill_codes(struct ppi_backend *backend, struct ppi_matrix *matrix,
                                    int64_t first_row, int64_t n_rows,
                                    const struct ppi_code_rows *rows, pp_error *err)
{
    (void)err;
    assert(ppi_format_has_codes(matrix->format));
    struct ppi_cpu_fill fill = {.backend = backend,
                                .matrix = matrix,
                                .first_row = first_row,
                                .n_rows = n_rows,
                                .rows = rows};
    ppi_cpu_run(backend->pool, n_rows, (double)matrix->k, fill_codes, &fill);
    return PP_OK;
}
