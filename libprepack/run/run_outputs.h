/*
 * run_outputs.h: rows of logits and hidden states become what items asked for. A row that several
 * items share is computed once and given to each.
 */
#ifndef PPI_OUTPUTS_H
#define PPI_OUTPUTS_H

#include "run/run_items.h"
#include "run/stretches.h"

/* A token to be drawn from a row of the block at hand. */
struct ppi_draw_ask {
    int32_t row;
    int64_t i_item;
};

/* A score of an item, of a row of the block at hand. */
struct ppi_score_ask {
    int32_t row, target;
    int64_t i_item, i_score;
};

/* Where what a run gives goes. */
struct ppi_outputs {
    struct pp_session *session;
    const struct ppi_items *items;
    const pp_run_params *params;
    const struct ppi_stretches *stretches;
    const int64_t *begins, *lengths; /* [items] positions that are computed */
    int32_t *tokens;                 /* [items] that were drawn */
    double **sums;                   /* [items] of states, while they are pooled; or NULL */
    /* of the block at hand; owned */
    struct ppi_draw_ask *draws;
    int64_t n_draws, draws_capacity;
    struct ppi_score_ask *asks;
    int64_t n_asks, asks_capacity;
    struct ppi_score *scores;
    int64_t scores_capacity;
    int32_t n_top;        /* the most that an item wants */
    int32_t *top_tokens;  /* [PPI_LOGIT_ROWS, n_top] */
    double *top_logprobs; /* [PPI_LOGIT_ROWS, n_top] */
    float *states;        /* [PPI_LOGIT_ROWS, hidden] of a device with memory of its own */
};

/* Rows of the block at hand that follow one another in one stretch. */
struct ppi_rows {
    int32_t row, n_rows; /* in the block */
    int64_t position;    /* of the first */
    const struct ppi_stretch *stretch;
};

/* Takes the host memory that giving needs. Errors: PP_ERR_NOMEM. */
pp_status ppi_outputs_prepare(struct ppi_outputs *outputs, pp_error *err);
void ppi_outputs_free(struct ppi_outputs *outputs);

/* Says what is wanted of rows begin .. begin + n - 1 of a stretch: kinds [n], PPI_WANT_*. */
void ppi_outputs_mark(const struct ppi_outputs *outputs, const struct ppi_stretch *stretch,
                      int64_t begin, int64_t n, uint8_t *kinds);

/* The functions of a ppi_take; user: struct ppi_outputs. Errors: PP_ERR_NOT_FINITE,
 * PP_ERR_CANCELLED (by the sink), PP_ERR_NOMEM, PP_ERR_DEVICE. */
pp_status ppi_outputs_take_logits(void *user, int32_t first, int32_t n_rows, pp_error *err);
pp_status ppi_outputs_take_hidden(void *user, int32_t first, int32_t n_rows, const float *hidden,
                                  pp_error *err);

/* ---- for the files of outputs ---- */

/* Position of an item's first own token. */
static inline int64_t ppi_outputs_origin(const struct ppi_outputs *out, int64_t i_item)
{
    return out->begins[i_item] + out->lengths[i_item] - ppi_items_at(out->items, i_item)->n_tokens;
}

/* Room for one more behind n elements of an array of the outputs, which may move. */
pp_status ppi_outputs_grow(struct ppi_outputs *outputs, void *array, int64_t n, int64_t *capacity,
                           size_t element_bytes, pp_error *err);

/* The next rows of a block of n_rows wanted rows from `first` on; rows: zeroed at first. false:
 * there are none. */
bool ppi_outputs_next_rows(const struct ppi_outputs *out, int32_t first, int32_t n_rows,
                           struct ppi_rows *rows);

/* run_scores.c: asks for the scores of an item in these rows; then gives those of the block. */
pp_status ppi_outputs_ask_scores(struct ppi_outputs *out, const struct ppi_rows *rows,
                                 int64_t i_item, pp_error *err);
pp_status ppi_outputs_give_scores(struct ppi_outputs *out, int32_t n_rows, pp_error *err);

#endif
