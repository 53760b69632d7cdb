/*
 * search.h: the searches behind MBS, EXACT and AUTO: what they share, and the methods in the order
 * in which they are tried. All work on distinct sizes and their counts, in integers, in an order
 * that depends on the sizes only: equal lengths give equal bins.
 */
#ifndef PPI_SEARCH_H
#define PPI_SEARCH_H

#include "patterns.h"

/* What a search may still do, and what it has reached. */
struct search {
    const struct size_counts *counts;
    int64_t steps_left;    /* some tens of nanoseconds each */
    double deadline;       /* of ppi_seconds; 0: none */
    int64_t clock_at;      /* look at the clock when steps_left falls to this */
    int32_t limit_reached; /* as in pp_plan_info */
    int64_t lower_bound;   /* proven; a packing of so many bins ends the search */
    int64_t bound_lp;      /* by column generation; 0: none */
    int64_t bound_search;  /* by a complete search; 0: none */
    int64_t n_bins;        /* of the best packing known */
    struct patterns best;  /* it, where a method of this file's has found it; otherwise empty */
    struct ppi_mem *mem;
    pp_error *err;
};

/* Takes steps from the limit. False when there are none left or the time is over. */
bool ppi_search_spend(struct search *search, int64_t steps);

static inline bool ppi_search_done(const struct search *search)
{
    return search->n_bins <= search->lower_bound || search->limit_reached != 0;
}

/* ---- minimum bin slack (bin_slack.c) ---- */

/* How a bin is filled, starting from the longest item that waits. */
struct slack_rule {
    int64_t max_nodes; /* choices looked at for a bin */
    double average;    /* 0: as many items as fit. Otherwise bins hold no more items than fit if
                          their mean is that of those that wait times this: short ones are not used
                          up early (about 1; Fleszar, Charalambous 2011) */
};

/*
 * Packs left[i] items of each size i, appending to *patterns, as long as fewer than `limit` bins in
 * all can come of it. left becomes what is not packed: all 0 unless *patterns reached the limit or
 * the search its own. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_pack_by_slack(struct search *search, struct slack_rule rule, int32_t *left,
                            int64_t limit, struct patterns *patterns);

/* ---- column generation (rounding.c) ---- */

/* Solves the linear program of the patterns, which sets bound_lp and may raise lower_bound, and
 * rounds its solution by the dives with these numbers. Errors: PP_ERR_NOMEM. */
pp_status ppi_pack_by_columns(struct search *search, int first_dive, int end_dive);

/* ---- complete search (bin_completion.c) ---- */

/* Tries every packing into fewer bins, for up to max_steps steps; sets bound_search and lower_bound
 * when there is none. Does nothing where the items are too many. Errors: PP_ERR_NOMEM. */
pp_status ppi_pack_by_completion(struct search *search, int64_t max_steps);

#endif
