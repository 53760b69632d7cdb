/*
 * ref_variant.c: the table of the plain C kernels, which run on every machine and define what the
 * others compute.
 */
#include "cpu/norm_kernels.h"
#include "cpu/ref_kernels.h"
#include "cpu/rope_kernels.h"
#include "cpu/score_kernels.h"

static void rope_f32(const struct ppi_cpu_rope *row)
{
    rope_row(false, row);
}

static void rope_bf16(const struct ppi_cpu_rope *row)
{
    rope_row(true, row);
}

static void norm_f32(const struct ppi_cpu_norm *norm, const float *x, int64_t n_rows, void *out)
{
    norm_rows(false, norm, x, n_rows, out);
}

static void norm_bf16(const struct ppi_cpu_norm *norm, const float *x, int64_t n_rows, void *out)
{
    norm_rows(true, norm, x, n_rows, out);
}

static void norm_add(const struct ppi_cpu_norm *norm, float scale, const float *x, int64_t n_rows,
                     float *out)
{
    norm_add_rows(norm, scale, x, n_rows, out);
}

static void norm_parts(const struct ppi_cpu_norm *norm, float *x, int64_t n_parts)
{
    norm_parts_in_place(norm, x, n_parts);
}

static void softcap(float *x, int64_t n, float cap)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] / cap);
}

static int32_t count_above(const float *x, int64_t n, float bound, bool equals)
{
    return count_values(x, n, bound, equals);
}

static int64_t find_at_least(const float *x, int64_t n, float bound)
{
    return find_value(x, n, bound);
}

const struct ppi_cpu_variant ppi_cpu_ref = {
    .name = "ref",
    .f32 = {.products = ppi_cpu_ref_products_f32,
            .quantize = ppi_cpu_ref_quantize_f32,
            .integer_products = ppi_cpu_ref_integer_products,
            .integer_gated = ppi_cpu_ref_integer_gated_f32,
            .unpack_codes = ppi_cpu_ref_unpack_codes,
            .unpack_numbers = ppi_cpu_ref_unpack_numbers_f32,
            .gated = ppi_cpu_ref_gated_f32,
            .attend = ppi_cpu_ref_attend_f32,
            .rope = rope_f32,
            .convolve = ppi_cpu_ref_convolve,
            .scan = ppi_cpu_ref_scan,
            .scan_columns = PPI_CPU_SCAN_COLUMNS,
            .norm_gated = ppi_cpu_ref_norm_gated_f32,
            .gate = ppi_cpu_ref_gate_f32,
            .activate = ppi_cpu_ref_activate_f32,
            .norm = norm_f32,
            .norm_add = norm_add,
            .norm_parts = norm_parts,
            .softcap = softcap,
            .sum_exp = ppi_cpu_ref_sum_exp,
            .count_values = count_above,
            .find_value = find_at_least,
            .gflops = 4},
    .bf16 = {.products = ppi_cpu_ref_products_bf16,
             .quantize = ppi_cpu_ref_quantize_bf16,
             .integer_products = ppi_cpu_ref_integer_products,
             .integer_gated = ppi_cpu_ref_integer_gated_bf16,
             .unpack_codes = ppi_cpu_ref_unpack_codes,
             .unpack_numbers = ppi_cpu_ref_unpack_numbers_bf16,
             .gated = ppi_cpu_ref_gated_bf16,
             .attend = ppi_cpu_ref_attend_bf16,
             .rope = rope_bf16,
             .convolve = ppi_cpu_ref_convolve,
             .scan = ppi_cpu_ref_scan,
             .scan_columns = PPI_CPU_SCAN_COLUMNS,
             .norm_gated = ppi_cpu_ref_norm_gated_bf16,
             .gate = ppi_cpu_ref_gate_bf16,
             .activate = ppi_cpu_ref_activate_bf16,
             .norm = norm_bf16,
             .norm_add = norm_add,
             .norm_parts = norm_parts,
             .softcap = softcap,
             .sum_exp = ppi_cpu_ref_sum_exp,
             .count_values = count_above,
             .find_value = find_at_least,
             .gflops = 2},
};
