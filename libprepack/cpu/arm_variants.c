/*
 * arm_variants.c: which kernels an aarch64 machine can run, by what Linux says of its processor.
 */
#include "cpu/cpu_built.h"
#include "cpu/variants.h"

#include <sys/auxv.h>

#define HAS_BF16 1u

/* Bits of Linux's auxiliary vector; headers older than the processors lack them. */
#define LINUX_HWCAP2_BF16 (1ul << 14)

static uint32_t detect(void)
{
    unsigned long more = getauxval(AT_HWCAP2);
    return more & LINUX_HWCAP2_BF16 ? HAS_BF16 : 0;
}

/* Slowest first. */
static const struct ppi_cpu_built built[] = {
    {&ppi_cpu_ref, 0},
    {&ppi_cpu_neon, 0},
#if PPI_CPU_NEONBF16
    {&ppi_cpu_neonbf16, HAS_BF16},
#endif
};

const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i)
{
    return ppi_cpu_pick_variant(built, PPI_COUNT(built), detect(), i);
}
