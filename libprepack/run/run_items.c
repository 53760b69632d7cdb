/*
 * run_items.c: what an item may be.
 */
#include "run/run_items.h"

#include "plan/plan.h"

#include <math.h>

static pp_status check_tokens(const struct pp_session *session, const struct ppi_items *items,
                              int64_t i, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    const struct ppi_model_spec *spec = &session->model->spec;
    if (!item->tokens || item->n_tokens < 1)
        return ppi_error_at(err, PP_ERR_ARG, i, "%s: %s %lld has %s; at least one is needed",
                            items->caller, items->noun, (long long)i,
                            item->tokens ? "no tokens" : "tokens NULL");
    int64_t held = item->cache ? item->cache->n_tokens : 0;
    if (item->n_tokens > spec->max_position - held)
        return ppi_error_at(err, PP_ERR_TOO_LONG, i,
                            "%s: %s %lld has %lld tokens%s; the model has positions for %d",
                            items->caller, items->noun, (long long)i,
                            (long long)(held + item->n_tokens),
                            held > 0 ? ", those of its cache included" : "", spec->max_position);
    for (int64_t t = 0; t < item->n_tokens; t++)
        if (item->tokens[t] < 0 || item->tokens[t] >= spec->vocab_size)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "%s: %s %lld: token %d at %lld is outside [0, %d)", items->caller,
                                items->noun, (long long)i, item->tokens[t], (long long)t,
                                spec->vocab_size);
    return PP_OK;
}

static pp_status refuse_number(const struct ppi_items *items, int64_t i, const char *field,
                               double value, const char *allowed, pp_error *err)
{
    return ppi_error_at(err, PP_ERR_ARG, i, "%s: %s of %s %lld is %g; allowed: %s", items->caller,
                        field, items->noun, (long long)i, value, allowed);
}

static pp_status check_draw(const struct ppi_items *items, int64_t i, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    if (!(item->temperature >= 0) || isinf(item->temperature))
        return refuse_number(items, i, "temperature", (double)item->temperature, "0 and up, finite",
                             err);
    if (item->top_k < 0)
        return refuse_number(items, i, "top_k", item->top_k, "0 and up", err);
    if (!(item->top_p >= 0 && item->top_p <= 1))
        return refuse_number(items, i, "top_p", (double)item->top_p, "0 to 1", err);
    if (!(item->min_p >= 0 && item->min_p <= 1))
        return refuse_number(items, i, "min_p", (double)item->min_p, "0 to 1", err);
    return PP_OK;
}

static pp_status check_output(const struct ppi_items *items, int64_t i, const pp_run_params *params,
                              pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    switch (item->output) {
    case PP_OUTPUT_NONE:
        return PP_OK;
    case PP_OUTPUT_TOKEN:
        return check_draw(items, i, err);
    case PP_OUTPUT_LAST_LOGITS:
    case PP_OUTPUT_ALL_LOGITS:
        if (!item->logits && !params->sink)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "%s: %s %lld wants logits and has neither an array for them nor "
                                "the run a sink",
                                items->caller, items->noun, (long long)i);
        return PP_OK;
    default:
        return ppi_error_at(err, PP_ERR_ARG, i, "%s: output of %s %lld is %d; use PP_OUTPUT_*",
                            items->caller, items->noun, (long long)i, item->output);
    }
}

static pp_status check_item(const struct pp_session *session, const struct ppi_items *items,
                            int64_t i, const pp_run_params *params, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    if (item->struct_size != items->step)
        return ppi_error_at(err, PP_ERR_STRUCT_SIZE, i,
                            "%s: struct_size of %s %lld is %u, of the first %zu; all have the same",
                            items->caller, items->noun, (long long)i, item->struct_size,
                            items->step);
    if (item->cache && item->cache->store != &session->store)
        return ppi_error_at(err, PP_ERR_ARG, i, "%s: the cache of %s %lld is another session's",
                            items->caller, items->noun, (long long)i);
    PP_TRY(check_tokens(session, items, i, err));
    return check_output(items, i, params, err);
}

/* Finds a cache that was given twice in one walk: the lengths of caches seen are made negative, and
 * restored before returning. */
static pp_status check_distinct(const struct ppi_items *items, pp_error *err)
{
    int64_t seen = 0;
    pp_status status = PP_OK;
    for (; seen < items->n; seen++) {
        pp_kvcache *cache = ppi_items_at(items, seen)->cache;
        if (cache && cache->n_tokens < 0) {
            status = ppi_error_at(err, PP_ERR_ARG, seen,
                                  "%s: the cache of %s %lld was given before in the same call",
                                  items->caller, items->noun, (long long)seen);
            break;
        }
        if (cache)
            cache->n_tokens = -1 - cache->n_tokens;
    }
    for (int64_t i = 0; i < seen; i++) {
        pp_kvcache *cache = ppi_items_at(items, i)->cache;
        if (cache)
            cache->n_tokens = -1 - cache->n_tokens;
    }
    return status;
}

static pp_status check_plan(const pp_plan *plan, const struct ppi_items *items, pp_error *err)
{
    PP_TRY(ppi_plan_match_number(plan, items->n, err));
    for (int64_t i = 0; i < items->n; i++)
        PP_TRY(ppi_plan_match_length(plan, i, ppi_items_at(items, i)->n_tokens, err));
    return PP_OK;
}

pp_status ppi_items_check(const struct pp_session *session, const pp_plan *plan,
                          const struct ppi_items *items, const pp_run_params *params, pp_error *err)
{
    for (int64_t i = 0; i < items->n; i++)
        PP_TRY(check_item(session, items, i, params, err));
    PP_TRY(check_distinct(items, err));
    return plan ? check_plan(plan, items, err) : PP_OK;
}
