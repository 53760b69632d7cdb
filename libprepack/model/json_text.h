/*
 * json_text.h: JSON that comes from outside, parsed under limits.
 */
#ifndef PPI_JSON_TEXT_H
#define PPI_JSON_TEXT_H

#include "internal.h"
#include "model/model_file.h"

#include <jansson.h>

/* What is refused before anything is built from the text. */
struct ppi_json_limits {
    const char *what;    /* what a member is, for messages: "tensor" */
    int depth;           /* the two limits below hold down to this nesting; 0: nowhere */
    int64_t max_members; /* of the objects there, together */
    int64_t max_string;  /* bytes of a string there, as written */
    bool allow_nul;      /* in values: the caller compares their lengths */
};

/* Parses text[0, len) into an object, which the caller releases with json_decref. Names given
 * twice, nesting deeper than 32 and everything outside RFC 8259 is refused; numbers are exact
 * int64 or finite doubles. label names the text in messages; limits may be NULL. Errors:
 * PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_NOMEM. */
pp_status ppi_json_parse(const char *text, size_t len, const char *label,
                         const struct ppi_json_limits *limits, json_t **object, pp_error *err);

/* The same for a whole file of at most max_bytes (else PP_ERR_LIMIT). */
pp_status ppi_json_read(const struct ppi_file *file, int64_t max_bytes, struct ppi_mem *mem,
                        const struct ppi_json_limits *limits, json_t **object, pp_error *err);

/* A value in words, for messages: 4096.0, "text", null, an array. NULL: nothing. */
struct ppi_label ppi_json_describe(const json_t *value);

#endif
