/*
 * plain_codes.h: rows to codes and panels taken apart, for processors that have no kernels of their
 * own for it: the reference's, under the names that the table takes.
 */
#ifndef PPI_CPU_PLAIN_CODES_H
#define PPI_CPU_PLAIN_CODES_H

#include "cpu/ref_kernels.h"

static inline void quantize_rows(bool bf16, const struct ppi_cpu_quantize *rows)
{
    if (bf16)
        ppi_cpu_ref_quantize_bf16(rows);
    else
        ppi_cpu_ref_quantize_f32(rows);
}

static inline void unpack_levels(const struct ppi_cpu_unpack *panel)
{
    ppi_cpu_ref_unpack_codes(panel);
}

static inline void unpack_panel(bool bf16, const struct ppi_cpu_unpack *panel)
{
    if (bf16)
        ppi_cpu_ref_unpack_numbers_bf16(panel);
    else
        ppi_cpu_ref_unpack_numbers_f32(panel);
}

#endif
