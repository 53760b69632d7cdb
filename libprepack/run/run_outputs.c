/*
 * run_outputs.c: which rows items want, and logits: tokens are drawn from them, they are copied to
 * the caller or lent to the sink. Scores are run_scores.c's, hidden states run_hidden.c's.
 */
#include "run/run_outputs.h"

#include <string.h>

/* ---- which rows ---- */

static bool wants_logits_of_last(const pp_item *item)
{
    return item->output == PP_OUTPUT_LAST_LOGITS || item->output == PP_OUTPUT_TOKEN ||
           item->output == PP_OUTPUT_LABELS;
}

/* Marks rows from..to - 1 of [begin, begin + n), all positions of a prompt. */
static void mark_range(int64_t from, int64_t to, int64_t begin, int64_t n, uint8_t kind,
                       uint8_t *kinds)
{
    from = from > begin ? from : begin;
    to = to < begin + n ? to : begin + n;
    for (int64_t p = from; p < to; p++)
        kinds[p - begin] |= kind;
}

static void mark_item(const struct ppi_outputs *out, int64_t i_item, int64_t begin, int64_t n,
                      uint8_t *kinds)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    int64_t origin = ppi_outputs_origin(out, i_item), end = origin + item->n_tokens;
    int64_t first = end - 1; /* of a pooled vector */
    if (item->output == PP_OUTPUT_ALL_LOGITS)
        mark_range(origin, end, begin, n, PPI_WANT_LOGITS, kinds);
    if (wants_logits_of_last(item))
        mark_range(end - 1, end, begin, n, PPI_WANT_LOGITS, kinds);
    for (int64_t i = 0; i < item->n_scores; i++) {
        int64_t p = origin + item->scores[i].token;
        mark_range(p, p + 1, begin, n, PPI_WANT_LOGITS, kinds);
    }
    if (item->output == PP_OUTPUT_POOLED) {
        first = item->pooling == PP_POOLING_LAST ? end - 1 : origin;
        end = item->pooling == PP_POOLING_FIRST ? origin + 1 : end;
        mark_range(first, end, begin, n, PPI_WANT_HIDDEN, kinds);
    }
    if (item->output == PP_OUTPUT_HIDDEN && !item->hidden_tokens)
        mark_range(origin, end, begin, n, PPI_WANT_HIDDEN, kinds);
    for (int64_t i = 0; item->output == PP_OUTPUT_HIDDEN && i < item->n_hidden; i++) {
        int64_t p = origin + item->hidden_tokens[i];
        mark_range(p, p + 1, begin, n, PPI_WANT_HIDDEN, kinds);
    }
}

void ppi_outputs_mark(const struct ppi_outputs *out, const struct ppi_stretch *stretch,
                      int64_t begin, int64_t n, uint8_t *kinds)
{
    memset(kinds, 0, (size_t)n);
    for (int64_t j = 0; j < stretch->n_sharers; j++)
        mark_item(out, out->stretches->sharers[stretch->first_sharer + j], begin, n, kinds);
}

bool ppi_outputs_next_rows(const struct ppi_outputs *out, int32_t first, int32_t n_rows,
                           struct ppi_rows *rows)
{
    const struct ppi_wanted *wanted = out->session->workspace.wanted + first;
    int32_t row = rows->row + rows->n_rows, n = 1;
    if (row >= n_rows)
        return false;
    while (row + n < n_rows && wanted[row + n].i_stretch == wanted[row].i_stretch &&
           wanted[row + n].position == wanted[row].position + n)
        n++;
    *rows = (struct ppi_rows){row, n, wanted[row].position,
                              &out->stretches->all[wanted[row].i_stretch]};
    return true;
}

static float *logits_row(const struct ppi_outputs *out, int32_t row)
{
    const struct pp_session *s = out->session;
    return s->workspace.logits + (int64_t)row * ppi_session_n_logits(s);
}

/* ---- tokens ---- */

static pp_status ask_draw(struct ppi_outputs *out, int32_t row, int64_t i_item, pp_error *err)
{
    PP_TRY(ppi_outputs_grow(out, &out->draws, out->n_draws, &out->draws_capacity,
                            sizeof *out->draws, err));
    out->draws[out->n_draws++] = (struct ppi_draw_ask){row, i_item};
    return PP_OK;
}

