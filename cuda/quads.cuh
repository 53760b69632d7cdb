/*
 * quads.cuh: four neighbouring elements of a row, the unit of work of the memory-bound kernels. A
 * quad is 16 bytes of f32 or 8 of act, so neighbouring threads read and write neighbouring bytes on
 * both sides of a conversion. Loads are apart from their widening: a kernel issues several, then
 * computes.
 */
#ifndef PPI_CUDA_QUADS_CUH
#define PPI_CUDA_QUADS_CUH

#include "hw.h"
#include "cuda/kernels.h"

/* An entry of a table of kernels. */
#define PPI_KERNEL_ENTRY(name, threads, shared_bytes)                                              \
    {                                                                                              \
#name, HW_KERNEL_ENTRY(name), (threads), (shared_bytes)                                    \
    }

namespace ppi {

struct quad {
    float x[4];
};

union word {
    uint32_t bits;
    float value;
};

HW_DEVICE float f32_from_bits(uint32_t bits)
{
    union word word;
    word.bits = bits;
    return word.value;
}

HW_DEVICE uint32_t f32_bits(float value)
{
    union word word;
    word.value = value;
    return word.bits;
}

/* What a load of a quad gives, not yet widened. */
template <typename T> struct raw_quad {
    uint64_t bits;
};

template <> struct raw_quad<float> {
    hw::vec16 bits;
};

template <typename T> HW_DEVICE raw_quad<T> load_quad(const T *from)
{
    return {*(const uint64_t *)from};
}

template <> HW_MEMBER raw_quad<float> load_quad<float>(const float *from)
{
    return {hw::load16(from)};
}

template <typename T> HW_DEVICE quad widen_quad(raw_quad<T> raw)
{
    quad out;
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        out.x[i] = hw::widen(T{(uint16_t)(raw.bits >> (16 * i))});
    return out;
}

template <> HW_MEMBER quad widen_quad<float>(raw_quad<float> raw)
{
    quad out;
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        out.x[i] = f32_from_bits(raw.bits.x[i]);
    return out;
}

/* Narrows to T. */
template <typename T> HW_DEVICE void store_quad(T *to, quad value)
{
    uint64_t low = hw::narrow2<T>(value.x[0], value.x[1]);
    uint64_t high = hw::narrow2<T>(value.x[2], value.x[3]);
    *(uint64_t *)to = low | high << 32;
}

template <> HW_MEMBER void store_quad<float>(float *to, quad value)
{
    hw::store16(to, {{f32_bits(value.x[0]), f32_bits(value.x[1]), f32_bits(value.x[2]),
                      f32_bits(value.x[3])}});
}

HW_DEVICE quad scale_quad(quad x, float scale)
{
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        x.x[i] *= scale;
    return x;
}

/* x + scale y */
HW_DEVICE quad add_quads(quad x, quad y, float scale)
{
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        x.x[i] = fmaf(scale, y.x[i], x.x[i]);
    return x;
}

/* The row of a block of WARPS warps, or of one of its warps where rows belong to warps: up to
 * PPI_CUDA_WARP_ROW elements. A row's length alone decides. */
template <int WARPS> HW_DEVICE int64_t row_of(int32_t dim)
{
    return dim <= PPI_CUDA_WARP_ROW ? (int64_t)hw::block() * WARPS + hw::warp() : hw::block();
}

} // namespace ppi

#endif
