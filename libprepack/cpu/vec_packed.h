/*
 * vec_packed.h: integer products of few rows with panels as they lie in memory, to the bits that
 * packed.h defines. Codes become levels in registers; what takes a panel apart for many rows would
 * write it and read it again for few.
 */
#ifndef PPI_CPU_VEC_PACKED_H
#define PPI_CPU_VEC_PACKED_H

#include "cpu/vec_integer.h"
#include "cpu/x86_unpack.h"

/* Most rows of a product that are read so: four tiles are 20 % faster with VPDPBUSD, more gain
 * little; without it they are no slower. */
#define PACKED_ROWS (4 * GROUP_ROWS)

/* Vectors of a tile: the whole panel where registers allow, so that it is read in order. */
#define PACKED_VECTORS(rows) (LANES == 16 && (rows) <= 2 ? PANEL_VECTORS : GROUP_VECTORS)

/* Where a panel has its scales and offsets. */
struct packed_scales {
    const char *scales, *offsets;
    int32_t bytes;  /* of one */
    int64_t shared; /* groups of 32 with the same ones */
};

PPI_INLINE struct packed_scales find_scales(const struct ppi_cpu_integer *p)
{
    const struct ppi_format *format = &ppi_formats[p->format];
    const char *scales =
        (const char *)p->product.panel + ppi_cpu_code_bytes(p->format, p->product.k);
    return (struct packed_scales){scales, scales + ppi_cpu_scale_bytes(p->format, p->product.k),
                                  format->scale_bytes, format->group / PPI_CPU_CODE_GROUP};
}

/* tile += a b for four of k, whose levels are in registers. */
PPI_INLINE void add_levels(int rows, int vectors, struct whole_tile *t, const char *a,
                           size_t a_stride, vi *levels)
{
    UNROLL for (int j = 0; j < vectors; j++) v_keep(levels[j]);
    UNROLL for (int i = 0; i < rows; i++)
    {
        vi x = v_bits_set1(load_u32(a + (size_t)i * a_stride));
        UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] =
            v_dot_bytes(t->sum[i][j], levels[j], x);
    }
}

/* tile += a b for one row of the panel: eight of k in halves of bytes, or four. */
PPI_INLINE void add_packed(bool halves, int rows, int vectors, struct whole_tile *t, const char *a,
                           size_t a_stride, const char *b, vi table)
{
    vi levels[PANEL_VECTORS];
    prefetch_columns(vectors, b);
    UNROLL for (int j = 0; j < vectors; j++)
    {
        vi x = v_bits_load(b + 4 * LANES * j);
        levels[j] = halves ? pick_halves(table, x, false) : x;
    }
    add_levels(rows, vectors, t, a, a_stride, levels);
    if (!halves)
        return;
    UNROLL for (int j = 0; j < vectors; j++) levels[j] =
        pick_halves(table, v_bits_load(b + 4 * LANES * j), true);
    add_levels(rows, vectors, t, a + 4, a_stride, levels);
}

/* t += what group g adds. */
PPI_INLINE void scale_packed(bool offsets, int rows, int vectors, struct whole_tile *whole,
                             const struct ppi_cpu_integer *p, const struct packed_scales *scales,
                             const struct corner *from, int64_t g, vf (*sum)[PANEL_VECTORS])
{
    int64_t at = g / scales->shared * PPI_CPU_PANEL + from->column;
    v_prefetch(scales->scales + (at + 8 * PPI_CPU_PANEL) * scales->bytes);
    UNROLL for (int j = 0; j < vectors; j++)
    {
        vf scale = load_scale(scales->bytes, scales->scales, at + j * LANES);
        UNROLL for (int i = 0; i < rows; i++) sum[i][j] =
            v_fma(v_bits_to_f32((vi)whole->sum[i][j]),
                  v_mul(v_set1(from->a_scales[i * p->n_groups + g]), scale), sum[i][j]);
        if (!offsets)
            continue;
        vf offset = load_scale(scales->bytes, scales->offsets, at + j * LANES);
        UNROLL for (int i = 0; i < rows; i++) sum[i][j] =
            v_fma(v_set1(from->a_sums[i * p->n_groups + g]), offset, sum[i][j]);
    }
}

