/*
 * plain_integer.h: the kernels of packed.h for processors that have none of their own: the
 * reference's, under the names that the table takes.
 */
#ifndef PPI_CPU_PLAIN_INTEGER_H
#define PPI_CPU_PLAIN_INTEGER_H

#include "cpu/ref_kernels.h"

static inline void multiply_integers(bool bf16, bool gate_up, const struct ppi_cpu_integer *p)
{
    if (!gate_up)
        ppi_cpu_ref_integer_products(p);
    else if (bf16)
        ppi_cpu_ref_integer_gated_bf16(p);
    else
        ppi_cpu_ref_integer_gated_f32(p);
}

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
