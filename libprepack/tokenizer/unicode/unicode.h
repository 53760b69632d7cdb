/*
 * unicode.h: what characters are, as the engines that tokenizer.json was written for see them.
 */
#ifndef PPI_UNICODE_H
#define PPI_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

bool ppi_is_white_space(uint32_t code); /* White_Space; what \s means */
bool ppi_is_word(uint32_t code);        /* \w of Rust's regex: Alphabetic, M, Nd, Pc, joiners */
bool ppi_is_numeric(uint32_t code);     /* Nd, Nl, No */
bool ppi_is_punctuation(uint32_t code); /* ASCII punctuation, P*: as Bert and Punctuation split */
bool ppi_is_other(uint32_t code);       /* C*, as Bert cleans it away; not tab and line ends */
bool ppi_is_chinese(uint32_t code);     /* the CJK blocks that Bert takes apart */
bool ppi_is_mark_nonspacing(uint32_t code); /* Mn: what Bert drops with strip_accents */
bool ppi_is_combining(uint32_t code);       /* M: what StripAccents drops */

/* The lower case of a character: its characters, 1 or 2, into lower[2]. */
int ppi_to_lower(uint32_t code, uint32_t lower[2]);

#endif
