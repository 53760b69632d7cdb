/*
 * vec_products.h: the product kernels, compiled for each instruction set by its file.
 *
 * A tile of up to 6 rows by 64 columns (8 or 4 lanes: slices of 16) has its sums in registers; one
 * step takes a group of k: the vectors of a panel's row, and one 32-bit value of each row of `a`,
 * broadcast. Every sum is one chain over k in order from zero, whatever the number of rows. bf16
 * pairs: one instruction where there is one; else both halves are widened (exactly) and multiplied
 * as f32, the first half first.
 */
#ifndef PPI_CPU_VEC_PRODUCTS_H
#define PPI_CPU_VEC_PRODUCTS_H

#include "cpu/vec_math.h"

#define GROUP_BYTES (PPI_CPU_PANEL * sizeof(uint32_t)) /* of a panel */
#define AHEAD       (12 * GROUP_BYTES)                 /* prefetch distance in a panel */

struct tile {
    vf sum[PPI_CPU_ROWS][VECTORS];
};

/* The value of a group of a row, in all lanes; odd: only the first half exists. */
PPI_INLINE vi broadcast_group(const char *a, bool odd)
{
    return v_bits_set1(odd ? load_u16(a) : load_u32(a));
}

PPI_INLINE vf widen_half(vi pairs, int half)
{
    return v_bits_as_f32(half == 0 ? v_bits_low(pairs) : v_bits_high(pairs));
}

/* tile += a b for one group: `at` bytes behind each b, `a_at` behind each row of a. */
PPI_INLINE void add_group(bool bf16, int rows, int vectors, struct tile *t, const char *const *a,
                          size_t a_at, bool odd, const char *const *b, size_t at)
{
    if (!bf16) {
        vf column[VECTORS];
        UNROLL for (int j = 0; j < vectors; j++) column[j] = v_load(b[j] + at);
        UNROLL for (int i = 0; i < rows; i++)
        {
            vf x = v_bits_as_f32(broadcast_group(a[i] + a_at, odd));
            UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] =
                v_fma(x, column[j], t->sum[i][j]);
        }
        return;
    }
#if defined(v_dot_pairs)
    vi column[VECTORS];
    UNROLL for (int j = 0; j < vectors; j++) column[j] = v_bits_load(b[j] + at);
    UNROLL for (int i = 0; i < rows; i++)
    {
        vi x = broadcast_group(a[i] + a_at, odd);
        UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] =
            v_dot_pairs(t->sum[i][j], x, column[j]);
    }
#else
    UNROLL for (int half = 0; half < 2; half++)
    {
        vf wide[VECTORS];
        /* Loading twice is cheaper than keeping the pairs, for which 16 registers are too few. */
        if (LANES == 8)
            __asm__ volatile("" ::: "memory");
        UNROLL for (int j = 0; j < vectors; j++) wide[j] = widen_half(v_bits_load(b[j] + at), half);
        UNROLL for (int i = 0; i < rows; i++)
        {
            vf x = widen_half(broadcast_group(a[i] + a_at, odd), half);
            UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] = v_fma(x, wide[j], t->sum[i][j]);
        }
    }
#endif
}

PPI_INLINE void clear_tile(int rows, int vectors, struct tile *t)
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] = v_zero();
    }
}

/* Column of vector j of slice s of a panel: neighbours, or the same outputs' gate and up. */
PPI_INLINE int slice_column(bool gate_up, int s, int j)
{
    int half = VECTORS / 2;
    if (!gate_up)
        return (s * VECTORS + j) * LANES;
    return (j < half ? 0 : PPI_CPU_GATED) + (s * half + j % half) * LANES;
}

/* The sums of a tile to out [rows, stride]. */
PPI_INLINE void store_sums(int rows, const struct tile *t, float *out, int64_t stride,
                           bool accumulate)
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < VECTORS; j++)
        {
            float *to = out + i * stride + j * LANES;
            v_store(to, accumulate ? v_add(v_load(to), t->sum[i][j]) : t->sum[i][j]);
        }
    }
}

