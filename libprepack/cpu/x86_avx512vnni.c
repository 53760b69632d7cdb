/*
 * x86_avx512vnni.c: the kernels for AVX-512 with VPDPBUSD.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avx512vnni
#define PPI_CPU_VARIANT_NAME "avx512vnni"
#include "cpu/vec_table.h"
