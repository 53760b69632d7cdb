/*
 * amx_under_test.h: the kernels on tiles (cpu/amx_*.h) with the instructions in plain C.
 */
#ifndef TEST_AMX_UNDER_TEST_H
#define TEST_AMX_UNDER_TEST_H

#include "cpu/cpu.h"

void emulated_products(const struct ppi_cpu_product *product);
void emulated_gated(const struct ppi_cpu_product *product);
/* False, and nothing done, where the tiles do not take it. */
bool emulated_integer(bool bf16, bool gated, const struct ppi_cpu_integer *product);
int emulated_tiles_in_use(void);

#endif