static struct ppi_draw draw_of(const struct ppi_outputs *out, int64_t i_item)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    return (struct ppi_draw){.temperature = item->temperature,
                             .top_k = item->top_k,
                             .top_p = item->top_p > 0 ? item->top_p : 1,
                             .min_p = item->min_p,
                             .seed = item->seed,
                             .position = (int32_t)(out->begins[i_item] + out->lengths[i_item])};
}

/* n draws from n rows that follow one another. */
static pp_status draw_rows(const struct ppi_outputs *out, const struct ppi_draw_ask *asks,
                           int32_t n, pp_error *err)
{
    struct pp_session *s = out->session;
    struct ppi_draw draws[PPI_LOGIT_ROWS] = {{0}};
    int32_t tokens[PPI_LOGIT_ROWS];
    for (int32_t j = 0; j < n; j++)
        draws[j] = draw_of(out, asks[j].i_item);
    PP_TRY(s->ops->sample(s->backend, logits_row(out, asks[0].row), n, ppi_session_n_logits(s),
                          draws, tokens, err));
    for (int32_t j = 0; j < n; j++) {
        if (tokens[j] < 0)
            return ppi_error_at(err, PP_ERR_NOT_FINITE, asks[j].i_item,
                                "item %lld: the logits after its token %d are not numbers, so that "
                                "none can be drawn; the weights or the prompt's values overflow",
                                (long long)asks[j].i_item, draws[j].position - 1);
        out->tokens[asks[j].i_item] = tokens[j];
    }
    return PP_OK;
}

/* Draws of the block, as many at a time as come from rows that follow one another. */
static pp_status draw_tokens(struct ppi_outputs *out, pp_error *err)
{
    for (int64_t i = 0, n; i < out->n_draws; i += n) {
        for (n = 1; i + n < out->n_draws && out->draws[i + n].row == out->draws[i].row + n;)
            n++;
        PP_TRY(draw_rows(out, &out->draws[i], (int32_t)n, err));
    }
    out->n_draws = 0;
    return PP_OK;
}

/* ---- logits ---- */

static pp_status lend(const struct ppi_outputs *out, int64_t i_item, int64_t i_token, int32_t n,
                      const float *logits, pp_error *err)
{
    pp_logits piece = {.struct_size = sizeof piece,
                       .vocab_size = ppi_session_n_logits(out->session),
                       .i_item = i_item,
                       .first_token = i_token,
                       .n_rows = n,
                       .logits = logits};
    if (out->params->sink(out->params->sink_user, &piece) != 0)
        return ppi_error_at(err, PP_ERR_CANCELLED, i_item,
                            "the sink ended the run at the logits of item %lld", (long long)i_item);
    return PP_OK;
}

/* n rows of the block from `row` on, which follow the item's tokens i_token ... */
static pp_status hand_over(const struct ppi_outputs *out, int64_t i_item, int64_t i_token,
                           int32_t row, int32_t n, pp_error *err)
{
    struct pp_session *s = out->session;
    const pp_item *item = ppi_items_at(out->items, i_item);
    int64_t n_logits = ppi_session_n_logits(s);
    if (!item->logits && !s->info.has_own_memory)
        return lend(out, i_item, i_token, n, logits_row(out, row), err);

    float *to = item->logits ? item->logits : s->staging;
    if (item->logits && item->output == PP_OUTPUT_ALL_LOGITS)
        to += i_token * n_logits;
    void *rows[PPI_LOGIT_ROWS];
    for (int32_t j = 0; j < n; j++)
        rows[j] = to + j * n_logits;
    PP_TRY(s->ops->download_rows(s->backend, rows, logits_row(out, row), n,
                                 (size_t)n_logits * sizeof(float), err));
    return item->logits ? PP_OK : lend(out, i_item, i_token, n, s->staging, err);
}

/* What an item wants of rows of a stretch that it shares. */
static pp_status give_item(struct ppi_outputs *out, const struct ppi_rows *rows, int64_t i_item,
                           pp_error *err)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    int64_t origin = ppi_outputs_origin(out, i_item), last = origin + item->n_tokens - 1;
    int64_t end = rows->position + rows->n_rows;
    if (wants_logits_of_last(item) && last >= rows->position && last < end) {
        int32_t row = rows->row + (int32_t)(last - rows->position);
        PP_TRY(item->output == PP_OUTPUT_TOKEN
                   ? ask_draw(out, row, i_item, err)
                   : hand_over(out, i_item, item->n_tokens - 1, row, 1, err));
    }
    if (item->output == PP_OUTPUT_ALL_LOGITS && end > origin) {
        int64_t begin = rows->position > origin ? rows->position : origin;
        PP_TRY(hand_over(out, i_item, begin - origin, rows->row + (int32_t)(begin - rows->position),
                         (int32_t)(end - begin), err));
    }
    return item->n_scores > 0 ? ppi_outputs_ask_scores(out, rows, i_item, err) : PP_OK;
}