/* Of sums [rows][width], from `column` of the panel on, those that exist, with all that the product
 * asks for. */
static __attribute__((noinline)) void store_epilogue(const struct ppi_cpu_product *p, int column,
                                                     int width, const float *sums, int rows,
                                                     float *out)
{
    int n_columns = p->n_columns - column < width ? p->n_columns - column : width;
    const float *bias = p->bias ? p->bias + column : NULL;
    for (int i = 0; i < rows; i++, sums += width, out += p->out_stride)
        for (int j = 0; j < n_columns; j++) {
            float value = p->scale * (bias ? sums[j] + bias[j] : sums[j]);
            out[j] = p->accumulate ? out[j] + value : value;
        }
}

/* The same, each row to its own row of out; `row`: the first. */
static __attribute__((noinline)) void store_scattered(const struct ppi_cpu_product *p, int64_t row,
                                                      int column, int width, const float *sums,
                                                      int rows)
{
    int n_columns = p->n_columns - column < width ? p->n_columns - column : width;
    const float *bias = p->bias ? p->bias + column : NULL;
    for (int i = 0; i < rows; i++, sums += width) {
        float *out = (float *)p->out + p->rows[row + i] * p->out_stride + column;
        float scale = p->scales[row + i];
        for (int j = 0; j < n_columns; j++)
            out[j] += scale * (bias ? sums[j] + bias[j] : sums[j]);
    }
}

/* What a gate makes of an up. */
PPI_INLINE vf gated_value(const struct ppi_cpu_product *p, vf gate, vf up)
{
    if (p->activation == PPI_ACTIVATION_SILU)
        return v_mul(v_silu(gate), up);
    if (p->activation == PPI_ACTIVATION_GELU_TANH)
        return v_mul(v_gelu_tanh(gate), up);
    vf limit = v_set1(p->limit); /* second operands stay where they are NaN */
    gate = v_min(limit, gate);
    up = v_max(v_set1(-p->limit), v_min(limit, up));
    return v_mul(v_gate(gate, v_mul(v_set1(p->alpha), gate)), v_add(up, v_set1(1.0f)));
}

/* out = activation(gate) up, act, for the `width` outputs from `column` on that exist: sums
 * [rows][width gates, width ups]. Not inlined: its constants would be kept in registers that the
 * sums need. */
static __attribute__((noinline)) void store_gated(bool bf16, const struct ppi_cpu_product *p,
                                                  int column, int width, const float *sums,
                                                  int rows, char *out)
{
    int64_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    for (int i = 0; i < rows; i++, sums += 2 * width)
        for (int j = 0; j < width / LANES; j++) {
            int32_t n = p->n_columns - column - j * LANES;
            vf gate = v_load(sums + j * LANES), up = v_load(sums + width + j * LANES);
            if (p->bias && n > 0) {
                gate = v_add(gate, v_load_part(p->bias + column + j * LANES, n));
                up = v_add(up, v_load_part(p->up_bias + column + j * LANES, n));
            }
            vf value = gated_value(p, gate, up);
            char *to = out + (i * p->out_stride + j * LANES) * act_bytes;
            if (n > 0)
                v_store_act_part(bf16, to, value, n);
        }
}

/* What becomes of sums [rows][64] of the rows from `row` on. */
PPI_INLINE void store_rows(bool bf16, bool gate_up, const struct ppi_cpu_product *p, int64_t row,
                           const float *sums, int rows)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    int64_t at = row * p->out_stride;
    if (gate_up)
        store_gated(bf16, p, 0, PPI_CPU_GATED, sums, rows,
                    (char *)p->out + at * (int64_t)act_bytes);
    else if (p->rows)
        store_scattered(p, row, 0, PPI_CPU_PANEL, sums, rows);
    else
        store_epilogue(p, 0, PPI_CPU_PANEL, sums, rows, (float *)p->out + at);
}

/* `rows` rows from `row` on times one panel. `next`: lines to bring to the second level, one a
 * step; or NULL. */
