/*
 * x86_bytes.h: what kernels of packed.h need of vectors of bytes and of whole numbers.
 *
 * Products of bytes are exact in every set: VPDPBUSD where there is one, else the bytes are widened
 * to 16 bits, because VPMADDUBSW would saturate. The sizes of tiles are here because they follow
 * from that: widened bytes take twice the registers.
 */
#ifndef PPI_CPU_X86_BYTES_H
#define PPI_CPU_X86_BYTES_H

#include "cpu/vec.h"

#if defined(__AVX512VNNI__)
#define DOT_ROWS      6 /* one group: 6 x 4 sums, 4 columns, 1 row value: 29 registers */
#define DOT_VECTORS   4
#define GROUP_ROWS    6 /* groups: 6 x 2 sums, as integers and as f32, 2 columns, 1 row value: 27 */
#define GROUP_VECTORS 2
#elif defined(__AVX512F__)
#define DOT_ROWS      6 /* 6 x 2 sums, 2 x 2 widened columns, 2 widened row values, 1 mask: 19 */
#define DOT_VECTORS   2
#define GROUP_ROWS    3
#define GROUP_VECTORS 2
#elif defined(__AVXVNNI__)
#define DOT_ROWS      6 /* 6 x 2 sums, 2 columns, 1 row value: 15 of 16 registers */
#define DOT_VECTORS   2
#define GROUP_ROWS    3 /* 3 x 2 sums, as integers and as f32, 2 columns, 1 row value: 15 */
#define GROUP_VECTORS 2
#else
#define DOT_ROWS      3 /* 3 x 2 sums, 2 x 2 columns, 2 row values, 1 mask: 13 of 16 registers */
#define DOT_VECTORS   2
#define GROUP_ROWS    2
#define GROUP_VECTORS 2
#endif

#if defined(__AVX512F__)
#define v_bits_zero()       _mm512_setzero_si512()
#define v_bits_store(p, x)  _mm512_storeu_si512((void *)(p), (x))
#define v_bits_add(a, b)    _mm512_add_epi32((a), (b))
#define v_bits_sub(a, b)    _mm512_sub_epi32((a), (b))
#define v_bits_and(a, b)    _mm512_and_si512((a), (b))
#define v_bits_or(a, b)     _mm512_or_si512((a), (b))
#define v_bits_max(a, b)    _mm512_max_epi32((a), (b)) /* signed */
#define v_bits_right(x, n)  _mm512_srli_epi32((x), (unsigned)(n))
#define v_bits_left(x, n)   _mm512_slli_epi32((x), (unsigned)(n))
#define v_bits_shift(x, n)  _mm512_srai_epi32((x), (unsigned)(n)) /* to the right, signs come in */
#define v_bits_of_f32(x)    _mm512_castps_si512(x)
#define v_bits_to_f32(x)    _mm512_cvtepi32_ps(x) /* signed, to nearest even */
#define v_f32_to_bits(x)    _mm512_cvtps_epi32(x) /* the same back; 2^31 where there is none */
#define v_words_set1(x)     _mm512_set1_epi16((short)(x))
#define v_words_right(x, n) _mm512_srli_epi16((x), (n))
#define v_words_left(x, n)  _mm512_slli_epi16((x), (n))
#define v_words_shift(x, n) _mm512_srai_epi16((x), (n))
#define v_words_dot(a, b)   _mm512_madd_epi16((a), (b)) /* a b + the next a b, 32 bits */
#define v_bytes_set1(x)     _mm512_set1_epi8((char)(x))
#define v_bytes_sub(a, b)   _mm512_sub_epi8((a), (b))
#define v_bytes_pick(t, i)                                                                         \
    _mm512_shuffle_epi8((t), (i)) /* entries i < 16 of t in each 16 bytes                          \
                                   */
#define v_bytes_table(p) _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(p)))
#define v_load_bytes(p)  _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p)))
#define v_load_f16(p)    _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p)))
#define v_load_bf16(p)                                                                             \
    _mm512_castsi512_ps(                                                                           \
        v_bits_left(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p))), 16))
