/*
 * layout.h: lays runs of prompt tokens one after another, as pp_batch_build does for bins and
 * prefill and decode do for passes.
 */
#ifndef PPI_LAYOUT_H
#define PPI_LAYOUT_H

#include "internal.h"

#include <prepack/batch.h>

/* A run of tokens of one prompt: its tokens [begin, end). */
struct ppi_run {
    int32_t prompt; /* index into the prompts */
    int32_t begin;
    int32_t end;
};

/* Writes tokens and positions of the runs one after another from index 0 on: tokens[j] =
 * prompts[run.prompt].tokens[p], positions[j] = p, for p from begin to end. Returns their number.
 */
int64_t ppi_layout_ragged(const pp_prompt *prompts, const struct ppi_run *runs, int64_t n_runs,
                          int32_t *tokens, int32_t *positions);

#endif
