/*
 * arm_variants.c: which kernels an aarch64 machine can run, by what Linux says of its processor.
 */
#include "cpu/cpu_built.h"
#include "cpu/variants.h"

#include <sys/auxv.h>

#define HAS_DOT  1u
#define HAS_BF16 2u

/* Bits of Linux's auxiliary vector; headers older than the processors lack them. */
#define LINUX_HWCAP_DOT   (1ul << 20)
#define LINUX_HWCAP2_I8MM (1ul << 13)
#define LINUX_HWCAP2_BF16 (1ul << 14)

static uint32_t detect(void)
{
    unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    uint32_t has = 0;
    if (first & LINUX_HWCAP_DOT)
        has |= HAS_DOT;
    if ((has & HAS_DOT) && (second & LINUX_HWCAP2_I8MM) && (second & LINUX_HWCAP2_BF16))
        has |= HAS_BF16;
    return has;
}

/* Slowest first. */
static const struct ppi_cpu_built built[] = {
    {&ppi_cpu_ref, 0},
    {&ppi_cpu_neon, 0},
#if PPI_CPU_NEONDOT
    {&ppi_cpu_neondot, HAS_DOT},
#endif
#if PPI_CPU_NEONBF16
    {&ppi_cpu_neonbf16, HAS_BF16},
#endif
};

const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i)
{
    return ppi_cpu_pick_variant(built, PPI_COUNT(built), detect(), i);
}
