/*
 * bfd.c: best fit, in order of length (BFD) and in order of arrival. A prompt goes into the bin
 * with the least room that is enough, of those into the one with the lowest index.
 *
 * Open bins wait in heaps, one for each slot of the histogram: a bin is in the heap of the longest
 * length that still fits it. The best bin for a length is then the top of the first heap, from the
 * length's own slot upwards, that is not empty. In BFD a bin with room for a length of prompts
 * takes as many of them as fit: after the first it has less room than every other bin that fits.
 */
#include "bounds.h"
#include "plan/bitset.h"
#include "plan/histogram.h"
#include "plan/policies.h"

#include <string.h>

#define NONE (-1)

/* An open bin, a node of a pairing heap (Fredman et al. 1986) whose links are bin indices. */
struct open_bin {
    int64_t room;
    int32_t child;
    int32_t sibling;
};

struct bfd {
    struct histogram histogram;
    struct bitset heaps_used; /* slots whose heap is not empty */
    int32_t *heaps;           /* [n_slots] top bin or NONE */
    struct open_bin *bins;    /* [max_bins] */
    int32_t *bin_of;          /* [n] bin of each prompt, in the order of placing them */
    int64_t n_bins;
    int64_t capacity;
};

static int32_t meld(struct open_bin *bins, int32_t a, int32_t b)
{
    if (a == NONE || b == NONE)
        return a == NONE ? b : a;
    bool a_first = bins[a].room != bins[b].room ? bins[a].room < bins[b].room : a < b;
    int32_t top = a_first ? a : b;
    int32_t under = a_first ? b : a;
    bins[under].sibling = bins[top].child;
    bins[top].child = under;
    return top;
}

/* Takes `top` off its heap; returns the new top. */
static int32_t pop(struct open_bin *bins, int32_t top)
{
    int32_t pairs = NONE; /* melded two by two, a list in reverse */
    for (int32_t a = bins[top].child; a != NONE;) {
        int32_t b = bins[a].sibling;
        int32_t rest = b == NONE ? NONE : bins[b].sibling;
        int32_t pair = meld(bins, a, b);
        bins[pair].sibling = pairs;
        pairs = pair;
        a = rest;
    }
    int32_t heap = NONE;
    while (pairs != NONE) {
        int32_t rest = bins[pairs].sibling;
        heap = meld(bins, heap, pairs);
        pairs = rest;
    }
    return heap;
}

/* The fullest bin with room for slot's length, opened if there is none; it is in no heap. */
static int32_t take_best_bin(struct bfd *bfd, int64_t slot)
{
    int64_t i_heap = ppi_bitset_at_least(&bfd->heaps_used, slot);
    if (i_heap < 0) {
        bfd->bins[bfd->n_bins].room = bfd->capacity;
        return (int32_t)bfd->n_bins++;
    }
    int32_t bin = bfd->heaps[i_heap];
    bfd->heaps[i_heap] = pop(bfd->bins, bin);
    if (bfd->heaps[i_heap] == NONE)
        ppi_bitset_remove(&bfd->heaps_used, i_heap);
    return bin;
}

/* Puts a bin where later prompts find it, if any can fit. */
static void put_bin(struct bfd *bfd, int32_t bin)
{
    int64_t slot =
        ppi_histogram_floor(&bfd->histogram, bfd->bins[bin].room, bfd->histogram.n_slots - 1);
    if (slot < 0)
        return;
    bfd->bins[bin].child = NONE;
    if (bfd->heaps[slot] == NONE)
        ppi_bitset_add(&bfd->heaps_used, slot);
    bfd->heaps[slot] = meld(bfd->bins, bfd->heaps[slot], bin);
}

/* Places all prompts; counts[bin] becomes the number of prompts of the bin. */
static void place_prompts(struct bfd *bfd, int64_t *counts)
{
    int32_t *bin_of = bfd->bin_of;
    for (int64_t slot = bfd->histogram.n_slots - 1; slot >= 0; slot--) {
        const struct bucket *bucket = &bfd->histogram.buckets[slot];
        int64_t length = ppi_histogram_length(&bfd->histogram, slot);
        for (int32_t left = bucket->end - bucket->next; left > 0;) {
            int64_t n_open = bfd->n_bins;
            int32_t bin = take_best_bin(bfd, slot);
            if (bfd->n_bins > n_open)
                counts[bin] = 0;
            int64_t fit = bfd->bins[bin].room / length;
            int32_t count = fit < left ? (int32_t)fit : left;
            bfd->bins[bin].room -= count * length;
            counts[bin] += count;
            left -= count;
            for (int32_t i = 0; i < count; i++)
                *bin_of++ = bin;
            put_bin(bfd, bin);
        }
    }
}

