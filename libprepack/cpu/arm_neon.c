/*
 * arm_neon.c: the kernels for NEON, which every aarch64 processor has.
 */
#define PPI_CPU_VARIANT      ppi_cpu_neon
#define PPI_CPU_VARIANT_NAME "neon"
#include "cpu/vec_table.h"
