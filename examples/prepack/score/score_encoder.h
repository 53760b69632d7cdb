/*
 * score_encoder.h: texts to tokens as lm-evaluation-harness does it: a continuation's tokens are
 * what the context and it, tokenized together, have behind as many tokens as the context alone has.
 */
#ifndef PREPACK_SCORE_ENCODER_H
#define PREPACK_SCORE_ENCODER_H

#include "model_tokenizer.h"

struct encoder {
    struct engine *engine; /* whose model is open */
    const struct data_options *options;
    struct tokenizer *tokenizer; /* NULL before the first text */
    struct text_edges edges;     /* of which texts get the first */
};

/* To be called before texts are added: opens the tokenizer once. Ids need none. */
int encoder_open_tokenizer(struct encoder *encoder);
void encoder_close(struct encoder *encoder);

/* Tokens that grow. */
struct token_list {
    int32_t *items; /* owned */
    size_t n, room;
};
int tokens_append(struct token_list *list, const int32_t *tokens, size_t n);

/* What stands where no context is: what the tokenizer begins texts with, else the token that begins
 * a text, else one that ends it. Of ids: by the model alone. Appended to list, unless there is
 * none. */
int encoder_add_start(const struct encoder *encoder, bool is_text, struct token_list *list);

/* A text with what begins it, appended to list. */
int encoder_add_text(const struct encoder *encoder, const char *text, struct token_list *list);

/* A context that continuations are given for. */
struct context {
    char *text;               /* owned; without the white space at its end */
    const char *space;        /* that white space, which moves to the continuations */
    struct token_list tokens; /* with what begins it */
};

int encoder_context(const struct encoder *encoder, const char *text, struct context *context);
void context_free(struct context *context);

/* The tokens of a continuation, delimiter before it, appended to list. *crossed: the context's
 * tokens are others when the continuation follows. */
int encoder_add_continuation(const struct encoder *encoder, const struct context *context,
                             const char *delimiter, const char *text, struct token_list *list,
                             bool *crossed);

/* Whether text ends, or begins, in white space (of Unicode). */
bool ends_in_space(const char *text);
bool begins_with_space(const char *text);
/* Words as lm-evaluation-harness counts them: one more than there are runs of white space. */
int64_t count_words(const char *text);

#endif
