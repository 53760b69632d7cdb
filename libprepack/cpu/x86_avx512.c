/*
 * x86_avx512.c: the kernels for AVX-512 F, BW, DQ and VL.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avx512
#define PPI_CPU_VARIANT_NAME "avx512"
#include "cpu/vec_table.h"