#define v_bits_max_lanes(x)     _mm512_reduce_max_epi32(x)
#define v_bits_sum_lanes(x)     _mm512_reduce_add_epi32(x)
#define v_store_low_bytes(p, x) _mm_storeu_si128((void *)(p), _mm512_cvtepi32_epi8(x))
#define v_swap_1(x)             _mm512_permute_ps((x), 0xb1) /* lanes i and i ^ 1 */
#define v_swap_2(x)             _mm512_permute_ps((x), 0x4e)
#define v_swap_4(x)             _mm512_shuffle_f32x4((x), (x), 0xb1)
#define v_swap_8(x)             _mm512_shuffle_f32x4((x), (x), 0x4e)
#else
#define v_bits_zero()       _mm256_setzero_si256()
#define v_bits_store(p, x)  _mm256_storeu_si256((void *)(p), (x))
#define v_bits_add(a, b)    _mm256_add_epi32((a), (b))
#define v_bits_sub(a, b)    _mm256_sub_epi32((a), (b))
#define v_bits_and(a, b)    _mm256_and_si256((a), (b))
#define v_bits_or(a, b)     _mm256_or_si256((a), (b))
#define v_bits_max(a, b)    _mm256_max_epi32((a), (b))
#define v_bits_right(x, n)  _mm256_srli_epi32((x), (n))
#define v_bits_left(x, n)   _mm256_slli_epi32((x), (n))
#define v_bits_shift(x, n)  _mm256_srai_epi32((x), (n))
#define v_bits_of_f32(x)    _mm256_castps_si256(x)
#define v_bits_to_f32(x)    _mm256_cvtepi32_ps(x)
#define v_f32_to_bits(x)    _mm256_cvtps_epi32(x)
#define v_words_set1(x)     _mm256_set1_epi16((short)(x))
#define v_words_right(x, n) _mm256_srli_epi16((x), (n))
#define v_words_left(x, n)  _mm256_slli_epi16((x), (n))
#define v_words_shift(x, n) _mm256_srai_epi16((x), (n))
#define v_words_dot(a, b)   _mm256_madd_epi16((a), (b))
#define v_bytes_set1(x)     _mm256_set1_epi8((char)(x))
#define v_bytes_sub(a, b)   _mm256_sub_epi8((a), (b))
#define v_bytes_pick(t, i)  _mm256_shuffle_epi8((t), (i))
#define v_bytes_table(p)    _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(p)))
#define v_load_bytes(p)     _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p)))
#define v_load_f16(p)       _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p)))
#define v_load_bf16(p)                                                                             \
    _mm256_castsi256_ps(v_bits_left(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p))), 16))
#define v_swap_1(x) _mm256_permute_ps((x), 0xb1)
#define v_swap_2(x) _mm256_permute_ps((x), 0x4e)
#define v_swap_4(x) _mm256_permute2f128_ps((x), (x), 1)

PPI_INLINE int32_t v_bits_max_lanes(vi x)
{
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

PPI_INLINE int32_t v_bits_sum_lanes(vi x)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

PPI_INLINE void v_store_low_bytes(void *p, vi x)
{
    const __m256i low =
        _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12,
                         -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i bytes = _mm256_shuffle_epi8(x, low);
    _mm_storel_epi64(
        p, _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
}
#endif

/* x where it is a number, else `other`. */
PPI_INLINE vf v_where_ordered(vf x, vf other)
{
#if defined(__AVX512F__)
    return _mm512_mask_mov_ps(other, _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x);
#else
    return _mm256_blendv_ps(other, x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
#endif
}

/* Codes of a panel as v_dot_bytes takes them, and what this adds to the start of a sum over the n
 * codes of a row from `a` on: nothing. */
#define v_codes_load(p)   v_bits_load(p)
#define codes_start(a, n) ((void)(a), (void)(n), 0u)

/* Sums of bytes. Their own type, because gcc copies a sum that is kept as bits each time. */
typedef int32_t vs __attribute__((vector_size(4 * LANES)));

/* x stays in its register: gcc would load it again for each use. */
#define v_keep(x) __asm__("" : "+v"(x))

/* sum + u0 s0 + u1 s1 + u2 s2 + u3 s3 in each 32 bits: u unsigned, s signed bytes. */
PPI_INLINE vs v_dot_bytes(vs sum, vi u, vi s)
{
#if defined(__AVX512VNNI__)
    return (vs)_mm512_dpbusd_epi32((vi)sum, u, s);
#elif defined(__AVXVNNI__)
    return (vs)_mm256_dpbusd_avx_epi32((vi)sum, u, s);
#else
    vi even = v_words_dot(v_bits_and(u, v_words_set1(0xff)), v_words_shift(v_words_left(s, 8), 8));
    vi odd = v_words_dot(v_words_right(u, 8), v_words_shift(s, 8));
    return (vs)v_bits_add((vi)sum, v_bits_add(even, odd));
#endif
}

#endif
