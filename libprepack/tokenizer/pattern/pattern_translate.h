/*
 * pattern_translate.h: a regular expression that was read (pattern_parse.h), written for PCRE2.
 */
#ifndef PPI_PATTERN_TRANSLATE_H
#define PPI_PATTERN_TRANSLATE_H

#include "tokenizer/pattern/pattern_parse.h"

/* Appends to an empty *out. The options PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE belong to it, and
 * newlines of one LF. Sets are exact with PCRE2 10.40 to 10.42; others see characters that their
 * Unicode knows and Unicode 16 does not. Memory: out->failed. */
void ppi_pattern_translate(const struct ppi_parsed *parsed, struct ppi_text *out);

#endif
