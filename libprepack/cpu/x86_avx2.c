/*
 * x86_avx2.c: the kernels for AVX2 and FMA.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avx2
#define PPI_CPU_VARIANT_NAME "avx2"
#include "cpu/vec_table.h"
