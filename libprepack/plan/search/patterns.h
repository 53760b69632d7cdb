/*
 * patterns.h: a solution by sizes: each pattern says how many items of which sizes a bin holds, and
 * how many bins are like that.
 */
#ifndef PPI_PATTERNS_H
#define PPI_PATTERNS_H

#include "plan/fewest/size_counts.h"

/* `count` items of the size with index `size` in a size_counts. */
struct part {
    int32_t size;
    int32_t count;
};

/* Zeroed: no patterns. Arrays grow as needed. */
struct patterns {
    struct part *parts; /* [n_parts] pattern after pattern, longest size first in each */
    int64_t *starts;    /* [n + 1] into parts; NULL while n = 0 */
    int64_t *times;     /* [n] bins like this */
    int64_t n;
    int64_t n_bins; /* sum of times */
    int64_t n_parts;
    int64_t room_parts, room; /* allocated */
};

/* Appends a pattern, copied. Errors: PP_ERR_NOMEM; the patterns are as before then. */
pp_status ppi_patterns_add(struct patterns *patterns, const struct part *parts, int64_t n_parts,
                           int64_t times, struct ppi_mem *mem, pp_error *err);
/* No patterns; keeps the memory. */
void ppi_patterns_clear(struct patterns *patterns);
/* Accepts zeroed patterns and leaves them so. */
void ppi_patterns_destroy(struct patterns *patterns, struct ppi_mem *mem);

/* Turns patterns that place every item once into bins: items of one size are handed out in order of
 * index. The histogram is that of the packing's sizes, the counts come from it. Errors:
 * PP_ERR_NOMEM. */
pp_status ppi_patterns_write(const struct patterns *patterns, const struct size_counts *counts,
                             const struct histogram *histogram, struct bins *bins,
                             struct ppi_mem *mem, pp_error *err);

#endif
