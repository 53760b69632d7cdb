/*
 * run_passes.c: pp_run: items become pieces of passes, passes run one after another, and what they
 * left becomes the caller's only when all have succeeded.
 */
#include "run/run_work.h"

#include "kv/kv_states.h"
#include "run/pass.h"
#include "run/run_impl.h"
#include "run/schedule.h"

#include <string.h>

/* ---- before ---- */

/* The cache's tokens and the item's, to be computed from the first on. */
static pp_status join_tokens(struct ppi_run *run, const pp_item *item, struct ppi_running *r)
{
    int64_t held = item->cache->n_tokens;
    size_t n = (size_t)(held + item->n_tokens);
    r->joined = ppi_alloc(&run->session->mem, n, sizeof *r->joined);
    if (!r->joined)
        return ppi_error_nomem(run->err, "the tokens of a prompt", n * sizeof *r->joined);
    memcpy(r->joined, item->cache->tokens, (size_t)held * sizeof *r->joined);
    memcpy(r->joined + held, item->tokens, (size_t)item->n_tokens * sizeof *r->joined);
    r->tokens = r->joined;
    return PP_OK;
}

/* Which cache an item writes, from which token on. */
static pp_status begin_item(struct ppi_run *run, int64_t i)
{
    const pp_item *item = ppi_items_at(run->items, i);
    struct pp_session *session = run->session;
    struct ppi_running *r = &run->running[i];
    int64_t held = item->cache ? item->cache->n_tokens : 0, end = held + item->n_tokens;
    int64_t set = ppi_spec_rope_set(&session->model->spec, end);
    bool anew =
        held > 0 && set != item->cache->rope_set; /* other angles, from the first token on */
    r->tokens = item->tokens;
    run->begins[i] = anew ? 0 : held;
    run->lengths[i] = end - run->begins[i];
    if (anew)
        PP_TRY(join_tokens(run, item, r));
    if (item->cache && !anew) {
        r->cache = item->cache;
        r->keep = held;
        ppi_run_share_state(run, i, item->cache->state.page);
    } else {
        PP_TRY(ppi_kvcache_create(&session->store, &r->cache, run->err));
    }
    if (r->cache->n_tokens == 0)
        r->cache->rope_set = set;
    if (ppi_spec_rope_depends_on_length(&session->model->spec))
        PP_TRY(ppi_kvcache_reserve_tokens(r->cache, run->lengths[i], run->err));
    return ppi_angles_need(session, set, end, run->err);
}

static pp_status take_arrays(struct ppi_run *run)
{
    struct ppi_mem *mem = &run->session->mem;
    size_t n = (size_t)run->items->n;
    run->running = ppi_zalloc(mem, n, sizeof *run->running);
    run->begins = ppi_alloc(mem, n, sizeof *run->begins);
    run->lengths = ppi_alloc(mem, n, sizeof *run->lengths);
    run->outputs.tokens = ppi_alloc(mem, n, sizeof *run->outputs.tokens);
    run->outputs.begins = run->begins;
    run->outputs.lengths = run->lengths;
    if (!run->running || !run->begins || !run->lengths || !run->outputs.tokens)
        return ppi_error_nomem(run->err, "the items of a run", n * sizeof *run->running);
    return PP_OK;
}

/* ---- passes ---- */

/* Pages for all that is computed, as far as caches are kept. */
static pp_status reserve_pages(struct ppi_run *run)
{
    for (int64_t p = 0; p < run->stretches.n; p++) {
        const struct ppi_stretch *stretch = &run->stretches.all[p];
        int64_t i = stretch->i_item;
        if (ppi_run_begins_cache(run, stretch) && !ppi_items_at(run->items, i)->discard_cache)
            PP_TRY(ppi_kvcache_reserve_full(run->running[i].cache, stretch->begin,
                                            run->begins[i] + run->lengths[i], run->err));
    }
    return PP_OK;
}

static pp_status add_piece(struct ppi_run *run, const struct ppi_piece *piece)
{
    const struct ppi_stretch *stretch = &run->stretches.all[piece->i_stretch];
    const struct ppi_running *r = &run->running[stretch->i_item];
    uint8_t *kinds = run->session->workspace.kinds;
    if (piece->begin == stretch->begin && ppi_run_begins_cache(run, stretch) &&
        stretch->after != PPI_NO_STRETCH)
        PP_TRY(ppi_run_take_over(run, stretch));
    PP_TRY(ppi_kvcache_reserve(r->cache, piece->begin, piece->begin + piece->n_tokens, run->err));
    PP_TRY(ppi_run_begin_state(run, piece));
    ppi_outputs_mark(&run->outputs, stretch, piece->begin, piece->n_tokens, kinds);
    PP_TRY(ppi_pass_add(run->session, r->cache,
                        r->tokens + (piece->begin - run->begins[stretch->i_item]), piece->begin,
                        piece->n_tokens, kinds, piece->i_stretch, run->err));
    const struct ppi_page *before = r->state_before ? r->state_before : r->state;
    if (before)
        ppi_pass_set_state(run->session, r->state ? r->state->data : NULL, before->data);
    return PP_OK;
}

