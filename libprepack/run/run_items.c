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

/* ---- outputs ---- */

static pp_status refuse_missing(const struct ppi_items *items, int64_t i, const char *what,
                                const char *array, pp_error *err)
{
    return ppi_error_at(err, PP_ERR_ARG, i, "%s: %s %lld wants %s, but its %s is NULL",
                        items->caller, items->noun, (long long)i, what, array);
}

/* A token of the item that something is asked of. */
static pp_status check_row(const struct ppi_items *items, int64_t i, int64_t token,
                           const char *field, int64_t at, pp_error *err)
{
    int64_t n = ppi_items_at(items, i)->n_tokens;
    if (token >= 0 && token < n)
        return PP_OK;
    return ppi_error_at(err, PP_ERR_ARG, i,
                        "%s: %s %lld of %s %lld names token %lld, which is outside [0, %lld)",
                        items->caller, field, (long long)at, items->noun, (long long)i,
                        (long long)token, (long long)n);
}

static pp_status check_hidden(const struct ppi_items *items, int64_t i, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    if (!item->hidden)
        return refuse_missing(items, i, "hidden states", "hidden", err);
    if (item->output == PP_OUTPUT_POOLED) {
        if (item->pooling < PP_POOLING_LAST || item->pooling > PP_POOLING_FIRST)
            return refuse_number(items, i, "pooling", item->pooling, "PP_POOLING_*", err);
        return PP_OK;
    }
    if (item->n_hidden < 0 || (item->n_hidden > 0 && !item->hidden_tokens))
        return refuse_number(items, i, "n_hidden", (double)item->n_hidden,
                             item->hidden_tokens ? "0 and up" : "0, as hidden_tokens is NULL", err);
    for (int64_t j = 0; j < item->n_hidden; j++)
        PP_TRY(check_row(items, i, item->hidden_tokens[j], "hidden_tokens", j, err));
    return PP_OK;
}

/* What score j of the item is of: an id, no id, or in the last row the one that is drawn. */
static pp_status check_target(const struct pp_session *session, const struct ppi_items *items,
                              int64_t i, int64_t j, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    int32_t target = item->scores[j].target, vocab = session->model->spec.vocab_size;
    bool draws = item->output == PP_OUTPUT_TOKEN && item->scores[j].token == item->n_tokens - 1;
    if (target == PP_DRAWN_TARGET && !draws)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            "%s: score %lld of %s %lld is of the token that is drawn, which needs "
                            "PP_OUTPUT_TOKEN and the row of the last token",
                            items->caller, (long long)j, items->noun, (long long)i);
    if (target < PP_DRAWN_TARGET || target >= vocab)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            "%s: score %lld of %s %lld is of token id %d, which is outside "
                            "[0, %d) and neither PP_NO_TARGET nor PP_DRAWN_TARGET",
                            items->caller, (long long)j, items->noun, (long long)i, target, vocab);
    return PP_OK;
}

static pp_status check_scores(const struct pp_session *session, const struct ppi_items *items,
                              int64_t i, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    int32_t vocab = session->model->spec.vocab_size;
    if (item->n_scores < 0)
        return refuse_number(items, i, "n_scores", (double)item->n_scores, "0 and up", err);
    if (item->n_scores == 0)
        return PP_OK;
    if (!item->scores)
        return refuse_missing(items, i, "scores", "scores", err);
    if (item->n_top < 0 || item->n_top > PP_MAX_TOP || item->n_top > vocab)
        return ppi_error_at(err, PP_ERR_ARG, i, "%s: n_top of %s %lld is %d; allowed: 0 to %d",
                            items->caller, items->noun, (long long)i, item->n_top,
                            vocab < PP_MAX_TOP ? vocab : PP_MAX_TOP);
    if (item->n_top > 0 && (!item->top_tokens || !item->top_logprobs))
        return refuse_missing(items, i, "the most likely tokens",
                              item->top_tokens ? "top_logprobs" : "top_tokens", err);
    for (int64_t j = 0; j < item->n_scores; j++) {
        PP_TRY(check_row(items, i, item->scores[j].token, "score", j, err));
        PP_TRY(check_target(session, items, i, j, err));
    }
    return PP_OK;
}

/* Whether the model has the head that the item's outputs come from. */
static pp_status check_head(const struct pp_session *session, const struct ppi_items *items,
                            int64_t i, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    const struct ppi_model_spec *spec = &session->model->spec;
    bool labels = item->output == PP_OUTPUT_LABELS;
    bool vocabulary = item->n_scores > 0 || item->output == PP_OUTPUT_TOKEN ||
                      item->output == PP_OUTPUT_LAST_LOGITS || item->output == PP_OUTPUT_ALL_LOGITS;
    if (labels && spec->n_labels == 0)
        return ppi_error_at(err, PP_ERR_UNSUPPORTED, i,
                            "%s: %s %lld wants the scores of labels; the model has no "
                            "classification head",
                            items->caller, items->noun, (long long)i);
    if (vocabulary && !spec->has_lm_head)
        return ppi_error_at(err, PP_ERR_UNSUPPORTED, i,
                            "%s: %s %lld wants logits, a token or log-probabilities; the model has "
                            "no LM head, but %s",
                            items->caller, items->noun, (long long)i,
                            spec->n_labels > 0 ? "one that scores labels" : "gives hidden states");
    return PP_OK;
}

static pp_status check_output(const struct pp_session *session, const struct ppi_items *items,
                              int64_t i, const pp_run_params *params, pp_error *err)
{
    const pp_item *item = ppi_items_at(items, i);
    PP_TRY(check_scores(session, items, i, err));
    switch (item->output) {
    case PP_OUTPUT_NONE:
        break;
    case PP_OUTPUT_TOKEN:
        PP_TRY(check_draw(items, i, err));
        break;
    case PP_OUTPUT_HIDDEN:
    case PP_OUTPUT_POOLED:
        PP_TRY(check_hidden(items, i, err));
        break;
    case PP_OUTPUT_LABELS:
        if (!item->logits)
            return refuse_missing(items, i, "the scores of labels", "logits", err);
        break;
    case PP_OUTPUT_LAST_LOGITS:
    case PP_OUTPUT_ALL_LOGITS:
        if (!item->logits && !params->sink)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "%s: %s %lld wants logits and has neither an array for them nor "
                                "the run a sink",
                                items->caller, items->noun, (long long)i);
        break;
    default:
        return ppi_error_at(err, PP_ERR_ARG, i, "%s: output of %s %lld is %d; use PP_OUTPUT_*",
                            items->caller, items->noun, (long long)i, item->output);
    }
    return check_head(session, items, i, err);
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
    if (item->cache && item->discard_cache)
        return ppi_error_at(err, PP_ERR_ARG, i,
                            "%s: %s %lld appends to a cache, which cannot be discarded",
                            items->caller, items->noun, (long long)i);
    PP_TRY(check_tokens(session, items, i, err));
    return check_output(session, items, i, params, err);
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
