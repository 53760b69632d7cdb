/*
 * matrix.c: weights in the layouts of cpu.h: creating, filling by rows of any float dtype, and
 * looking up rows of a table. A table of numbers is exact for f32, and for bf16 exactly what a bf16
 * source has. Matrices with codes are filled by matrix_codes.c.
 */
#include "cpu/cpu.h"
#include "cpu/matrix_fill.h"
#include "dtype.h"

#include <assert.h>
#include <string.h>

#define HEADER_BYTES ((sizeof(struct ppi_matrix) + 63) & ~(size_t)63)
#define COLUMNS      16 /* filled at a time: one cache line of a panel */
#define PANEL_SLICES (PPI_CPU_PANEL / COLUMNS)
#define K_BLOCK      128 /* elements of k converted at a time */
#define FILL_NS      0.5 /* of one element on one thread */
#define LOOK_UP_NS   0.2

/* Kept as plain rows, without panels. */
static bool in_rows(int32_t kind)
{
    return kind == PPI_MATRIX_TABLE || kind == PPI_MATRIX_VECTOR;
}

/* The layout of a matrix; data is not set. */
static struct ppi_matrix describe(int32_t dtype, const struct ppi_matrix_spec *spec)
{
    struct ppi_matrix m = {.kind = spec->kind,
                           .format = spec->format,
                           .integer = spec->integer,
                           .dtype = spec->format == PPI_FORMAT_BF16 ? PP_DTYPE_BF16 : dtype,
                           .n = spec->n,
                           .k = spec->k,
                           .n_stacked = spec->n_stacked > 0 ? spec->n_stacked : 1};
    if (m.kind == PPI_MATRIX_VECTOR) {
        m.format = PPI_FORMAT_ACT;
        m.dtype = PP_DTYPE_F32;
    }
    if (in_rows(m.kind)) {
        m.panel_bytes = m.format == PPI_FORMAT_INT8 ? ppi_cpu_table_row_bytes(m.k)
                                                    : (size_t)m.k * pp_dtype_size(m.dtype);
        return m;
    }
    int64_t groups = m.dtype == PP_DTYPE_BF16 ? ppi_div_up(m.k, 2) : m.k;
    m.n_panels = ppi_div_up(m.n, m.kind == PPI_MATRIX_GATE_UP ? PPI_CPU_GATED : PPI_CPU_PANEL);
    m.panel_bytes = ppi_format_has_codes(m.format)
                        ? ppi_cpu_packed_bytes(m.format, ppi_format_k(m.format, m.k))
                        : (size_t)groups * PPI_CPU_PANEL * sizeof(uint32_t);
    return m;
}

static size_t data_bytes(const struct ppi_matrix *m)
{
    return m->panel_bytes * (size_t)(in_rows(m->kind) ? m->n : m->n_panels * m->n_stacked);
}

size_t ppi_cpu_matrix_bytes(const struct ppi_backend *backend, const struct ppi_matrix_spec *spec)
{
    struct ppi_matrix m = describe(backend->params.dtype, spec);
    return HEADER_BYTES + data_bytes(&m);
}

pp_status ppi_cpu_matrix_create(struct ppi_backend *backend, struct ppi_mem *mem,
                                const struct ppi_matrix_spec *spec, struct ppi_matrix **matrix,
                                pp_error *err)
{
    assert(spec->n >= 1 && spec->k >= 1);
    assert(spec->n_stacked == 0 || !in_rows(spec->kind));
    struct ppi_matrix m = describe(backend->params.dtype, spec);
    size_t bytes = HEADER_BYTES + data_bytes(&m);
    char *memory = ppi_alloc(mem, bytes, 1);
    if (!memory)
        return ppi_error_nomem(err, "a weight matrix", bytes);
    m.mem = mem;
    m.data = memory + HEADER_BYTES;
    /* Filling sets what exists; columns that do not are all in the last panel of each. */
    for (int64_t i = 1; m.n_panels > 0 && i <= m.n_stacked; i++)
        memset(m.data + (size_t)(i * m.n_panels - 1) * m.panel_bytes, 0, m.panel_bytes);
    memcpy(memory, &m, sizeof m);
    *matrix = (struct ppi_matrix *)(void *)memory;
    return PP_OK;
}

void ppi_cpu_matrix_destroy(struct ppi_matrix *matrix)
{
    if (matrix)
        ppi_free(matrix->mem, matrix);
}

/* n elements at src + first (elements) to act. */
static void to_act(void *dst, int32_t dtype, const void *src, int32_t src_dtype, int64_t first,
                   int64_t n)
{
    const char *from = (const char *)src + (size_t)first * pp_dtype_size(src_dtype);
    if (dtype == src_dtype) {
        memcpy(dst, from, (size_t)n * pp_dtype_size(dtype));
        return;
    }
    if (dtype == PP_DTYPE_F32) {
        ppi_to_f32(dst, from, src_dtype, (size_t)n);
        return;
    }
    uint16_t *half = dst;
    float wide[K_BLOCK];
    for (int64_t i = 0; i < n; i += K_BLOCK) {
        int64_t count = n - i < K_BLOCK ? n - i : K_BLOCK;
        ppi_to_f32(wide, from + (size_t)i * pp_dtype_size(src_dtype), src_dtype, (size_t)count);
        for (int64_t j = 0; j < count; j++)
            half[i + j] = ppi_f32_to_bf16(wide[j]);
    }
}

