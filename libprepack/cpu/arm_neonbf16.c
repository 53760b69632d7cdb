/*
 * arm_neonbf16.c: the kernels for NEON with BFDOT and USDOT.
 */
#define PPI_CPU_VARIANT      ppi_cpu_neonbf16
#define PPI_CPU_VARIANT_NAME "neonbf16"
#include "cpu/vec_table.h"
