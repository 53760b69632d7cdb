/*
 * size_counts.c: distinct sizes and their counts, from a histogram or straight from the items.
 */
#include "size_counts.h"

static pp_status allocate(struct size_counts *counts, const struct packing *packing, int64_t most,
                          struct ppi_mem *mem, pp_error *err)
{
    *counts = (struct size_counts){
        .capacity = packing->capacity, .total = packing->total, .n_items = packing->n};
    counts->sizes = ppi_alloc(mem, (size_t)most, sizeof *counts->sizes);
    counts->counts = ppi_alloc(mem, (size_t)most, sizeof *counts->counts);
    if (counts->sizes && counts->counts)
        return PP_OK;
    ppi_size_counts_destroy(counts, mem);
    return ppi_error_nomem(err, "the distinct lengths",
                           (size_t)most * (sizeof *counts->sizes + sizeof *counts->counts));
}

static void append(struct size_counts *counts, int64_t size, int32_t count)
{
    if (count > 0) {
        counts->sizes[counts->n] = size;
        counts->counts[counts->n++] = count;
    }
}

pp_status ppi_size_counts_create(struct size_counts *counts, const struct packing *packing,
                                 const struct histogram *histogram, struct ppi_mem *mem,
                                 pp_error *err)
{
    int64_t n_slots = histogram->n_slots;
    PP_TRY(allocate(counts, packing, n_slots < packing->n ? n_slots : packing->n, mem, err));
    for (int64_t slot = n_slots - 1; slot >= 0; slot--) {
        int32_t start = slot > 0 ? histogram->buckets[slot - 1].end : 0;
        append(counts, ppi_histogram_length(histogram, slot), histogram->buckets[slot].end - start);
    }
    return PP_OK;
}

pp_status ppi_size_counts_count(struct size_counts *counts, const struct packing *packing,
                                struct ppi_mem *mem, pp_error *err)
{
    int64_t n = packing->n;
    int64_t widest = packing->longest - packing->shortest;
    if (widest >= 4 * n + 1024) { /* far apart: they have to be sorted */
        struct histogram histogram;
        PP_TRY(ppi_histogram_create(&histogram, packing->sizes, n, packing->shortest,
                                    packing->longest, mem, err));
        pp_status status = ppi_size_counts_create(counts, packing, &histogram, mem, err);
        ppi_histogram_destroy(&histogram, mem);
        return status;
    }
    size_t n_slots = (size_t)widest + 1;
    int32_t *slots = ppi_zalloc(mem, n_slots, sizeof *slots);
    if (!slots)
        return ppi_error_nomem(err, "the counts of lengths", n_slots * sizeof *slots);
    pp_status status =
        allocate(counts, packing, (int64_t)n_slots < n ? (int64_t)n_slots : n, mem, err);
    if (status == PP_OK) {
        for (int64_t i = 0; i < n; i++)
            slots[packing->sizes[i] - packing->shortest]++;
        for (int64_t slot = widest; slot >= 0; slot--)
            append(counts, packing->shortest + slot, slots[slot]);
    }
    ppi_free(mem, slots);
    return status;
}

void ppi_size_counts_destroy(struct size_counts *counts, struct ppi_mem *mem)
{
    ppi_free(mem, counts->sizes);
    ppi_free(mem, counts->counts);
    *counts = (struct size_counts){0};
}
