/*
 * x86_avxvnni.c: the kernels for AVX2 and FMA with VPDPBUSD of 256 bits.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avxvnni
#define PPI_CPU_VARIANT_NAME "avxvnni"
#include "cpu/vec_table.h"
