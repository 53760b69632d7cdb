/*
 * arm_vec.h: the vectors of vec.h on aarch64: NEON, 4 lanes, 32 registers; with bf16 pairs where
 * the including file is compiled for them.
 */
#ifndef PPI_CPU_ARM_VEC_H
#define PPI_CPU_ARM_VEC_H

#include "cpu/row_kernels.h"

#include <arm_neon.h>

/* Brings a line to the first level, to the second. */
#define v_prefetch(p)     __builtin_prefetch((p), 0, 3)
#define v_prefetch_far(p) __builtin_prefetch((p), 0, 2)

#define LANES   4
#define VECTORS 4 /* of a product tile: 6 x 4 sums, 4 columns, 1 row value: 29 registers */

typedef float32x4_t vf;
typedef uint32x4_t vi;

#define v_zero()         vdupq_n_f32(0)
#define v_set1(x)        vdupq_n_f32(x)
#define v_load(p)        vld1q_f32((const void *)(p))
#define v_store(p, x)    vst1q_f32((void *)(p), (x))
#define v_add(a, b)      vaddq_f32((a), (b))
#define v_sub(a, b)      vsubq_f32((a), (b))
#define v_mul(a, b)      vmulq_f32((a), (b))
#define v_div(a, b)      vdivq_f32((a), (b))
#define v_max(a, b)      vmaxq_f32((a), (b))
#define v_min(a, b)      vminq_f32((a), (b))
#define v_fma(a, b, c)   vfmaq_f32((c), (a), (b))
#define v_abs(a)         vabsq_f32(a)
#define v_round(a)       vrndnq_f32(a)
#define v_bits_load(p)   vreinterpretq_u32_u8(vld1q_u8((const void *)(p)))
#define v_bits_set1(x)   vdupq_n_u32(x)
#define v_bits_as_f32(x) vreinterpretq_f32_u32(x)
#define v_bits_low(x)    vshlq_n_u32((x), 16)
#define v_bits_high(x)   vandq_u32((x), vdupq_n_u32(0xffff0000u))

/* x 2^n in two steps, so that results below the normal numbers and infinity come out. */
PPI_INLINE vf v_scale_by_2(vf x, vf n)
{
    int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    int32x4_t rest = vsubq_s32(whole, half), bias = vdupq_n_s32(127);
    vf first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    vf second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
    return vmulq_f32(vmulq_f32(x, first), second);
}

/* x - floor(x), where 2^x is a normal number. */
PPI_INLINE vf v_fraction(vf x)
{
    x = vmaxq_f32(vdupq_n_f32(-127.0f), x);
    return vsubq_f32(x, vrndmq_f32(x));
}

/* y 2^floor(x), y in [1, 2] and x of at most about 100; what is too small for a normal number is 0.
 */
PPI_INLINE vf v_scale_weight(vf y, vf x)
{
    x = vrndmq_f32(vmaxq_f32(vdupq_n_f32(-127.0f), x));
    int32x4_t exponent = vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(127));
    return vmulq_f32(y, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

/* x, which has none, with the signs of `signs`. */
PPI_INLINE vf v_with_sign(vf x, vf signs)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), signs, x);
}

/* Where a < b: x, else y. */
PPI_INLINE vf v_where_less(vf a, vf b, vf x, vf y)
{
    return vbslq_f32(vcltq_f32(a, b), x, y);
}

PPI_INLINE float v_max_lanes(vf x)
{
    return vmaxvq_f32(x);
}

PPI_INLINE float v_sum_lanes(vf x)
{
    return vaddvq_f32(x);
}

/* Lanes first + i in [low, high] keep x, the others become `other`. */
PPI_INLINE vf v_keep_range(vf x, vf other, int32_t first, int32_t low, int32_t high)
{
    static const int32_t lanes[LANES] = {0, 1, 2, 3};
    int32x4_t lane = vaddq_s32(vld1q_s32(lanes), vdupq_n_s32(first));
    uint32x4_t keep =
        vandq_u32(vcleq_s32(lane, vdupq_n_s32(high)), vcgeq_s32(lane, vdupq_n_s32(low)));
    return vbslq_f32(keep, x, other);
}

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)

#define v_dot_pairs(sum, a, b)                                                                     \
    vbfdotq_f32((sum), vreinterpretq_bf16_u32(a), vreinterpretq_bf16_u32(b))

/* Narrows with round to nearest even, as ppi_f32_to_bf16 does. */
PPI_INLINE void v_store_bf16(void *p, vf x)
{
    vst1_u8(p, vreinterpret_u8_bf16(vcvt_bf16_f32(x)));
}

#else

/* Narrows with round to nearest even, as ppi_f32_to_bf16 does. */
PPI_INLINE void v_store_bf16(void *p, vf x)
{
    uint32x4_t bits = vreinterpretq_u32_f32(x);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    rounded = vbslq_u32(vceqq_f32(x, x), rounded, quiet);
    vst1_u8(p, vreinterpret_u8_u16(vshrn_n_u32(rounded, 16)));
}

#endif

#define v_store_bf16_narrow v_store_bf16

#endif
