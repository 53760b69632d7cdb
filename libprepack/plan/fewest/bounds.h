/*
 * bounds.h: how few bins can hold items of these sizes, each number proven.
 *
 * The bounds know sizes and one capacity only. A packing that must also keep other constraints (an
 * order, a number of prompts, items apart) needs at least as many bins, so they hold for it, too.
 * With bins of different capacities they hold when `capacity` is the largest. Sizes include
 * alignment where there is one: a bound of what is really placed.
 *
 *     L1 <= L2 <= DFF <= LP rounded up <= bins     (each rounded up to an integer)
 */
#ifndef PPI_BOUNDS_H
#define PPI_BOUNDS_H

#include "size_counts.h"

/* L1: no packing of so much has fewer bins. 0 of nothing. */
int64_t ppi_bound_l1(int64_t total, int64_t capacity);
/* No policy of FEWEST_BINS opens more bins than this, given L1, where only the capacity limits. */
int64_t ppi_bound_bins(int64_t l1, int64_t n_items);

/* L2 of Martello and Toth (1990), the best over all of their alphas, in O(distinct sizes). */
int64_t ppi_bound_l2(const struct size_counts *counts);

/*
 * The best of the dual feasible functions u^(k) o U^eps of Fekete and Schepers (2001) for k up to
 * max_k and all eps, L2 included; O(k * distinct sizes). Ends as soon as `enough` is reached.
 * Errors: PP_ERR_NOMEM.
 */
pp_status ppi_bound_dff(const struct size_counts *counts, int64_t max_k, int64_t enough,
                        int64_t *bound, struct ppi_mem *mem, pp_error *err);

/*
 * Sets bound_l2 and, where the gap is still open, bound_dff of a packing into bins->n bins, whose
 * bound_l1 is set. Takes less time than FFD. `histogram` of the packing's sizes, whatever of it has
 * been placed, saves a pass over them; or NULL. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_bounds_set(struct bins *bins, const struct packing *packing,
                         const struct histogram *histogram, struct ppi_mem *mem, pp_error *err);

#endif
