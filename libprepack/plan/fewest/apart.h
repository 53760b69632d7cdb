/*
 * apart.h: which classes of items that shall be apart are in which bins: a hash set of pairs.
 */
#ifndef PPI_APART_H
#define PPI_APART_H

#include "plan/packing.h"

struct apart_set {
    uint64_t *slots; /* [mask + 1] a pair plus 1, or 0; NULL: nothing shall be apart */
    uint64_t mask;
};

/* An empty set for the packing's items, each placed once. Destroyed by ppi_apart_destroy, which
 * accepts a zeroed set. Errors: PP_ERR_NOMEM. */
pp_status ppi_apart_create(struct apart_set *set, const struct packing *packing,
                           struct ppi_mem *mem, pp_error *err);
void ppi_apart_destroy(struct apart_set *set, struct ppi_mem *mem);
void ppi_apart_clear(struct apart_set *set);

/* May the item join those that are in the bin? */
bool ppi_apart_allows(const struct apart_set *set, const struct packing *packing, int64_t item,
                      int64_t bin);
/* The item is in the bin now. */
void ppi_apart_add(struct apart_set *set, const struct packing *packing, int64_t item, int64_t bin);
/* Takes back the last item added that has not been taken back. */
void ppi_apart_remove(struct apart_set *set, const struct packing *packing, int64_t item,
                      int64_t bin);

#endif
