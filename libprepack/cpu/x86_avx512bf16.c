/*
 * x86_avx512bf16.c: the kernels for AVX-512 with VPDPBUSD and VDPBF16PS.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avx512bf16
#define PPI_CPU_VARIANT_NAME "avx512bf16"
#include "cpu/vec_table.h"
