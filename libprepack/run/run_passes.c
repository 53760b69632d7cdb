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
};

/* Keys and values that end with a stretch, for those that will continue it. */
struct prefix {
    pp_kvcache *cache; /* from its end on, until none waits */
    int64_t n_waiting; /* other items' stretches that continue it and have not begun */
};

struct run {
    struct pp_session *session;
    const pp_plan *plan;
    const struct ppi_items *items;
    const pp_run_params *params;
    struct running *running;   /* [n] */
    int64_t *begins, *lengths; /* [n] of what is computed */
    struct ppi_stretches stretches;
    struct prefix *prefixes; /* [stretches] */
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
    run->outputs.begins = run->begins;
    run->outputs.lengths = run->lengths;
    if (!run->running || !run->begins || !run->lengths || !run->outputs.tokens)
        return ppi_error_nomem(run->err, "the items of a run", n * sizeof *run->running);
    return PP_OK;
}

/* ---- stretches ---- */

/* Prompts whose first tokens may be computed once for several: new ones, whose keys rotate alike.
 * The others have no tokens in prompts[]. */
static void find_prompts(const struct run *run, pp_prompt *prompts)
{
    const struct ppi_model_spec *spec = &run->session->model->spec;
    int64_t set = INT64_MAX; /* the smallest, of which there are most */
    for (int64_t i = 0; i < run->items->n; i++)
        if (run->begins[i] == 0 && ppi_spec_rope_set(spec, run->lengths[i]) < set)
            set = ppi_spec_rope_set(spec, run->lengths[i]);
    for (int64_t i = 0; i < run->items->n; i++) {
        const pp_item *item = ppi_items_at(run->items, i);
        bool shares = run->lengths[i] == item->n_tokens && run->begins[i] == 0 &&
                      ppi_spec_rope_set(spec, run->lengths[i]) == set;
        prompts[i] = (pp_prompt){item->tokens, shares ? item->n_tokens : 0};
    }
}

static pp_status share_prefixes(struct run *run)
{
    struct ppi_mem *mem = &run->session->mem;
    size_t n = (size_t)run->items->n;
    pp_prompt *prompts = ppi_alloc(mem, n, sizeof *prompts);
    if (!prompts)
        return ppi_error_nomem(run->err, "the prompts of a run", n * sizeof *prompts);
    find_prompts(run, prompts);
    pp_status status = ppi_stretches_of_prefixes(
        &run->stretches, prompts, run->begins, run->lengths, run->items->n,
        run->params->min_shared_prefix, run->session->info.max_pass_tokens, mem, run->err);
    ppi_free(mem, prompts);
    return status;
}

/* Whether an item can have stretch of what the plan has computed for another. */
static pp_status check_shared(const struct run *run, int64_t i, const struct ppi_stretch *stretch)
{
    const struct ppi_model_spec *spec = &run->session->model->spec;
    int64_t other = stretch->i_item;
    const int32_t *mine = run->running[i].tokens, *theirs = run->running[other].tokens;
    for (int64_t j = 0; j < 2; j++) {
        int64_t k = j == 0 ? i : other;
        if (run->begins[k] > 0 || run->running[k].joined)
            return ppi_error_at(run->err, PP_ERR_ARG, k,
                                "%s: by the plan %s %lld shares its first tokens with others, but "
                                "its cache holds tokens already",
                                run->items->caller, run->items->noun, (long long)k);
    }
    if (ppi_spec_rope_set(spec, run->lengths[i]) != ppi_spec_rope_set(spec, run->lengths[other]))
        return ppi_error_at(run->err, PP_ERR_UNSUPPORTED, i,
                            "%s: by the plan %s %lld and %lld share their first tokens, but the "
                            "rotary embedding of this model differs at their lengths, %lld and "
                            "%lld tokens",
                            run->items->caller, run->items->noun, (long long)other, (long long)i,
                            (long long)run->lengths[other], (long long)run->lengths[i]);
    for (int64_t t = stretch->begin; t < stretch->end; t++)
        if (mine[t] != theirs[t])
            return ppi_error_at(run->err, PP_ERR_ARG, i,
                                "%s: by the plan %s %lld has the first %lld tokens of %lld, but "
                                "token %lld is %d in place of %d",
                                run->items->caller, run->items->noun, (long long)i,
                                (long long)stretch->end, (long long)other, (long long)t, mine[t],
                                theirs[t]);
    return PP_OK;
}

