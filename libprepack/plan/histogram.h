/*
 * histogram.h: prompts grouped by length. Lengths become *slots*: small integers in the order of
 * the lengths. Where the lengths lie close together a slot is a length minus the shortest (and may
 * be empty); where they do not, a slot is the rank of a length among the distinct ones, so that
 * memory depends on the number of prompts only.
 */
#ifndef PPI_HISTOGRAM_H
#define PPI_HISTOGRAM_H

#include "internal.h"

/* The prompts of one length that are not placed yet: order[next .. end). */
struct bucket {
    int32_t next;
    int32_t end;
};

struct histogram {
    int64_t n_slots;
    int64_t shortest;       /* length of slot 0 */
    int64_t *lengths;       /* [n_slots], ascending; NULL: the length of slot i is shortest + i */
    struct bucket *buckets; /* [n_slots] */
    int32_t *order;         /* [n] prompt indices by length, then by index */
};

/* Groups n >= 1 prompts with lengths in [shortest, longest], both of which occur. Destroyed by
 * ppi_histogram_destroy, which accepts a zeroed histogram. */
pp_status ppi_histogram_create(struct histogram *histogram, const int64_t *lengths, int64_t n,
                               int64_t shortest, int64_t longest, struct ppi_mem *mem,
                               pp_error *err);
void ppi_histogram_destroy(struct histogram *histogram, struct ppi_mem *mem);

static inline int64_t ppi_histogram_length(const struct histogram *histogram, int64_t slot)
{
    return histogram->lengths ? histogram->lengths[slot] : histogram->shortest + slot;
}

/* The last slot in [0, limit] whose length is at most `tokens`, or -1. limit is at least -1. */
static inline int64_t ppi_histogram_floor(const struct histogram *histogram, int64_t tokens,
                                          int64_t limit)
{
    if (!histogram->lengths) {
        int64_t slot = tokens - histogram->shortest;
        return slot < 0 ? -1 : slot < limit ? slot : limit;
    }
    const int64_t *first = histogram->lengths;
    for (int64_t count = limit + 1; count > 0;) { /* slots before `first` are short enough */
        int64_t half = (count + 1) / 2;
        first += first[half - 1] <= tokens ? half : 0;
        count -= half;
    }
    return first - histogram->lengths - 1;
}

#endif
