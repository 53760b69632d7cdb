/*
 * tokenizer.h: SentencePiece, as C. No exception leaves tokenizer.cc, and a model file is checked
 * (spm_check.h) before SentencePiece reads it.
 */
#ifndef PREPACK_TOKENIZER_H
#define PREPACK_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;

/* The caller closes *tokenizer. */
int tokenizer_open(const char *path, struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer);

/* Number of ids. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);
/* The id that ends a text, or -1. */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);

/* Token ids of a text, the id that begins a text first if the model has one. The caller frees
 * *tokens. */
int tokenizer_encode(struct tokenizer *tokenizer, const char *text, int32_t **tokens, size_t *n);

/*
 * The text that `tokens` add behind `before` (a leading space is kept that decoding them alone
 * would lose). The caller frees *text, which is UTF-8 without NUL.
 */
int tokenizer_decode_after(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                           const int32_t *tokens, size_t n, char **text);

#ifdef __cplusplus
}
#endif
#endif
