/*
 * schedule.h: cuts the stretches of a run into passes. The one place that does: running, predicting
 * and whoever wants to know what a run will do ask it.
 *
 * Bins stay whole where they fit into a pass; a stretch that is longer than what is left of a pass
 * is cut at multiples of the backend's chunk (no bit of a result depends on the cut). A stretch
 * begins in a later pass than the one that it continues ends in.
 */
#ifndef PPI_SCHEDULE_H
#define PPI_SCHEDULE_H

#include "run/stretches.h"

/* Consecutive tokens of a stretch that share a pass. */
struct ppi_piece {
    int64_t i_stretch;
    int64_t begin;    /* position in the prompt of its first token */
    int64_t n_tokens; /* at least 1 */
    bool is_last;     /* of the stretch */
};

struct ppi_schedule {
    int64_t max_pass_tokens, chunk_tokens;
    const struct ppi_stretches *stretches;
    /* where it is; zero at first */
    int64_t n_bins_begun, at, bin_end; /* stretches at .. bin_end - 1 of the bin are to be cut */
    int64_t done;                      /* tokens of the stretch at `at` */
    int64_t n_rows;                    /* in this pass */
    int64_t n_complete;                /* stretches that ended in an earlier pass */
};

enum ppi_step {
    PPI_STEP_PIECE, /* *piece is the next of this pass */
    PPI_STEP_PASS,  /* the pass is full */
    PPI_STEP_DONE   /* everything was cut; every pass was announced */
};

enum ppi_step ppi_schedule_next(struct ppi_schedule *schedule, struct ppi_piece *piece);

#endif
