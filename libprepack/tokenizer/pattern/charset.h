/*
 * charset.h: sets of characters, as sorted ranges that do not touch.
 */
#ifndef PPI_CHARSET_H
#define PPI_CHARSET_H

#include "tokenizer/text.h"

#define PPI_CHARS_END 0x110000u

/* Sets are ppi_spans: ranges are put into them in any order, then ppi_charset_tidy sorts and joins
 * them; until then nothing else may be asked of the set. `failed` is the list's. */
void ppi_charset_tidy(struct ppi_spans *set);
/* set becomes all other characters. Both are tidy. */
void ppi_charset_invert(struct ppi_spans *set);
/* set keeps what is in `other` too. Both are tidy. */
void ppi_charset_intersect(struct ppi_spans *set, const struct ppi_spans *other);
void ppi_charset_add(struct ppi_spans *set, const struct ppi_spans *other);
bool ppi_charset_has(const struct ppi_span *ranges, size_t n, uint32_t code);

/* Puts a property of characters: a general category ("Lu", "L", "Uppercase_Letter"), "Any", a
 * script or a class with a name in Oniguruma ("Alpha"). Case, spaces, '-' and '_' do not matter.
 * false: there is none of that name here. */
bool ppi_charset_put_property(struct ppi_spans *set, const char *name, size_t n);
/* Puts what [:name:] means. */
bool ppi_charset_put_posix(struct ppi_spans *set, const char *name, size_t n);

#endif
