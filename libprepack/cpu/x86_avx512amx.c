/*
 * x86_avx512amx.c: the kernels for AVX-512 with VDPBF16PS, products on tiles.
 */
#define PPI_CPU_VARIANT      ppi_cpu_avx512amx
#define PPI_CPU_VARIANT_NAME "avx512amx"
#define PPI_CPU_TILES        1
#include "cpu/vec_table.h"
