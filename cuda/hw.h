/*
 * hw.h: the primitive layer that every kernel is written against, and the contract of each
 * primitive. Two back ends give the same functions: hw_ptx.h with hw_ptx_sm90.h (inline PTX; the
 * only files with asm or CUDA built-ins) and tests/emu/hw_emu.h (a fiber per CUDA thread on a CPU,
 * docs/lab/emulation.md). Kernels use these functions, plain arithmetic, fmaxf and sqrtf, and
 * pointers to global memory; nothing else.
 *
 * Kernels: HW_KERNEL(name, args_type, threads, min_blocks) { ... args.field ... }
 *   one argument, a plain struct read through the constant reference `args`; 1-D grids and blocks.
 *   HW_KERNEL_ENTRY(name) is its address for struct ppi_cuda_kernel.
 * HW_DEVICE marks device functions; HW_UNROLL goes before a loop.
 *
 * In the list below "warp" or "block" says who must call together, with the same arguments where
 * noted; unmarked functions are for one thread.
 *
 * -- who am I
 * int thread(), block(), n_blocks();        thread in the block, block in the grid
 * int lane(), warp();                       thread % 32; thread / 32, uniform over the warp
 *
 * -- shared memory: 32-bit byte addresses, as PTX has them; dynamic memory only
 * uint32_t shared_base();                   1024-byte aligned
 * T load_shared<T>(addr), store_shared<T>(addr, value);  T: 4-, 8- or 16-byte plain type, aligned
 *
 * -- global memory, 16 bytes at once, 16-byte aligned
 * vec16 load16(const void *), store16(void *, vec16);      struct vec16 { uint32_t x[4]; }
 *
 * -- synchronisation
 * block_sync();                             block
 * warp_sync();                              warp
 * named_sync(id, n), named_arrive(id, n);   n threads of the block meet at barrier id 1 .. 15
 *
 * -- exchange and arithmetic
 * float shuffle_xor(float, mask), uint32_t shuffle_xor(uint32_t, mask);      warp
 * float exp2(x), log2(x), reciprocal(x);    approximate (ex2.approx, lg2.approx, rcp.approx);
 *                                           exp2(-inf) = 0, reciprocal(inf) = 0
 * atomic_add(uint32_t *global, uint32_t);   returns the old value
 *
 * -- 16-bit types: bf16 and f16, structs of uint16_t bits; round to nearest even
 * float widen(T), T narrow<T>(float);
 * uint32_t narrow2<T>(low, high);           two in a register, `low` in the low half
 *
 * -- tensor cores of sm_80
 * ldmatrix_x4(uint32_t (&r)[4], addr), ldmatrix_x4_trans, ldmatrix_x2, ldmatrix_x2_trans;  warp
 *                                           lane i gives the address of row i % 8 of matrix i / 8
 * mma_16816<T>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);             warp
 *                                           c [16, 8] += a [16, 16] b [16, 8], row.col, f32 sums
 *
 * -- asynchronous copies of sm_80
 * cp_async16(addr, const void *global, int bytes);  bytes 16, or 0: zeros, global is not read
 * cp_async_commit(); cp_async_wait<N>();    all but this thread's last N groups have arrived
 *
 * -- Hopper (sm_90a): asynchronous copies by the tensor memory accelerator
 * mbarrier_init(addr, count), mbarrier_arrive(addr), mbarrier_expect(addr, bytes),
 * mbarrier_wait(addr, parity);              expect arrives as well; wait returns once the phase of
 *                                           that parity is over
 * fence_mbarrier_init();                    inits become visible to the async proxy
 * tma_load_3d(addr, const tensor_map *, c0, c1, c2, mbarrier);   innermost coordinate first; the
 *                                           map is 128 bytes of the kernel's arguments
 * tma_store_3d(const tensor_map *, c0, c1, c2, addr), tma_store_commit(), tma_store_wait<N>();
 * fence_async_shared();                     this thread's ordinary writes become visible to the
 *                                           async proxy (TMA, wgmma)
 *
 * -- Hopper: warpgroup products, m64 n(N) k16, f32 sums; called by the 128 threads of a warpgroup
 * wgmma_fence(), wgmma_commit(), wgmma_wait<N>();    every group of products begins with a fence
 * wgmma_ss<T, N, TRANS_B>(float (&c)[N / 2], uint64_t desc_a, uint64_t desc_b, int accumulate);
 * wgmma_rs<T, N, TRANS_B>(float (&c)[N / 2], const uint32_t (&a)[4], uint64_t desc_b, int
 * accumulate);  N: 64, 128, 256. TRANS_B 0: B is K-major; 1: MN-major.
 * set_registers_more<N>(), set_registers_fewer<N>();             warpgroup
 */
#ifndef PPI_CUDA_HW_H
#define PPI_CUDA_HW_H

#ifdef PPI_EMULATION
#include "hw_emu.h"
#else
#include "hw_ptx.h"
#endif

#endif
