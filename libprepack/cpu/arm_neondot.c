/*
 * arm_neondot.c: the kernels for NEON with SDOT.
 */
#define PPI_CPU_VARIANT      ppi_cpu_neondot
#define PPI_CPU_VARIANT_NAME "neondot"
#include "cpu/vec_table.h"
