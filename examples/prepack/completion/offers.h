/* offers.h: what a shell can offer, told from the tables of options. */
#ifndef PREPACK_OFFERS_H
#define PREPACK_OFFERS_H

#include "command.h"

/* Whether only certain words, one or many with commas, files or folders can follow an option. */
enum offer { OFFER_NO_VALUE, OFFER_NOTHING, OFFER_WORDS, OFFER_LIST, OFFER_FILES, OFFER_FOLDERS };

enum offer offer_of(const struct option_rule *rule);
/* The words that a value may be, also of one that may be a file; NULL at the end. */
const char *offer_word(const struct option_rule *rule, int64_t i);

/* The beginning of an option's help, as long as a shell has room for. */
enum { MAX_BRIEF = 72 };
void offer_brief(const struct option_rule *rule, char brief[MAX_BRIEF]);

/* The words separated by spaces, with a backslash before each of `escaped`. */
void offer_print_words(const struct option_rule *rule, const char *escaped, FILE *out);
/* Text with a backslash before each of `escaped`, and ' as \'\'' or, in fish, as \'. */
void offer_print_quoted(const char *text, const char *escaped, bool fish, FILE *out);

#endif
