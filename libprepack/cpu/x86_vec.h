/*
 * x86_vec.h: the vectors of vec.h on x86-64. AVX-512: 16 lanes, 32 registers; AVX2: 8 lanes, 16
 * registers.
 */
#ifndef PPI_CPU_X86_VEC_H
#define PPI_CPU_X86_VEC_H

#include "cpu/row_kernels.h"

#include <immintrin.h>

/* Brings a line to the first level, to the second. */
#define v_prefetch(p)     _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define v_prefetch_far(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)

#if defined(__AVX512F__)

#define LANES   16
#define VECTORS 4 /* of a product tile: 6 x 4 sums, 4 columns, 1 row value: 29 registers */

typedef __m512 vf;
typedef __m512i vi;

#define v_zero()           _mm512_setzero_ps()
#define v_set1(x)          _mm512_set1_ps(x)
#define v_load(p)          _mm512_loadu_ps((const void *)(p))
#define v_store(p, x)      _mm512_storeu_ps((void *)(p), (x))
#define v_add(a, b)        _mm512_add_ps((a), (b))
#define v_sub(a, b)        _mm512_sub_ps((a), (b))
#define v_mul(a, b)        _mm512_mul_ps((a), (b))
#define v_div(a, b)        _mm512_div_ps((a), (b))
#define v_max(a, b)        _mm512_max_ps((a), (b))
#define v_min(a, b)        _mm512_min_ps((a), (b))
#define v_fma(a, b, c)     _mm512_fmadd_ps((a), (b), (c))
#define v_abs(a)           _mm512_abs_ps(a)
#define v_round(a)         _mm512_roundscale_ps((a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_bits_load(p)     _mm512_loadu_si512((const void *)(p))
#define v_bits_set1(x)     _mm512_set1_epi32((int)(x))
#define v_bits_as_f32(x)   _mm512_castsi512_ps(x)
#define v_bits_low(x)      _mm512_slli_epi32((x), 16)
#define v_bits_high(x)     _mm512_and_si512((x), _mm512_set1_epi32((int)0xffff0000u))
#define v_scale_by_2(x, n) _mm512_scalef_ps((x), (n)) /* n: whole numbers */

/* x - floor(x); of -infinity 0. */
PPI_INLINE vf v_fraction(vf x)
{
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

/* y 2^floor(x), y in [1, 2] and x of at most about 100; -infinity gives 0. */
PPI_INLINE vf v_scale_weight(vf y, vf x)
{
    return _mm512_scalef_ps(y, x);
}

/* x, which has none, with the signs of `signs`. */
PPI_INLINE vf v_with_sign(vf x, vf signs)
{
    return _mm512_or_ps(x, _mm512_and_ps(signs, _mm512_set1_ps(-0.0f)));
}

/* Where a < b: x, else y. */
PPI_INLINE vf v_where_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

PPI_INLINE float v_max_lanes(vf x)
{
    return _mm512_reduce_max_ps(x);
}

PPI_INLINE float v_sum_lanes(vf x)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}

/* Lanes first + i in [low, high] keep x, the others become `other`. */
PPI_INLINE vf v_keep_range(vf x, vf other, int32_t first, int32_t low, int32_t high)
{
    __m512i lane =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(first));
    __mmask16 keep = _mm512_cmple_epi32_mask(lane, _mm512_set1_epi32(high)) &
                     _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(low));
    return _mm512_mask_blend_ps(keep, other, x);
}

/* Narrows with round to nearest even, as ppi_f32_to_bf16 does. */
PPI_INLINE void v_store_bf16(void *p, vf x)
{
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
    _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

#if defined(__AVX512BF16__)
#define v_dot_pairs(sum, a, b) _mm512_dpbf16_ps((sum), (__m512bh)(a), (__m512bh)(b))

PPI_INLINE void v_store_bf16_narrow(void *p, vf x)
{
    _mm256_storeu_si256(p, (__m256i)_mm512_cvtneps_pbh(x));
}
#else
#define v_store_bf16_narrow v_store_bf16
#endif

#else /* AVX2 and FMA */

#define LANES   8
#define VECTORS 2 /* 6 x 2 sums, 2 columns, 1 row value, 1 mask: 16 registers */

typedef __m256 vf;
typedef __m256i vi;

#define v_zero()         _mm256_setzero_ps()
#define v_set1(x)        _mm256_set1_ps(x)
#define v_load(p)        _mm256_loadu_ps((const void *)(p))
#define v_store(p, x)    _mm256_storeu_ps((void *)(p), (x))
#define v_add(a, b)      _mm256_add_ps((a), (b))
#define v_sub(a, b)      _mm256_sub_ps((a), (b))
#define v_mul(a, b)      _mm256_mul_ps((a), (b))
#define v_div(a, b)      _mm256_div_ps((a), (b))
#define v_max(a, b)      _mm256_max_ps((a), (b))
#define v_min(a, b)      _mm256_min_ps((a), (b))
#define v_fma(a, b, c)   _mm256_fmadd_ps((a), (b), (c))
#define v_abs(a)         _mm256_andnot_ps(_mm256_set1_ps(-0.0f), (a))
#define v_round(a)       _mm256_round_ps((a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_bits_load(p)   _mm256_loadu_si256((const void *)(p))
#define v_bits_set1(x)   _mm256_set1_epi32((int)(x))
#define v_bits_as_f32(x) _mm256_castsi256_ps(x)
#define v_bits_low(x)    _mm256_slli_epi32((x), 16)
#define v_bits_high(x)   _mm256_and_si256((x), _mm256_set1_epi32((int)0xffff0000u))

/* x 2^n in two steps, so that results below the normal numbers and infinity come out. */
PPI_INLINE vf v_scale_by_2(vf x, vf n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    vf first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(x, first), second);
}

/* x - floor(x); -infinity gives 0. */
PPI_INLINE vf v_fraction(vf x)
{
    x = _mm256_max_ps(_mm256_set1_ps(-127.0f), x);
    return _mm256_sub_ps(x, _mm256_floor_ps(x));
}

/* y 2^floor(x), y in [1, 2] and x of at most about 100; what is too small for a normal number is 0.
 */
PPI_INLINE vf v_scale_weight(vf y, vf x)
{
    x = _mm256_floor_ps(_mm256_max_ps(_mm256_set1_ps(-127.0f), x));
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127));
    return _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

/* x, which has none, with the signs of `signs`. */
PPI_INLINE vf v_with_sign(vf x, vf signs)
{
    return _mm256_or_ps(x, _mm256_and_ps(signs, _mm256_set1_ps(-0.0f)));
}

/* Where a < b: x, else y. */
PPI_INLINE vf v_where_less(vf a, vf b, vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

PPI_INLINE float v_max_lanes(vf x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

PPI_INLINE float v_sum_lanes(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* Lanes first + i in [low, high] keep x, the others become `other`. */
PPI_INLINE vf v_keep_range(vf x, vf other, int32_t first, int32_t low, int32_t high)
{
    __m256i lane =
        _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    __m256i drop = _mm256_or_si256(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(high)),
                                   _mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane));
    return _mm256_blendv_ps(x, other, _mm256_castsi256_ps(drop));
}

/* Narrows with round to nearest even, as ppi_f32_to_bf16 does. */
PPI_INLINE void v_store_bf16(void *p, vf x)
{
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    vf nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    rounded = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
    __m256i words = _mm256_srli_epi32(rounded, 16);
    words = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128(p, _mm256_castsi256_si128(words));
}

#define v_store_bf16_narrow v_store_bf16

#endif

#endif
