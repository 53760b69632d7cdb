/*
 * matrix_codes.c: filling matrices with codes: quantised from numbers row by row, or codes as they
 * are. Where a code stands in a panel is packed.h's. Threads share rows; two rows never share a
 * byte of a panel.
 */
#include "cpu/matrix_fill.h"
#include "dtype.h"

#include <assert.h>
#include <string.h>

#define LINE_ROWS 16 /* written together: a line of a panel holds 32 bits of each */

/* The panel and the column of a row of the logical matrix. */
static void place_row(const struct ppi_matrix *m, int64_t row, int64_t *panel, int64_t *column)
{
    int64_t one = ppi_cpu_rows_of_one(m), first_panel = row / one * m->n_panels;
    row %= one;
    if (m->kind != PPI_MATRIX_GATE_UP) {
        *panel = first_panel + row / PPI_CPU_PANEL;
        *column = row % PPI_CPU_PANEL;
        return;
    }
    int64_t output = row < m->n ? row : row - m->n;
    *panel = first_panel + output / PPI_CPU_GATED;
    *column = output % PPI_CPU_GATED + (row < m->n ? 0 : PPI_CPU_GATED);
}

static void put_number(char *to, int32_t bytes, int64_t i, float value)
{
    if (bytes == sizeof(float))
        ((float *)(void *)to)[i] = value;
    else if (bytes == 1)
        ((uint8_t *)to)[i] = ppi_power_byte(value);
    else
        ((uint16_t *)(void *)to)[i] = ppi_f32_to_f16(value);
}

/* Codes of n rows, k each, to neighbouring columns of a panel. */
static void put_codes(int32_t bits, const struct ppi_code_row *rows, int64_t n, int64_t k, char *to)
{
    for (int64_t i = 0; i < k; i += bits == 8 ? 4 : 8, to += 4 * PPI_CPU_PANEL)
        for (int64_t r = 0; r < n; r++) {
            uint32_t four, next;
            memcpy(&four, rows[r].codes + i, sizeof four);
            if (bits == 4) {
                memcpy(&next, rows[r].codes + i + 4, sizeof next);
                four |= next << 4;
            }
            memcpy(to + 4 * r, &four, sizeof four);
        }
}

/* n rows from row `i_row` of the matrix on, which are neighbours in a panel. */
static void put_rows(const struct ppi_matrix *m, int64_t i_row, int64_t n,
                     const struct ppi_code_row *rows)
{
    const struct ppi_format *format = &ppi_formats[m->format];
    int64_t panel, column, k = ppi_format_k(m->format, m->k);
    place_row(m, i_row, &panel, &column);
    char *to = m->data + (size_t)panel * m->panel_bytes;
    char *scales = to + ppi_cpu_code_bytes(m->format, k);
    char *offsets = scales + ppi_cpu_scale_bytes(m->format, k);
    put_codes(format->bits, rows, n, k, to + 4 * column);
    for (int64_t g = 0; g < ppi_format_groups(m->format, k); g++)
        for (int64_t r = 0; r < n; r++) {
            int64_t at = g * PPI_CPU_PANEL + column + r;
            put_number(scales, format->scale_bytes, at, rows[r].scales[g]);
            if (format->has_offsets)
                put_number(offsets, format->scale_bytes, at, rows[r].offsets[g]);
        }
}

/* How many of the rows [row, end) of a matrix share a line of a panel with the first. */
static int64_t rows_of_line(const struct ppi_matrix *m, int64_t row, int64_t end)
{
    int64_t panel, column, one = ppi_cpu_rows_of_one(m);
    place_row(m, row, &panel, &column);
    int64_t n = LINE_ROWS - column % LINE_ROWS;
    int64_t in_one = row % one,
            left = (in_one < m->n ? m->n : one) - in_one; /* ups are elsewhere */
    if (left > end - row)
        left = end - row;
    return n < left ? n : left;
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

/* A thread's room for the rows of a line. */
struct room {
    float *numbers; /* of one row */
    struct ppi_code_row rows[LINE_ROWS];
};

static struct room room_of(const struct ppi_cpu_fill *fill, int32_t i_thread)
{
    char *at = fill->backend->scratch + (size_t)i_thread * fill->backend->scratch_bytes;
    int64_t k = ppi_format_k(fill->matrix->format, fill->matrix->k);
    int64_t groups = ppi_format_groups(fill->matrix->format, k);
    struct room room = {.numbers = (float *)(void *)at};
    float *scales = room.numbers + k;
    uint8_t *codes = (uint8_t *)(scales + LINE_ROWS * groups);
    for (int r = 0; r < LINE_ROWS; r++) {
        room.rows[r].scales = scales + r * groups;
        room.rows[r].codes = codes + r * k;
    }
    return room;
}

static void read_row(const struct ppi_cpu_fill *fill, int64_t i, float *numbers)
{
    size_t k = (size_t)fill->matrix->k, row_bytes = k * pp_dtype_size(fill->src_dtype);
    ppi_to_f32(numbers, (const char *)fill->src + (size_t)i * row_bytes, fill->src_dtype, k);
}

void ppi_cpu_quantize_weights(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    struct room room = room_of(fill, i_thread);
    int64_t i = first, n;
    for (; m->kind == PPI_MATRIX_TABLE && i < end; i++) {
        read_row(fill, i, room.numbers);
        ppi_quantize_table_row(room.numbers, m->k, &room.rows[0]);
        put_table_codes(m, fill->first_row + i, room.rows[0].codes, room.rows[0].scales[0]);
    }
    for (; i < end; i += n) {
        n = rows_of_line(m, fill->first_row + i, fill->first_row + end);
        for (int64_t r = 0; r < n; r++) {
            read_row(fill, i + r, room.numbers);
            ppi_quantize_row(m->format, room.numbers, m->k, &room.rows[r]);
        }
        put_rows(m, fill->first_row + i, n, room.rows);
    }
}

/* Row i of a fill; who gets it only reads it. */
static struct ppi_code_row code_row(const struct ppi_code_rows *rows, int64_t i, int64_t k,
                                    int64_t groups)
{
    return (struct ppi_code_row){
        (uint8_t *)(uintptr_t)rows->codes + i * k, (float *)(uintptr_t)rows->scales + i * groups,
        rows->offsets ? (float *)(uintptr_t)rows->offsets + i * groups : NULL};
}

static void fill_codes(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    bool table = m->kind == PPI_MATRIX_TABLE;
    int64_t k = table ? m->k : ppi_format_k(m->format, m->k);
    int64_t groups = ppi_format_groups(m->format, k), n;
    for (int64_t i = first; i < end; i += n) {
        struct ppi_code_row rows[LINE_ROWS];
        n = table ? 1 : rows_of_line(m, fill->first_row + i, fill->first_row + end);
        for (int64_t r = 0; r < n; r++)
            rows[r] = code_row(fill->rows, i + r, k, groups);
        if (table)
            put_table_codes(m, fill->first_row + i, rows[0].codes, rows[0].scales[0]);
        else
            put_rows(m, fill->first_row + i, n, rows);
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
