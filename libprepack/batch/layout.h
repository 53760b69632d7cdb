/*
 * layout.h: lays runs of prompt tokens one after another, as pp_batch_build does for bins and a run
 * does for passes.
 */
#ifndef PPI_LAYOUT_H
#define PPI_LAYOUT_H

#include "internal.h"

#include <prepack/batch.h>

/* Lays n tokens out that stand at positions begin, begin + 1, ... of their prompt. */
static inline void ppi_layout_run(const int32_t *src, int64_t begin, int64_t n, int32_t *tokens,
                                  int32_t *positions)
{
    for (int64_t i = 0; i < n; i++) {
        tokens[i] = src[i];
        positions[i] = (int32_t)(begin + i);
    }
}

#endif
