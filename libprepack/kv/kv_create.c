/*
 * kv_create.c: caches whose tokens do not come from a run: of zeros, to be written to.
 */
#include "kv/kv_create.h"

#include "kv/kv_states.h"

#include <string.h>

/* Slots that a run would not have left undefined hold numbers: all, or those of last pages. */
static pp_status zero_pages(pp_kvcache *cache, bool all, pp_error *err)
{
    struct ppi_kv_store *store = cache->store;
    for (int32_t c = 0; c < store->shape.n_classes; c++) {
        const struct ppi_page_list *list = &cache->lists[c];
        int64_t i = all || list->n_pages == list->first ? list->first : list->n_pages - 1;
        void *zeros;
        if (i == list->n_pages)
            continue;
        PP_TRY(ppi_pool_zeros(&store->pools[c], &zeros, err));
        for (; i < list->n_pages; i++)
            PP_TRY(store->ops->copy(store->backend, list->pages[i]->data, zeros,
                                    (size_t)store->pools[c].page_bytes, err));
    }
    return PP_OK;
}

static pp_status check_tokens(const struct ppi_new_cache *new, pp_error *err)
{
    bool needed = new->n_tokens > 0 && ppi_spec_rope_depends_on_length(new->spec);
    if (needed && !new->tokens)
        return ppi_error(
            err, PP_ERR_ARG,
            "%s: the ids of the %lld tokens are missing; this model's rotary embedding "
            "depends on a prompt's length, so keys may have to be computed anew",
            new->caller, (long long)new->n_tokens);
    for (int64_t i = 0; new->tokens &&i < new->n_tokens; i++)
        if (new->tokens[i] < 0 || new->tokens[i] >= new->spec->vocab_size)
            return ppi_error(err, PP_ERR_ARG, "%s: token %d at %lld is outside [0, %d)",
                             new->caller, new->tokens[i], (long long)i, new->spec->vocab_size);
    return PP_OK;
}

static pp_status fill(pp_kvcache *cache, const struct ppi_new_cache *new, pp_error *err)
{
    if (new->n_tokens > 0 && ppi_spec_rope_depends_on_length(new->spec)) {
        PP_TRY(ppi_kvcache_reserve_tokens(cache, new->n_tokens, err));
        memcpy(cache->tokens, new->tokens, (size_t) new->n_tokens * sizeof *cache->tokens);
        cache->rope_set = new->rope_set;
    }
    PP_TRY(ppi_kvcache_hold(cache, new->n_tokens, new->first_tokens, err));
    if (new->zeroed)
        PP_TRY(ppi_kvcache_zero_state(cache, err));
    return zero_pages(cache, new->zeroed, err);
}

pp_status ppi_kvcache_new(struct ppi_kv_store *store, const struct ppi_new_cache *new,
                          pp_kvcache **out, pp_error *err)
{
    if (new->n_tokens < 0)
        return ppi_error(err, PP_ERR_ARG, "%s: n_tokens is %lld; allowed: 0 to %d", new->caller,
                         (long long)new->n_tokens, new->spec->max_position);
    if (new->n_tokens > new->spec->max_position)
        return ppi_error(err, PP_ERR_TOO_LONG, "%s: %lld tokens; the model has positions for %d",
                         new->caller, (long long)new->n_tokens, new->spec->max_position);
    PP_TRY(check_tokens(new, err));
    pp_kvcache *cache;
    PP_TRY(ppi_kvcache_create(store, &cache, err));
    pp_status status = fill(cache, new, err);
    if (status >= 0)
        *out = cache;
    else
        pp_kvcache_destroy(cache);
    return status;
}
