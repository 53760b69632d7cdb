/*
 * run_passes.c: pp_run: items become pieces of passes, passes run one after another, and what they
 * left becomes the caller's only when all have succeeded.
 */
#include "run/run_impl.h"

#include "run/run_outputs.h"
#include "run/pass.h"
#include "run/schedule.h"

#include <string.h>

/* One item while it runs. */
struct running {
    pp_kvcache *cache; /* that is written: the item's, a new one, or one in place of the item's */
    const int32_t *tokens; /* that are computed, from position `begin` on */
    int32_t *joined;       /* owned: the tokens of the cache and the item's behind them; or NULL */
    int64_t keep;          /* tokens that the item's cache had and keeps after an error */
    int64_t first_wanted;  /* position of the first token whose logits are wanted */
};

struct run {
    struct pp_session *session;
    const pp_plan *plan;
    const struct ppi_items *items;
    const pp_run_params *params;
    struct running *running;   /* [n] */
    int64_t *begins, *lengths; /* [n] of what is computed */
    struct ppi_outputs outputs;
    pp_error *err;
};

/* ---- before ---- */

/* The cache's tokens and the item's, to be computed from the first on. */
static pp_status join_tokens(struct run *run, const pp_item *item, struct running *r)
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
static pp_status begin_item(struct run *run, int64_t i)
{
    const pp_item *item = ppi_items_at(run->items, i);
    struct pp_session *session = run->session;
    struct running *r = &run->running[i];
    int64_t held = item->cache ? item->cache->n_tokens : 0, end = held + item->n_tokens;
    int64_t set = ppi_spec_rope_set(&session->model->spec, end);
    bool anew =
        held > 0 && set != item->cache->rope_set; /* other angles, from the first token on */
    r->tokens = item->tokens;
    r->first_wanted = item->output == PP_OUTPUT_ALL_LOGITS ? held
                      : item->output == PP_OUTPUT_NONE     ? end
                                                           : end - 1;
    run->begins[i] = anew ? 0 : held;
    run->lengths[i] = end - run->begins[i];
    if (anew)
        PP_TRY(join_tokens(run, item, r));
    if (item->cache && !anew) {
        r->cache = item->cache;
        r->keep = held;
    } else {
        PP_TRY(ppi_kvcache_create(&session->store, &r->cache, run->err));
    }
    if (r->cache->n_tokens == 0)
        r->cache->rope_set = set;
    if (ppi_spec_rope_depends_on_length(&session->model->spec))
        PP_TRY(ppi_kvcache_reserve_tokens(r->cache, run->lengths[i], run->err));
    return ppi_angles_need(session, set, end, run->err);
}

static pp_status take_arrays(struct run *run)
{
    struct ppi_mem *mem = &run->session->mem;
    size_t n = (size_t)run->items->n;
    run->running = ppi_zalloc(mem, n, sizeof *run->running);
    run->begins = ppi_alloc(mem, n, sizeof *run->begins);
    run->lengths = ppi_alloc(mem, n, sizeof *run->lengths);
    run->outputs.tokens = ppi_alloc(mem, n, sizeof *run->outputs.tokens);
    if (!run->running || !run->begins || !run->lengths || !run->outputs.tokens)
        return ppi_error_nomem(run->err, "the items of a run", n * sizeof *run->running);
    return PP_OK;
}

/* ---- passes ---- */

static pp_status add_piece(struct run *run, const struct ppi_piece *piece)
{
    struct running *r = &run->running[piece->i_item];
    int64_t end = piece->begin + piece->n_tokens, held = run->begins[piece->i_item];
    PP_TRY(ppi_kvcache_reserve(r->cache, end, run->err));
    int64_t first_wanted = r->first_wanted > piece->begin ? r->first_wanted : piece->begin;
    first_wanted = first_wanted < end ? first_wanted : end;
    const pp_item *item = ppi_items_at(run->items, piece->i_item);
    /* an item's own tokens are the last of what is computed for it */
    int64_t own = held + run->lengths[piece->i_item] - item->n_tokens;
    struct ppi_wanted wanted = {.i_item = piece->i_item, .i_token = first_wanted - own};
    return ppi_pass_add(run->session, r->cache, r->tokens + (piece->begin - held), piece->begin,
                        piece->n_tokens, first_wanted - piece->begin, wanted, run->err);
}

/* Pages that the tokens so far have put out of sight go back, but none that an error would need. */
static void release_piece(struct run *run, const struct ppi_piece *piece)
{
    struct running *r = &run->running[piece->i_item];
    ppi_kvcache_release(r->cache, piece->begin + piece->n_tokens, r->keep);
}

