/*
 * knapsack.h: the pricing problem of column generation: the items of most value that fit a bin, at
 * most so many of each size. In integers, so that the most valuable pattern is exactly that.
 */
#ifndef PPI_KNAPSACK_H
#define PPI_KNAPSACK_H

#include "patterns.h"

struct knapsack {
    const struct size_counts *counts;
    int32_t *table;      /* [n + 1, width] most value by room, row by row over the sizes, shortest
                            first; NULL: the table would be too large, values are searched */
    int64_t width;       /* capacity + 1, rounded up */
    int32_t *used;       /* [n] sizes with value and items, shortest first */
    int32_t *order;      /* [n] the same by value per size, for the search */
    struct part *parts;  /* [n] scratch: a pattern */
    struct part *chosen; /* [n] scratch of the search */
    int64_t *worth;      /* [n] scratch: of a pattern by its longest size */
    int32_t n_used;
};

/* Errors: PP_ERR_NOMEM. Destroyed by ppi_knapsack_destroy, which accepts a zeroed one. */
pp_status ppi_knapsack_create(struct knapsack *knapsack, const struct size_counts *counts,
                              struct ppi_mem *mem, pp_error *err);
void ppi_knapsack_destroy(struct knapsack *knapsack, struct ppi_mem *mem);

/*
 * Appends to *patterns up to max_patterns patterns worth more than `threshold`, each with another
 * longest size, the best of those first. values: [n] at least 0, so small that no pattern is worth
 * 2^31 or more; limits: [n] items of each size. *most: the exact value of the best pattern of all,
 * or -1 where the search was given up; *steps: taken. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_knapsack_solve(struct knapsack *knapsack, const int32_t *values,
                             const int32_t *limits, int64_t threshold, int64_t max_patterns,
                             struct patterns *patterns, int64_t *most, int64_t *steps,
                             struct ppi_mem *mem, pp_error *err);

#endif
