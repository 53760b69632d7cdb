/*
 * matrix_fill.h: filling matrices, as the files that do it share it.
 */
#ifndef PPI_CPU_MATRIX_FILL_H
#define PPI_CPU_MATRIX_FILL_H

#include "cpu/cpu.h"

struct ppi_cpu_fill {
    const struct ppi_backend *backend;
    const struct ppi_matrix *matrix;
    int64_t first_row, n_rows;
    const void *src; /* [n_rows, k] of src_dtype */
    int32_t src_dtype;
    const struct ppi_code_rows *rows; /* in place of src */
};

#define PPI_CPU_CODE_NS 2.0 /* of a weight to codes by one thread */

/* A job over the rows of a fill of a matrix with codes: quantises src. */
void ppi_cpu_quantize_weights(void *fill, int64_t first, int64_t end, int32_t i_thread);

/* A row of an INT8 table: k signed bytes, then its scale. */
static inline size_t ppi_cpu_table_row_bytes(int64_t k)
{
    return (size_t)ppi_round_up(k, (int64_t)sizeof(float)) + sizeof(float);
}

/* out = scale code for a row of an INT8 table. */
void ppi_cpu_read_table_row(const char *row, int64_t k, float *out);

#endif
