/*
 * constrained.h: FEWEST_BINS where more than one capacity limits the bins: a number of prompts,
 * items that are apart, bins of given capacities.
 */
#ifndef PPI_CONSTRAINED_H
#define PPI_CONSTRAINED_H

#include "plan/packing.h"

/* Is there more to keep than one capacity? */
bool ppi_is_constrained(const struct packing *packing);

/* No packing has fewer bins, for the constraints besides the capacity and because of them; 0: they
 * ask nothing. Errors: PP_ERR_NOMEM; PP_ERR_TOO_LONG where it is plain that no packing exists. */
pp_status ppi_bound_limits(const struct packing *packing, int64_t *bound, struct ppi_mem *mem,
                           pp_error *err);

/* What the limit on the number of prompts asks for items of these sizes; 0: nothing. order: [n]
 * items, largest first. */
int64_t ppi_bound_places(const struct packing *packing, const int32_t *order);

/* Do the bins, which were packed without regard to the constraints, keep them? Errors:
 * PP_ERR_NOMEM. */
pp_status ppi_bins_keep_limits(const struct packing *packing, const struct bins *bins, bool *keep,
                               struct ppi_mem *mem, pp_error *err);

/*
 * Packs under constraints: FIRST_FIT, BEST_FIT in order of arrival, otherwise the best of several
 * ways. bins->bound_* are set, of a packing without the constraints.
 */
pp_status ppi_pack_constrained(const struct packing *packing, struct bins *bins,
                               struct ppi_mem *mem, pp_error *err);

#endif
