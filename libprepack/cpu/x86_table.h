/*
 * x86_table.h: makes the kernels for the instruction set the including file is compiled for, and
 * the table PPI_CPU_VARIANT of the name PPI_CPU_VARIANT_NAME.
 */
#include "cpu/x86_attention.h"

#define DEFINE_KERNELS(dtype, bf16)                                                                \
    static void products_##dtype(const struct ppi_cpu_product *product)                            \
    {                                                                                              \
        multiply_panel(bf16, false, product);                                                      \
    }                                                                                              \
    static void gated_##dtype(const struct ppi_cpu_product *product)                               \
    {                                                                                              \
        multiply_panel(bf16, true, product);                                                       \
    }                                                                                              \
    static void attend_##dtype(const struct ppi_cpu_tile *tile)                                    \
    {                                                                                              \
        attend_tile(bf16, tile);                                                                   \
    }                                                                                              \
    static void rope_##dtype(const struct ppi_cpu_rope *row)                                       \
    {                                                                                              \
        rope_row(bf16, row);                                                                       \
    }                                                                                              \
    static void rmsnorm_##dtype(const float *x, const float *weight, double eps, int64_t n_rows,   \
                                int64_t dim, void *out)                                            \
    {                                                                                              \
        rmsnorm_rows(bf16, x, weight, eps, n_rows, dim, out);                                      \
    }

#define KERNELS(dtype)                                                                             \
    {                                                                                              \
        .products = products_##dtype, .gated = gated_##dtype, .attend = attend_##dtype,            \
        .rope = rope_##dtype, .rmsnorm = rmsnorm_##dtype,                                          \
    }

DEFINE_KERNELS(f32, false)
DEFINE_KERNELS(bf16, true)

const struct ppi_cpu_variant PPI_CPU_VARIANT = {
    .name = PPI_CPU_VARIANT_NAME,
    .f32 = KERNELS(f32),
    .bf16 = KERNELS(bf16),
};
