/*
 * gguf_blocks.c: blocks of 32 or 256 numbers in few bits each: an f16 scale for the block, in the
 * larger ones a small integer scale for each 16 or 32 numbers as well, and the numbers' bits, low
 * ones before high ones. Products and sums are rounded to f32 one by one, in the order that is
 * written here: everybody who reads such files gets the same bits.
 */
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf.h"
#include "dtype.h"

#include <string.h>

typedef uint8_t u8;

static uint16_t read_u16(const u8 *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static float read_f16(const u8 *bytes)
{
    return ppi_f16_to_f32(read_u16(bytes));
}

/* Number j of 32 that share 16 bytes: the first 16 are low halves. */
static int nibble(const u8 *bytes, int j)
{
    return bytes[j % 16] >> (j / 16 * 4) & 15;
}

/* ---- blocks of 32 ---- */

/* f16 d, 16 bytes */
static void decode_q4_0(const u8 *block, float *dst)
{
    float d = read_f16(block);
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)(nibble(block + 2, j) - 8);
}

/* f16 d, f16 m, 16 bytes */
static void decode_q4_1(const u8 *block, float *dst)
{
    float d = read_f16(block), m = read_f16(block + 2);
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)nibble(block + 4, j) + m;
}

/* The fifth bits are 32 bits before the 16 bytes. */
static int five_bits(const u8 *bits, int j)
{
    return nibble(bits + 4, j) | (bits[j / 8] >> (j % 8) & 1) << 4;
}

/* f16 d, 4 bytes, 16 bytes */
static void decode_q5_0(const u8 *block, float *dst)
{
    float d = read_f16(block);
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)(five_bits(block + 2, j) - 16);
}

/* f16 d, f16 m, 4 bytes, 16 bytes */
static void decode_q5_1(const u8 *block, float *dst)
{
    float d = read_f16(block), m = read_f16(block + 2);
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)five_bits(block + 4, j) + m;
}

/* f16 d, 32 signed bytes */
static void decode_q8_0(const u8 *block, float *dst)
{
    float d = read_f16(block);
    for (int j = 0; j < 32; j++)
        dst[j] = (float)(int8_t)block[2 + j] * d;
}

static const int8_t NONLINEAR[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

/* f16 d, 16 bytes */
static void decode_iq4_nl(const u8 *block, float *dst)
{
    float d = read_f16(block);
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)NONLINEAR[nibble(block + 2, j)];
}

/* Twice the values of OCP's e2m1; so the scale 2^(e - 127) is halved. */
static const int8_t E2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* byte e, 16 bytes */
static void decode_mxfp4(const u8 *block, float *dst)
{
    uint32_t e = block[0];
    float d = ppi_f32_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23); /* below 2: subnormal */
    for (int j = 0; j < 32; j++)
        dst[j] = d * (float)E2M1[nibble(block + 1, j)];
}

/* ---- blocks of 256 ---- */

/* Number j of 256, two bits: 32 bytes hold four times 32 of them, in 64 bytes twice. */
static int two_bits(const u8 *bytes, int j)
{
    return bytes[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2) & 3;
}

/* Number j of 256, four bits: 32 bytes hold two times 32. */
static int four_bits(const u8 *bytes, int j)
{
    return bytes[j / 64 * 32 + j % 32] >> (j % 64 / 32 * 4) & 15;
}

/* 16 bytes of scales (low half) and minima (high half), 64 bytes, f16 d, f16 dmin */
static void decode_q2_k(const u8 *block, float *dst)
{
    float d = read_f16(block + 80), dmin = read_f16(block + 82);
    for (int g = 0; g < 16; g++) {
        float scale = d * (float)(block[g] & 15), min = dmin * (float)(block[g] >> 4);
        for (int j = 16 * g; j < 16 * g + 16; j++)
            dst[j] = scale * (float)two_bits(block + 16, j) - min;
    }
}

