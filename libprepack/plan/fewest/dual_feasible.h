/*
 * dual_feasible.h: bounds from functions that give every size a value such that no full bin is
 * worth more than the capacity's value: the values of all items, over that of a bin, is a bound.
 */
#ifndef PPI_DUAL_FEASIBLE_H
#define PPI_DUAL_FEASIBLE_H

#include "size_counts.h"

/*
 * The bound of u o U^eps, the best over all eps in [0, capacity / 2]. values: [counts->n] u of each
 * size; full: u of the capacity, at least 1. u must be a dual feasible function: it does not fall,
 * and sizes that fit a bin together have values of at most `full` together, u(s) + u(capacity - s)
 * <= full among them. The sum of all values must fit an int64_t.
 */
int64_t ppi_dual_bound(const struct size_counts *counts, const int64_t *values, int64_t full);

#endif
