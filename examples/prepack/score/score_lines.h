/*
 * score_lines.h: what is known of a record, as one JSON object, and the figures of all of them. The
 * figures are made from the objects alone, so that those of a run that was stopped and went on are
 * those of one that was not.
 */
#ifndef PREPACK_SCORE_LINES_H
#define PREPACK_SCORE_LINES_H

#include "score_run.h"

#include <jansson.h>

/* A record whose sequences come one by one. */
struct line_builder {
    const struct score_work *work;
    bool per_token; /* with the figures of each token */
    json_t *continuations;
    json_t *ids, *logprobs, *ranks, *top; /* of each token; NULL: not wanted */
    double logprob;                       /* of a text so far */
    int64_t n_tokens;
    struct best {
        double value;
        int64_t i;
    } best, best_norm, best_bytes; /* of continuations so far: log p, a character's, a byte's */
    bool has_text;                 /* all of them have */
};

void line_begin(struct line_builder *builder, const struct score_work *work, bool per_token);
/* Takes the figures of sequence i. */
void line_add(struct line_builder *builder, size_t i, const struct sequence_scores *figures);
/* The object of record i, of which all was added; NULL without memory. The builder begins anew. */
json_t *line_end(struct line_builder *builder, size_t i);
void line_drop(struct line_builder *builder);

/* Figures of all records. */
struct score_totals {
    int64_t n_items, n_continuations, n_tokens, n_greedy;
    int64_t n_answers, n_right; /* questions with an answer */
    int64_t n_norm_answers, n_right_norm,
        n_right_bytes; /* of those whose continuations are texts */
    double logprob, answer_logprob;
    int64_t n_words, n_bytes; /* of texts */
    double word_logprob;      /* of texts whose words and bytes are known */
};

/* Adds the object of a record; false: it has not what one must have. */
bool totals_add(struct score_totals *totals, const json_t *line);

/* exp(-logprob / n); null without n. */
json_t *perplexity_json(double logprob, int64_t n);

#endif
