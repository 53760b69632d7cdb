/*
 * block_rows.c: the blocks of a GGUF file taken apart into codes, scales and offsets. Scales and
 * offsets are computed as gguf_blocks.c computes them, so that numbers from both are the same bits.
 */
#include "dtype.h"
#include "packed/formats.h"

#define SUPER 256 /* numbers of a block of Q4_K */

/* GGUF's numbers of the types. */
enum { TYPE_Q4_0 = 2, TYPE_Q4_1 = 3, TYPE_Q8_0 = 8, TYPE_Q4_K = 12, TYPE_MXFP4 = 39 };

int32_t ppi_format_of_blocks(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_0:
        return PPI_FORMAT_INT4;
    case TYPE_Q4_1:
        return PPI_FORMAT_Q4_1;
    case TYPE_Q8_0:
        return PPI_FORMAT_Q8_0;
    case TYPE_Q4_K:
        return PPI_FORMAT_Q4_K;
    case TYPE_MXFP4:
        return PPI_FORMAT_MXFP4;
    default:
        return PPI_FORMAT_ACT;
    }
}

static float read_f16(const uint8_t *bytes)
{
    return ppi_f16_to_f32((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* 16 bytes: the low halves are numbers 0 .. 15, the high ones 16 .. 31 */
static void split_halves(const uint8_t *bytes, uint8_t codes[32])
{
    for (int i = 0; i < 16; i++) {
        codes[i] = bytes[i] & 15;
        codes[16 + i] = bytes[i] >> 4;
    }
}

/* f16 scale, 32 signed bytes */
static void take_q8_0(const uint8_t *block, int64_t i, struct ppi_code_row *row)
{
    row->scales[i] = read_f16(block);
    for (int j = 0; j < 32; j++)
        row->codes[32 * i + j] = block[2 + j] ^ 0x80;
}

/* f16 scale, 16 bytes of codes */
static void take_q4_0(const uint8_t *block, int64_t i, struct ppi_code_row *row)
{
    row->scales[i] = read_f16(block);
    split_halves(block + 2, row->codes + 32 * i);
}

/* f16 scale, f16 offset, 16 bytes of codes */
static void take_q4_1(const uint8_t *block, int64_t i, struct ppi_code_row *row)
{
    row->scales[i] = read_f16(block);
    row->offsets[i] = read_f16(block + 2);
    split_halves(block + 4, row->codes + 32 * i);
}

/* Six bits each of the scale and the offset of group g of 8, in 12 bytes: groups 0 .. 3 have theirs
 * in the low bits of bytes g and g + 4; of the others the low four are in byte g + 4, the high two
 * in the high bits of bytes g - 4 and g. */
static void six_bits(const uint8_t *bytes, int g, int *scale, int *offset)
{
    if (g < 4) {
        *scale = bytes[g] & 63;
        *offset = bytes[g + 4] & 63;
    } else {
        *scale = (bytes[g + 4] & 15) | (bytes[g - 4] >> 6) << 4;
        *offset = bytes[g + 4] >> 4 | (bytes[g] >> 6) << 4;
    }
}

/* f16 d, f16 m, 12 bytes of scales and offsets, 128 bytes: each 32 hold two groups' codes, the
 * first in low halves */
static void take_q4_k(const uint8_t *block, int64_t i, struct ppi_code_row *row)
{
    float d = read_f16(block), m = read_f16(block + 2);
    for (int g = 0; g < 8; g++) {
        const uint8_t *bytes = block + 16 + 32 * (g / 2);
        int scale, offset;
        six_bits(block + 4, g, &scale, &offset);
        row->scales[8 * i + g] = d * (float)scale;
        row->offsets[8 * i + g] = -(m * (float)offset);
        for (int j = 0; j < 32; j++)
            row->codes[SUPER * i + 32 * g + j] = bytes[j] >> (g % 2 * 4) & 15;
    }
}

/* the byte of a power of two, 16 bytes of codes */
static void take_mxfp4(const uint8_t *block, int64_t i, struct ppi_code_row *row)
{
    row->scales[i] = ppi_power_of_two(block[0]);
    split_halves(block + 1, row->codes + 32 * i);
}

void ppi_blocks_to_row(int32_t format, const void *blocks, int64_t n_blocks,
                       struct ppi_code_row *row)
{
    const uint8_t *block = blocks;
    for (int64_t i = 0; i < n_blocks; i++) {
        switch (format) {
        case PPI_FORMAT_Q8_0:
            take_q8_0(block, i, row);
            block += 34;
            break;
        case PPI_FORMAT_INT4:
            take_q4_0(block, i, row);
            block += 18;
            break;
        case PPI_FORMAT_Q4_1:
            take_q4_1(block, i, row);
            block += 20;
            break;
        case PPI_FORMAT_MXFP4:
            take_mxfp4(block, i, row);
            block += 17;
            break;
        default: /* PPI_FORMAT_Q4_K */
            take_q4_k(block, i, row);
            block += 144;
            break;
        }
    }
}
