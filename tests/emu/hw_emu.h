/*
 * hw_emu.h: the primitives of hw.h on a CPU. Every CUDA thread is a fiber; what needs other threads
 * or shared memory is a call into the emulator, which checks it (docs/emulation.md). The rest is
 * plain arithmetic in this file.
 */
#ifndef TEST_HW_EMU_H
#define TEST_HW_EMU_H

#include "emu.h"

#include <math.h>
#include <string.h>

#define HW_DEVICE [[maybe_unused]] static inline
#define HW_MEMBER inline
#define HW_UNROLL

/* A kernel is a function of its arguments, one that takes them untyped, and its description. */
#define HW_KERNEL(name, args_type, threads, min_blocks)                                            \
    static void HW_EMU_NAME(name, _body)(const args_type &args);                                   \
    static void HW_EMU_NAME(name, _run)(const void *args)                                          \
    {                                                                                              \
        HW_EMU_NAME(name, _body)(*(const args_type *)args);                                        \
    }                                                                                              \
    [[maybe_unused]] static const struct emu_kernel HW_EMU_NAME(name, _entry) = {                  \
        EMU_KERNEL_MAGIC, threads, #name, HW_EMU_NAME(name, _run), sizeof(args_type)};             \
    static void HW_EMU_NAME(name, _body)([[maybe_unused]] const args_type &args)
#define HW_KERNEL_ENTRY(name) ((const void *)&HW_EMU_NAME(name, _entry))
#define HW_EMU_NAME(a, b)     HW_EMU_JOIN(a, b)
#define HW_EMU_JOIN(a, b)     a##b

namespace hw {

struct vec16 {
    uint32_t x[4];
};

struct bf16 {
    uint16_t bits;
};

struct f16 {
    uint16_t bits;
};

/* The emulator's side, in the .cpp files of this folder. */
namespace emu {

struct self {
    int thread, lane, warp, block, n_blocks;
};
extern const self *current; /* the fiber that runs */

enum element { BF16, F16 };
template <typename T> struct element_of;
template <> struct element_of<bf16> {
    static constexpr element value = BF16;
};
template <> struct element_of<f16> {
    static constexpr element value = F16;
};

uint32_t shared_base();
void read_shared(uint32_t address, void *to, uint32_t bytes);
void write_shared(uint32_t address, const void *from, uint32_t bytes);
[[noreturn]] void misaligned_global(const char *what, const void *address);

void barrier(const char *what, int id, int n_threads, bool waits);
void warp_sync();
uint32_t shuffle_xor(uint32_t x, int mask);
uint32_t atomic_add(uint32_t *address, uint32_t x);

void ldmatrix(uint32_t *r, uint32_t address, int n_matrices, bool transpose);
void mma_16816(float *c, const uint32_t *a, const uint32_t *b, element type);

void cp_async16(uint32_t address, const void *global, int bytes);
void cp_async_commit();
void cp_async_wait(int n_groups_left);

} // namespace emu

/* ---- who am I ---- */

HW_DEVICE int thread()
{
    return emu::current->thread;
}

HW_DEVICE int block()
{
    return emu::current->block;
}

HW_DEVICE int n_blocks()
{
    return emu::current->n_blocks;
}

HW_DEVICE int lane()
{
    return emu::current->lane;
}

HW_DEVICE int warp()
{
    return emu::current->warp;
}

/* ---- shared memory ---- */

HW_DEVICE uint32_t shared_base()
{
    return emu::shared_base();
}

template <typename T> HW_DEVICE T load_shared(uint32_t address)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "4, 8 or 16 bytes");
    T value;
    emu::read_shared(address, &value, sizeof(T));
    return value;
}

template <typename T> HW_DEVICE void store_shared(uint32_t address, T value)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "4, 8 or 16 bytes");
    emu::write_shared(address, &value, sizeof(T));
}

/* ---- global memory ---- */

HW_DEVICE vec16 load16(const void *address)
{
    if ((uintptr_t)address % 16 != 0)
        emu::misaligned_global("load16", address);
    vec16 v;
    memcpy(&v, address, 16);
    return v;
}