/* sums [rows][64] of the columns of one tile. */
PPI_INLINE void dot_packed(bool halves, bool offsets, int rows, int vectors,
                           const struct ppi_cpu_integer *p, const struct corner *from, float *sums)
{
    vf sum[PPI_CPU_ROWS][PANEL_VECTORS];
    const char *a = from->a, *b = (const char *)p->product.panel + 4 * from->column;
    const int step = halves ? 8 : 4;
    size_t k = (size_t)p->product.k;
    struct packed_scales scales = find_scales(p);
    vi table = halves ? level_table(&ppi_formats[p->format], 0) : v_bits_zero();
    /* The only group of a row starts the sum: -0 + p is p. */
    vf start = v_set1(p->n_groups == 1 ? -0.0f : 0.0f);
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = start;
    }
    for (int64_t g = 0; g < p->n_groups; g++, a += PPI_CPU_CODE_GROUP) {
        struct whole_tile whole;
        start_tile(rows, vectors, &whole, from->a_starts + g, p->n_groups, a, k,
                   PPI_CPU_CODE_GROUP);
        UNROLL for (int i = 0; i < PPI_CPU_CODE_GROUP; i += step)
        {
            add_packed(halves, rows, vectors, &whole, a + i, k, b, table);
            b += GROUP_BYTES;
        }
        scale_packed(offsets, rows, vectors, &whole, p, &scales, from, g, sum);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
            v_store(sums + i * PPI_CPU_PANEL + from->column + j * LANES, sum[i][j]);
    }
}

/* A function for each number of rows, as in x86_integer.h: sums [rows][64] of the rows from `row`
 * on. */
#define DEFINE_PACKED(rows)                                                                        \
    static __attribute__((noinline)) void sum_packed_##rows(const struct ppi_cpu_integer *p,       \
                                                            int64_t row, float *sums)              \
    {                                                                                              \
        const struct ppi_format *format = &ppi_formats[p->format];                                 \
        struct corner from = corner_of(p, row);                                                    \
        for (; rows <= GROUP_ROWS && from.column < PPI_CPU_PANEL;                                  \
             from.column += PACKED_VECTORS(rows) * LANES) {                                        \
            if (format->bits == 8)                                                                 \
                dot_packed(false, false, rows, PACKED_VECTORS(rows), p, &from, sums);              \
            else if (format->has_offsets)                                                          \
                dot_packed(true, true, rows, PACKED_VECTORS(rows), p, &from, sums);                \
            else                                                                                   \
                dot_packed(true, false, rows, PACKED_VECTORS(rows), p, &from, sums);               \
        }                                                                                          \
    }

DEFINE_PACKED(1)
DEFINE_PACKED(2)
DEFINE_PACKED(3)
DEFINE_PACKED(4)
DEFINE_PACKED(5)
DEFINE_PACKED(6)

static void (*const packed_sums_of[])(const struct ppi_cpu_integer *p, int64_t row, float *sums) = {
    sum_packed_1, sum_packed_2, sum_packed_3, sum_packed_4, sum_packed_5, sum_packed_6};

/* All rows of p, whose panel is packed. */
PPI_INLINE void multiply_packed(bool bf16, bool gate_up, const struct ppi_cpu_integer *p)
{
    _Alignas(64) float sums[PPI_CPU_ROWS * PPI_CPU_PANEL];
    for (int64_t row = 0; row < p->product.n_rows; row += GROUP_ROWS) {
        int64_t left = p->product.n_rows - row;
        int rows = left < GROUP_ROWS ? (int)left : GROUP_ROWS;
        packed_sums_of[rows - 1](p, row, sums);
        store_rows(bf16, gate_up, &p->product, row, sums, rows);
    }
}

#endif
