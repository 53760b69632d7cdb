/*
 * x86_quantize.h: rows of activations as integers, as packed.h and ppi_rotate define them to the
 * bit.
 */
#ifndef PPI_CPU_X86_QUANTIZE_H
#define PPI_CPU_X86_QUANTIZE_H

#include "cpu/x86_bytes.h"

#include <float.h>
#include <math.h>

#define RUN_VECTORS (PPI_ROTATED / LANES)

/* 64 numbers that rotate together, or two groups of 32. */
struct run {
    vf x[RUN_VECTORS];
};

PPI_INLINE void load_run(bool bf16, const char *from, int64_t n, struct run *run)
{
    const int64_t bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    _Alignas(64) char whole[PPI_ROTATED * sizeof(float)];
    if (n < PPI_ROTATED) {
        memset(whole, 0, sizeof whole);
        memcpy(whole, from, (size_t)(n * bytes));
        from = whole;
    }
    UNROLL for (int j = 0; j < RUN_VECTORS; j++) run->x[j] =
        bf16 ? v_load_bf16(from + j * LANES * bytes) : v_load(from + j * LANES * bytes);
}

/* Sums and differences of lanes that `swapped` brought together; signs: -1 in the upper one. A
 * product with it is exact, so the sum is what rounds. */
PPI_INLINE vf add_swapped(vf x, vf swapped, vf signs)
{
    return v_fma(x, signs, swapped);
}

PPI_INLINE void rotate_run(struct run *run)
{
    static const float signs[] = {1, -1, 1,  -1, 1,  -1, 1,  -1, 1,  -1, 1,  -1, 1,  -1, 1,  -1,
                                  1, 1,  -1, -1, 1,  1,  -1, -1, 1,  1,  -1, -1, 1,  1,  -1, -1,
                                  1, 1,  1,  1,  -1, -1, -1, -1, 1,  1,  1,  1,  -1, -1, -1, -1,
                                  1, 1,  1,  1,  1,  1,  1,  1,  -1, -1, -1, -1, -1, -1, -1, -1};
    UNROLL for (int j = 0; j < RUN_VECTORS; j++)
    {
        vf x = run->x[j];
        x = add_swapped(x, v_swap_1(x), v_load(signs));
        x = add_swapped(x, v_swap_2(x), v_load(signs + 16));
        x = add_swapped(x, v_swap_4(x), v_load(signs + 32));
#if LANES == 16
        x = add_swapped(x, v_swap_8(x), v_load(signs + 48));
#endif
        run->x[j] = x;
    }
    UNROLL for (int distance = 1; distance < RUN_VECTORS; distance *= 2)
    {
        UNROLL for (int j = 0; j < RUN_VECTORS; j++)
        {
            if (j & distance)
                continue;
            vf x = run->x[j], y = run->x[j + distance];
            run->x[j] = v_add(x, y);
            run->x[j + distance] = v_sub(x, y);
        }
    }
    UNROLL for (int j = 0; j < RUN_VECTORS; j++) run->x[j] = v_mul(run->x[j], v_set1(0.125f));
}

/* Magnitudes as bits: in order, with infinity and NaN above all others. */
PPI_INLINE vi magnitudes(vf x)
{
    return v_bits_of_f32(v_abs(x));
}

/* What numbers with this largest magnitude are multiplied with, and their scale. */
PPI_INLINE float inverse_scale(int32_t most_bits, float *scale)
{
    float most;
    memcpy(&most, &most_bits, sizeof most);
    bool finite = most_bits < 0x7f800000;
    *scale = finite ? most / 127.0f : NAN;
    return finite && most > 127.0f / FLT_MAX ? 127.0f / most : 0.0f;
}

PPI_INLINE void finish_group(const struct ppi_cpu_quantize *rows, int64_t at, float scale,
                             int32_t total)
{
    rows->to.scales[at] = scale;
    rows->to.starts[at] = -rows->zero * total;
    rows->to.sums[at] = scale * (float)total;
}

/* A row that is rotated: largest magnitude first, codes from `room` then. */
PPI_INLINE void quantize_rotated(bool bf16, const struct ppi_cpu_quantize *rows, int64_t row)
{
    const int64_t bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    const char *a = (const char *)rows->a + row * rows->k * bytes;
    int8_t *codes = rows->to.codes + row * rows->k_padded;
    vi most = v_bits_zero(), total = v_bits_zero();
    for (int64_t k = 0; k < rows->k_padded; k += PPI_ROTATED) {
        struct run run;
        load_run(bf16, a + k * bytes, rows->k - k, &run);
        rotate_run(&run);
        UNROLL for (int j = 0; j < RUN_VECTORS; j++)
        {
            most = v_bits_max(most, magnitudes(run.x[j]));
            v_store(rows->room + k + j * LANES, run.x[j]);
        }
    }
    float scale, inverse = inverse_scale(v_bits_max_lanes(most), &scale);
    if (inverse == 0) {
        memset(codes, 0, (size_t)rows->k_padded);
        finish_group(rows, row, scale, 0);
        return;
    }
    for (int64_t k = 0; k < rows->k_padded; k += LANES) {
        vi code = v_f32_to_bits(v_mul(v_load(rows->room + k), v_set1(inverse)));
        total = v_bits_add(total, code);
        v_store_low_bytes(codes + k, code);
    }
    finish_group(rows, row, scale, v_bits_sum_lanes(total));
}

/* A group of 32 that is in registers. */
PPI_INLINE void quantize_group(const struct ppi_cpu_quantize *rows, int64_t at, const vf *x)
{
    int8_t *codes = rows->to.codes + at * PPI_CPU_CODE_GROUP;
    vi most = v_bits_zero(), total = v_bits_zero();
    UNROLL for (int j = 0; j < RUN_VECTORS / 2; j++) most = v_bits_max(most, magnitudes(x[j]));
    float scale, inverse = inverse_scale(v_bits_max_lanes(most), &scale);
    if (inverse == 0) {
        memset(codes, 0, PPI_CPU_CODE_GROUP);
        finish_group(rows, at, scale, 0);
        return;
    }
    UNROLL for (int j = 0; j < RUN_VECTORS / 2; j++)
    {
        vi code = v_f32_to_bits(v_mul(x[j], v_set1(inverse)));
        total = v_bits_add(total, code);
        v_store_low_bytes(codes + j * LANES, code);
    }
    finish_group(rows, at, scale, v_bits_sum_lanes(total));
}

PPI_INLINE void quantize_groups(bool bf16, const struct ppi_cpu_quantize *rows, int64_t row)
{
    const int64_t bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    const char *a = (const char *)rows->a + row * rows->k * bytes;
    int64_t at = row * (rows->k_padded / PPI_CPU_CODE_GROUP);
    for (int64_t k = 0; k < rows->k_padded; k += PPI_ROTATED, at += 2) {
        struct run run;
        load_run(bf16, a + k * bytes, rows->k - k, &run);
        quantize_group(rows, at, run.x);
        if (k + PPI_CPU_CODE_GROUP < rows->k_padded)
            quantize_group(rows, at + 1, run.x + RUN_VECTORS / 2);
    }
}

PPI_INLINE void quantize_rows(bool bf16, const struct ppi_cpu_quantize *rows)
{
    for (int64_t row = 0; row < rows->n_rows; row++) {
        if (rows->rotated)
            quantize_rotated(bf16, rows, row);
        else
            quantize_groups(bf16, rows, row);
    }
}

#endif