/* Pages that the tokens so far have put out of sight go back, but none that an error would need;
 * all of them where nobody wants the cache. */
static pp_status finish_piece(struct ppi_run *run, const struct ppi_piece *piece)
{
    const struct ppi_stretch *stretch = &run->stretches.all[piece->i_stretch];
    struct ppi_running *r = &run->running[stretch->i_item];
    bool is_done = piece->is_last &&
                   run->begins[stretch->i_item] + run->lengths[stretch->i_item] == stretch->end;
    ppi_run_end_state(run, stretch->i_item);
    if (piece->is_last)
        PP_TRY(ppi_run_hand_on(run, piece->i_stretch));
    if (is_done && ppi_items_at(run->items, stretch->i_item)->discard_cache) {
        ppi_kvcache_cut(r->cache, 0);
        ppi_run_drop_state(run, stretch->i_item);
    } else {
        ppi_kvcache_release(r->cache, piece->begin + piece->n_tokens, r->keep);
    }
    return PP_OK;
}

static pp_status run_passes(struct ppi_run *run)
{
    struct pp_session *session = run->session;
    const struct ppi_take take = {.user = &run->outputs,
                                  .logits = ppi_outputs_take_logits,
                                  .hidden = ppi_outputs_take_hidden};
    struct ppi_schedule schedule = {.max_pass_tokens = session->info.max_pass_tokens,
                                    .chunk_tokens = session->info.chunk_tokens,
                                    .stretches = &run->stretches};
    struct ppi_schedule done = schedule; /* walks behind, once a pass has run */
    struct ppi_piece piece;
    int64_t n_all = 0, n_done = 0;
    for (int64_t p = 0; p < run->stretches.n; p++)
        n_all += run->stretches.all[p].end - run->stretches.all[p].begin;
    ppi_pass_reset(session);
    for (enum ppi_step step; (step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE;) {
        if (step == PPI_STEP_PIECE) {
            PP_TRY(add_piece(run, &piece));
            continue;
        }
        PP_TRY(ppi_pass_run(session, &take, run->err));
        while (ppi_schedule_next(&done, &piece) == PPI_STEP_PIECE) {
            PP_TRY(finish_piece(run, &piece));
            n_done += piece.n_tokens;
        }
        if (run->params->progress)
            run->params->progress(run->params->progress_user, n_done, n_all);
    }
    return PP_OK;
}

/* ---- after ---- */

static void keep_tokens(struct ppi_run *run, int64_t i)
{
    struct ppi_running *r = &run->running[i];
    if (ppi_spec_rope_depends_on_length(&run->session->model->spec))
        memcpy(r->cache->tokens + run->begins[i], r->tokens,
               (size_t)run->lengths[i] * sizeof *r->tokens);
}

/* Everything has succeeded: nothing here can fail. */
static void hand_over(struct ppi_run *run)
{
    for (int64_t i = 0; i < run->items->n; i++) {
        pp_item *item = ppi_items_at(run->items, i);
        struct ppi_running *r = &run->running[i];
        if (item->output == PP_OUTPUT_TOKEN)
            item->next = run->outputs.tokens[i];
        if (item->discard_cache)
            continue;
        keep_tokens(run, i);
        r->cache->n_tokens = run->begins[i] + run->lengths[i];
        if (r->state)
            ppi_kvcache_advance_state(r->cache, r->state, r->cache->n_tokens, run->lengths[i]);
        r->state = NULL;
        ppi_kvcache_release(r->cache, r->cache->n_tokens, 0);
        if (!item->cache)
            item->cache = r->cache;
        else if (item->cache != r->cache)
            ppi_kvcache_swap(item->cache, r->cache); /* what it held goes with the other */
    }
}

/* Caches that are not the caller's go; those that are keep the pages of their tokens. */
static void free_arrays(struct ppi_run *run)
{
    struct ppi_mem *mem = &run->session->mem;
    for (int64_t i = 0; run->running && i < run->items->n; i++) {
        struct ppi_running *r = &run->running[i];
        if (r->cache != ppi_items_at(run->items, i)->cache)
            pp_kvcache_destroy(r->cache);
        else if (r->cache)
            ppi_kvcache_cut(r->cache, r->cache->n_tokens);
        ppi_free(mem, r->joined);
    }
    ppi_run_free_prefixes(run);
    ppi_run_free_states(run);
    ppi_free(mem, run->running);
    ppi_free(mem, run->begins);
    ppi_free(mem, run->lengths);
    ppi_stretches_free(&run->stretches, mem);
    ppi_outputs_free(&run->outputs);
}

static pp_status run_all(struct ppi_run *run)
{
    PP_TRY(take_arrays(run));
    ppi_angles_begin(run->session);
    for (int64_t i = 0; i < run->items->n; i++)
        PP_TRY(begin_item(run, i));
    PP_TRY(ppi_run_find_stretches(run));
    PP_TRY(ppi_outputs_prepare(&run->outputs, run->err));
    /* Before the pages: these come in slabs, of which the last takes what is left of a limit. */
    PP_TRY(ppi_angles_make(run->session, run->err));
    PP_TRY(ppi_run_reserve_states(run));
    PP_TRY(reserve_pages(run));
    PP_TRY(run_passes(run));
    hand_over(run);
    return PP_OK;
}

pp_status ppi_run_items(struct pp_session *session, const pp_plan *plan,
                        const struct ppi_items *items, const pp_run_params *params, pp_error *err)
{
    PP_TRY(ppi_items_check(session, plan, items, params, err));
    struct ppi_run run = {.session = session,
                          .plan = plan,
                          .items = items,
                          .params = params,
                          .outputs = {.session = session, .items = items, .params = params},
                          .err = err};
    run.outputs.stretches = &run.stretches;
    session->cancel = params->cancel;
    pp_status status = run_all(&run);
    session->cancel = NULL;
    free_arrays(&run);
    return status;
}

/* ---- the public call ---- */

static const pp_run_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_run_params_init(pp_run_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

pp_status ppi_run_params_read(pp_run_params *params, const pp_run_params *caller_params,
                              const pp_plan *plan, const char *caller, pp_error *err)
{
    *params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(params, sizeof *params, caller_params, "pp_run_params", err));
    if (params->min_shared_prefix < 0 || (params->min_shared_prefix > 0 && plan))
        return ppi_error(err, PP_ERR_ARG,
                         "%s: min_shared_prefix is %lld%s; 0 and up are allowed, with a plan only "
                         "0: the plan says what is shared",
                         caller, (long long)params->min_shared_prefix,
                         plan ? " and there is a plan" : "");
    return PP_OK;
}

/* Items of a caller who knows fewer fields, as whole ones. */
static pp_status run_older_items(struct pp_session *session, const pp_plan *plan,
                                 struct ppi_items older, const pp_run_params *params, pp_error *err)
{
    pp_item *items = ppi_zalloc(&session->mem, (size_t)older.n, sizeof *items);
    if (!items)
        return ppi_error_nomem(err, "the items of a run", (size_t)older.n * sizeof *items);
    struct ppi_items list = older;
    list.base = (char *)items;
    list.step = sizeof *items;
    for (int64_t i = 0; i < older.n; i++) {
        memcpy(&items[i], ppi_items_at(&older, i), older.step);
        if (items[i].struct_size == older.step) /* another is refused as it is */
            items[i].struct_size = sizeof *items;
    }
    pp_status status = ppi_run_items(session, plan, &list, params, err);
    for (int64_t i = 0; status >= 0 && i < older.n; i++) {
        ppi_items_at(&older, i)->cache = items[i].cache;
        ppi_items_at(&older, i)->next = items[i].next;
    }
    ppi_free(&session->mem, items);
    return status;
}

static pp_status run_caller_items(struct pp_session *session, const pp_plan *plan, pp_item *items,
                                  int64_t n, const pp_run_params *caller_params, pp_error *err)
{
    pp_run_params params;
    PP_TRY(ppi_run_params_read(&params, caller_params, plan, "pp_run", err));
    if (n < 0 || n > INT32_MAX || (n > 0 && !items))
        return ppi_error(err, PP_ERR_ARG, "pp_run: items is %s and n is %lld; 0 to %d are allowed",
                         items ? "an array" : "NULL", (long long)n, INT32_MAX);
    struct ppi_items list = {.base = (char *)items,
                             .step = n > 0 ? items->struct_size : sizeof *items,
                             .n = n,
                             .caller = "pp_run",
                             .noun = "item"};
    if (list.step < PPI_OLDEST_ITEM || list.step > 65536)
        return ppi_error(err, PP_ERR_STRUCT_SIZE,
                         "pp_item.struct_size is %zu; set it to sizeof(pp_item)", list.step);
    return list.step < sizeof *items ? run_older_items(session, plan, list, &params, err)
                                     : ppi_run_items(session, plan, &list, &params, err);
}

pp_status pp_run(pp_session *session, const pp_plan *plan, pp_item *items, int64_t n,
                 const pp_run_params *params, pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_run", true, err));
    pp_status status = run_caller_items(session, plan, items, n, params, err);
    ppi_session_leave(session);
    return status;
}
