/*
 * vec_integer.h: integer products, as packed.h defines them to the bit.
 *
 * A tile has its sums in registers, DOT_ROWS x DOT_VECTORS of them with one group; with groups
 * GROUP_ROWS x GROUP_VECTORS of integers that live for the eight steps of a group, and as many of
 * f32: the processor turns those of one group into f32 while it sums the next.
 */
#ifndef PPI_CPU_VEC_INTEGER_H
#define PPI_CPU_VEC_INTEGER_H

#include "cpu/vec_products.h"

#if defined(__aarch64__)
#include "cpu/arm_bytes.h"
#else
#include "cpu/x86_bytes.h"
#endif

struct whole_tile {
    vs sum[PPI_CPU_ROWS][VECTORS];
};

/* Where a tile of an integer product stands. */
struct corner {
    const char *a;         /* its first row's codes */
    const float *a_scales; /* and what goes with them */
    const float *a_sums;
    const int32_t *a_starts;
    int column;
};

/* The starts of the sums over n codes of each row from `a` on. */
PPI_INLINE void start_tile(int rows, int vectors, struct whole_tile *t, const int32_t *starts,
                           int64_t stride, const char *a, size_t a_stride, size_t n)
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        uint32_t start = (uint32_t)starts[i * stride] + codes_start(a + (size_t)i * a_stride, n);
        UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] = (vs)v_bits_set1(start);
    }
}

/* tile += a b for four of k. */
PPI_INLINE void add_codes(int rows, int vectors, struct whole_tile *t, const char *a,
                          size_t a_stride, const char *b)
{
    vi column[VECTORS];
    UNROLL for (int j = 0; j < vectors; j++)
    {
        column[j] = v_codes_load(b + 4 * LANES * j);
        v_keep(column[j]);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        vi x = v_bits_set1(load_u32(a + (size_t)i * a_stride));
        UNROLL for (int j = 0; j < vectors; j++) t->sum[i][j] =
            v_dot_bytes(t->sum[i][j], column[j], x);
    }
}

PPI_INLINE void prefetch_columns(int vectors, const char *b)
{
    UNROLL for (int j = 0; j < vectors; j += 64 / (4 * LANES))
        v_prefetch(b + AHEAD + 4 * LANES * j);
}

/* sums [rows][64] of one group. `next`: lines to bring to the second level, one a step. */
PPI_INLINE void dot_rows(int rows, const struct ppi_cpu_integer *p, const struct corner *from,
                         float *sums, const char *next)
{
    struct whole_tile t;
    const char *a = from->a, *b = (const char *)p->product.panel + 4 * from->column;
    size_t k = (size_t)p->product.k;
    start_tile(rows, DOT_VECTORS, &t, from->a_starts, 1, a, k, k);
    for (const char *end = a + k; a < end; a += 4, b += GROUP_BYTES, next += GROUP_BYTES / 4) {
        prefetch_columns(DOT_VECTORS, b);
        v_prefetch_far(next);
        add_codes(rows, DOT_VECTORS, &t, a, k, b);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < DOT_VECTORS; j++)
        {
            int column = from->column + j * LANES;
            vf scale = v_mul(v_set1(from->a_scales[i]), v_load(p->scales + column));
            v_store(sums + i * PPI_CPU_PANEL + column,
                    v_mul(v_bits_to_f32((vi)t.sum[i][j]), scale));
        }
    }
}

/* t += what group g adds. */
PPI_INLINE void add_scaled(bool offsets, int rows, struct tile *t, const struct whole_tile *whole,
                           const struct ppi_cpu_integer *p, const struct corner *from, int64_t g)
{
    vf scale[GROUP_VECTORS], offset[GROUP_VECTORS];
    UNROLL for (int j = 0; j < GROUP_VECTORS; j++)
    {
        int64_t at = g * PPI_CPU_PANEL + from->column + j * LANES;
        scale[j] = v_load(p->scales + at);
        if (offsets)
            offset[j] = v_load(p->offsets + at);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        vf a_scale = v_set1(from->a_scales[i * p->n_groups + g]);
        UNROLL for (int j = 0; j < GROUP_VECTORS; j++) t->sum[i][j] =
            v_fma(v_bits_to_f32((vi)whole->sum[i][j]), v_mul(a_scale, scale[j]), t->sum[i][j]);
        if (!offsets)
            continue;
        vf a_sum = v_set1(from->a_sums[i * p->n_groups + g]);
        UNROLL for (int j = 0; j < GROUP_VECTORS; j++) t->sum[i][j] =
            v_fma(a_sum, offset[j], t->sum[i][j]);
    }
}

