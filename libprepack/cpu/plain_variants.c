/*
 * plain_variants.c: the kernels where no processor is known better: those in plain C.
 */
#include "cpu/variants.h"

const struct ppi_cpu_variant *ppi_cpu_variant_at(int32_t i)
{
    return i == 0 ? &ppi_cpu_ref : NULL;
}
