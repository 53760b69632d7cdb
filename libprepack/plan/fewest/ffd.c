/*
 * ffd.c: first-fit decreasing, turned inside out. Placing prompts one by one, longest first, each
 * into the first bin with room, gives the same bins as filling one bin after another, each time
 * with the longest waiting prompt that fits: bin b gets exactly the prompts that the bins before it
 * had no room for, in the same order. Filling needs no search over bins, only the largest waiting
 * length that is at most the room left, and equal lengths go in together. The cost is
 * O(n + slots / 64 + distinct lengths per bin, summed over bins).
 */
#include "bounds.h"
#include "plan/bitset.h"
#include "plan/histogram.h"
#include "plan/policies.h"

#include <string.h>

/* Fills one bin, starting with the longest waiting prompts, those of slot `slot`. Returns the place
 * after the last prompt written to `prompts`; *room is what stays empty. */
static int32_t *fill_bin(struct histogram *histogram, struct bitset *waiting, int64_t slot,
                         int64_t *room, int32_t *prompts)
{
    int64_t left = *room;
    do {
        struct bucket *bucket = &histogram->buckets[slot];
        int64_t length = ppi_histogram_length(histogram, slot);
        int32_t count = bucket->end - bucket->next;
        if (count > 1 && count > left / length)
            count = (int32_t)(left / length);
        if (count == 1)
            *prompts = histogram->order[bucket->next];
        else
            memcpy(prompts, histogram->order + bucket->next, (size_t)count * sizeof *prompts);
        prompts += count;
        bucket->next += count;
        left -= count * length;
        if (bucket->next == bucket->end)
            ppi_bitset_remove(waiting, slot);
        slot = ppi_bitset_at_most(waiting, ppi_histogram_floor(histogram, left, slot - 1));
    } while (slot >= 0);
    *room = left;
    return prompts;
}

pp_status ppi_fill_ffd(const struct packing *packing, struct histogram *histogram,
                       struct bins *bins, struct ppi_mem *mem, pp_error *err)
{
    struct bitset waiting; /* slots with items that are not placed */
    PP_TRY(ppi_bitset_create(&waiting, histogram->n_slots, mem, err));
    for (int64_t slot = 0; slot < histogram->n_slots; slot++)
        if (histogram->buckets[slot].next < histogram->buckets[slot].end)
            ppi_bitset_add(&waiting, slot);

    int64_t n_bins = 0;
    int32_t *next = bins->items;
    int64_t slot = histogram->n_slots - 1;
    while ((slot = ppi_bitset_at_most(&waiting, slot)) >= 0) {
        int64_t room = packing->capacity;
        bins->starts[n_bins] = next - bins->items;
        next = fill_bin(histogram, &waiting, slot, &room, next);
        bins->sizes[n_bins++] = packing->capacity - room;
    }
    bins->starts[n_bins] = next - bins->items;
    bins->n = n_bins;
    ppi_bitset_destroy(&waiting, mem);
    return PP_OK;
}

pp_status ppi_pack_ffd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err)
{
    struct histogram histogram;
    PP_TRY(ppi_histogram_create(&histogram, packing->sizes, packing->n, packing->shortest,
                                packing->longest, mem, err));
    pp_status status = ppi_fill_ffd(packing, &histogram, bins, mem, err);
    if (status == PP_OK)
        status = ppi_bounds_set(bins, packing, &histogram, mem, err);
    ppi_histogram_destroy(&histogram, mem);
    return status;
}
