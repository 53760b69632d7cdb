/*
 * x86_variants.c: which kernels an x86-64 machine can run: what the processor has (CPUID) and what
 * the operating system saves on a context switch (XCR0).
 */
#include "cpu/cpu_built.h"
#include "cpu/variants.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HAS_AVX2       1u
#define HAS_AVX512     2u
#define HAS_AVX512VNNI 4u
#define HAS_AVX512BF16 8u
#define HAS_AVXVNNI    16u
#define HAS_AMX        32u /* for bf16 and bytes */

/* Linux lets a process use tiles once it has asked: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). */
#define LINUX_REQUEST_FEATURE 0x1023
#define LINUX_TILE_DATA       18

static bool bit(uint32_t word, int index)
{
    return word >> index & 1u;
}

/* Asks only where the processor and the kernel have tiles: an older Linux refuses. Asking again is
 * nothing. */
static bool may_use_tiles(uint32_t xcr0)
{
#if defined(SYS_arch_prctl)
    return (xcr0 & 0x60000u) == 0x60000u &&
           syscall(SYS_arch_prctl, LINUX_REQUEST_FEATURE, LINUX_TILE_DATA) == 0;
#else
    (void)xcr0;
    return false;
#endif
}

static uint32_t detect(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) /* OSXSAVE */
        return 0;
    bool fma = bit(c, 12), f16c = bit(c, 29);
    uint32_t xcr0, xcr0_high;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(xcr0_high) : "c"(0));
    bool saves_ymm = (xcr0 & 0x06u) == 0x06u;
    bool saves_zmm = (xcr0 & 0xe6u) == 0xe6u;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    uint32_t has = 0;
    if (saves_ymm && fma && f16c && bit(b, 5))
        has |= HAS_AVX2;
    if ((has & HAS_AVX2) && saves_zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31))
        has |= HAS_AVX512; /* F, DQ, BW, VL */
    if ((has & HAS_AVX512) && bit(c, 11))
        has |= HAS_AVX512VNNI;
    bool tiles = bit(d, 22) && bit(d, 24) && bit(d, 25); /* BF16, TILE, INT8 */
    if (a < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d))
        return has;
    if ((has & HAS_AVX2) && bit(a, 4))
        has |= HAS_AVXVNNI;
    if ((has & HAS_AVX512VNNI) && bit(a, 5)) /* no processor has BF16 without VNNI */
        has |= HAS_AVX512BF16;
    if ((has & HAS_AVX512BF16) && tiles && may_use_tiles(xcr0))
        has |= HAS_AMX;
    return has;
}

/* Slowest first. */
static const struct ppi_cpu_built built[] = {
    {&ppi_cpu_ref, 0},
    {&ppi_cpu_avx2, HAS_AVX2},
#if PPI_CPU_AVXVNNI
    {&ppi_cpu_avxvnni, HAS_AVXVNNI},
#endif
    {&ppi_cpu_avx512, HAS_AVX512},
#if PPI_CPU_AVX512VNNI
    {&ppi_cpu_avx512vnni, HAS_AVX512VNNI},
#endif
#if PPI_CPU_AVX512BF16
    {&ppi_cpu_avx512bf16, HAS_AVX512BF16},
#endif
#if PPI_CPU_AVX512AMX
    {&ppi_cpu_avx512amx, HAS_AMX},
#endif
};

const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i)
{
    return ppi_cpu_pick_variant(built, PPI_COUNT(built), detect(), i);
}
