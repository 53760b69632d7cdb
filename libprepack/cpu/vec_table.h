/*
 * vec_table.h: makes the kernels for the instruction set the including file is compiled for, and
 * the table PPI_CPU_VARIANT of the name PPI_CPU_VARIANT_NAME. With PPI_CPU_TILES products run on
 * tiles where they can.
 */
#include "cpu/norm_kernels.h"
#include "cpu/rope_kernels.h"
#include "cpu/score_kernels.h"
#include "cpu/vec_attention.h"
#include "cpu/vec_integer.h"
#include "cpu/vec_linear.h"
#include "cpu/vec_score.h"
#if defined(__aarch64__)
#include "cpu/plain_codes.h"
#define PACKED_ROWS     0
#define MULTIPLY_VECTOR multiply_integers
#else
#include "cpu/vec_packed.h"
#include "cpu/x86_quantize.h"
#define MULTIPLY_VECTOR(bf16, gate_up, product)                                                    \
    ((product)->format ? multiply_packed((bf16), (gate_up), (product))                             \
                       : multiply_integers((bf16), (gate_up), (product)))
#endif

#if defined(PPI_CPU_TILES)
#include "cpu/amx_integer.h"
#include "cpu/amx_products.h"
#define MULTIPLY_PANEL(bf16, gate_up, product)                                                     \
    ((bf16) ? multiply_panel_by_tiles((gate_up), (product))                                        \
            : multiply_panel(false, (gate_up), (product)))
#define MULTIPLY_INTEGERS(bf16, gate_up, product)                                                  \
    (tiles_take(product) ? multiply_codes_by_tiles((bf16), (gate_up), (product))                   \
                         : MULTIPLY_VECTOR((bf16), (gate_up), (product)))
#else
#define MULTIPLY_PANEL    multiply_panel
#define MULTIPLY_INTEGERS MULTIPLY_VECTOR
#endif

#define DEFINE_KERNELS(dtype, bf16)                                                                \
    static void products_##dtype(const struct ppi_cpu_product *product)                            \
    {                                                                                              \
        MULTIPLY_PANEL(bf16, false, product);                                                      \
    }                                                                                              \
    static void gated_##dtype(const struct ppi_cpu_product *product)                               \
    {                                                                                              \
        MULTIPLY_PANEL(bf16, true, product);                                                       \
    }                                                                                              \
    static void integer_gated_##dtype(const struct ppi_cpu_integer *product)                       \
    {                                                                                              \
        MULTIPLY_INTEGERS(bf16, true, product);                                                    \
    }                                                                                              \
    static void quantize_##dtype(const struct ppi_cpu_quantize *rows)                              \
    {                                                                                              \
        quantize_rows(bf16, rows);                                                                 \
    }                                                                                              \
    static void unpack_numbers_##dtype(const struct ppi_cpu_unpack *panel)                         \
    {                                                                                              \
        unpack_panel(bf16, panel);                                                                 \
    }                                                                                              \
    static void attend_##dtype(const struct ppi_cpu_tile *tile)                                    \
    {                                                                                              \
        attend_tile(bf16, tile);                                                                   \
    }                                                                                              \
    static void rope_##dtype(const struct ppi_cpu_rope *row)                                       \
    {                                                                                              \
        rope_row(bf16, row);                                                                       \
    }                                                                                              \
    static void norm_##dtype(const struct ppi_cpu_norm *norm, const float *x, int64_t n_rows,      \
                             void *out)                                                            \
    {                                                                                              \
        norm_rows(bf16, norm, x, n_rows, out);                                                     \
    }                                                                                              \
    static void norm_gated_##dtype(const struct ppi_cpu_linear_norm *norm)                         \
    {                                                                                              \
        norm_gated_row(bf16, norm);                                                                \
    }                                                                                              \
    static void gate_##dtype(const float *gate, int64_t n, void *a)                                \
    {                                                                                              \
        gate_values(bf16, gate, n, a);                                                             \
    }                                                                                              \
    static void activate_##dtype(int32_t activation, const float *gate, const float *x, int64_t n, \
                                 void *out)                                                        \
    {                                                                                              \
        activate_values(bf16, activation, gate, x, n, out);                                        \
    }

/* Of tiles and NEON by the count of instructions, not measured. */
#if defined(PPI_CPU_TILES)
#define GFLOPS_bf16 1000
#define GFLOPS_f32  150
#elif defined(__AVX512BF16__)
#define GFLOPS_bf16 300
#define GFLOPS_f32  150
#elif defined(__AVX512F__)
#define GFLOPS_bf16 140
#define GFLOPS_f32  150
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define GFLOPS_bf16 100
#define GFLOPS_f32  50
#elif defined(__aarch64__)
#define GFLOPS_bf16 35
#define GFLOPS_f32  50
#else
#define GFLOPS_bf16 80
#define GFLOPS_f32  100
#endif

#define KERNELS(dtype)                                                                             \
    {                                                                                              \
        .products = products_##dtype, .gated = gated_##dtype, .attend = attend_##dtype,            \
        .rope = rope_##dtype, .norm = norm_##dtype, .norm_add = norm_add,                          \
        .norm_parts = norm_parts, .softcap = softcap, .convolve = convolve, .scan = scan,          \
        .scan_columns = SCAN_COLUMNS, .norm_gated = norm_gated_##dtype, .gate = gate_##dtype,      \
        .activate = activate_##dtype, .sum_exp = sum_exp, .count_values = count_above,             \
        .find_value = find_at_least, .quantize = quantize_##dtype,                                 \
        .integer_products = integer_products, .integer_gated = integer_gated_##dtype,              \
        .packed_rows = PACKED_ROWS, .unpack_codes = unpack_codes,                                  \
        .unpack_numbers = unpack_numbers_##dtype, .gflops = GFLOPS_##dtype,                        \
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
    cap_values(x, n, cap);
}

static void convolve(const struct ppi_cpu_conv *conv)
{
    convolve_rows(conv);
}

static void scan(const struct ppi_cpu_scan *scan)
{
    if (scan->delta)
        scan_rows(true, scan);
    else
        scan_rows(false, scan);
}

static struct ppi_score_part sum_exp(const float *x, int64_t n)
{
    return sum_logits(x, n);
}

static int32_t count_above(const float *x, int64_t n, float bound, bool equals)
{
    return count_values(x, n, bound, equals);
}

static int64_t find_at_least(const float *x, int64_t n, float bound)
{
    return find_value(x, n, bound);
}

static void integer_products(const struct ppi_cpu_integer *product)
{
    MULTIPLY_INTEGERS(false, false, product);
}

static void unpack_codes(const struct ppi_cpu_unpack *panel)
{
    unpack_levels(panel);
}

DEFINE_KERNELS(f32, false)
DEFINE_KERNELS(bf16, true)

const struct ppi_cpu_variant PPI_CPU_VARIANT = {
    .name = PPI_CPU_VARIANT_NAME,
    .f32 = KERNELS(f32),
    .bf16 = KERNELS(bf16),
};
