/*
 * formats.h: weight matrices in few bits: which formats there are, how a row of one looks by
 * itself, and how rows are made: from numbers, or from the blocks of a GGUF file. How rows stand in
 * memory for a product is the backend's.
 *
 * A row holds k codes, padded with codes of zero to k_padded, one scale (and in some formats an
 * offset) for each group of neighbours. The number of code c in group g is
 *     scale[g] (level(c) - zero) + offset[g]
 * computed in f32, the product rounded before the sum. level(c) is c, or an entry of a table.
 */
#ifndef PPI_FORMATS_H
#define PPI_FORMATS_H

#include "dtype.h"
#include "internal.h"

#define PPI_FORMAT_ACT   0 /* numbers of the session's dtype */
#define PPI_FORMAT_BF16  1 /* numbers, for a session that computes in f32 */
#define PPI_FORMAT_INT8  2 /* 8 bits, a scale for each row, numbers rotated (see ppi_rotate) */
#define PPI_FORMAT_INT4  3 /* 4 bits, symmetric: GGUF's Q4_0 in other words */
#define PPI_FORMAT_NF4   4 /* 4 bits, the levels of QLoRA (Dettmers et al. 2023) */
#define PPI_FORMAT_Q8_0  5 /* GGUF's formats of these names */
#define PPI_FORMAT_Q4_1  6
#define PPI_FORMAT_Q4_K  7
#define PPI_FORMAT_MXFP4 8 /* 4 bits: floats, whose scales are powers of two (OCP MX) */
#define PPI_N_FORMATS    9

#define PPI_ROTATED 64 /* elements that are rotated together */

/* How rows of a format look; ACT and BF16 have only a name. */
struct ppi_format {
    const char *name;
    int32_t bits;        /* of a code: 4 or 8; 0: no codes */
    int32_t group;       /* elements that share a scale, a multiple of 32; 0: the whole row */
    int32_t padding;     /* k_padded is a multiple of it */
    int32_t scale_bytes; /* in memory: 1 (see ppi_power_of_two), 2 (f16) or 4 (f32) */
    bool has_offsets;
    int32_t zero;          /* the level of the number 0, where there is no offset; else 0 */
    const uint8_t *levels; /* [16], or NULL: a code is its own level */
};

extern const struct ppi_format ppi_formats[PPI_N_FORMATS];

static inline bool ppi_format_has_codes(int32_t format)
{
    return ppi_formats[format].bits > 0;
}

static inline int64_t ppi_format_k(int32_t format, int64_t k)
{
    return ppi_round_up(k, ppi_formats[format].padding);
}

/* Groups of a row of k_padded codes. */
static inline int64_t ppi_format_groups(int32_t format, int64_t k_padded)
{
    int32_t group = ppi_formats[format].group;
    return group > 0 ? k_padded / group : 1;
}

/* One row by itself. */
struct ppi_code_row {
    uint8_t *codes; /* [k_padded], one a byte */
    float *scales;  /* [groups], numbers that their bytes in memory hold */
    float *offsets; /* [groups], or NULL */
};

/*
 * x = H x for each block of 64 of n elements (a multiple of 64), H = Hadamard matrix / 8, which is
 * its own inverse: products of rotated rows are the products of the rows, and what stands out in
 * one element is spread over 64 (QuaRot, Ashkboos et al. 2024, with blocks so small that a row
 * rotates in registers). Six rounds of sums and differences at distances 1, 2, 4 .. 32, each
 * rounded to f32, then the factor: every implementation gives the same bits.
 */
void ppi_rotate(float *x, int64_t n);

/* A scale of MXFP4, 2^(byte - 128): half of what the byte stands for, as the levels are doubled. */
static inline float ppi_power_of_two(uint8_t byte)
{
    return ppi_f32_from_bits(byte < 2 ? 0x00200000u << byte : (uint32_t)(byte - 1) << 23);
}

/* The byte of such a scale. */
static inline uint8_t ppi_power_byte(float scale)
{
    uint32_t bits = ppi_f32_bits(scale), exponent = bits >> 23;
    return (uint8_t)(exponent > 0 ? exponent + 1 : bits >> 22);
}

/* Makes a row of INT8, INT4 or NF4 from k numbers. `numbers` has room for k_padded and is
 * overwritten. A row with a NaN or an infinity gets scales of NaN where it has one. */
void ppi_quantize_row(int32_t format, float *numbers, int64_t k, struct ppi_code_row *row);

/* The same of a table, whose rows are looked up: INT8, not rotated, and codes behind k mean
 * nothing. A row that is not finite has a scale of NaN. */
void ppi_quantize_table_row(float *numbers, int64_t k, struct ppi_code_row *row);

/* The format that keeps blocks of a GGUF type (its number) as they are; ACT: there is none. */
int32_t ppi_format_of_blocks(uint32_t type);
/* Takes n_blocks blocks of that format apart. */
void ppi_blocks_to_row(int32_t format, const void *blocks, int64_t n_blocks,
                       struct ppi_code_row *row);

#endif
