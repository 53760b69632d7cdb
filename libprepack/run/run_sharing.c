/*
 * run_sharing.c: items that begin alike: which stretches a run has, whether they can be shared, and
 * how keys, values and states of one pass from cache to cache.
 */
#include "run/run_work.h"

#include "kv/kv_states.h"

/* ---- which ---- */

/* Prompts whose first tokens may be computed once for several: new ones, whose keys rotate alike.
 * The others have no tokens in prompts[]. */
static void find_prompts(const struct ppi_run *run, pp_prompt *prompts)
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

static pp_status share_prefixes(struct ppi_run *run)
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

/* Whether an item can have a stretch that the plan computes for another. */
static pp_status check_shared(const struct ppi_run *run, int64_t i,
                              const struct ppi_stretch *stretch)
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

static pp_status read_plan(struct ppi_run *run)
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

bool ppi_run_begins_cache(const struct ppi_run *run, const struct ppi_stretch *stretch)
{
    return !ppi_stretch_goes_on(&run->stretches, stretch);
}

static pp_status take_prefixes(struct ppi_run *run)
{
    size_t n = (size_t)run->stretches.n;
    run->prefixes = ppi_zalloc(&run->session->mem, n, sizeof *run->prefixes);
    if (!run->prefixes)
        return ppi_error_nomem(run->err, "the prefixes of a run", n * sizeof *run->prefixes);
    for (int64_t p = 0; p < run->stretches.n; p++) {
        const struct ppi_stretch *stretch = &run->stretches.all[p];
        if (stretch->after != PPI_NO_STRETCH && ppi_run_begins_cache(run, stretch))
            run->prefixes[stretch->after].n_waiting++;
    }
    return PP_OK;
}

pp_status ppi_run_find_stretches(struct ppi_run *run)
{
    bool shares = run->params->min_shared_prefix > 0 && run->items->n > 0;
    PP_TRY(shares ? share_prefixes(run) : read_plan(run));
    return take_prefixes(run);
}

/* ---- from cache to cache ---- */

pp_status ppi_run_hand_on(struct ppi_run *run, int64_t i_stretch)
{
    const struct ppi_stretches *stretches = &run->stretches;
    const struct ppi_stretch *stretch = &stretches->all[i_stretch];
    struct ppi_prefix *prefix = &run->prefixes[i_stretch];
    const pp_kvcache *cache = run->running[stretch->i_item].cache;
    struct ppi_page *state = run->running[stretch->i_item].state;
    if (prefix->n_waiting > 0) {
        PP_TRY(ppi_kvcache_create(&run->session->store, &prefix->cache, run->err));
        PP_TRY(ppi_kvcache_adopt(prefix->cache, cache, stretch->end, run->err));
        if (state)
            ppi_kvcache_advance_state(prefix->cache,
                                      ppi_store_share_state(prefix->cache->store, state),
                                      stretch->end, stretch->end);
    }
    for (int64_t j = 0; j < stretch->n_ending; j++) {
        int64_t item = stretches->sharers[stretch->first_sharer + j];
        if (item == stretch->i_item || ppi_items_at(run->items, item)->discard_cache)
            continue;
        PP_TRY(ppi_kvcache_adopt(run->running[item].cache, cache, stretch->end, run->err));
        ppi_run_share_state(run, item, state);
    }
    return PP_OK;
}

pp_status ppi_run_take_over(struct ppi_run *run, const struct ppi_stretch *stretch)
{
    struct ppi_prefix *prefix = &run->prefixes[stretch->after];
    PP_TRY(ppi_kvcache_adopt(run->running[stretch->i_item].cache, prefix->cache, stretch->begin,
                             run->err));
    ppi_run_share_state(run, stretch->i_item, prefix->cache->state.page);
    if (--prefix->n_waiting == 0) {
        pp_kvcache_destroy(prefix->cache);
        prefix->cache = NULL;
    }
    return PP_OK;
}

void ppi_run_free_prefixes(struct ppi_run *run)
{
    for (int64_t p = 0; run->prefixes && p < run->stretches.n; p++)
        pp_kvcache_destroy(run->prefixes[p].cache);
    ppi_free(&run->session->mem, run->prefixes);
}
