/*
 * token_checks.h: what tests ask of tokenizers that they put together.
 */
#ifndef TEST_TOKEN_CHECKS_H
#define TEST_TOKEN_CHECKS_H

#include "support/token_files.h"

#include <prepack/tokenizer.h>

void token_write_file(const char *path, const void *bytes, size_t n);

/* Opens a file of these bytes, which are freed. */
pp_status token_open(struct blob *blob, const pp_allocator *allocator, pp_tokenizer **tokenizer,
                     pp_error *err);
pp_tokenizer *token_open_good(struct blob blob);
/* part: of the sentence. */
void token_check_refused(struct blob blob, pp_status wanted, const char *part);
/* Opens it again and again, with one allocation after another failing. It may open all the same:
 * patterns do without what makes them faster. */
void token_exhaust(struct blob file);

#define TOKENS_END -2 /* ends a list of ids */

/* With offsets and without. special: PP_SPECIAL_*. */
void token_check_ids(pp_tokenizer *tokenizer, const char *text, int32_t special,
                     const int32_t *ids);
void token_check_text(const pp_tokenizer *tokenizer, const int32_t *ids, const char *wanted);

#define CHECK_IDS(tokenizer, text, ...)                                                            \
    token_check_ids(tokenizer, text, PP_SPECIAL_PARSE, (const int32_t[]){__VA_ARGS__, TOKENS_END})
#define CHECK_LITERAL(tokenizer, text, ...)                                                        \
    token_check_ids(tokenizer, text, PP_SPECIAL_TEXT, (const int32_t[]){__VA_ARGS__, TOKENS_END})
#define CHECK_TEXT(tokenizer, wanted, ...)                                                         \
    token_check_text(tokenizer, (const int32_t[]){__VA_ARGS__, TOKENS_END}, wanted)

#endif
