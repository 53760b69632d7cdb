/*
 * run_scores.c: log-probabilities, ranks and the most likely tokens. The same token of the same row
 * is looked up once, however many items ask for it.
 */
#include "run/run_outputs.h"

#include <stdlib.h>
#include <string.h>

pp_status ppi_outputs_ask_scores(struct ppi_outputs *out, const struct ppi_rows *rows,
                                 int64_t i_item, pp_error *err)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    int64_t first = rows->position - ppi_outputs_origin(out, i_item);
    for (int64_t i = 0; i < item->n_scores; i++) {
        const pp_score *score = &item->scores[i];
        if (score->token < first || score->token >= first + rows->n_rows)
            continue;
        int32_t row = rows->row + (int32_t)(score->token - first);
        PP_TRY(ppi_outputs_grow(out, &out->asks, out->n_asks, &out->asks_capacity,
                                sizeof *out->asks, err));
        out->asks[out->n_asks++] = (struct ppi_score_ask){row, score->target, i_item, i};
    }
    return PP_OK;
}

static int compare_asks(const void *left, const void *right)
{
    const struct ppi_score_ask *a = left, *b = right;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->target > b->target) - (a->target < b->target);
}

/* Looks the asks up, which are in order: each pair of row and target once. */
static pp_status look_up(struct ppi_outputs *out, int32_t n_rows, pp_error *err)
{
    struct pp_session *s = out->session;
    if (out->n_asks > out->scores_capacity) {
        ppi_free(&s->mem, out->scores);
        out->scores = ppi_alloc(&s->mem, (size_t)out->asks_capacity, sizeof *out->scores);
        out->scores_capacity = out->scores ? out->asks_capacity : 0;
        if (!out->scores)
            return ppi_error_nomem(err, "scores of rows",
                                   (size_t)out->asks_capacity * sizeof *out->scores);
    }
    int64_t n = 0;
    for (int64_t i = 0; i < out->n_asks; i++) {
        const struct ppi_score_ask *a = &out->asks[i];
        bool known =
            n > 0 && out->scores[n - 1].row == a->row && out->scores[n - 1].target == a->target;
        if (!known && a->target != PP_NO_TARGET)
            out->scores[n++] = (struct ppi_score){.row = a->row, .target = a->target};
    }
    return s->ops->score(s->backend, s->workspace.logits, n_rows, ppi_session_n_logits(s),
                         out->scores, n, out->n_top, out->top_tokens, out->top_logprobs, err);
}

static pp_status refuse_row(const struct ppi_score_ask *a, int64_t i_token, pp_error *err)
{
    return ppi_error_at(err, PP_ERR_NOT_FINITE, a->i_item,
                        "item %lld: the logits after its token %lld are not numbers, so that they "
                        "give no probabilities; the weights or the prompt's values overflow",
                        (long long)a->i_item, (long long)i_token);
}

/* found: what was looked up; NULL: there is no target. */
static pp_status give(const struct ppi_outputs *out, const struct ppi_score_ask *a,
                      const struct ppi_score *found, pp_error *err)
{
    const pp_item *item = ppi_items_at(out->items, a->i_item);
    pp_score *score = &item->scores[a->i_score];
    size_t n_top = (size_t)item->n_top;
    const int32_t *tokens = out->top_tokens + (int64_t)a->row * out->n_top;
    if ((found && found->rank < 0) || (n_top > 0 && tokens[0] < 0))
        return refuse_row(a, score->token, err);
    score->rank = found ? found->rank : -1;
    score->logprob = found ? found->logprob : 0;
    if (n_top > 0) {
        memcpy(item->top_tokens + a->i_score * item->n_top, tokens, n_top * sizeof *tokens);
        memcpy(item->top_logprobs + a->i_score * item->n_top,
               out->top_logprobs + (int64_t)a->row * out->n_top, n_top * sizeof(double));
    }
    return PP_OK;
}

pp_status ppi_outputs_give_scores(struct ppi_outputs *out, int32_t n_rows, pp_error *err)
{
    if (out->n_asks == 0)
        return PP_OK;
    for (int64_t i = 0; i < out->n_asks; i++) /* what the block draws is drawn by now */
        if (out->asks[i].target == PP_DRAWN_TARGET)
            out->asks[i].target = out->tokens[out->asks[i].i_item];
    qsort(out->asks, (size_t)out->n_asks, sizeof *out->asks, compare_asks);
    PP_TRY(look_up(out, n_rows, err));
    const struct ppi_score *found = out->scores - 1;
    for (int64_t i = 0; i < out->n_asks; i++) {
        const struct ppi_score_ask *a = &out->asks[i];
        bool has_target = a->target != PP_NO_TARGET;
        bool is_new = i == 0 || compare_asks(a - 1, a) != 0;
        found += has_target && is_new;
        PP_TRY(give(out, a, has_target ? found : NULL, err));
    }
    out->n_asks = 0;
    return PP_OK;
}
