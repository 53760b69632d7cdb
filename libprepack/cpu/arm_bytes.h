/*
 * arm_bytes.h: what kernels of packed.h need of vectors of bytes and of whole numbers, on aarch64.
 *
 * Products of bytes are exact in every set: USDOT where there is one; SDOT, which wants both
 * signed, of levels less 128, with what that takes away put into the start of a sum; else 16 bits,
 * which hold a product of both.
 */
#ifndef PPI_CPU_ARM_BYTES_H
#define PPI_CPU_ARM_BYTES_H

#include "cpu/vec.h"

#define DOT_ROWS      6 /* one group: 6 x 4 sums, 4 columns, 1 row value: 29 registers */
#define DOT_VECTORS   4
#define GROUP_ROWS    6 /* groups: 6 x 2 sums, as integers and as f32, 2 columns, 1 row value: 27 */
#define GROUP_VECTORS 2

#define v_bits_to_f32(x) vcvtq_f32_s32(vreinterpretq_s32_u32(x)) /* signed, to nearest even */

/* Sums of bytes. */
typedef int32x4_t vs;

/* x stays in its register. */
#define v_keep(x) __asm__("" : "+w"(x))

#if defined(__ARM_FEATURE_MATMUL_INT8)

#define v_codes_load(p)   v_bits_load(p)
#define codes_start(a, n) ((void)(a), (void)(n), 0u)

PPI_INLINE vs v_dot_bytes(vs sum, vi u, vi s)
{
    return vusdotq_s32(sum, vreinterpretq_u8_u32(u), vreinterpretq_s8_u32(s));
}

#elif defined(__ARM_FEATURE_DOTPROD)

#define v_codes_load(p) veorq_u32(v_bits_load(p), vdupq_n_u32(0x80808080u))

/* 128 times the sum of the n codes from a on; n: a multiple of 32. */
PPI_INLINE uint32_t codes_start(const char *a, size_t n)
{
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < n; i += 16)
        sum = vdotq_s32(sum, vreinterpretq_s8_u32(v_bits_load(a + i)), vdupq_n_s8(64));
    return 2 * (uint32_t)vaddvq_s32(sum);
}

PPI_INLINE vs v_dot_bytes(vs sum, vi u, vi s)
{
    return vdotq_s32(sum, vreinterpretq_s8_u32(u), vreinterpretq_s8_u32(s));
}

#else

#define v_codes_load(p)   v_bits_load(p)
#define codes_start(a, n) ((void)(a), (void)(n), 0u)

PPI_INLINE vs v_dot_bytes(vs sum, vi u, vi s)
{
    uint8x16_t levels = vreinterpretq_u8_u32(u);
    int8x16_t codes = vreinterpretq_s8_u32(s);
    int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(levels))),
                              vmovl_s8(vget_low_s8(codes)));
    int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(levels)), vmovl_high_s8(codes));
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

#endif

#endif