/* sums [rows][64] of groups of 32. */
PPI_INLINE void dot_groups(bool offsets, int rows, const struct ppi_cpu_integer *p,
                           const struct corner *from, float *sums)
{
    struct tile t;
    const char *a = from->a, *b = (const char *)p->product.panel + 4 * from->column;
    size_t k = (size_t)p->product.k;
    /* The only group of a row starts the sum: -0 + p is p. */
    vf start = v_set1(p->n_groups == 1 ? -0.0f : 0.0f);
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < GROUP_VECTORS; j++) t.sum[i][j] = start;
    }
    for (int64_t g = 0; g < p->n_groups; g++) {
        struct whole_tile whole;
        start_tile(rows, GROUP_VECTORS, &whole, from->a_starts + g, p->n_groups, a, k,
                   PPI_CPU_CODE_GROUP);
        UNROLL for (int step = 0; step < PPI_CPU_CODE_GROUP; step += 4)
        {
            prefetch_columns(GROUP_VECTORS, b);
            add_codes(rows, GROUP_VECTORS, &whole, a + step, k, b);
            b += GROUP_BYTES;
        }
        a += PPI_CPU_CODE_GROUP;
        add_scaled(offsets, rows, &t, &whole, p, from, g);
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < GROUP_VECTORS; j++)
            v_store(sums + i * PPI_CPU_PANEL + from->column + j * LANES, t.sum[i][j]);
    }
}

PPI_INLINE struct corner corner_of(const struct ppi_cpu_integer *p, int64_t row)
{
    int64_t at = row * p->n_groups;
    return (struct corner){.a = (const char *)p->product.a + row * p->product.k,
                           .a_scales = p->a_scales + at,
                           .a_sums = p->a_sums + at,
                           .a_starts = p->a_starts + at};
}

/* sums [rows][64] of `rows` rows from `row` on, at most as many as a tile has. */
PPI_INLINE void sum_rows(bool groups, bool offsets, int rows, const struct ppi_cpu_integer *p,
                         int64_t row, float *sums, const char *next)
{
    struct corner from = corner_of(p, row);
    int width = (groups ? GROUP_VECTORS : DOT_VECTORS) * LANES;
    for (; from.column < PPI_CPU_PANEL; from.column += width) {
        if (groups)
            dot_groups(offsets, rows, p, &from, sums);
        else
            dot_rows(rows, p, &from, sums, next);
    }
}

enum { ONE_GROUP, GROUPS, GROUPS_WITH_OFFSETS };

/* A function for each number of rows, so that each has the registers for itself. */
#define DEFINE_SUMS(rows)                                                                          \
    static __attribute__((noinline)) void sum_##rows(int form, const struct ppi_cpu_integer *p,    \
                                                     int64_t row, float *sums, const char *next)   \
    {                                                                                              \
        if (form == ONE_GROUP && rows <= DOT_ROWS)                                                 \
            sum_rows(false, false, rows, p, row, sums, next);                                      \
        else if (form == GROUPS && rows <= GROUP_ROWS)                                             \
            sum_rows(true, false, rows, p, row, sums, next);                                       \
        else if (form == GROUPS_WITH_OFFSETS && rows <= GROUP_ROWS)                                \
            sum_rows(true, true, rows, p, row, sums, next);                                        \
    }

DEFINE_SUMS(1)
DEFINE_SUMS(2)
DEFINE_SUMS(3)
DEFINE_SUMS(4)
DEFINE_SUMS(5)
DEFINE_SUMS(6)

static void (*const sums_of[])(int form, const struct ppi_cpu_integer *p, int64_t row, float *sums,
                               const char *next) = {sum_1, sum_2, sum_3, sum_4, sum_5, sum_6};

/* All rows of p, a tile after the other. The first four bring a quarter of the next panel each. */
PPI_INLINE void multiply_integers(bool bf16, bool gate_up, const struct ppi_cpu_integer *p)
{
    const struct ppi_cpu_product *product = &p->product;
    int form = p->offsets ? GROUPS_WITH_OFFSETS : p->n_groups > 1 ? GROUPS : ONE_GROUP;
    int most = form == ONE_GROUP ? DOT_ROWS : GROUP_ROWS;
    size_t quarter = (size_t)product->k * PPI_CPU_PANEL / 4;
    _Alignas(64) float sums[PPI_CPU_ROWS * PPI_CPU_PANEL];
    for (int64_t row = 0, tile = 0; row < product->n_rows; row += most, tile++) {
        int rows = product->n_rows - row < most ? (int)(product->n_rows - row) : most;
        bool brings = product->next_panel && tile < 4;
        const char *next = brings ? (const char *)product->next_panel + (size_t)tile * quarter
                                  : (const char *)product->panel;
        sums_of[rows - 1](form, p, row, sums, next);
        store_rows(bf16, gate_up, product, row, sums, rows);
    }
}

#endif
