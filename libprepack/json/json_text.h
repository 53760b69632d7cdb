/*
 * json_text.h: JSON that comes from outside, read under limits into a flat tree. All of RFC 8259
 * and nothing more; beyond it, a name given twice in one object is refused. All memory comes from
 * the caller's ppi_mem, so that running out of it is an ordinary error, and nothing recurses.
 */
#ifndef PPI_JSON_TEXT_H
#define PPI_JSON_TEXT_H

#include "internal.h"
#include "json/label.h"

enum ppi_json_type {
    PPI_JSON_NULL,
    PPI_JSON_FALSE,
    PPI_JSON_TRUE,
    PPI_JSON_INTEGER, /* without fraction and exponent: exact */
    PPI_JSON_REAL,    /* finite, unless any_number allows others */
    PPI_JSON_STRING,
    PPI_JSON_ARRAY,
    PPI_JSON_OBJECT,
};

/* One value; what is inside an array or object follows it directly in memory. */
struct ppi_json_value {
    const char *name; /* of an object's member, NUL-terminated; else NULL */
    union {
        int64_t integer;
        double real;
        const char *string; /* UTF-8, NUL-terminated */
    };
    uint32_t len;  /* bytes of a string; values directly inside an array or object */
    uint32_t span; /* values in memory from this one to the next beside it */
    enum ppi_json_type type;
    uint32_t name_len; /* bytes of the name */
};

struct ppi_json_limits {
    const char *what;    /* what a member is, for messages: "tensor" */
    int depth;           /* the two limits below hold down to this nesting (root's members: 1) */
    int64_t max_members; /* of the objects and arrays there, together */
    int64_t max_name;    /* bytes of a name or string there */
    bool allow_nul;      /* in strings: the caller looks at their len */
    bool nul_in_names;   /* in names, too, which are compared by name_len then */
    bool any_number;     /* also NaN, Infinity, -Infinity and numbers beyond 64 bits and double, as
                            Python's json writes them: reals */
};

struct ppi_json {
    char *text; /* NULL: not ours */
    struct ppi_json_value *root;
};

/* Parses text[0, len), which must be an object. Strings are decoded in place: text is changed and
 * must outlive the values. label names it in messages; limits may be NULL. ppi_json_free releases
 * the values. Errors: PP_ERR_FORMAT; PP_ERR_LIMIT (also more than 16 million values);
 * PP_ERR_NOMEM. */
pp_status ppi_json_parse(char *text, size_t len, const char *label,
                         const struct ppi_json_limits *limits, struct ppi_mem *mem,
                         struct ppi_json *json, pp_error *err);

void ppi_json_free(struct ppi_json *json, struct ppi_mem *mem);

/* ---- looking at values; NULL is a value of no type
 * ---------------------------------------------------- */

bool ppi_json_is(const struct ppi_json_value *value, enum ppi_json_type type);

/* The text of a string, else NULL. */
const char *ppi_json_string(const struct ppi_json_value *value);

/* The value of an integer or real as a double; false and *number untouched for all else. */
bool ppi_json_number(const struct ppi_json_value *value, double *number);

/* The member of an object, or NULL. */
const struct ppi_json_value *ppi_json_get(const struct ppi_json_value *object, const char *name);

/* The values directly inside an array or object, one after the other, then NULL. */
const struct ppi_json_value *ppi_json_first(const struct ppi_json_value *parent);
const struct ppi_json_value *ppi_json_next(const struct ppi_json_value *parent,
                                           const struct ppi_json_value *value);

/* A value in words, for messages: 4096.0, "text", null, an array, missing. */
struct ppi_label ppi_json_describe(const struct ppi_json_value *value);

#endif