/* Scale g of 16, six bits less 32: 8 bytes of low halves, 4 bytes of pairs of high bits. */
static int q3_scale(const u8 *scales, int g)
{
    int low = scales[g % 8] >> (g / 8 * 4) & 15, high = scales[8 + g % 4] >> (g / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

/* 32 bytes of third bits, which say that 4 is not subtracted; 64 bytes; 12 of scales; f16 d */
static void decode_q3_k(const u8 *block, float *dst)
{
    float d = read_f16(block + 108);
    for (int g = 0; g < 16; g++) {
        float scale = d * (float)q3_scale(block + 96, g);
        for (int j = 16 * g; j < 16 * g + 16; j++) {
            int kept = block[j % 32] >> (j / 32) & 1;
            dst[j] = scale * (float)(two_bits(block + 32, j) - (kept ? 0 : 4));
        }
    }
}

/* Scale and minimum g of 8, six bits each: those of the first four in 4 bytes each, of the others
 * the low halves in 4 more and the high bits above those of the first four. */
static void q4_scale(const u8 *scales, int g, int *scale, int *min)
{
    if (g < 4) {
        *scale = scales[g] & 63;
        *min = scales[4 + g] & 63;
    } else {
        *scale = (scales[4 + g] & 15) | (scales[g - 4] >> 6) << 4;
        *min = scales[4 + g] >> 4 | (scales[g] >> 6) << 4;
    }
}

/* f16 d, f16 dmin, 12 bytes of scales; 32 bytes of fifth bits, or NULL; 128 bytes */
static void decode_4_or_5(const u8 *block, const u8 *fifth, const u8 *bytes, float *dst)
{
    float d = read_f16(block), dmin = read_f16(block + 2);
    for (int g = 0; g < 8; g++) {
        int scale, min;
        q4_scale(block + 4, g, &scale, &min);
        float by = d * (float)scale, less = dmin * (float)min;
        for (int j = 32 * g; j < 32 * g + 32; j++) {
            int high = fifth ? (fifth[j % 32] >> g & 1) << 4 : 0;
            dst[j] = by * (float)(four_bits(bytes, j) | high) - less;
        }
    }
}

static void decode_q4_k(const u8 *block, float *dst)
{
    decode_4_or_5(block, NULL, block + 16, dst);
}

static void decode_q5_k(const u8 *block, float *dst)
{
    decode_4_or_5(block, block + 16, block + 48, dst);
}

/* 128 bytes of low halves, of which 64 hold two times 64; 64 of pairs of high bits; 16 signed bytes
 * of scales; f16 d */
static void decode_q6_k(const u8 *block, float *dst)
{
    float d = read_f16(block + 208);
    for (int g = 0; g < 16; g++) {
        float scale = d * (float)(int8_t)block[192 + g];
        for (int j = 16 * g; j < 16 * g + 16; j++) {
            int low = block[j / 128 * 64 + j % 64] >> (j % 128 / 64 * 4) & 15;
            dst[j] = scale * (float)((low | two_bits(block + 128, j) << 4) - 32);
        }
    }
}

/* f16 d, 16 bits of high bits of scales, 4 bytes of low halves of them, 8 times 16 bytes */
static void decode_iq4_xs(const u8 *block, float *dst)
{
    float d = read_f16(block);
    for (int g = 0; g < 8; g++) {
        int low = block[4 + g / 2] >> (g % 2 * 4) & 15, high = read_u16(block + 2) >> (2 * g) & 3;
        float scale = d * (float)((low | high << 4) - 32);
        for (int j = 0; j < 32; j++)
            dst[32 * g + j] = scale * (float)NONLINEAR[nibble(block + 8 + 16 * g, j)];
    }
}

/* ---- by number ---- */

static void (*const decoders[])(const u8 *block, float *dst) = {
    [2] = decode_q4_0,   [3] = decode_q4_1,  [6] = decode_q5_0,    [7] = decode_q5_1,
    [8] = decode_q8_0,   [10] = decode_q2_k, [11] = decode_q3_k,   [12] = decode_q4_k,
    [13] = decode_q5_k,  [14] = decode_q6_k, [20] = decode_iq4_nl, [23] = decode_iq4_xs,
    [39] = decode_mxfp4,
};

void ppi_gguf_decode(uint32_t type, const void *blocks, size_t n_blocks, float *dst)
{
    const struct ppi_gguf_tensor_type *format = ppi_gguf_tensor_type(type);
    size_t bytes = (size_t)format->block_bytes, len = (size_t)format->block_len;
    u8 block[PPI_GGUF_MAX_BLOCK_BYTES]; /* a copy, because dst may be its place */
    for (size_t i = 0; i < n_blocks; i++) {
        memcpy(block, (const u8 *)blocks + i * bytes, bytes);
        decoders[type](block, dst + i * len);
    }
}
