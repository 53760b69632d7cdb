/*
 * json_scalar.h: the words of JSON: strings, numbers, true, false, null. For json_text.c. Each
 * function reads one at the cursor and returns NULL, or the reason why it is malformed, with the
 * cursor at the place.
 */
#ifndef PPI_JSON_SCALAR_H
#define PPI_JSON_SCALAR_H

#include "json/json_text.h"

struct ppi_json_cursor {
    char *text;
    size_t len, at;
    size_t line, line_start; /* the line's number, from 1, and where it starts */
};

/* Skips white space; the byte at the cursor, or -1 at the end. */
int ppi_json_peek(struct ppi_json_cursor *cursor);

/* Decodes in place: *string stands in the text, with a NUL after its *len bytes. */
const char *ppi_json_scan_string(struct ppi_json_cursor *cursor, bool allow_nul,
                                 const char **string, uint32_t *len);

/* type and integer or real of *value. any: what ppi_json_limits.any_number says. */
const char *ppi_json_scan_number(struct ppi_json_cursor *cursor, bool any,
                                 struct ppi_json_value *value);

const char *ppi_json_scan_word(struct ppi_json_cursor *cursor, const char *word);

#endif
