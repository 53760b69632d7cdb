/* embed_texts.h: texts as tokens, a batch at a time, so that no more than a batch's are kept. */
#ifndef PREPACK_EMBED_TEXTS_H
#define PREPACK_EMBED_TEXTS_H

#include "dataset.h"
#include "text_tokens.h"

struct embed_texts {
    const struct dataset *set;
    struct tokenizer *tokenizer; /* of texts */
    struct text_edges edges;
    const char *prefix; /* before every text; NULL: none */
    int32_t end_token;  /* that ends every text; -1: none */
    int64_t max_length; /* 0: longer ones are refused */
    int64_t max_position;
    int32_t *tokens; /* of the batch that was tokenized last */
    size_t n_tokens, room;
    pp_prompt *prompts; /* [prompts_room] of that batch */
    size_t prompts_room;
    int64_t n_cut; /* texts that lost tokens, so far */
};

/* Of a set of texts or ids; the struct's other fields are set. The caller closes it. */
int embed_texts_open(struct embed_texts *texts);
/* Tokenizes texts first .. first + n - 1. */
int embed_texts_take(struct embed_texts *texts, size_t first, size_t n);
void embed_texts_close(struct embed_texts *texts);

#endif