pp_status ppi_outputs_take_logits(void *user, int32_t first, int32_t n_rows, pp_error *err)
{
    struct ppi_outputs *out = user;
    struct ppi_rows rows = {0};
    while (ppi_outputs_next_rows(out, first, n_rows, &rows))
        for (int64_t j = 0; j < rows.stretch->n_sharers; j++)
            PP_TRY(give_item(out, &rows, out->stretches->sharers[rows.stretch->first_sharer + j],
                             err));
    PP_TRY(draw_tokens(out, err));
    return ppi_outputs_give_scores(out, n_rows, err);
}

/* ---- memory ---- */

pp_status ppi_outputs_grow(struct ppi_outputs *out, void *array, int64_t n, int64_t *capacity,
                           size_t element_bytes, pp_error *err)
{
    struct ppi_mem *mem = &out->session->mem;
    void *held, *grown;
    if (n < *capacity)
        return PP_OK;
    size_t larger = 2 * (size_t)n + PPI_LOGIT_ROWS;
    grown = ppi_alloc(mem, larger, element_bytes);
    if (!grown)
        return ppi_error_nomem(err, "what is wanted of rows", larger * element_bytes);
    memcpy(&held, array, sizeof held);
    if (n > 0)
        memcpy(grown, held, (size_t)n * element_bytes);
    ppi_free(mem, held);
    memcpy(array, &grown, sizeof grown);
    *capacity = (int64_t)larger;
    return PP_OK;
}

/* Memory of n elements where they are wanted; false: there is none. */
static bool take(struct ppi_outputs *out, bool wanted, size_t n, size_t bytes, void *array)
{
    void *memory = wanted ? ppi_zalloc(&out->session->mem, n, bytes) : NULL;
    memcpy(array, &memory, sizeof memory);
    return !wanted || memory;
}

pp_status ppi_outputs_prepare(struct ppi_outputs *out, pp_error *err)
{
    struct pp_session *s = out->session;
    bool pools = false, has_states = false, remote = s->info.has_own_memory;
    for (int64_t i = 0; i < out->items->n; i++) {
        const pp_item *item = ppi_items_at(out->items, i);
        if (item->n_scores > 0 && item->n_top > out->n_top)
            out->n_top = item->n_top;
        pools |= item->output == PP_OUTPUT_POOLED && item->pooling == PP_POOLING_MEAN;
        has_states |= item->output == PP_OUTPUT_POOLED || item->output == PP_OUTPUT_HIDDEN;
    }
    size_t n_logits = (size_t)ppi_session_n_logits(s), n_top = (size_t)out->n_top;
    size_t hidden_bytes = (size_t)s->model->spec.hidden_size * sizeof(float);
    bool taken = take(out, n_top > 0, PPI_LOGIT_ROWS, n_top * sizeof(int32_t), &out->top_tokens) &&
                 take(out, n_top > 0, PPI_LOGIT_ROWS, n_top * sizeof(double), &out->top_logprobs) &&
                 take(out, pools, (size_t)out->items->n, sizeof *out->sums, &out->sums) &&
                 take(out, has_states && remote, PPI_LOGIT_ROWS, hidden_bytes, &out->states);
    if (taken && out->params->sink && remote && !s->staging) {
        s->staging = ppi_alloc(&s->mem, PPI_LOGIT_ROWS, n_logits * sizeof(float));
        taken = s->staging != NULL;
    }
    return taken ? PP_OK
                 : ppi_error_nomem(err, "outputs on their way", PPI_LOGIT_ROWS * hidden_bytes);
}

void ppi_outputs_free(struct ppi_outputs *out)
{
    struct ppi_mem *mem = &out->session->mem;
    for (int64_t i = 0; out->sums && i < out->items->n; i++)
        ppi_free(mem, out->sums[i]);
    void *owned[] = {out->sums,       out->draws,        out->asks,   out->scores,
                     out->top_tokens, out->top_logprobs, out->states, out->tokens};
    for (size_t i = 0; i < PPI_COUNT(owned); i++)
        ppi_free(mem, owned[i]);
}
