/*
 * hw_ptx.h: the primitives of hw.h on a GPU. This file and hw_ptx_sm90.h are the only ones with
 * inline PTX or CUDA built-ins.
 */
#ifndef PPI_CUDA_HW_PTX_H
#define PPI_CUDA_HW_PTX_H

#include <math.h>
#include <stdint.h>

#define HW_DEVICE static __device__ __forceinline__
#define HW_MEMBER __device__ __forceinline__
#define HW_UNROLL _Pragma("unroll")
#define HW_KERNEL(name, args_type, threads, min_blocks)                                            \
    extern "C" __global__ void __launch_bounds__(threads, min_blocks)                              \
        name(const __grid_constant__ args_type args)
#define HW_KERNEL_ENTRY(name) ((const void *)(name))

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

/* ---- who am I ---- */

HW_DEVICE int thread()
{
    return (int)threadIdx.x;
}

HW_DEVICE int block()
{
    return (int)blockIdx.x;
}

HW_DEVICE int n_blocks()
{
    return (int)gridDim.x;
}

HW_DEVICE int lane()
{
    return (int)(threadIdx.x % 32);
}

HW_DEVICE int warp()
{
    return __shfl_sync(0xffffffffu, (int)(threadIdx.x / 32), 0);
}

/* ---- shared memory ---- */

extern __shared__ __align__(1024) char shared_memory[];

HW_DEVICE uint32_t shared_base()
{
    return (uint32_t)__cvta_generic_to_shared(shared_memory);
}

template <int BYTES> struct shared_access;

template <> struct shared_access<4> {
    static HW_MEMBER void load(uint32_t address, uint32_t *x)
    {
        asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x[0]) : "r"(address) : "memory");
    }
    static HW_MEMBER void store(uint32_t address, const uint32_t *x)
    {
        asm volatile("st.shared.u32 [%0], %1;" ::"r"(address), "r"(x[0]) : "memory");
    }
};

template <> struct shared_access<8> {
    static HW_MEMBER void load(uint32_t address, uint32_t *x)
    {
        asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];"
                     : "=r"(x[0]), "=r"(x[1])
                     : "r"(address)
                     : "memory");
    }
    static HW_MEMBER void store(uint32_t address, const uint32_t *x)
    {
        asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(address), "r"(x[0]), "r"(x[1])
                     : "memory");
    }
};

template <> struct shared_access<16> {
    static HW_MEMBER void load(uint32_t address, uint32_t *x)
    {
        asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(address)
                     : "memory");
    }
    static HW_MEMBER void store(uint32_t address, const uint32_t *x)
    {
        asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(x[0]),
                     "r"(x[1]), "r"(x[2]), "r"(x[3])
                     : "memory");
    }
};

template <typename T> HW_DEVICE T load_shared(uint32_t address)
{
    union {
        uint32_t words[sizeof(T) / 4];
        T value;
    } x;
    shared_access<sizeof(T)>::load(address, x.words);
    return x.value;
}

template <typename T> HW_DEVICE void store_shared(uint32_t address, T value)
{
    union {
        uint32_t words[sizeof(T) / 4];
        T value;
    } x;
    x.value = value;
    shared_access<sizeof(T)>::store(address, x.words);
}

/* ---- global memory ---- */

HW_DEVICE vec16 load16(const void *address)
{
    uint4 v = *(const uint4 *)address;
    return {{v.x, v.y, v.z, v.w}};
}

HW_DEVICE void store16(void *address, vec16 v)
{
    *(uint4 *)address = make_uint4(v.x[0], v.x[1], v.x[2], v.x[3]);
}

/* ---- synchronisation ---- */

HW_DEVICE void block_sync()
{
    __syncthreads();
}

HW_DEVICE void warp_sync()
{
    __syncwarp();
}

HW_DEVICE void named_sync(int id, int n_threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
}

HW_DEVICE void named_arrive(int id, int n_threads)
{
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
}

/* ---- exchange and arithmetic ---- */

HW_DEVICE float shuffle_xor(float x, int mask)
{
    return __shfl_xor_sync(0xffffffffu, x, mask);
}

HW_DEVICE uint32_t shuffle_xor(uint32_t x, int mask)
{
    return __shfl_xor_sync(0xffffffffu, x, mask);
}

HW_DEVICE float exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

HW_DEVICE float log2(float x)
{
    float y;
    asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

HW_DEVICE float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

HW_DEVICE uint32_t atomic_add(uint32_t *address, uint32_t x)
{
    return atomicAdd(address, x);
}

/* ---- 16-bit types ---- */

HW_DEVICE float widen(bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

HW_DEVICE float widen(f16 x)
{
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

template <typename T> HW_DEVICE uint32_t narrow2(float low, float high);

template <> HW_MEMBER uint32_t narrow2<bf16>(float low, float high)
{
    uint32_t y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

template <> HW_MEMBER uint32_t narrow2<f16>(float low, float high)
{
    uint32_t y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

template <typename T> HW_DEVICE T narrow(float x)
{
    return {(uint16_t)narrow2<T>(x, 0.0f)};
}

/* ---- tensor cores of sm_80 ---- */

HW_DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

HW_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

HW_DEVICE void ldmatrix_x2(uint32_t (&r)[2], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
}

HW_DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
}

template <typename T>
HW_DEVICE void mma_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

template <>
HW_MEMBER void mma_16816<bf16>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
HW_MEMBER void mma_16816<f16>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* ---- asynchronous copies of sm_80 ---- */

HW_DEVICE void cp_async16(uint32_t address, const void *global, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address),
                 "l"(__cvta_generic_to_global(global)), "r"(bytes)
                 : "memory");
}

HW_DEVICE void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> HW_DEVICE void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

} // namespace hw

#include "hw_ptx_sm90.h"

#endif
