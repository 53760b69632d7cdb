/*
 * packed.h: panels of matrices with codes, and what the kernels that read them get.
 *
 *   panel    codes [k_padded / 4][64 columns][4] bytes of 8 bits; or [k_padded / 8][64 columns][4]
 *            bytes of two codes of 4 bits: those of k = 8 p + b in the low halves of byte b, those
 *            of 8 p + 4 + b in the high ones. So 32 bits hold four neighbours of a column's k, as
 *            instructions that sum four products of bytes want them.
 *            Behind them scales [groups][64] in the format's bytes, then offsets of the same shape.
 *            Columns as in panels of numbers; columns that do not exist have codes, scales and
 *            offsets of 0, which are numbers of 0.
 *
 * Integer products. A row of activations becomes signed bytes: whole rows are rotated (INT8) and
 * get one scale, else each group of 32 gets one: largest magnitude / 127, rounded to nearest even.
 * The sum over a group of weight level times activation code is exact in 32 bits: it starts at
 * minus zero times the sum of the activation codes, which makes up for levels being unsigned. Then
 *     one group:  p = (float)sum * (a_scale * scale)
 *     groups:     p = 0, then for each group in order: p = fma((float)sum, a_scale * scale, p), and
 *                 where there are offsets: p = fma(a_sum, offset, p), a_sum = a_scale * (float)(sum
 *                 of the activation codes)
 * fma rounds once. Every instruction set gives these bits.
 */
#ifndef PPI_CPU_PACKED_H
#define PPI_CPU_PACKED_H

#include "cpu/product.h"
#include "packed/formats.h"

#define PPI_CPU_CODE_GROUP 32 /* activations that share a scale, where rows are not rotated */

/* Rows of activations as integers. */
struct ppi_cpu_codes {
    int8_t *codes;   /* [n_rows, k_padded] */
    float *scales;   /* [n_rows, groups] */
    int32_t *starts; /* [n_rows, groups]: minus zero times the sum of the codes */
    float *sums;     /* [n_rows, groups]: scale times sum of the codes */
};

/* A row, or a group, with a NaN or an infinity has codes of 0 and a scale of NaN; so has a row that
 * overflows when it rotates. */
struct ppi_cpu_quantize {
    const void *a; /* act [n_rows, k] */
    int64_t n_rows, k, k_padded;
    bool rotated; /* one group; else groups of 32 */
    int32_t zero;
    struct ppi_cpu_codes to; /* of the first row */
    float *room;             /* [k_padded] */
};

/* One panel times some rows: `product.a` are rows of codes (their k is k_padded), `product.panel`
 * byte codes or, where the kernels take that, a panel of a format in groups as it is; the rest is
 * as it is there. */
struct ppi_cpu_integer {
    int32_t format; /* of the panel; 0: byte codes that are levels */
    struct ppi_cpu_product product;
    int64_t n_groups;               /* 1, or k_padded / 32 */
    const float *a_scales, *a_sums; /* of the first row, [n_rows, n_groups] */
    const int32_t *a_starts;
    const float *scales;  /* of byte codes: [n_groups][64] */
    const float *offsets; /* the same, or NULL */
};

/* A panel taken apart: into byte codes that are levels, and f32 scales and offsets for each 32 of
 * k; or into a panel of act numbers. */
struct ppi_cpu_unpack {
    int32_t format;
    int64_t k, k_padded;
    const void *panel;
    uint8_t *codes;          /* [k_padded / 4][64][4] */
    float *scales, *offsets; /* [k_padded / 32][64] */
    void *numbers;           /* unpack_numbers: [groups of k][64] as cpu.h has it */
};

static inline size_t ppi_cpu_code_bytes(int32_t format, int64_t k_padded)
{
    return (size_t)k_padded * PPI_CPU_PANEL * (size_t)ppi_formats[format].bits / 8;
}

/* Of the scales, or of the offsets. */
static inline size_t ppi_cpu_scale_bytes(int32_t format, int64_t k_padded)
{
    return (size_t)ppi_format_groups(format, k_padded) * PPI_CPU_PANEL *
           (size_t)ppi_formats[format].scale_bytes;
}

static inline size_t ppi_cpu_packed_bytes(int32_t format, int64_t k_padded)
{
    return ppi_cpu_code_bytes(format, k_padded) +
           ppi_cpu_scale_bytes(format, k_padded) * (ppi_formats[format].has_offsets ? 2 : 1);
}

#endif