static pp_status run_passes(struct run *run)
{
    struct pp_session *session = run->session;
    struct ppi_schedule schedule = {.max_pass_tokens = session->info.max_pass_tokens,
                                    .chunk_tokens = session->info.chunk_tokens,
                                    .plan = run->plan,
                                    .n_items = run->items->n,
                                    .begins = run->begins,
                                    .lengths = run->lengths};
    struct ppi_schedule done = schedule; /* walks behind, once a pass has run */
    struct ppi_piece piece;
    int64_t n_all = 0, n_done = 0;
    for (int64_t i = 0; i < run->items->n; i++)
        n_all += run->lengths[i];
    ppi_pass_reset(session);
    for (enum ppi_step step; (step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE;) {
        if (step == PPI_STEP_PIECE) {
            PP_TRY(add_piece(run, &piece));
            continue;
        }
        PP_TRY(ppi_pass_run(session, ppi_outputs_take, &run->outputs, run->err));
        while (ppi_schedule_next(&done, &piece) == PPI_STEP_PIECE) {
            release_piece(run, &piece);
            n_done += piece.n_tokens;
        }
        if (run->params->progress)
            run->params->progress(run->params->progress_user, n_done, n_all);
    }
    return PP_OK;
}

/* ---- after ---- */

static void keep_tokens(struct run *run, int64_t i)
{
    struct running *r = &run->running[i];
    if (ppi_spec_rope_depends_on_length(&run->session->model->spec))
        memcpy(r->cache->tokens + run->begins[i], r->tokens,
               (size_t)run->lengths[i] * sizeof *r->tokens);
}

/* Everything has succeeded: nothing here can fail. */
static void hand_over(struct run *run)
{
    for (int64_t i = 0; i < run->items->n; i++) {
        pp_item *item = ppi_items_at(run->items, i);
        struct running *r = &run->running[i];
        keep_tokens(run, i);
        r->cache->n_tokens = run->begins[i] + run->lengths[i];
        ppi_kvcache_release(r->cache, r->cache->n_tokens, 0);
        if (item->output == PP_OUTPUT_TOKEN)
            item->next = run->outputs.tokens[i];
        if (!item->cache)
            item->cache = r->cache;
        else if (item->cache != r->cache)
            ppi_kvcache_swap(item->cache, r->cache); /* what it held goes with the other */
    }
}

/* Caches that are not the caller's go; those that are keep the pages of their tokens. */
static void free_arrays(struct run *run)
{
    struct ppi_mem *mem = &run->session->mem;
    for (int64_t i = 0; run->running && i < run->items->n; i++) {
        struct running *r = &run->running[i];
        if (r->cache != ppi_items_at(run->items, i)->cache)
            pp_kvcache_destroy(r->cache);
        else if (r->cache)
            ppi_kvcache_cut(r->cache, r->cache->n_tokens);
        ppi_free(mem, r->joined);
    }
    ppi_free(mem, run->running);
    ppi_free(mem, run->begins);
    ppi_free(mem, run->lengths);
    ppi_free(mem, run->outputs.tokens);
}

static pp_status run_all(struct run *run)
{
    PP_TRY(take_arrays(run));
    PP_TRY(ppi_outputs_prepare(&run->outputs, run->err));
    ppi_angles_begin(run->session);
    for (int64_t i = 0; i < run->items->n; i++)
        PP_TRY(begin_item(run, i));
    /* Before the pages: these come in slabs, of which the last takes what is left of a limit. */
    PP_TRY(ppi_angles_make(run->session, run->err));
    for (int64_t i = 0; i < run->items->n; i++)
        PP_TRY(ppi_kvcache_reserve_full(run->running[i].cache, run->begins[i] + run->lengths[i],
                                        run->err));
    PP_TRY(run_passes(run));
    hand_over(run);
    return PP_OK;
}

pp_status ppi_run_items(struct pp_session *session, const pp_plan *plan,
                        const struct ppi_items *items, const pp_run_params *params, pp_error *err)
{
    PP_TRY(ppi_items_check(session, plan, items, params, err));
    struct run run = {.session = session,
                      .plan = plan,
                      .items = items,
                      .params = params,
                      .outputs = {.session = session, .items = items, .params = params},
                      .err = err};
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

static pp_status run_caller_items(struct pp_session *session, const pp_plan *plan, pp_item *items,
                                  int64_t n, const pp_run_params *caller_params, pp_error *err)
{
    pp_run_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_run_params", err));
    if (n < 0 || n > INT32_MAX || (n > 0 && !items))
        return ppi_error(err, PP_ERR_ARG, "pp_run: items is %s and n is %lld; 0 to %d are allowed",
                         items ? "an array" : "NULL", (long long)n, INT32_MAX);
    struct ppi_items list = {.base = (char *)items,
                             .step = n > 0 ? items->struct_size : sizeof *items,
                             .n = n,
                             .caller = "pp_run",
                             .noun = "item"};
    if (list.step < sizeof *items || list.step > 65536)
        return ppi_error(err, PP_ERR_STRUCT_SIZE,
                         "pp_item.struct_size is %zu; set it to sizeof(pp_item)", list.step);
    return ppi_run_items(session, plan, &list, &params, err);
}

pp_status pp_run(pp_session *session, const pp_plan *plan, pp_item *items, int64_t n,
                 const pp_run_params *params, pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_run", true, err));
    pp_status status = run_caller_items(session, plan, items, n, params, err);
    ppi_session_leave(session);
    return status;
}
