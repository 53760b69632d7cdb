/*
 * encode_work.h: what one thread needs to turn texts into tokens; kept by the tokenizer between
 * calls.
 */
#ifndef PPI_ENCODE_WORK_H
#define PPI_ENCODE_WORK_H

#include "tokenizer/tokenizer_impl.h"

struct ppi_encode_work {
    struct ppi_encode_work *next;
    struct ppi_pattern_work *patterns;
    struct ppi_text text, part, spare; /* a text between added tokens; a part of it; memory */
    struct ppi_spans words, spare_words;
    void *pieces;
};

/* One that no other call uses. Errors: PP_ERR_NOMEM. */
pp_status ppi_encode_work_take(pp_tokenizer *tokenizer, struct ppi_encode_work **work,
                               pp_error *err);
void ppi_encode_work_give(pp_tokenizer *tokenizer, struct ppi_encode_work *work);

/* How a text is to be encoded. */
struct ppi_encode_how {
    bool literal; /* special tokens are text */
    bool edges;
    bool offsets;
};

/* Appends the tokens of a text; their spans (tokens->traced) are bytes of the text. Errors:
 * PP_ERR_ARG (not UTF-8), PP_ERR_LIMIT, PP_ERR_NOMEM; what is appended then is rubbish.
 * (encode_text.c) */
pp_status ppi_encode_text(const pp_tokenizer *tokenizer, struct ppi_encode_work *work,
                          const pp_text *text, const struct ppi_encode_how *how,
                          struct ppi_tokens *tokens, pp_error *err);

#endif
