/*
 * amx_under_test.c: the kernels on tiles, with the tiles in plain C and the other vectors of a
 * kernel set that many machines have.
 */
#define PPI_AMX_EMULATED 1
#include <math.h>

#include "cpu/amx_integer.h"
#include "cpu/amx_products.h"

#include "amx_under_test.h"

void emulated_products(const struct ppi_cpu_product *product)
{
    multiply_panel_by_tiles(false, product);
}

void emulated_gated(const struct ppi_cpu_product *product)
{
    multiply_panel_by_tiles(true, product);
}

bool emulated_integer(bool bf16, bool gated, const struct ppi_cpu_integer *product)
{
    if (tiles_take(product))
        multiply_codes_by_tiles(bf16, gated, product);
    return tiles_take(product);
}

int emulated_tiles_in_use(void)
{
    return tile_count();
}
