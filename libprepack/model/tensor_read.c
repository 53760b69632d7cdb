/*
 * tensor_read.c: reads the numbers of a weight out of its stored tensors (tensor_rows.h), in pieces
 * of a few kilobytes where rows do not stand together.
 */
#include "model/tensor_codes.h"

#include <math.h>
#include <string.h>

#define PIECE_BYTES ((int64_t)32 << 10) /* on the stack */

struct ppi_rule_at ppi_tensors_rule(const struct ppi_tensors *tensors,
                                    const struct ppi_model_spec *spec, int32_t i_rule,
                                    int32_t layer)
{
    return (struct ppi_rule_at){&tensors->rules[i_rule], spec, tensors->gguf, layer};
}

int32_t ppi_tensors_dtype(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer)
{
    enum ppi_stored_as as = tensors->rules[i_rule].as;
    bool directory = tensors->source && !tensors->gguf;
    if (as == PPI_AS_ONES || (as == PPI_AS_BLOCKS && directory))
        return PP_DTYPE_F32;
    if (!tensors->source)
        return tensors->random_dtype;
    return ppi_tensors_place(tensors, i_rule, layer)->entry->dtype;
}

/* ---- rows at a distance ---- */

/* Rows of a tensor: how they are read and how long they are. */
struct rows {
    const struct ppi_stored *stored;
    bool as_bytes;      /* whatever they mean */
    int64_t n, n_bytes; /* of a row: elements, and bytes once read */
};

static pp_status read_together(const struct rows *rows, int64_t first, int64_t n, char *dst,
                               pp_error *err)
{
    return rows->as_bytes ? ppi_stored_read_bytes(rows->stored, first * rows->n_bytes,
                                                  n * rows->n_bytes, dst, err)
                          : ppi_stored_read(rows->stored, first * rows->n, n * rows->n, dst, err);
}

/* Every second row: what is between them is read too where that is less than a call each. */
static pp_status read_every_second(const struct rows *rows, int64_t first, int64_t n, char *dst,
                                   pp_error *err)
{
    _Alignas(64) char piece[PIECE_BYTES];
    int64_t most = (PIECE_BYTES / rows->n_bytes + 1) / 2;
    for (int64_t i = 0, some; i < n; i += some) {
        some = n - i < most ? n - i : most;
        if (some <= 1) {
            some = 1;
            PP_TRY(read_together(rows, first + 2 * i, 1, dst + i * rows->n_bytes, err));
            continue;
        }
        PP_TRY(read_together(rows, first + 2 * i, 2 * some - 1, piece, err));
        for (int64_t r = 0; r < some; r++)
            memcpy(dst + (i + r) * rows->n_bytes, piece + 2 * r * rows->n_bytes,
                   (size_t)rows->n_bytes);
    }
    return PP_OK;
}

static pp_status read_run(const struct rows *rows, const struct ppi_row_run *run, int64_t n,
                          char *dst, pp_error *err)
{
    return run->step == 1 ? read_together(rows, run->first, n, dst, err)
                          : read_every_second(rows, run->first, n, dst, err);
}

pp_status ppi_stored_read_run(const struct ppi_stored *stored, const struct ppi_row_run *run,
                              int64_t n, int64_t row_bytes, char *dst, pp_error *err)
{
    const struct rows rows = {stored, true, row_bytes, row_bytes};
    return read_run(&rows, run, n, dst, err);
}

/* ---- rows and columns exchanged ---- */

#define TILE_COLUMNS 8

/* Of a tile [n_cols, span] every step-th element of each column, as n rows of dst. */
static void turn_tile(const char *tile, int64_t span, int64_t step, int64_t n, int64_t n_cols,
                      size_t size, char *dst, int64_t row_bytes)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n_cols; c++) {
            const char *from = tile + (c * span + r * step) * (int64_t)size;
            char *to = dst + r * row_bytes + c * (int64_t)size;
            if (size == 2)
                memcpy(to, from, 2);
            else
                memcpy(to, from, 4);
        }
}

