/*
 * tokenizer.h: SentencePiece, as C, with the settings beside it. No exception leaves tokenizer.cc,
 * and a model file is checked (spm_check.h) before SentencePiece reads it.
 */
#ifndef PREPACK_TOKENIZER_H
#define PREPACK_TOKENIZER_H

#include "tokenizer_config.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;

/*
 * path: a SentencePiece model. Special tokens (control pieces, the unknown piece and added tokens)
 * that a text spells out become the token they name, unless config says to split them. The caller
 * closes *tokenizer.
 */
int tokenizer_open(const char *path, const struct tokenizer_config *config,
                   struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer);

/* Number of pieces: ids below it have a text or a meaning. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);
/* The id that ends a text, or -1. */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);

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

#ifdef __cplusplus
}
#endif
#endif
