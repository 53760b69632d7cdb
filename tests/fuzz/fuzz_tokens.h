/*
 * fuzz_tokens.h: what fuzz targets of tokenizers share: counted memory, and what holds of every
 * text and its tokens.
 */
#ifndef TEST_FUZZ_TOKENS_H
#define TEST_FUZZ_TOKENS_H

#include <prepack/tokenizer.h>

#include <stdbool.h>

/* Ends the process with a sentence unless it holds. */
void fuzz_check(bool holds, const char *what);

struct fuzz_memory {
    int64_t held, limit; /* bytes; limit 0: none */
};
pp_allocator fuzz_allocator(struct fuzz_memory *memory);

/* pp_tokenizer_open of a file with these bytes. */
pp_status fuzz_open(const void *bytes, size_t n, const pp_tokenizer_params *params,
                    pp_tokenizer **tokenizer, pp_error *err);

/* Encodes the text and decodes its ids: ids are the tokenizer's, the same with and without offsets,
 * which lie inside the text; the decoded text is UTF-8 and that of a stream. Where encoding fails,
 * the status is one of a text's. */
void fuzz_use_text(pp_tokenizer *tokenizer, pp_text text, int32_t special);

/* Decodes any ids: the text is UTF-8 and that of a stream. */
void fuzz_use_ids(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n);

#endif
