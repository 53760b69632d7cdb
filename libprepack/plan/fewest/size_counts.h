/*
 * size_counts.h: a packing problem without its items' identities: the distinct sizes, longest
 * first, and how many items have each. What bounds and searches work on: their cost follows the
 * number of distinct sizes, not that of the items.
 */
#ifndef PPI_SIZE_COUNTS_H
#define PPI_SIZE_COUNTS_H

#include "plan/histogram.h"
#include "plan/packing.h"

struct size_counts {
    int64_t capacity;
    int64_t total;   /* sum of all items, at most 2^63 - 1 */
    int64_t n_items; /* sum of the counts */
    int32_t n;       /* distinct sizes */
    int64_t *sizes;  /* [n] descending, each in [1, capacity] */
    int32_t *counts; /* [n] at least 1 */
};

/* The items of a packing of one capacity. Destroyed by ppi_size_counts_destroy, which accepts a
 * zeroed one. The first takes a histogram of the packing's sizes, whatever of it has been placed;
 * the second counts by itself, in O(n) where the sizes lie close together. */
pp_status ppi_size_counts_create(struct size_counts *counts, const struct packing *packing,
                                 const struct histogram *histogram, struct ppi_mem *mem,
                                 pp_error *err);
pp_status ppi_size_counts_count(struct size_counts *counts, const struct packing *packing,
                                struct ppi_mem *mem, pp_error *err);
void ppi_size_counts_destroy(struct size_counts *counts, struct ppi_mem *mem);

#endif