/* Turns the bins of the prompts, in the order of placing, into the solution's arrays. */
static void write_bins(const struct bfd *bfd, struct bins *bins)
{
    int64_t n_before = 0;
    for (int64_t bin = 0; bin < bfd->n_bins; bin++) {
        int64_t count = bins->starts[bin];
        bins->starts[bin] = n_before;
        bins->sizes[bin] = bfd->capacity - bfd->bins[bin].room;
        n_before += count;
    }
    const int32_t *bin_of = bfd->bin_of;
    for (int64_t slot = bfd->histogram.n_slots - 1; slot >= 0; slot--) {
        const struct bucket *bucket = &bfd->histogram.buckets[slot];
        for (int32_t i = bucket->next; i < bucket->end; i++)
            bins->items[bins->starts[*bin_of++]++] = bfd->histogram.order[i];
    }
    /* each start has moved to its bin's end */
    memmove(bins->starts + 1, bins->starts, (size_t)bfd->n_bins * sizeof *bins->starts);
    bins->starts[0] = 0;
    bins->n = bfd->n_bins;
}

/* Room for the open bins and everything by length. Destroyed by destroy, whatever is returned. */
static pp_status create(struct bfd *bfd, const struct packing *packing, int64_t l1,
                        struct ppi_mem *mem, pp_error *err)
{
    *bfd = (struct bfd){.capacity = packing->capacity};
    int64_t n = packing->n;
    int64_t max_bins = ppi_bound_bins(l1, n);
    PP_TRY(ppi_histogram_create(&bfd->histogram, packing->sizes, n, packing->shortest,
                                packing->longest, mem, err));
    int64_t n_slots = bfd->histogram.n_slots;
    PP_TRY(ppi_bitset_create(&bfd->heaps_used, n_slots, mem, err));
    bfd->heaps = ppi_alloc(mem, (size_t)n_slots, sizeof *bfd->heaps);
    bfd->bins = ppi_alloc(mem, (size_t)max_bins, sizeof *bfd->bins);
    bfd->bin_of = ppi_alloc(mem, (size_t)n, sizeof *bfd->bin_of);
    if (!bfd->heaps || !bfd->bins || !bfd->bin_of)
        return ppi_error_nomem(err, "the open bins",
                               (size_t)n_slots * sizeof *bfd->heaps +
                                   (size_t)max_bins * sizeof *bfd->bins +
                                   (size_t)n * sizeof *bfd->bin_of);
    memset(bfd->heaps, 0xff, (size_t)n_slots * sizeof *bfd->heaps); /* NONE */
    return PP_OK;
}

static void destroy(struct bfd *bfd, struct ppi_mem *mem)
{
    ppi_free(mem, bfd->bin_of);
    ppi_free(mem, bfd->bins);
    ppi_free(mem, bfd->heaps);
    ppi_bitset_destroy(&bfd->heaps_used, mem);
    ppi_histogram_destroy(&bfd->histogram, mem);
}

pp_status ppi_pack_bfd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err)
{
    struct bfd bfd;
    pp_status status = create(&bfd, packing, bins->bound_l1, mem, err);
    if (status == PP_OK) {
        place_prompts(&bfd, bins->starts);
        write_bins(&bfd, bins);
        status = ppi_bounds_set(bins, packing, &bfd.histogram, mem, err);
    }
    destroy(&bfd, mem);
    return status;
}

pp_status ppi_pack_best_fit(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                            pp_error *err)
{
    struct bfd bfd;
    pp_status status = create(&bfd, packing, bins->bound_l1, mem, err);
    if (status == PP_OK) {
        for (int64_t i = 0; i < packing->n; i++) {
            int64_t size = packing->sizes[i];
            int64_t slot = ppi_histogram_floor(&bfd.histogram, size, bfd.histogram.n_slots - 1);
            int32_t bin = take_best_bin(&bfd, slot);
            bfd.bins[bin].room -= size;
            bfd.bin_of[i] = bin;
            put_bin(&bfd, bin);
        }
        bins->n = bfd.n_bins;
        for (int64_t bin = 0; bin < bins->n; bin++)
            bins->sizes[bin] = bfd.capacity - bfd.bins[bin].room;
        ppi_group_by_bin(bfd.bin_of, packing->n, bins);
        status = ppi_bounds_set(bins, packing, &bfd.histogram, mem, err);
    }
    destroy(&bfd, mem);
    return status;
}
