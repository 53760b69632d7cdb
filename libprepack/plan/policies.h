/*
 * policies.h: the algorithms that pack, each an ppi_pack_fn, and the bounds they are measured
 * against.
 */
#ifndef PPI_POLICIES_H
#define PPI_POLICIES_H

#include "packing.h"

/* FEWEST_BINS without constraints on what may share a bin: prompts of one capacity. */
pp_status ppi_pack_ffd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err);
pp_status ppi_pack_bfd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err);
/* Also with max_prompts and with capacities. */
pp_status ppi_pack_arrival(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                           pp_error *err);

/* L1: no packing of so much has fewer bins. 0 of nothing. */
int64_t ppi_bound_l1(int64_t total, int64_t capacity);
/* No policy of FEWEST_BINS opens more bins than this, given L1, where only the capacity limits. */
int64_t ppi_bound_bins(int64_t l1, int64_t n_items);

#endif
