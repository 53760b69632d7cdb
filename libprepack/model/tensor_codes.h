/*
 * tensor_codes.h: stored tensors whose rows are codes (packed/formats.h).
 *
 * A converted tensor NAME is stored as
 *     NAME         INT8: I8 [n, k_padded / 64, 64], the level less zero (a table [n, k]);
 *                  formats of 4 bits: U8 [n, groups, group / 2], the code of an even column in the
 *                  low half of a byte
 *     NAME_scale   F32 or F16, as ppi_formats has it, or U8 (MXFP4): INT8 [n], else [n, groups]
 *     NAME_offset  the same, where the format has offsets
 * n are the rows of a tensor of numbers, those of all experts in one. Which format it is follows
 * from these. Codes have a third dimension so that a reader of numbers,
 * which takes any dtype for a matrix of the right shape, meets another shape.
 */
#ifndef PPI_TENSOR_CODES_H
#define PPI_TENSOR_CODES_H

#include "model/tensors.h"

/* The format in which a rule's tensor is stored: one with codes, or BF16, or ACT: other numbers. */
int32_t ppi_tensors_format(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer);

/* Codes of a row that stand together: bytes of the innermost dimension. */
static inline int64_t ppi_code_block_bytes(int32_t format)
{
    return format == PPI_FORMAT_INT8 ? PPI_ROTATED : ppi_formats[format].group / 2;
}

/* Finds and checks a tensor of a converted model and what stands beside it. stored: its place.
 * Errors: PP_ERR_FORMAT. */
pp_status ppi_tensors_find_codes(const struct ppi_tensors *tensors, const struct ppi_rule_at *at,
                                 const char *name, struct ppi_stored *stored, pp_error *err);
/* The same of blocks of MXFP4: PPI_AS_BLOCKS. */
pp_status ppi_tensors_find_blocks(const struct ppi_tensors *tensors, const struct ppi_rule_at *at,
                                  const char *name, struct ppi_stored *stored, pp_error *err);
/* Whether all tensors of the weight that the rule begins have one format; all are found. */
pp_status ppi_tensors_check_codes(const struct ppi_tensors *tensors,
                                  const struct ppi_model_spec *spec, int32_t i_rule, int32_t layer,
                                  pp_error *err);

/* Bytes that reading a row takes. */
size_t ppi_tensors_code_room(int32_t format, int64_t n_cols);

/* Rows of a tensor of a format with codes, as ppi_tensors_read reads numbers. room: aligned for
 * floats, ppi_tensors_code_room for each row; *rows points into it. Errors: PP_ERR_IO,
 * PP_ERR_FORMAT (a scale is NaN). */
pp_status ppi_tensors_read_codes(const struct ppi_tensors *tensors,
                                 const struct ppi_model_spec *spec, int32_t i_rule, int32_t layer,
                                 int64_t first_row, int64_t n_rows, void *room,
                                 struct ppi_code_rows *rows, pp_error *err);

/* The first n_rows rows of a run of blocks of MXFP4 as numbers. Errors: PP_ERR_IO, PP_ERR_FORMAT (a
 * scale is NaN). */
pp_status ppi_tensors_read_blocks(const struct ppi_tensors *tensors,
                                  const struct ppi_stored *stored, const struct ppi_row_run *run,
                                  int64_t n_rows, int64_t n_cols, float *dst, pp_error *err);

#endif
