/*
 * ref_variant.c: the table of the plain C kernels, which run on every machine and define what the
 * others compute.
 */
#include "cpu/ref_kernels.h"
#include "cpu/row_kernels.h"

static void rope_f32(const struct ppi_cpu_rope *row)
{
    rope_row(false, row);
}

static void rope_bf16(const struct ppi_cpu_rope *row)
{
    rope_row(true, row);
}

static void rmsnorm_f32(const float *x, const float *weight, double eps, int64_t n_rows,
                        int64_t dim, void *out)
{
    rmsnorm_rows(false, x, weight, eps, n_rows, dim, out);
}

static void rmsnorm_bf16(const float *x, const float *weight, double eps, int64_t n_rows,
                         int64_t dim, void *out)
{
    rmsnorm_rows(true, x, weight, eps, n_rows, dim, out);
}

const struct ppi_cpu_variant ppi_cpu_ref = {
    .name = "ref",
    .f32 = {.products = ppi_cpu_ref_products_f32,
            .gated = ppi_cpu_ref_gated_f32,
            .attend = ppi_cpu_ref_attend_f32,
            .rope = rope_f32,
            .rmsnorm = rmsnorm_f32},
    .bf16 = {.products = ppi_cpu_ref_products_bf16,
             .gated = ppi_cpu_ref_gated_bf16,
             .attend = ppi_cpu_ref_attend_bf16,
             .rope = rope_bf16,
             .rmsnorm = rmsnorm_bf16},
};
