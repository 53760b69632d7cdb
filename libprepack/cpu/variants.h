/*
 * variants.h: the kernel sets that were built, and what a processor needs to run each.
 * x86_variants.c, arm_variants.c or plain_variants.c lists them, as the processor is that the
 * library is built for.
 */
#ifndef PPI_CPU_VARIANTS_H
#define PPI_CPU_VARIANTS_H

#include "cpu/cpu.h"

struct ppi_cpu_built {
    const struct ppi_cpu_variant *variant;
    uint32_t needs; /* bits, the meaning is the list's */
};

/* The i-th of n that a processor with `has` can run; NULL behind the last. */
const struct ppi_cpu_variant *ppi_cpu_pick_variant(const struct ppi_cpu_built *built, size_t n,
                                                   uint32_t has, int32_t i);

#endif
