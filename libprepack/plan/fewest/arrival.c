/*
 * arrival.c: next fit. Prompts keep their order; a prompt that does not fit closes the bin. Of all
 * packings that keep the order none has fewer bins: each bin ends as late as it can. Given bins are
 * taken in their order, those that the prompt at hand does not fit into left out.
 */
#include "apart.h"
#include "bounds.h"
#include "plan/policies.h"

static int64_t prompts_of(const struct packing *packing, int64_t item)
{
    return packing->n_prompts ? packing->n_prompts[item] : 1;
}

/* The next bin with room for an item, or n_capacities. */
static int64_t next_given(const struct packing *packing, int64_t bin, int64_t size)
{
    while (bin < packing->n_capacities && packing->capacities[bin] < size)
        bin++;
    return bin;
}

static pp_status place_all(const struct packing *packing, struct bins *bins,
                           struct apart_set *apart, pp_error *err)
{
    int64_t given = -1; /* of the bins there are */
    int64_t room = 0;
    int64_t places = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        int64_t size = packing->sizes[i];
        if (i == 0 || size > room || prompts_of(packing, i) > places ||
            !ppi_apart_allows(apart, packing, i, bins->n - 1)) {
            room = packing->capacity;
            places = packing->max_prompts;
            if (packing->n_capacities > 0) {
                given = next_given(packing, given + 1, size);
                if (given == packing->n_capacities)
                    return ppi_error(err, PP_ERR_TOO_LONG,
                                     "in order of arrival %lld of %lld items do not fit into the "
                                     "%lld bins",
                                     (long long)(packing->n - i), (long long)packing->n,
                                     (long long)packing->n_capacities);
                room = packing->capacities[given];
                bins->choices[bins->n] = (int32_t)given;
            }
            bins->sizes[bins->n] = 0;
            bins->starts[bins->n++] = i;
        }
        ppi_apart_add(apart, packing, i, bins->n - 1);
        bins->sizes[bins->n - 1] += size;
        room -= size;
        places -= prompts_of(packing, i);
        bins->items[i] = (int32_t)i;
    }
    bins->starts[bins->n] = packing->n;
    return PP_OK;
}

pp_status ppi_pack_arrival(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                           pp_error *err)
{
    struct apart_set apart;
    PP_TRY(ppi_apart_create(&apart, packing, mem, err));
    pp_status status = place_all(packing, bins, &apart, err);
    ppi_apart_destroy(&apart, mem);
    bins->bound_order = packing->keep_order && packing->n_capacities == 0 ? bins->n : 0;
    return status < 0 ? status : ppi_bounds_set(bins, packing, NULL, mem, err);
}
