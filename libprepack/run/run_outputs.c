/*
 * run_outputs.c: draws tokens from rows of logits, copies them to the caller, or lends them to the
 * sink. The rows of one kind that follow one another go together.
 */
#include "run/run_outputs.h"

static const struct ppi_wanted *wanted_row(const struct ppi_outputs *out, int32_t row)
{
    return &out->session->workspace.wanted[row];
}

static float *logits_row(const struct ppi_outputs *out, int32_t i)
{
    const struct pp_session *s = out->session;
    return s->workspace.logits + (int64_t)i * s->model->spec.vocab_size;
}

/* ---- tokens ---- */

static struct ppi_draw draw_of(const pp_item *item, const struct ppi_wanted *row)
{
    return (struct ppi_draw){.temperature = item->temperature,
                             .top_k = item->top_k,
                             .top_p = item->top_p > 0 ? item->top_p : 1,
                             .min_p = item->min_p,
                             .seed = item->seed,
                             .position = row->position + 1}; /* the new token's */
}

/* Rows i .. i + n - 1 of the logits at hand; first: the wanted row that the first of them is. */
static pp_status draw_tokens(const struct ppi_outputs *out, int32_t first, int32_t i, int32_t n,
                             pp_error *err)
{
    struct pp_session *s = out->session;
    struct ppi_draw draws[PPI_LOGIT_ROWS] = {{0}};
    int32_t tokens[PPI_LOGIT_ROWS];
    for (int32_t j = 0; j < n; j++) {
        const struct ppi_wanted *row = wanted_row(out, first + j);
        draws[j] = draw_of(ppi_items_at(out->items, row->i_item), row);
    }
    PP_TRY(s->ops->sample(s->backend, logits_row(out, i), n, s->model->spec.vocab_size, draws,
                          tokens, err));
    for (int32_t j = 0; j < n; j++) {
        const struct ppi_wanted *row = wanted_row(out, first + j);
        if (tokens[j] < 0)
            return ppi_error_at(err, PP_ERR_NOT_FINITE, row->i_item,
                                "item %lld: the logits after its token %d are not numbers, so that "
                                "none can be drawn; the weights or the prompt's values overflow",
                                (long long)row->i_item, row->position);
        out->tokens[row->i_item] = tokens[j];
    }
    return PP_OK;
}

/* ---- logits ---- */

static pp_status lend(const struct ppi_outputs *out, int32_t first, int32_t n, const float *logits,
                      pp_error *err)
{
    const struct ppi_wanted *row = wanted_row(out, first);
    pp_logits piece = {.struct_size = sizeof piece,
                       .vocab_size = out->session->model->spec.vocab_size,
                       .i_item = row->i_item,
                       .first_token = row->i_token,
                       .n_rows = n,
                       .logits = logits};
    if (out->params->sink(out->params->sink_user, &piece) != 0)
        return ppi_error_at(err, PP_ERR_CANCELLED, row->i_item,
                            "the sink ended the run at the logits of item %lld",
                            (long long)row->i_item);
    return PP_OK;
}

/* Rows of one item. */
static pp_status hand_over(const struct ppi_outputs *out, int32_t first, int32_t i, int32_t n,
                           pp_error *err)
{
    struct pp_session *s = out->session;
    const struct ppi_wanted *row = wanted_row(out, first);
    const pp_item *item = ppi_items_at(out->items, row->i_item);
    int64_t vocab = s->model->spec.vocab_size;
    if (!item->logits && !s->info.has_own_memory)
        return lend(out, first, n, logits_row(out, i), err);

    float *to = item->logits ? item->logits : s->staging;
    if (item->logits && item->output == PP_OUTPUT_ALL_LOGITS)
        to += row->i_token * vocab;
    void *rows[PPI_LOGIT_ROWS];
    for (int32_t j = 0; j < n; j++)
        rows[j] = to + j * vocab;
    PP_TRY(s->ops->download_rows(s->backend, rows, logits_row(out, i), n,
                                 (size_t)vocab * sizeof(float), err));
    return item->logits ? PP_OK : lend(out, first, n, s->staging, err);
}

/* Whether a token is drawn from the row. */
static bool is_drawn(const struct ppi_outputs *out, int32_t row)
{
    return ppi_items_at(out->items, wanted_row(out, row)->i_item)->output == PP_OUTPUT_TOKEN;
}

/* How many rows from `first` on go together: those that are drawn from, or those of one item. */
static int32_t count_alike(const struct ppi_outputs *out, int32_t first, int32_t n_rows)
{
    bool drawn = is_drawn(out, first);
    int64_t i_item = wanted_row(out, first)->i_item;
    int32_t n = 1;
    while (n < n_rows && is_drawn(out, first + n) == drawn &&
           (drawn || wanted_row(out, first + n)->i_item == i_item))
        n++;
    return n;
}

pp_status ppi_outputs_take(void *user, int32_t first, int32_t n_rows, pp_error *err)
{
    const struct ppi_outputs *out = user;
    for (int32_t i = 0, n; i < n_rows; i += n) {
        n = count_alike(out, first + i, n_rows - i);
        PP_TRY(is_drawn(out, first + i) ? draw_tokens(out, first + i, i, n, err)
                                        : hand_over(out, first + i, i, n, err));
    }
    return PP_OK;
}

pp_status ppi_outputs_prepare(const struct ppi_outputs *out, pp_error *err)
{
    struct pp_session *s = out->session;
    if (!out->params->sink || !s->info.has_own_memory || s->staging)
        return PP_OK;
    size_t row_bytes = (size_t)s->model->spec.vocab_size * sizeof(float);
    s->staging = ppi_alloc(&s->mem, PPI_LOGIT_ROWS, row_bytes);
    return s->staging ? PP_OK
                      : ppi_error_nomem(err, "logits on their way", PPI_LOGIT_ROWS * row_bytes);
}
