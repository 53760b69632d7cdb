/*
 * policies.h: the algorithms that pack, each an ppi_pack_fn.
 */
#ifndef PPI_POLICIES_H
#define PPI_POLICIES_H

#include "histogram.h"
#include "packing.h"

/* FEWEST_BINS without constraints on what may share a bin: prompts of one capacity. */
pp_status ppi_pack_ffd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err);
pp_status ppi_pack_bfd(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                       pp_error *err);
pp_status ppi_pack_first_fit(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                             pp_error *err);
pp_status ppi_pack_best_fit(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                            pp_error *err);
/* MBS, EXACT and AUTO. */
pp_status ppi_pack_auto(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                        pp_error *err);
/* Also with max_prompts and with capacities. */
pp_status ppi_pack_arrival(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                           pp_error *err);

/* FFD with a histogram of the packing's sizes of which nothing has been placed; all of it is
 * afterwards. Sets no bounds. Errors: PP_ERR_NOMEM. */
pp_status ppi_fill_ffd(const struct packing *packing, struct histogram *histogram,
                       struct bins *bins, struct ppi_mem *mem, pp_error *err);
/* Fills bins->items and starts from the bin of each of n items, those of a bin in order of index;
 * bins->n is set. */
void ppi_group_by_bin(const int32_t *bin_of, int64_t n, struct bins *bins);

/* BALANCED, with max_prompts: LPT, KK, AUTO. Bins without items come last. */
pp_status ppi_pack_balanced(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                            pp_error *err);
/* BALANCED in order of arrival, with max_prompts; optimal. */
pp_status ppi_pack_runs(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                        pp_error *err);
/* CHEAPEST, with max_prompts and in order of arrival: FFD, ORDERED, AUTO. */
pp_status ppi_pack_shapes(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                          pp_error *err);

#endif
