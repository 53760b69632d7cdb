/*
 * open_bins.h: bins in an order, and the first of them with enough room for an item. The order is
 * that of a key: a bin's index gives first fit, its room best fit, its room negated the emptiest
 * bin. A treap (Seidel, Aragon 1996) whose nodes know the most room and the most places for
 * prompts below them, so that a search passes over bins that are too full: O(log bins) where
 * room or places alone decide.
 */
#ifndef PPI_OPEN_BINS_H
#define PPI_OPEN_BINS_H

#include "internal.h"

#define PPI_NO_BIN (-1)

struct open_bin_node {
    int64_t key;
    int64_t room;                 /* tokens */
    int64_t places;               /* prompts */
    int64_t max_room, max_places; /* of the nodes below, this one included */
    int32_t left, right;
};

struct open_bins {
    struct open_bin_node *nodes; /* [max_bins], by bin; those in the tree are set */
    int32_t root;
};

/* No bins, room for bins with numbers in [0, max_bins). Destroyed by ppi_open_bins_destroy, which
 * accepts zeroed ones. */
pp_status ppi_open_bins_create(struct open_bins *bins, int64_t max_bins, struct ppi_mem *mem,
                               pp_error *err);
void ppi_open_bins_destroy(struct open_bins *bins, struct ppi_mem *mem);
void ppi_open_bins_clear(struct open_bins *bins);

/* The bin is not in the tree. */
void ppi_open_bins_add(struct open_bins *bins, int32_t bin, int64_t key, int64_t room,
                       int64_t places);
/* The bin is in the tree. */
void ppi_open_bins_remove(struct open_bins *bins, int32_t bin);

/* The first bin after `after` (PPI_NO_BIN: of all), by key, then by number, with so much room and
 * so many places; or PPI_NO_BIN. `after` is in the tree. */
int32_t ppi_open_bins_find(const struct open_bins *bins, int32_t after, int64_t room,
                           int64_t places);

#endif
