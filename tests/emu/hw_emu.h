/*
 * hw_emu.h: the primitives of hw.h on a CPU. Every CUDA thread is a fiber; what needs other threads
 * or shared memory is a call into the emulator, which checks it (docs/lab/emulation.md). The rest
 * is plain arithmetic in this file.
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
        EMU_KERNEL_MAGIC, threads, min_blocks, #name, HW_EMU_NAME(name, _run), sizeof(args_type)}; \
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

/* Made by emu_tensor_map. */
struct alignas(64) tensor_map {
    uint64_t opaque[16];
};

/* The emulator's side, in the .cpp files of this folder. */
namespace emu {

struct self {
    int thread, lane, warp, block, n_blocks;
};
extern const self *current; /* the fiber that runs */

/* Where a kernel calls a primitive: for errors, and for mutations (emu.h). */
struct place {
    const char *file;
    int line;
};
#define HW_EMU_HERE                                                                                \
    {                                                                                              \
        __builtin_FILE(), __builtin_LINE()                                                         \
    }

enum element { BF16, F16 };
template <typename T> struct element_of;
template <> struct element_of<bf16> {
    static constexpr element value = BF16;
};
template <> struct element_of<f16> {
    static constexpr element value = F16;
};

uint32_t shared_base();
void read_shared(uint32_t address, void *to, uint32_t bytes, place at);
void write_shared(uint32_t address, const void *from, uint32_t bytes, place at);
extern bool places_matter;
bool visit_place(const char *primitive, place at); /* false: a mutation leaves the call out */
[[noreturn]] void misaligned_global(const char *what, const void *address, place at);

void barrier(const char *what, int id, int n_threads, bool waits, place at);
void warp_sync(place at);
uint32_t shuffle_xor(uint32_t x, int mask, place at);
uint32_t atomic_add(uint32_t *address, uint32_t x, place at);

void ldmatrix(uint32_t *r, uint32_t address, int n_matrices, bool transpose, place at);
void mma_16816(float *c, const uint32_t *a, const uint32_t *b, element type, place at);

void cp_async16(uint32_t address, const void *global, int bytes, place at);
void cp_async_commit(place at);
void cp_async_wait(int n_groups_left, place at);

void mbarrier_init(uint32_t address, int count, place at);
void mbarrier_arrive(uint32_t address, place at);
void mbarrier_expect(uint32_t address, uint32_t bytes, place at);
void mbarrier_wait(uint32_t address, uint32_t parity, place at);
void fence_mbarrier_init(place at);
void tma_load_3d(uint32_t address, const tensor_map *map, int c0, int c1, int c2, uint32_t mbarrier,
                 place at);
void tma_store_3d(const tensor_map *map, int c0, int c1, int c2, uint32_t address, place at);
void tma_store_commit(place at);
void tma_store_wait(int n_groups_left, place at);
void fence_async_shared(place at);

void wgmma_fence(place at);
void wgmma_commit(place at);
void wgmma_wait(int n_groups_left, place at);
void wgmma_ss(float *c, uint64_t desc_a, uint64_t desc_b, int accumulate, int n, element type,
              bool transpose_b, place at);
void wgmma_rs(float *c, const uint32_t *a, uint64_t desc_b, int accumulate, int n, element type,
              bool transpose_b, place at);
void set_registers(int n, bool more, place at);

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

template <typename T> HW_DEVICE T load_shared(uint32_t address, emu::place at = HW_EMU_HERE)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "4, 8 or 16 bytes");
    T value;
    emu::read_shared(address, &value, sizeof(T), at);
    return value;
}

template <typename T>
HW_DEVICE void store_shared(uint32_t address, T value, emu::place at = HW_EMU_HERE)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "4, 8 or 16 bytes");
    emu::write_shared(address, &value, sizeof(T), at);
}

/* ---- global memory ---- */

HW_DEVICE vec16 load16(const void *address, emu::place at = HW_EMU_HERE)
{
    if ((uintptr_t)address % 16 != 0)
        emu::misaligned_global("load16", address, at);
    vec16 v = {};
    if (emu::places_matter && !emu::visit_place("load16", at))
        return v;
    memcpy(&v, address, 16);
    return v;
}

HW_DEVICE void store16(void *address, vec16 v, emu::place at = HW_EMU_HERE)
{
    if ((uintptr_t)address % 16 != 0)
        emu::misaligned_global("store16", address, at);
    if (emu::places_matter && !emu::visit_place("store16", at))
        return;
    memcpy(address, &v, 16);
}

/* ---- synchronisation ---- */

HW_DEVICE void block_sync(emu::place at = HW_EMU_HERE)
{
    emu::barrier("block_sync", 0, 0, true, at);
}

HW_DEVICE void warp_sync(emu::place at = HW_EMU_HERE)
{
    emu::warp_sync(at);
}

HW_DEVICE void named_sync(int id, int n_threads, emu::place at = HW_EMU_HERE)
{
    emu::barrier("named_sync", id, n_threads, true, at);
}