PPI_INLINE void multiply_rows(bool bf16, bool gate_up, int rows, const struct ppi_cpu_product *p,
                              int64_t row, const char *a, char *out, const char *next)
{
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    const char *x[PPI_CPU_ROWS];
    UNROLL for (int i = 0; i < rows; i++) x[i] = a + (size_t)(i * p->k) * act_bytes;
    int64_t groups = bf16 ? p->k / 2 : p->k;
    for (int s = 0; s < PPI_CPU_PANEL / (VECTORS * LANES); s++) {
        const char *b[VECTORS];
        UNROLL for (int j = 0; j < VECTORS; j++) b[j] =
            (const char *)p->panel + 4 * slice_column(gate_up, s, j);
        struct tile t;
        clear_tile(rows, VECTORS, &t);
        size_t x_at = 0, at = 0;
        for (int64_t g = 0; g < groups; g++, x_at += 4, at += GROUP_BYTES) {
            UNROLL for (int j = 0; j < VECTORS; j += 64 / (4 * LANES))
                v_prefetch(b[j] + at + AHEAD);
            if (next)
                v_prefetch_far(next + at / 4);
            add_group(bf16, rows, VECTORS, &t, x, x_at, false, b, at);
        }
        if (bf16 && p->k % 2)
            add_group(bf16, rows, VECTORS, &t, x, x_at, true, b, at);
        _Alignas(64) float sums[PPI_CPU_ROWS * VECTORS * LANES];
        int column = s * VECTORS * LANES / (gate_up ? 2 : 1);
        float *to = (float *)(void *)out + column;
        if (gate_up) {
            store_sums(rows, &t, sums, VECTORS * LANES, false);
            store_gated(bf16, p, column, VECTORS * LANES / 2, sums, rows,
                        out + (size_t)column * act_bytes);
        } else if (p->rows) {
            store_sums(rows, &t, sums, VECTORS * LANES, false);
            store_scattered(p, row, column, VECTORS * LANES, sums, rows);
        } else if (p->bias || p->scale != 1 || p->n_columns - column < VECTORS * LANES) {
            store_sums(rows, &t, sums, VECTORS * LANES, false);
            store_epilogue(p, column, VECTORS * LANES, sums, rows, to);
        } else {
            store_sums(rows, &t, to, p->out_stride, p->accumulate);
        }
        next = NULL;
    }
}

/* All rows of p. The first four tiles bring a quarter of the next panel each. */
PPI_INLINE void multiply_panel(bool bf16, bool gate_up, const struct ppi_cpu_product *p)
{
    size_t a_bytes = (size_t)p->k * (bf16 ? sizeof(uint16_t) : sizeof(float));
    size_t out_bytes = (size_t)p->out_stride * (bf16 && gate_up ? sizeof(uint16_t) : sizeof(float));
    size_t quarter = (size_t)(bf16 ? p->k / 2 : p->k) * 64;
    const char *a = p->a;
    char *out = p->out;
    for (int64_t row = 0; row < p->n_rows; row += PPI_CPU_ROWS) {
        const char *next = NULL;
        if (p->next_panel && row < 4 * PPI_CPU_ROWS)
            next = (const char *)p->next_panel + (size_t)(row / PPI_CPU_ROWS) * quarter;
        switch (p->n_rows - row) {
        default:
            multiply_rows(bf16, gate_up, 6, p, row, a, out, next);
            break;
        case 5:
            multiply_rows(bf16, gate_up, 5, p, row, a, out, next);
            break;
        case 4:
            multiply_rows(bf16, gate_up, 4, p, row, a, out, next);
            break;
        case 3:
            multiply_rows(bf16, gate_up, 3, p, row, a, out, next);
            break;
        case 2:
            multiply_rows(bf16, gate_up, 2, p, row, a, out, next);
            break;
        case 1:
            multiply_rows(bf16, gate_up, 1, p, row, a, out, next);
            break;
        }
        a += PPI_CPU_ROWS * a_bytes;
        out += PPI_CPU_ROWS * out_bytes;
    }
}

#endif