HW_DEVICE void store16(void *address, vec16 v)
{
    if ((uintptr_t)address % 16 != 0)
        emu::misaligned_global("store16", address);
    memcpy(address, &v, 16);
}

/* ---- synchronisation ---- */

HW_DEVICE void block_sync()
{
    emu::barrier("block_sync", 0, 0, true);
}

HW_DEVICE void warp_sync()
{
    emu::warp_sync();
}

HW_DEVICE void named_sync(int id, int n_threads)
{
    emu::barrier("named_sync", id, n_threads, true);
}

HW_DEVICE void named_arrive(int id, int n_threads)
{
    emu::barrier("named_arrive", id, n_threads, false);
}

/* ---- exchange and arithmetic ---- */

HW_DEVICE uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

HW_DEVICE float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

HW_DEVICE float shuffle_xor(float x, int mask)
{
    return bits_float(emu::shuffle_xor(float_bits(x), mask));
}

HW_DEVICE uint32_t shuffle_xor(uint32_t x, int mask)
{
    return emu::shuffle_xor(x, mask);
}

HW_DEVICE float exp2(float x)
{
    float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y; /* .ftz; a NaN stays */
}

HW_DEVICE float log2(float x)
{
    return log2f(x);
}

HW_DEVICE uint32_t atomic_add(uint32_t *address, uint32_t x)
{
    return emu::atomic_add(address, x);
}

/* ---- 16-bit types: exact, in integers ---- */

HW_DEVICE float widen(bf16 x)
{
    return bits_float((uint32_t)x.bits << 16);
}

HW_DEVICE float widen(f16 x)
{
    uint32_t magnitude = (uint32_t)(x.bits & 0x7fff) << 13;
    /* The exponent's bias goes from 15 to 127; subnormals become normal in the product. */
    uint32_t bits = float_bits(bits_float(magnitude) * 0x1p112f);
    if ((x.bits & 0x7c00) == 0x7c00)
        bits = magnitude | 0x7f800000;
    return bits_float(bits | (uint32_t)(x.bits & 0x8000) << 16);
}

HW_DEVICE uint16_t narrow_bf16(float x)
{
    uint32_t bits = float_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return 0x7fff; /* the NaN that cvt gives */
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

HW_DEVICE uint16_t narrow_f16(float x)
{
    uint32_t bits = float_bits(x);
    uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return 0x7fff;
    if (magnitude >= 0x47800000) /* 65536 and more, infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* under 2^-14: a subnormal, in units of 2^-24 */
        /* Adding 0.5 leaves those units in the low bits, rounded to nearest even. */
        uint32_t units = float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f);
        return (uint16_t)(sign | units);
    }
    uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1); /* may carry to infinity */
    return (uint16_t)(sign | ((rounded >> 13) - ((127 - 15) << 10)));
}

template <typename T> HW_DEVICE T narrow(float x);

template <> HW_MEMBER bf16 narrow<bf16>(float x)
{
    return {narrow_bf16(x)};
}

template <> HW_MEMBER f16 narrow<f16>(float x)
{
    return {narrow_f16(x)};
}

template <typename T> HW_DEVICE uint32_t narrow2(float low, float high)
{
    return narrow<T>(low).bits | (uint32_t)narrow<T>(high).bits << 16;
}

/* ---- tensor cores of sm_80 ---- */

HW_DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t address)
{
    emu::ldmatrix(r, address, 4, false);
}

HW_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address)
{
    emu::ldmatrix(r, address, 4, true);
}

HW_DEVICE void ldmatrix_x2(uint32_t (&r)[2], uint32_t address)
{
    emu::ldmatrix(r, address, 2, false);
}

HW_DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], uint32_t address)
{
    emu::ldmatrix(r, address, 2, true);
}

template <typename T>
HW_DEVICE void mma_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    emu::mma_16816(c, a, b, emu::element_of<T>::value);
}

/* ---- asynchronous copies of sm_80 ---- */

HW_DEVICE void cp_async16(uint32_t address, const void *global, int bytes)
{
    emu::cp_async16(address, global, bytes);
}

HW_DEVICE void cp_async_commit()
{
    emu::cp_async_commit();
}

template <int N> HW_DEVICE void cp_async_wait()
{
    emu::cp_async_wait(N);
}

} // namespace hw

#endif