HW_DEVICE void named_arrive(int id, int n_threads, emu::place at = HW_EMU_HERE)
{
    emu::barrier("named_arrive", id, n_threads, false, at);
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

HW_DEVICE float shuffle_xor(float x, int mask, emu::place at = HW_EMU_HERE)
{
    return bits_float(emu::shuffle_xor(float_bits(x), mask, at));
}

HW_DEVICE uint32_t shuffle_xor(uint32_t x, int mask, emu::place at = HW_EMU_HERE)
{
    return emu::shuffle_xor(x, mask, at);
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

HW_DEVICE float reciprocal(float x)
{
    return 1.0f / x;
}

HW_DEVICE uint32_t atomic_add(uint32_t *address, uint32_t x, emu::place at = HW_EMU_HERE)
{
    return emu::atomic_add(address, x, at);
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

HW_DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t address, emu::place at = HW_EMU_HERE)
{
    emu::ldmatrix(r, address, 4, false, at);
}

HW_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address, emu::place at = HW_EMU_HERE)
{
    emu::ldmatrix(r, address, 4, true, at);
}

HW_DEVICE void ldmatrix_x2(uint32_t (&r)[2], uint32_t address, emu::place at = HW_EMU_HERE)
{
    emu::ldmatrix(r, address, 2, false, at);
}

HW_DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], uint32_t address, emu::place at = HW_EMU_HERE)
{
    emu::ldmatrix(r, address, 2, true, at);
}

template <typename T>
HW_DEVICE void mma_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         emu::place at = HW_EMU_HERE)
{
    emu::mma_16816(c, a, b, emu::element_of<T>::value, at);
}

/* ---- asynchronous copies of sm_80 ---- */

HW_DEVICE void cp_async16(uint32_t address, const void *global, int bytes,
                          emu::place at = HW_EMU_HERE)
{
    emu::cp_async16(address, global, bytes, at);
}

HW_DEVICE void cp_async_commit(emu::place at = HW_EMU_HERE)
{
    emu::cp_async_commit(at);
}

template <int N> HW_DEVICE void cp_async_wait(emu::place at = HW_EMU_HERE)
{
    emu::cp_async_wait(N, at);
}

/* ---- Hopper: mbarriers, TMA ---- */

HW_DEVICE void mbarrier_init(uint32_t address, int count, emu::place at = HW_EMU_HERE)
{
    emu::mbarrier_init(address, count, at);
}

HW_DEVICE void mbarrier_arrive(uint32_t address, emu::place at = HW_EMU_HERE)
{
    emu::mbarrier_arrive(address, at);
}

HW_DEVICE void mbarrier_expect(uint32_t address, uint32_t bytes, emu::place at = HW_EMU_HERE)
{
    emu::mbarrier_expect(address, bytes, at);
}

HW_DEVICE void mbarrier_wait(uint32_t address, uint32_t parity, emu::place at = HW_EMU_HERE)
{
    emu::mbarrier_wait(address, parity, at);
}

HW_DEVICE void fence_mbarrier_init(emu::place at = HW_EMU_HERE)
{
    emu::fence_mbarrier_init(at);
}

HW_DEVICE void tma_load_3d(uint32_t address, const tensor_map *map, int c0, int c1, int c2,
                           uint32_t mbarrier, emu::place at = HW_EMU_HERE)
{
    emu::tma_load_3d(address, map, c0, c1, c2, mbarrier, at);
}

HW_DEVICE void tma_store_3d(const tensor_map *map, int c0, int c1, int c2, uint32_t address,
                            emu::place at = HW_EMU_HERE)
{
    emu::tma_store_3d(map, c0, c1, c2, address, at);
}

HW_DEVICE void tma_store_commit(emu::place at = HW_EMU_HERE)
{
    emu::tma_store_commit(at);
}

HW_DEVICE void fence_async_shared(emu::place at = HW_EMU_HERE)
{
    emu::fence_async_shared(at);
}

template <int N> HW_DEVICE void tma_store_wait(emu::place at = HW_EMU_HERE)
{
    emu::tma_store_wait(N, at);
}

/* ---- Hopper: warpgroup products ---- */

HW_DEVICE void wgmma_fence(emu::place at = HW_EMU_HERE)
{
    emu::wgmma_fence(at);
}

HW_DEVICE void wgmma_commit(emu::place at = HW_EMU_HERE)
{
    emu::wgmma_commit(at);
}

template <int N> HW_DEVICE void wgmma_wait(emu::place at = HW_EMU_HERE)
{
    emu::wgmma_wait(N, at);
}

template <int N> HW_DEVICE void wgmma_hold(float (&)[N]) {}

template <typename T, int N, int TRANS_B>
HW_DEVICE void wgmma_ss(float (&c)[N / 2], uint64_t desc_a, uint64_t desc_b, int accumulate,
                        emu::place at = HW_EMU_HERE)
{
    static_assert(N == 64 || N == 128 || N == 256, "wgmma for these N");
    emu::wgmma_ss(c, desc_a, desc_b, accumulate, N, emu::element_of<T>::value, TRANS_B != 0, at);
}

template <typename T, int N, int TRANS_B>
HW_DEVICE void wgmma_rs(float (&c)[N / 2], const uint32_t (&a)[4], uint64_t desc_b, int accumulate,
                        emu::place at = HW_EMU_HERE)
{
    static_assert(N == 64 || N == 128 || N == 256, "wgmma for these N");
    emu::wgmma_rs(c, a, desc_b, accumulate, N, emu::element_of<T>::value, TRANS_B != 0, at);
}

template <int N> HW_DEVICE void set_registers_more(emu::place at = HW_EMU_HERE)
{
    emu::set_registers(N, true, at);
}

template <int N> HW_DEVICE void set_registers_fewer(emu::place at = HW_EMU_HERE)
{
    emu::set_registers(N, false, at);
}

} // namespace hw

#endif
