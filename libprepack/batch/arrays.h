/*
 * arrays.h: the batch object as batch.c makes it and mask.c reads it.
 */
#ifndef PPI_ARRAYS_H
#define PPI_ARRAYS_H

#include "internal.h"

#include <prepack/batch.h>

struct pp_batch {
    struct ppi_mem mem;
    int32_t layout;
    int64_t n_rows;
    int64_t row_len;
    int64_t n_prompts;
    int64_t n_tokens;
    int64_t max_seqlen;
    int32_t *tokens;     /* [n_rows, row_len] */
    int32_t *positions;  /* [n_rows, row_len] */
    int32_t *cu_seqlens; /* [n_prompts + 1] */
    int64_t *starts;     /* [n_prompts] */
    int64_t *last_rows;  /* [n_prompts] */
    int32_t *prompts;    /* [n_prompts] */
};

#endif
