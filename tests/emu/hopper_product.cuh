/*
 * hopper_product.cuh: one product of a warpgroup in every shape that hw.h offers: out = a b,
 * a: T [64, 64] from shared memory or registers, b: T [n, 64] (K-major) or [64, n] (MN-major),
 * out: f32 [64, n]. Proves fragments and descriptors; it is not part of the library. Also compiles
 * with nvcc for sm_90a.
 */
#ifndef TEST_HOPPER_PRODUCT_CUH
#define TEST_HOPPER_PRODUCT_CUH

#include "hw.h"

struct hopper_product_args {
    const uint16_t *a, *b;
    float *out;
};

namespace hopper_product {

constexpr uint32_t TILE = 64 * 128; /* 64 lines of 128 bytes, swizzled */
constexpr uint32_t SHARED_BYTES = 5 * TILE;

/* A line of 128 bytes of a tile, by 8 threads. */
HW_DEVICE void fill_line(uint32_t tile, int line, const uint16_t *from, int chunk)
{
    hw::store_shared(tile + (uint32_t)line * 128 + (uint32_t)((chunk ^ line) & 7) * 16,
                     hw::load16(from + 8 * chunk));
}

/* Lines of an operand are 128 bytes apart, groups of 8 of them 1024; further 64 columns of an
 * MN-major one follow a whole tile later. */
HW_DEVICE uint64_t descriptor(uint32_t address)
{
    return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)(TILE >> 4) << 16 |
           address >> 4;
}

/* Registers of a for 16 columns from k: rows r and r + 8, then the same 8 columns on. */
HW_DEVICE void load_a(uint32_t (&a)[4], const uint16_t *from, int k, int thread)
{
    const int row = thread / 32 * 16 + thread % 32 / 4, column = k + thread % 4 * 2;
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        a[i] = *(const uint32_t *)(from + (row + 8 * (i % 2)) * 64 + column + 8 * (i / 2));
}

template <typename T, int N, int TRANS_B, int FROM_REGISTERS>
HW_DEVICE void run(const hopper_product_args &args)
{
    const int thread = hw::thread();
    const uint32_t a = hw::shared_base(), b = a + TILE;
    for (int i = thread; i < 64 * 8; i += 128)
        fill_line(a, i / 8, args.a + i / 8 * 64, i % 8);
    for (int i = thread; i < N * 8; i += 128) {
        const int line = i / 8; /* of b; or line % 64 of its line / 64th 64 columns */
        if (TRANS_B)
            fill_line(b + (uint32_t)(line / 64) * TILE, line % 64,
                      args.b + line % 64 * N + line / 64 * 64, i % 8);
        else
            fill_line(b, line, args.b + line * 64, i % 8);
    }
    hw::fence_async_shared();
    hw::block_sync();
    float c[N / 2];
    uint32_t a_registers[4][4];
    HW_UNROLL
    for (int step = 0; step < 4; step++)
        load_a(a_registers[step], args.a, 16 * step, thread);
    hw::wgmma_fence();
    HW_UNROLL
    for (int step = 0; step < 4; step++) {
        const uint64_t from_b = descriptor(b) + (TRANS_B ? 16 * 128 / 16 : 2) * (uint64_t)step;
        if (FROM_REGISTERS)
            hw::wgmma_rs<T, N, TRANS_B>(c, a_registers[step], from_b, step > 0);
        else
            hw::wgmma_ss<T, N, TRANS_B>(c, descriptor(a) + 2 * (uint64_t)step, from_b, step > 0);
    }
    hw::wgmma_commit();
    hw::wgmma_wait<0>();
    const int row = thread / 32 * 16 + thread % 32 / 4;
    HW_UNROLL
    for (int i = 0; i < N / 2; i++)
        args.out[(row + 8 * (i / 2 % 2)) * N + 8 * (i / 4) + thread % 4 * 2 + i % 2] = c[i];
}

} // namespace hopper_product

#define HOPPER_PRODUCT(T, N, TRANS_B, FROM_REGISTERS)                                              \
    HW_KERNEL(hopper_product_##T##_##N##_##TRANS_B##_##FROM_REGISTERS, hopper_product_args, 128,   \
              1)                                                                                   \
    {                                                                                              \
        hopper_product::run<hw::T, N, TRANS_B, FROM_REGISTERS>(args);                              \
    }
/* X(T, n, b is MN-major, a is in registers) */
#define HOPPER_PRODUCTS(X)                                                                         \
    X(bf16, 64, 0, 0)                                                                              \
    X(bf16, 64, 1, 1)                                                                              \
    X(bf16, 128, 0, 0)                                                                             \
    X(bf16, 128, 1, 0)                                                                             \
    X(bf16, 128, 1, 1)                                                                             \
    X(bf16, 256, 0, 1)                                                                             \
    X(bf16, 256, 1, 0)                                                                             \
    X(f16, 64, 1, 0)                                                                               \
    X(f16, 64, 0, 1)                                                                               \
    X(f16, 128, 0, 1)                                                                              \
    X(f16, 256, 0, 0)                                                                              \
    X(f16, 256, 1, 1)
HOPPER_PRODUCTS(HOPPER_PRODUCT)

#endif
