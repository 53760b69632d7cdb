/*
 * run_work.h: a run while it runs: what run_passes.c and run_sharing.c work on.
 */
#ifndef PPI_RUN_WORK_H
#define PPI_RUN_WORK_H

#include "run/run_outputs.h"
#include "run/schedule.h"

/* One item while it runs. */
struct ppi_running {
    pp_kvcache *cache; /* that is written: the item's, a new one, or one in place of the item's */
    const int32_t *tokens; /* that are computed, from position `begin` on */
    int32_t *joined;       /* owned: the tokens of the cache and the item's behind them; or NULL */
    int64_t keep;          /* tokens that the item's cache had and keeps after an error */
    /* Where a model has linear layers, blocks that it owns: the states of what has been computed,
     * and those that the pass reads, where it writes others or none. */
    struct ppi_page *state, *state_before;
};

/* Keys and values that end with a stretch, for those that will continue it. */
struct ppi_prefix {
    pp_kvcache *cache; /* from its end on, until none waits */
    int64_t n_waiting; /* other items' stretches that continue it and have not begun */
};

struct ppi_run {
    struct pp_session *session;
    const pp_plan *plan;
    const struct ppi_items *items;
    const pp_run_params *params;
    struct ppi_running *running; /* [n] */
    int64_t *begins, *lengths;   /* [n] of what is computed */
    struct ppi_stretches stretches;
    struct ppi_prefix *prefixes; /* [stretches] */
    struct ppi_page **blocks;    /* [n_blocks] for states of caches that are kept */
    int64_t n_blocks;
    struct ppi_outputs outputs;
    pp_error *err;
};

/* Sets the run's stretches, by its plan or by what items have in common. Errors: PP_ERR_ARG,
 * PP_ERR_UNSUPPORTED (a plan that shares what these items do not), PP_ERR_NOMEM. */
pp_status ppi_run_find_stretches(struct ppi_run *run);

/* Whether the stretch is the first that is computed in its item's own cache. */
bool ppi_run_begins_cache(const struct ppi_run *run, const struct ppi_stretch *stretch);

/* The cache of a stretch's item begins with what the stretch continues. */
pp_status ppi_run_take_over(struct ppi_run *run, const struct ppi_stretch *stretch);

/* A stretch is done: what continues it in other caches will have its keys and values, and items
 * that end with it have them now. */
pp_status ppi_run_hand_on(struct ppi_run *run, int64_t i_stretch);

void ppi_run_free_prefixes(struct ppi_run *run);

/* run_states.c: takes blocks for the states of all caches that are kept, so that too little memory
 * shows before any work. */
pp_status ppi_run_reserve_states(struct ppi_run *run);
/* A piece of an item is to be added to the pass, and has run: where its states go, if anybody has a
 * use for them, and where those are that it goes on from. */
pp_status ppi_run_begin_state(struct ppi_run *run, const struct ppi_piece *piece);
void ppi_run_end_state(struct ppi_run *run, int64_t i_item);
/* An item begins with the states `block`, which others have too. */
void ppi_run_share_state(struct ppi_run *run, int64_t i_item, struct ppi_page *block);
/* An item's states are not needed any more. */
void ppi_run_drop_state(struct ppi_run *run, int64_t i_item);
void ppi_run_free_states(struct ppi_run *run);

#endif
