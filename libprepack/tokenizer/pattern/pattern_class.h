/*
 * pattern_class.h: what one character of a regular expression may be: escapes, properties and
 * [classes], as sets. (pattern_parse.c reads what is around them.)
 */
#ifndef PPI_PATTERN_CLASS_H
#define PPI_PATTERN_CLASS_H

#include "tokenizer/pattern/charset.h"

/* A regular expression that is being read. */
struct ppi_pattern_source {
    const char *bytes; /* [n] valid UTF-8 */
    size_t n, at;
    const char *label, *where; /* for messages */
    struct ppi_mem *mem;
    pp_error *err;
};

/* LABEL: the pattern in WHERE has WHAT at byte AT. Returns code. */
pp_status ppi_pattern_refuse(const struct ppi_pattern_source *source, pp_status code,
                             const char *what);

/* The character at source->at, which moves behind it. There is one. */
uint32_t ppi_pattern_next(struct ppi_pattern_source *source);

/* After a backslash. A character goes to *code; what stands for several is put into the set, and
 * *code is UINT32_MAX. inside: of brackets. */
pp_status ppi_pattern_escape(struct ppi_pattern_source *source, bool inside, struct ppi_spans *set,
                             uint32_t *code);

/* After '[': the rest of a class, up to its ']', into an empty set that is tidy then. */
pp_status ppi_pattern_class(struct ppi_pattern_source *source, bool any_case,
                            struct ppi_spans *set);

/* Puts the other cases of a set's characters. Refused where letters beyond ASCII are among them:
 * Oniguruma knows several characters that are one in another case. set is tidy, and stays so. */
pp_status ppi_pattern_any_case(const struct ppi_pattern_source *source, struct ppi_spans *set);

#endif
