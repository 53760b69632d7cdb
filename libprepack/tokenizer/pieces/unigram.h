/*
 * unigram.h: between the files of unigram.
 */
#ifndef PPI_UNIGRAM_H
#define PPI_UNIGRAM_H

#include "tokenizer/pieces/pieces.h"

/* Creates a model. scores: [vocab->n_ids] taken over, also on failure; all finite. unk: -1: none.
 * Errors: PP_ERR_NOMEM, PP_ERR_LIMIT. */
pp_status ppi_unigram_make(double *scores, int32_t unk, bool byte_fallback,
                           const struct ppi_vocab *vocab, struct ppi_mem *mem,
                           struct ppi_pieces **pieces, pp_error *err);

#endif
