/* score_data.h: the data of `prepack score` as work: continuations of contexts, or texts. */
#ifndef PREPACK_SCORE_DATA_H
#define PREPACK_SCORE_DATA_H

#include "score_encoder.h"
#include "score_options.h"
#include "score_work.h"

/*
 * JSON objects, each with a context and one or several continuations, as texts or ids. A sentence
 * about a wrong one names its line. max_length: tokens that the model sees at once; of contexts
 * that are longer the end is kept.
 */
int score_read_continuations(const struct score_options *options, struct encoder *encoder,
                             int64_t max_length, struct score_work *work);

/*
 * Texts, cut into windows. options->stride 0: each window has max_length tokens of its own behind
 * one token of the window before, so that every token of a text is scored. Otherwise a window
 * begins `stride` tokens behind the last one, has max_length tokens, and scores those that no
 * window before it has; the first token of a text is only seen.
 */
int score_read_texts(const struct score_options *options, struct encoder *encoder,
                     int64_t max_length, struct score_work *work);

#endif
