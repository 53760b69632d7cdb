/*
 * run_hidden.c: hidden states as they are, or pooled to one vector an item. What a vector is does
 * not depend on how its rows came: they are added one by one, in order, in double.
 */
#include "run/run_outputs.h"

#include <math.h>
#include <string.h>

/* x / |x|; zeros stay. */
static void normalize(float *x, int64_t n)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    double scale = squares > 0 ? 1 / sqrt(squares) : 1;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] * scale);
}

static void give_vector(const pp_item *item, int64_t i_vector, const float *state, int64_t dim)
{
    float *to = item->hidden + i_vector * dim;
    memcpy(to, state, (size_t)dim * sizeof *to);
    if (item->normalize)
        normalize(to, dim);
}

/* Adds states [n, dim] of an item's tokens; is_last: its vector is the mean of all so far. */
static pp_status add_states(struct ppi_outputs *out, int64_t i_item, const float *states, int64_t n,
                            bool is_last, pp_error *err)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    struct ppi_mem *mem = &out->session->mem;
    int64_t dim = out->session->model->spec.hidden_size;
    if (!out->sums[i_item])
        out->sums[i_item] = ppi_zalloc(mem, (size_t)dim, sizeof(double));
    double *sum = out->sums[i_item];
    if (!sum)
        return ppi_error_nomem(err, "a sum of hidden states", (size_t)dim * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++)
            sum[d] += (double)states[i * dim + d];
    if (!is_last)
        return PP_OK;
    for (int64_t d = 0; d < dim; d++)
        item->hidden[d] = (float)(sum[d] / (double)item->n_tokens);
    if (item->normalize)
        normalize(item->hidden, dim);
    ppi_free(mem, sum);
    out->sums[i_item] = NULL;
    return PP_OK;
}

/* The states of an item's tokens first .. first + n - 1, [n, dim]. */
static pp_status give_item(struct ppi_outputs *out, int64_t i_item, int64_t first, int64_t n,
                           const float *states, pp_error *err)
{
    const pp_item *item = ppi_items_at(out->items, i_item);
    int64_t dim = out->session->model->spec.hidden_size, last = item->n_tokens - 1;
    if (item->output == PP_OUTPUT_HIDDEN && !item->hidden_tokens)
        for (int64_t i = 0; i < n; i++)
            give_vector(item, first + i, states + i * dim, dim);
    for (int64_t j = 0; item->output == PP_OUTPUT_HIDDEN && j < item->n_hidden; j++) {
        int64_t i = item->hidden_tokens[j] - first;
        if (i >= 0 && i < n)
            give_vector(item, j, states + i * dim, dim);
    }
    if (item->output != PP_OUTPUT_POOLED)
        return PP_OK;
    if (item->pooling == PP_POOLING_MEAN)
        return add_states(out, i_item, states, n, first + n == item->n_tokens, err);
    int64_t i = (item->pooling == PP_POOLING_FIRST ? 0 : last) - first;
    if (i >= 0 && i < n)
        give_vector(item, 0, states + i * dim, dim);
    return PP_OK;
}

/* Rows of a block that an item shares, as far as they are its own tokens. */
static pp_status give_rows(struct ppi_outputs *out, const struct ppi_rows *rows, int64_t i_item,
                           const float *states, pp_error *err)
{
    int64_t dim = out->session->model->spec.hidden_size;
    int64_t origin = ppi_outputs_origin(out, i_item), end = rows->position + rows->n_rows;
    int64_t begin = rows->position > origin ? rows->position : origin;
    return begin < end ? give_item(out, i_item, begin - origin, end - begin,
                                   states + (rows->row + begin - rows->position) * dim, err)
                       : PP_OK;
}

pp_status ppi_outputs_take_hidden(void *user, int32_t first, int32_t n_rows, const float *hidden,
                                  pp_error *err)
{
    struct ppi_outputs *out = user;
    struct pp_session *s = out->session;
    int64_t dim = s->model->spec.hidden_size;
    if (out->states) {
        void *to[PPI_LOGIT_ROWS];
        for (int32_t i = 0; i < n_rows; i++)
            to[i] = out->states + i * dim;
        PP_TRY(s->ops->download_rows(s->backend, to, hidden, n_rows, (size_t)dim * sizeof(float),
                                     err));
        hidden = out->states;
    }
    struct ppi_rows rows = {0};
    while (ppi_outputs_next_rows(out, first, n_rows, &rows))
        for (int64_t j = 0; j < rows.stretch->n_sharers; j++)
            PP_TRY(give_rows(out, &rows, out->stretches->sharers[rows.stretch->first_sharer + j],
                             hidden, err));
    return PP_OK;
}