/* The tensor is [experts, n_cols, rows]. */
static pp_status read_turned(const struct rows *rows, const struct ppi_row_run *run, int64_t n,
                             char *dst, pp_error *err)
{
    _Alignas(64) char tile[PIECE_BYTES];
    const struct ppi_stored_entry *entry = rows->stored->entry;
    size_t size = pp_dtype_size(entry->dtype);
    int64_t n_rows = entry->shape[entry->rank - 1], expert = run->first / n_rows;
    int64_t first = expert * rows->n * n_rows + run->first % n_rows;
    int64_t most = PIECE_BYTES / (TILE_COLUMNS * (int64_t)size) / run->step;
    for (int64_t r = 0, some; r < n; r += some) {
        some = n - r < most ? n - r : most;
        int64_t span = (some - 1) * run->step + 1;
        for (int64_t c = 0; c < rows->n; c += TILE_COLUMNS) {
            int64_t n_cols = rows->n - c < TILE_COLUMNS ? rows->n - c : TILE_COLUMNS;
            for (int64_t i = 0; i < n_cols; i++)
                PP_TRY(ppi_stored_read(rows->stored, first + (c + i) * n_rows + r * run->step, span,
                                       tile + i * span * (int64_t)size, err));
            turn_tile(tile, span, run->step, some, n_cols, size,
                      dst + r * rows->n_bytes + c * (int64_t)size, rows->n_bytes);
        }
    }
    return PP_OK;
}

/* ---- all ---- */

static pp_status read_rows(const struct ppi_tensors *tensors, const struct ppi_rule_at *at,
                           int32_t i_rule, int64_t first_row, int64_t n_rows, int64_t n_cols,
                           char *dst, pp_error *err)
{
    int32_t dtype = ppi_tensors_dtype(tensors, i_rule, at->layer);
    struct rows rows = {.n = n_cols, .n_bytes = n_cols * (int64_t)pp_dtype_size(dtype)};
    for (int64_t i = 0, n; i < n_rows; i += n) {
        struct ppi_row_run run = ppi_rows_at(at, first_row + i);
        n = n_rows - i < run.n ? n_rows - i : run.n;
        rows.stored = ppi_tensors_place_of(tensors, i_rule, at->layer, run.i_tensor);
        char *to = dst + i * rows.n_bytes;
        if (ppi_rule_as(at) == PPI_AS_BLOCKS)
            PP_TRY(
                ppi_tensors_read_blocks(tensors, rows.stored, &run, n, n_cols, (float *)to, err));
        else
            PP_TRY(ppi_rule_as(at) == PPI_AS_TURNED ? read_turned(&rows, &run, n, to, err)
                                                    : read_run(&rows, &run, n, to, err));
    }
    return PP_OK;
}

/* GGUF files have what A_log stands for, -exp(A_log). */
static pp_status take_logarithms(const struct ppi_stored *stored, float *values, int64_t n,
                                 pp_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (!(values[i] < 0) || isinf(values[i]))
            return ppi_error(err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\" has %g; finite numbers below 0 are needed in it",
                             stored->file->label.text, ppi_label(stored->entry->name).text,
                             (double)values[i]);
        values[i] = (float)log(-(double)values[i]);
    }
    return PP_OK;
}

pp_status ppi_tensors_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                           int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows,
                           void *dst, pp_error *err)
{
    struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i_rule, layer);
    int64_t all_rows, n_cols;
    if (at.rule->as != PPI_AS_ONES && !tensors->source) {
        ppi_random_read(tensors, spec, i_rule, layer, first_row, n_rows, dst);
        return PP_OK;
    }
    ppi_part_rows(&at, &all_rows, &n_cols);
    if (ppi_weight_kinds[at.rule->weight].matrix == PPI_MATRIX_VECTOR)
        n_rows = all_rows; /* first_row is 0 */
    if (at.rule->as != PPI_AS_ONES) {
        PP_TRY(read_rows(tensors, &at, i_rule, first_row, n_rows, n_cols, dst, err));
        if (tensors->gguf && at.rule->weight == PPI_WEIGHT_LINEAR_A_LOG)
            return take_logarithms(ppi_tensors_place(tensors, i_rule, layer), dst, n_rows, err);
        return PP_OK;
    }
    for (int64_t i = 0; i < n_rows * n_cols; i++)
        ((float *)dst)[i] = 1;
    return PP_OK;
}