static pp_status read_plan(struct run *run)
{
    struct ppi_stretches *stretches = &run->stretches;
    PP_TRY(ppi_stretches_of_plan(stretches, run->plan, run->begins, run->lengths, run->items->n,
                                 &run->session->mem, run->err));
    for (int64_t i = 0; i < stretches->n_items; i++)
        for (int64_t p = stretches->ends[i]; p != PPI_NO_STRETCH; p = stretches->all[p].after)
            if (stretches->all[p].i_item != i)
                PP_TRY(check_shared(run, i, &stretches->all[p]));
    return PP_OK;
}

/* Whether the stretch is the first that is computed in its item's own cache. */
static bool begins_cache(const struct run *run, const struct ppi_stretch *stretch)
{
    return stretch->after == PPI_NO_STRETCH ||
           run->stretches.all[stretch->after].i_item != stretch->i_item;
}

static pp_status take_prefixes(struct run *run)
{
    size_t n = (size_t)run->stretches.n;
    run->prefixes = ppi_zalloc(&run->session->mem, n, sizeof *run->prefixes);
    if (!run->prefixes)
        return ppi_error_nomem(run->err, "the prefixes of a run", n * sizeof *run->prefixes);
    for (int64_t p = 0; p < run->stretches.n; p++) {
        const struct ppi_stretch *stretch = &run->stretches.all[p];
        if (stretch->after != PPI_NO_STRETCH && begins_cache(run, stretch))
            run->prefixes[stretch->after].n_waiting++;
    }
    return PP_OK;
}

/* Pages for all that is computed, as far as caches are kept. */
static pp_status reserve_pages(struct run *run)
{
    for (int64_t p = 0; p < run->stretches.n; p++) {
        const struct ppi_stretch *stretch = &run->stretches.all[p];
        int64_t i = stretch->i_item;
        if (begins_cache(run, stretch) && !ppi_items_at(run->items, i)->discard_cache)
            PP_TRY(ppi_kvcache_reserve_full(run->running[i].cache, stretch->begin,
                                            run->begins[i] + run->lengths[i], run->err));
    }
    return PP_OK;
}

/* ---- passes ---- */

/* A stretch is done: what continues it in other caches will have its keys and values, and items
 * that end with it have them now. */
static pp_status hand_on(struct run *run, int64_t i_stretch)
{
    const struct ppi_stretches *stretches = &run->stretches;
    const struct ppi_stretch *stretch = &stretches->all[i_stretch];
    struct prefix *prefix = &run->prefixes[i_stretch];
    const pp_kvcache *cache = run->running[stretch->i_item].cache;
    if (prefix->n_waiting > 0) {
        PP_TRY(ppi_kvcache_create(&run->session->store, &prefix->cache, run->err));
        PP_TRY(ppi_kvcache_adopt(prefix->cache, cache, stretch->end, run->err));
    }
    for (int64_t j = 0; j < stretch->n_ending; j++) {
        int64_t item = stretches->sharers[stretch->first_sharer + j];
        if (item != stretch->i_item && !ppi_items_at(run->items, item)->discard_cache)
            PP_TRY(ppi_kvcache_adopt(run->running[item].cache, cache, stretch->end, run->err));
    }
    return PP_OK;
}

/* The cache of a stretch's item begins with what the stretch continues. */
static pp_status take_over(struct run *run, const struct ppi_stretch *stretch)
{
    struct prefix *prefix = &run->prefixes[stretch->after];
    PP_TRY(ppi_kvcache_adopt(run->running[stretch->i_item].cache, prefix->cache, stretch->begin,
                             run->err));
    if (--prefix->n_waiting == 0) {
        pp_kvcache_destroy(prefix->cache);
        prefix->cache = NULL;
    }
    return PP_OK;
}

