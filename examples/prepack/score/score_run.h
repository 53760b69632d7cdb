/* score_run.h: sequences through a model, a batch at a time. */
#ifndef PREPACK_SCORE_RUN_H
#define PREPACK_SCORE_RUN_H

#include "score_work.h"

#include <prepack/prepack.h>

struct score_runner {
    const struct score_work *work;
    pp_session *session;
    const pp_packer *packer;
    int32_t n_top;
    bool share; /* sequences that follow one another and differ in targets alone are one item */
    /* Of the last batch: */
    pp_score *scores;     /* [n_scores] of its sequences, one after another */
    int32_t *top_tokens;  /* [n_scores, n_top] */
    double *top_logprobs; /* [n_scores, n_top] */
    pp_item *items;
    size_t *leaders; /* of each item its first sequence */
    size_t scores_room, items_room;
};

/* The figures of one sequence of the last batch. */
struct sequence_scores {
    const pp_score *scores; /* [n] in the order of its targets */
    int64_t n;
    int32_t n_top;
    const int32_t *top_tokens;  /* [n, n_top] */
    const double *top_logprobs; /* [n, n_top] */
};

/* Runs the sequences first .. first + n - 1. */
int score_run(struct score_runner *runner, size_t first, size_t n);
/* Those of sequence i of the last batch, which begins at `first`; offset: the targets of the
 * batch's sequences before it. */
struct sequence_scores score_figures(const struct score_runner *runner, size_t i, size_t offset);
void score_runner_close(struct score_runner *runner);

#endif
