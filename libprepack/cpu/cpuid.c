/*
 * cpuid.c: which kernels this machine can run: what the processor has and what the operating system
 * saves on a context switch (XCR0). The only file that asks which kernels were built.
 */
#include "cpu/cpu.h"
#include "cpu/cpu_built.h"

#include <string.h>

#define HAS_AVX2       1u
#define HAS_AVX512     2u
#define HAS_AVX512VNNI 4u
#define HAS_AVX512BF16 8u

#if PPI_CPU_X86
#include <cpuid.h>

static bool bit(uint32_t word, int index)
{
    return word >> index & 1u;
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
    uint32_t n_leaves = a; /* no processor has BF16 without VNNI */
    if ((has & HAS_AVX512VNNI) && n_leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
        bit(a, 5))
        has |= HAS_AVX512BF16;
    return has;
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

/* Slowest first. */
static const struct {
    const struct ppi_cpu_variant *variant;
    uint32_t needs;
} built[] = {
    {&ppi_cpu_ref, 0},
#if PPI_CPU_X86
    {&ppi_cpu_avx2, HAS_AVX2},
    {&ppi_cpu_avx512, HAS_AVX512},
    {&ppi_cpu_avx512vnni, HAS_AVX512VNNI},
    {&ppi_cpu_avx512bf16, HAS_AVX512BF16},
#endif
};

const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i)
{
    uint32_t has = detect();
    for (size_t b = 0; b < PPI_COUNT(built); b++)
        if ((built[b].needs & ~has) == 0 && i-- == 0)
            return built[b].variant;
    return NULL;
}

pp_status ppi_cpu_find_variant(const char *name, const struct ppi_cpu_variant **variant,
                               pp_error *err)
{
    const struct ppi_cpu_variant *found = NULL, *each;
    char names[128] = "";
    for (int32_t i = 0; (each = ppi_cpu_variant_at(i)) != NULL; i++) {
        if (!name || strcmp(each->name, name) == 0)
            found = each;
        if (i > 0)
            strncat(names, ", ", sizeof names - strlen(names) - 1);
        strncat(names, each->name, sizeof names - strlen(names) - 1);
    }
    if (!found)
        return ppi_error(err, PP_ERR_NO_BACKEND,
                         "device \"cpu:%s\" is not possible here; this machine can run cpu:{%s}",
                         name, names);
    *variant = found;
    return PP_OK;
}
