/* text_tokens.h: libprepack-tokenizer as the program uses it: a text at a time, with sentences. */
#ifndef PREPACK_TEXT_TOKENS_H
#define PREPACK_TEXT_TOKENS_H

#include <prepack/tokenizer.h>
#include <stdbool.h>

struct tokenizer;

/* path: a model directory, or a file with a tokenizer. literal: special tokens that a text spells
 * out are text. The caller closes *tokenizer. */
int tokenizer_open(const char *path, bool literal, struct tokenizer **tokenizer);
/* The same, but nothing happens where path has no tokenizer, and one that cannot be used is said in
 * a note. */
int tokenizer_try(const char *path, struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer);

/* One more than the largest id. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);
/* The id that ends a text, or -1. */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
/* A token as its file spells it; NULL for an id that no token has. */
const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id);

/* The id that begins a text, or -1. */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);
/* The ids that every text gets before and behind its own, maybe none. */
struct text_edges {
    int32_t *ids; /* [n_before + n_after] owned */
    size_t n_before, n_after;
};
int tokenizer_edges(struct tokenizer *tokenizer, struct text_edges *edges);
/* Token ids of a text alone, without those that begin and end it. The caller frees *tokens. */
int tokenizer_encode_alone(struct tokenizer *tokenizer, const char *text, int32_t **tokens,
                           size_t *n);
/* Token ids of a text, with those that begin and end it if there are such. The caller frees
 * *tokens. */
int tokenizer_encode(struct tokenizer *tokenizer, const char *text, int32_t **tokens, size_t *n);

/*
 * The text that `tokens` add behind `before` (a leading space is kept that decoding them alone
 * would lose). Ids that no token has are left out; *unknown is the first of them in tokens, or -1.
 * The caller frees *text, which is UTF-8 without NUL.
 */
int tokenizer_decode_after(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                           const int32_t *tokens, size_t n, char **text, int32_t *unknown);

/* A stream that has the ids of `before` behind it. The caller destroys *stream. */
int tokenizer_stream(const struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                     pp_text_stream **stream);

#endif
