/*
 * arrival.c: next fit. Prompts keep their order; a prompt that does not fit closes the bin. Of all
 * packings that keep the order none has fewer bins: each bin ends as late as it can.
 */
#include "bounds.h"
#include "policies.h"

pp_status ppi_pack_arrival(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                           pp_error *err)
{
    int64_t size = 0, n_prompts = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        int32_t more = packing->n_prompts ? packing->n_prompts[i] : 1;
        if (i == 0 || packing->sizes[i] > packing->capacity - size ||
            more > packing->max_prompts - n_prompts) {
            bins->starts[bins->n++] = i;
            size = n_prompts = 0;
        }
        size += packing->sizes[i];
        n_prompts += more;
        bins->sizes[bins->n - 1] = size;
        bins->items[i] = (int32_t)i;
    }
    bins->starts[bins->n] = packing->n;
    bins->bound_order = packing->keep_order ? bins->n : 0;
    return ppi_bounds_set(bins, packing, NULL, mem, err);
}
