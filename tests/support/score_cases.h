/*
 * score_cases.h: rows of logits with all that can be in them, what a backend's `score` has to say
 * of them, and that neither company nor threads show.
 */
#ifndef TEST_SCORE_CASES_H
#define TEST_SCORE_CASES_H

#include "backend.h"
#include "support/rng.h"

#define SCORE_CASE_ROWS 64
/* Most rows that show every kind of row. */
#define SCORE_CASE_KINDS 9

/* An operation `score` of a context, which takes logits of the host. */
struct score_case_context {
    void *user;
    pp_status (*score)(void *user, const float *logits, int64_t n_rows, int64_t vocab,
                       struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                       int32_t *top_tokens, double *top_logprobs, pp_error *err);
};

/* Rows, up to SCORE_CASE_ROWS of them, by both contexts, which give the same bits. NULL, or what is
 * wrong. */
const char *score_case_rows(const struct score_case_context *one,
                            const struct score_case_context *other, struct rng *rng, int64_t n_rows,
                            int64_t vocab, int32_t n_top);

/* Every id of some rows is asked for: ranks are a permutation, probabilities add up to 1. And
 * nothing is asked for. */
const char *score_case_every_target(const struct score_case_context *context, struct rng *rng,
                                    int64_t vocab);

#endif
