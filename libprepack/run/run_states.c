/*
 * run_states.c: states of linear layers while a run runs: in blocks that no cache has, so that an
 * error leaves caches as they were. The first piece of an item reads the states of its cache, or of
 * the prefix that it continues, and writes a block of its own; the pieces behind it go on in that
 * one, unless others have got it by then. The last piece of an item that leaves no cache writes
 * none: a prompt that one pass takes needs no block at all.
 */
#include "run/run_work.h"

#include "kv/kv_states.h"

static bool has_states(const struct ppi_run *run)
{
    return run->session->store.shape.linear != NULL;
}

static bool discards(const struct ppi_run *run, int64_t i_item)
{
    return ppi_items_at(run->items, i_item)->discard_cache != 0;
}

/* Whether anybody has a use for the states at a stretch's end. */
static bool is_continued_or_kept(const struct ppi_run *run, const struct ppi_stretch *stretch)
{
    const int64_t *ending = run->stretches.sharers + stretch->first_sharer;
    bool is = stretch->first_child != PPI_NO_STRETCH;
    for (int64_t j = 0; !is && j < stretch->n_ending; j++)
        is = !discards(run, ending[j]);
    return is;
}

pp_status ppi_run_reserve_states(struct ppi_run *run)
{
    const struct ppi_stretches *stretches = &run->stretches;
    int64_t n = 0;
    for (int64_t p = 0; has_states(run) && p < stretches->n; p++)
        n += ppi_stretch_needs_state(stretches, &stretches->all[p]) &&
             !discards(run, stretches->all[p].i_item);
    if (n == 0)
        return PP_OK;
    run->blocks = ppi_alloc(&run->session->mem, (size_t)n, sizeof *run->blocks);
    if (!run->blocks)
        return ppi_error_nomem(run->err, "the states of a run", (size_t)n * sizeof *run->blocks);
    PP_TRY(ppi_store_take_states(&run->session->store, n, run->blocks, run->err));
    run->n_blocks = n;
    return PP_OK;
}

pp_status ppi_run_begin_state(struct ppi_run *run, const struct ppi_piece *piece)
{
    const struct ppi_stretch *stretch = &run->stretches.all[piece->i_stretch];
    struct ppi_running *r = &run->running[stretch->i_item];
    struct ppi_kv_store *store = &run->session->store;
    struct ppi_page *block = NULL;
    bool is_wanted = !piece->is_last || is_continued_or_kept(run, stretch);
    if (!has_states(run) ||
        (is_wanted && r->state && !ppi_pool_is_shared(&store->states, r->state)))
        return PP_OK;
    if (is_wanted && run->n_blocks > 0 && !discards(run, stretch->i_item))
        block = run->blocks[--run->n_blocks];
    else if (is_wanted)
        PP_TRY(ppi_store_take_states(store, 1, &block, run->err));
    r->state_before = r->state; /* until the pass has read it, whoever else lets it go */
    r->state = block;
    return PP_OK;
}

void ppi_run_end_state(struct ppi_run *run, int64_t i_item)
{
    struct ppi_running *r = &run->running[i_item];
    ppi_store_drop_state(&run->session->store, r->state_before);
    r->state_before = NULL;
}

void ppi_run_share_state(struct ppi_run *run, int64_t i_item, struct ppi_page *block)
{
    run->running[i_item].state = ppi_store_share_state(&run->session->store, block);
}

void ppi_run_drop_state(struct ppi_run *run, int64_t i_item)
{
    struct ppi_running *r = &run->running[i_item];
    ppi_store_drop_state(&run->session->store, r->state);
    r->state = NULL;
}

void ppi_run_free_states(struct ppi_run *run)
{
    for (int64_t i = 0; run->running && i < run->items->n; i++) {
        ppi_run_end_state(run, i);
        ppi_run_drop_state(run, i);
    }
    while (run->n_blocks > 0)
        ppi_store_drop_state(&run->session->store, run->blocks[--run->n_blocks]);
    ppi_free(&run->session->mem, run->blocks);
}
