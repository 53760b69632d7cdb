/*
 * hw_ptx_sm90.h: the Hopper part of hw_ptx.h: mbarriers, the tensor memory accelerator, warpgroup
 * products. Real on sm_90a only; a kernel that reaches them on another architecture traps.
 */
#ifndef PPI_CUDA_HW_PTX_SM90_H
#define PPI_CUDA_HW_PTX_SM90_H

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HW_ASM_SM90(...) asm volatile(__VA_ARGS__)
#else
#define HW_ASM_SM90(...) __trap()
#endif

namespace hw {

/* CUtensorMap: a member of the kernel's arguments, encoded by cuTensorMapEncodeTiled. */
struct alignas(64) tensor_map {
    uint64_t opaque[16];
};

/* ---- mbarriers: 8 bytes of shared memory, aligned to 8 ---- */

HW_DEVICE void mbarrier_init(uint32_t address, int count)
{
    HW_ASM_SM90("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(count) : "memory");
}

HW_DEVICE void mbarrier_arrive(uint32_t address)
{
    HW_ASM_SM90("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address) : "memory");
}

HW_DEVICE void mbarrier_expect(uint32_t address, uint32_t bytes)
{
    HW_ASM_SM90("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(bytes)
                : "memory");
}

HW_DEVICE void mbarrier_wait(uint32_t address, uint32_t parity)
{
    HW_ASM_SM90("{\n"
                ".reg .pred over;\n"
                "again:\n"
                "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
                "@!over bra again;\n"
                "}" ::"r"(address),
                "r"(parity)
                : "memory");
}

HW_DEVICE void fence_mbarrier_init()
{
    HW_ASM_SM90("fence.mbarrier_init.release.cluster;\n"
                "fence.proxy.async.shared::cta;" ::
                    : "memory");
}

/* ---- tensor memory accelerator ---- */

HW_DEVICE void tma_load_3d(uint32_t address, const tensor_map *map, int c0, int c1, int c2,
                           uint32_t mbarrier)
{
    HW_ASM_SM90("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(address),
                "l"(map), "r"(c0), "r"(c1), "r"(c2), "r"(mbarrier)
                : "memory");
}

HW_DEVICE void tma_store_3d(const tensor_map *map, int c0, int c1, int c2, uint32_t address)
{
    HW_ASM_SM90("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group "
                "[%0, {%1, %2, %3}], [%4];" ::"l"(map),
                "r"(c0), "r"(c1), "r"(c2), "r"(address)
                : "memory");
}

HW_DEVICE void tma_store_commit()
{
    HW_ASM_SM90("cp.async.bulk.commit_group;" ::: "memory");
}

/* Until shared memory has been read and may be written again. */
template <int N> HW_DEVICE void tma_store_wait()
{
    HW_ASM_SM90("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

HW_DEVICE void fence_async_shared()
{
    HW_ASM_SM90("fence.proxy.async.shared::cta;" ::: "memory");
}

/* ---- warpgroup products ---- */

HW_DEVICE void wgmma_fence()
{
    HW_ASM_SM90("wgmma.fence.sync.aligned;" ::: "memory");
}

HW_DEVICE void wgmma_commit()
{
    HW_ASM_SM90("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int N> HW_DEVICE void wgmma_wait()
{
    HW_ASM_SM90("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

template <int N> HW_DEVICE void wgmma_hold(float (&c)[N])
{
    HW_UNROLL
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(c[i])::"memory");
}

/* Lists of n operands for the asm below: their names, and the accumulators they stand for. */
#define HW_NAMES_32                                                                                \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define HW_NAMES_64                                                                                \
    HW_NAMES_32 ", "                                                                               \
                "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
                "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HW_NAMES_128                                                                               \
    HW_NAMES_64 ", "                                                                               \
                "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
                "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
                "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, " \
                "%110, %111, "                                                                     \
                "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, "   \
                "%125, %126, %127"
#define HW_SUMS_4(c, i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define HW_SUMS_16(c, i)                                                                           \
    HW_SUMS_4(c, i), HW_SUMS_4(c, i + 4), HW_SUMS_4(c, i + 8), HW_SUMS_4(c, i + 12)
#define HW_SUMS_32(c) HW_SUMS_16(c, 0), HW_SUMS_16(c, 16)
#define HW_SUMS_64(c) HW_SUMS_32(c), HW_SUMS_16(c, 32), HW_SUMS_16(c, 48)
#define HW_SUMS_128(c)                                                                             \
    HW_SUMS_64(c), HW_SUMS_16(c, 64), HW_SUMS_16(c, 80), HW_SUMS_16(c, 96), HW_SUMS_16(c, 112)

template <typename T, int N, int TRANS_B> struct wgmma;

/* p0 .. p6 name the operands after the HALF = N / 2 accumulators. The predicate chooses between
 * adding and beginning at zero; a and b are not negated; a is K-major. */
#define HW_WGMMA(T, TYPE, N, HALF, p0, p1, p2, p3, p4, p5, p6)                                     \
    template <int TRANS_B> struct wgmma<T, N, TRANS_B> {                                           \
        static HW_MEMBER void ss(float (&c)[HALF], uint64_t desc_a, uint64_t desc_b,               \
                                 int accumulate)                                                   \
        {                                                                                          \
            HW_ASM_SM90("{\n.reg .pred adds;\nsetp.ne.b32 adds, " p2 ", 0;\n"                      \
                        "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE            \
                        " {" HW_NAMES_##HALF "}, " p0 ", " p1 ", adds, 1, 1, 0, " p3 ";\n}"        \
                        : HW_SUMS_##HALF(c)                                                        \
                        : "l"(desc_a), "l"(desc_b), "r"(accumulate), "n"(TRANS_B));                \
        }                                                                                          \
        static HW_MEMBER void rs(float (&c)[HALF], const uint32_t (&a)[4], uint64_t desc_b,        \
                                 int accumulate)                                                   \
        {                                                                                          \
            HW_ASM_SM90("{\n.reg .pred adds;\nsetp.ne.b32 adds, " p5 ", 0;\n"                      \
                        "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE            \
                        " {" HW_NAMES_##HALF "}, {" p0 ", " p1 ", " p2 ", " p3 "}, " p4            \
                                             ", adds, 1, 1, " p6 ";\n}"                            \
                        : HW_SUMS_##HALF(c)                                                        \
                        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(desc_b),                 \
                          "r"(accumulate), "n"(TRANS_B));                                          \
        }                                                                                          \
    }

HW_WGMMA(bf16, "bf16", 64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38");
HW_WGMMA(bf16, "bf16", 128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70");
HW_WGMMA(bf16, "bf16", 256, 128, "%128", "%129", "%130", "%131", "%132", "%133", "%134");
HW_WGMMA(f16, "f16", 64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38");
HW_WGMMA(f16, "f16", 128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70");
HW_WGMMA(f16, "f16", 256, 128, "%128", "%129", "%130", "%131", "%132", "%133", "%134");

template <typename T, int N, int TRANS_B>
HW_DEVICE void wgmma_ss(float (&c)[N / 2], uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    wgmma<T, N, TRANS_B>::ss(c, desc_a, desc_b, accumulate);
}

template <typename T, int N, int TRANS_B>
HW_DEVICE void wgmma_rs(float (&c)[N / 2], const uint32_t (&a)[4], uint64_t desc_b, int accumulate)
{
    wgmma<T, N, TRANS_B>::rs(c, a, desc_b, accumulate);
}

/* ---- registers ---- */

template <int N> HW_DEVICE void set_registers_more()
{
    HW_ASM_SM90("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N> HW_DEVICE void set_registers_fewer()
{
    HW_ASM_SM90("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

} // namespace hw

#endif