static pp_status add_piece(struct run *run, const struct ppi_piece *piece)
{
    const struct ppi_stretch *stretch = &run->stretches.all[piece->i_stretch];
    const struct running *r = &run->running[stretch->i_item];
    uint8_t *kinds = run->session->workspace.kinds;
    if (piece->begin == stretch->begin && begins_cache(run, stretch) &&
        stretch->after != PPI_NO_STRETCH)
        PP_TRY(take_over(run, stretch));
    PP_TRY(ppi_kvcache_reserve(r->cache, piece->begin, piece->begin + piece->n_tokens, run->err));
    ppi_outputs_mark(&run->outputs, stretch, piece->begin, piece->n_tokens, kinds);
    return ppi_pass_add(run->session, r->cache,
                        r->tokens + (piece->begin - run->begins[stretch->i_item]), piece->begin,
                        piece->n_tokens, kinds, piece->i_stretch, run->err);
}

/* Pages that the tokens so far have put out of sight go back, but none that an error would need;
 * all of them where nobody wants the cache. */
static pp_status finish_piece(struct run *run, const struct ppi_piece *piece)
{
    const struct ppi_stretch *stretch = &run->stretches.all[piece->i_stretch];
    struct running *r = &run->running[stretch->i_item];
    bool is_done = piece->is_last &&
                   run->begins[stretch->i_item] + run->lengths[stretch->i_item] == stretch->end;
    if (piece->is_last)
        PP_TRY(hand_on(run, piece->i_stretch));
    if (is_done && ppi_items_at(run->items, stretch->i_item)->discard_cache)
        ppi_kvcache_cut(r->cache, 0);
    else
        ppi_kvcache_release(r->cache, piece->begin + piece->n_tokens, r->keep);
    return PP_OK;
}

static pp_status run_passes(struct run *run)
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
        if (item->output == PP_OUTPUT_TOKEN)
            item->next = run->outputs.tokens[i];
        if (item->discard_cache)
            continue;
        keep_tokens(run, i);
        r->cache->n_tokens = run->begins[i] + run->lengths[i];
        ppi_kvcache_release(r->cache, r->cache->n_tokens, 0);
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
    for (int64_t p = 0; run->prefixes && p < run->stretches.n; p++)
        pp_kvcache_destroy(run->prefixes[p].cache);
    ppi_free(mem, run->prefixes);
    ppi_free(mem, run->running);
    ppi_free(mem, run->begins);
    ppi_free(mem, run->lengths);
    ppi_stretches_free(&run->stretches, mem);
    ppi_outputs_free(&run->outputs);
}

static pp_status run_all(struct run *run)
{
    PP_TRY(take_arrays(run));
    ppi_angles_begin(run->session);
    for (int64_t i = 0; i < run->items->n; i++)
        PP_TRY(begin_item(run, i));
    bool shares = run->params->min_shared_prefix > 0 && run->items->n > 0;
    PP_TRY(shares ? share_prefixes(run) : read_plan(run));
    PP_TRY(take_prefixes(run));
    PP_TRY(ppi_outputs_prepare(&run->outputs, run->err));
    /* Before the pages: these come in slabs, of which the last takes what is left of a limit. */
    PP_TRY(ppi_angles_make(run->session, run->err));
    PP_TRY(reserve_pages(run));
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
    pp_run_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_run_params", err));
    if (n < 0 || n > INT32_MAX || (n > 0 && !items))
        return ppi_error(err, PP_ERR_ARG, "pp_run: items is %s and n is %lld; 0 to %d are allowed",
                         items ? "an array" : "NULL", (long long)n, INT32_MAX);
    if (params.min_shared_prefix < 0 || (params.min_shared_prefix > 0 && plan))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_run: min_shared_prefix is %lld%s; 0 and up are allowed, with a plan "
                         "only 0: the plan says what is shared",
                         (long long)params.min_shared_prefix, plan ? " and there is a plan" : "");
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
