/*
 * arrival.c: next fit. Prompts keep their order; a prompt that does not fit closes the bin.
 */
#include "bounds.h"
#include "policies.h"

pp_status ppi_pack_arrival(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                           pp_error *err)
{
    int64_t size = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        if (i == 0 || packing->sizes[i] > packing->capacity - size) {
            bins->starts[bins->n++] = i;
            size = 0;
        }
        size += packing->sizes[i];
        bins->sizes[bins->n - 1] = size;
        bins->items[i] = (int32_t)i;
    }
    bins->starts[bins->n] = packing->n;
    return ppi_bounds_set(bins, packing, NULL, mem, err);
}