/* Writes rows [row, row + n) of src, n at most 16, to columns from `column` of a panel. */
static void fill_columns(const struct ppi_cpu_fill *fill, char *panel, int64_t column, int64_t row,
                         int64_t n)
{
    const struct ppi_matrix *m = fill->matrix;
    bool bf16 = m->dtype == PP_DTYPE_BF16;
    _Alignas(64) char block[COLUMNS][K_BLOCK * sizeof(uint32_t)];
    for (int64_t k = 0; k < m->k; k += K_BLOCK) {
        int64_t count = m->k - k < K_BLOCK ? m->k - k : K_BLOCK;
        int64_t groups = bf16 ? ppi_div_up(count, 2) : count;
        for (int64_t i = 0; i < n; i++) {
            memset(block[i] + 4 * (groups - 1), 0, 4); /* the missing half of an odd k */
            to_act(block[i], m->dtype, fill->src, fill->src_dtype, (row + i) * m->k + k, count);
        }
        uint32_t *to = (uint32_t *)(void *)panel + (bf16 ? k / 2 : k) * PPI_CPU_PANEL + column;
        for (int64_t g = 0; g < groups; g++, to += PPI_CPU_PANEL)
            for (int64_t i = 0; i < n; i++)
                memcpy(&to[i], block[i] + 4 * g, sizeof *to);
    }
}

/* Slices [first, end): 16 columns of a panel, from the first matrix of the stack that has rows of
 * the fill on. */
static void fill_panels(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    bool gated = m->kind == PPI_MATRIX_GATE_UP;
    int64_t one = ppi_cpu_rows_of_one(m), first_stacked = fill->first_row / one;
    for (int64_t s = first; s < end; s++) {
        int64_t panel = s / PANEL_SLICES, column = s % PANEL_SLICES * COLUMNS;
        int64_t stacked = first_stacked + panel / m->n_panels;
        panel %= m->n_panels;
        /* Logical rows [row, limit) are what the slice holds and this call brings. */
        int64_t row = panel * PPI_CPU_PANEL + column, limit = m->n;
        if (gated) {
            row = panel * PPI_CPU_GATED + column % PPI_CPU_GATED;
            if (column >= PPI_CPU_GATED) {
                row += m->n;
                limit += m->n;
            }
        }
        panel += stacked * m->n_panels;
        row += stacked * one;
        limit += stacked * one;
        if (limit > row + COLUMNS)
            limit = row + COLUMNS;
        if (limit > fill->first_row + fill->n_rows)
            limit = fill->first_row + fill->n_rows;
        int64_t skip = fill->first_row > row ? fill->first_row - row : 0;
        if (row + skip < limit)
            fill_columns(fill, m->data + (size_t)panel * m->panel_bytes, column + skip,
                         row + skip - fill->first_row, limit - row - skip);
    }
}

static void fill_rows(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct ppi_cpu_fill *fill = arg;
    const struct ppi_matrix *m = fill->matrix;
    for (int64_t i = first; i < end; i++)
        to_act(m->data + (size_t)(fill->first_row + i) * m->panel_bytes, m->dtype, fill->src,
               fill->src_dtype, i * m->k, m->k);
}

pp_status ppi_cpu_matrix_fill(struct ppi_backend *backend, struct ppi_matrix *matrix,
                              int64_t first_row, int64_t n_rows, const void *src, int32_t src_dtype,
                              pp_error *err)
{
    (void)err;
    assert(first_row >= 0 && n_rows >= 0);
    int64_t one = ppi_cpu_rows_of_one(matrix);
    assert(first_row + n_rows <= one * matrix->n_stacked);
    struct ppi_cpu_fill fill = {.backend = backend,
                                .matrix = matrix,
                                .first_row = first_row,
                                .n_rows = n_rows,
                                .src = src,
                                .src_dtype = src_dtype};
    double ns = FILL_NS * (double)n_rows * (double)matrix->k;
    if (ppi_format_has_codes(matrix->format))
        ppi_cpu_run(backend->pool, n_rows, PPI_CPU_CODE_NS * (double)matrix->k,
                    ppi_cpu_quantize_weights, &fill);
    else if (in_rows(matrix->kind))
        ppi_cpu_run(backend->pool, n_rows, ns / (double)n_rows, fill_rows, &fill);
    else { /* most slices have nothing to do where few rows come */
        int64_t n_matrices = ppi_div_up(first_row + n_rows, one) - first_row / one;
        int64_t n_slices = n_matrices * matrix->n_panels * PANEL_SLICES;
        ppi_cpu_run(backend->pool, n_slices, ns / (double)n_slices, fill_panels, &fill);
    }
    return PP_OK;
}

struct lookup {
    const struct ppi_matrix *table;
    const struct ppi_pass *pass;
    float scale;
    float *out;
};

static void look_up(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct lookup *lookup = arg;
    const struct ppi_matrix *table = lookup->table;
    for (int64_t i = first; i < end; i++) {
        int32_t token = lookup->pass->tokens[i];
        assert(token >= 0 && token < table->n);
        float *out = lookup->out + i * table->k;
        const char *row = table->data + (size_t)token * table->panel_bytes;
        if (table->format == PPI_FORMAT_INT8)
            ppi_cpu_read_table_row(row, table->k, out);
        else
            ppi_to_f32(out, row, table->dtype, (size_t)table->k);
        for (int64_t d = 0; lookup->scale != 1 && d < table->k; d++)
            out[d] *= lookup->scale;
    }
}

pp_status ppi_cpu_embed(struct ppi_backend *backend, const struct ppi_matrix *table,
                        const struct ppi_pass *pass, float scale, float *out, pp_error *err)
{
    (void)err;
    struct lookup lookup = {.table = table, .pass = pass, .scale = scale, .out = out};
    ppi_cpu_run(backend->pool, pass->n_rows, LOOK_UP_NS * (double)table->k, look_up, &lookup);
    return PP_OK;
}
