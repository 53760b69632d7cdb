/*
 * placement.h: items going into bins one by one, every constraint kept.
 */
#ifndef PPI_PLACEMENT_H
#define PPI_PLACEMENT_H

#include "apart.h"
#include "open_bins.h"

/* Of the used bins that an item may join, which? */
enum choice {
    CHOOSE_FIRST,    /* the one that was opened first */
    CHOOSE_FULLEST,  /* least room that is enough */
    CHOOSE_EMPTIEST, /* most room */
};

struct placement {
    const struct packing *packing;
    enum choice choice;
    bool largest_first;     /* given bins are opened largest first; otherwise in their order */
    struct open_bins used;  /* bins that hold items or may do so */
    struct open_bins empty; /* given bins that are not open */
    struct apart_set apart;
    int32_t *opened; /* [n_open] bins in the order of opening */
    int64_t n_open;
    int64_t max_bins;     /* that may be open now */
    int64_t max_possible; /* bins that there can be */
    int32_t *bin_of;      /* [n] */
};

/* Errors: PP_ERR_NOMEM. Destroyed by ppi_placement_destroy whatever is returned; a zeroed one may
 * be. */
pp_status ppi_placement_create(struct placement *placement, const struct packing *packing,
                               struct ppi_mem *mem, pp_error *err);
void ppi_placement_destroy(struct placement *placement, struct ppi_mem *mem);

/* Nothing is placed; bins are opened when they are needed, at most max_bins. */
void ppi_placement_restart(struct placement *placement, enum choice choice, bool largest_first,
                           int64_t max_bins);
/* Opens bins until max_bins are open. */
void ppi_placement_open_all(struct placement *placement);
/* From now on bins are chosen in another way. */
void ppi_placement_change(struct placement *placement, enum choice choice);
/* Puts an item into a bin. false: none may take it. */
bool ppi_placement_put(struct placement *placement, int32_t item);

/* Of the open bins the next after `after` (PPI_NO_BIN: the first) that may take the item, passing
 * over those that hold as much as that one where nothing is apart; or PPI_NO_BIN. */
int32_t ppi_placement_next(const struct placement *placement, int32_t item, int32_t after);
/* Puts an item into a bin that may take it, and takes back what was put last. */
void ppi_placement_put_into(struct placement *placement, int32_t item, int32_t bin);
void ppi_placement_take_back(struct placement *placement, int32_t item, int32_t bin);

#endif
