/*
 * json_text.c: the parser. One pass over the text with an explicit stack; values go into one
 * growing array in the order of the text, strings are decoded where they stand.
 */
#define _GNU_SOURCE
#include "json/json_text.h"
#include "json/json_scalar.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH  32
#define MAX_VALUES 16000000

struct parser {
    struct ppi_json_cursor cursor;
    const char *label;
    const struct ppi_json_limits *limits;
    struct ppi_mem *mem;
    pp_error *err;
    struct ppi_json_value *values;
    size_t n_values, capacity;
    size_t open[MAX_DEPTH]; /* the arrays and objects around the cursor, outermost first */
    int depth;
    int64_t n_members; /* of those that max_members counts */
};

static pp_status bad(const struct parser *parser, const char *reason)
{
    const struct ppi_json_cursor *cursor = &parser->cursor;
    char found[16] = "the end";
    if (cursor->at < cursor->len)
        snprintf(found, sizeof found, "byte 0x%02x", (unsigned char)cursor->text[cursor->at]);
    return ppi_error(parser->err, PP_ERR_FORMAT,
                     "%s: malformed JSON in line %zu, column %zu, at %s: %s", parser->label,
                     cursor->line, cursor->at - cursor->line_start + 1, found, reason);
}

static bool is_limited(const struct parser *parser)
{
    return parser->limits && parser->depth <= parser->limits->depth;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Room for one more value. */
static pp_status reserve(struct parser *parser)
{
    if (parser->n_values < parser->capacity)
        return PP_OK;
    if (parser->n_values >= MAX_VALUES)
        return ppi_error(parser->err, PP_ERR_LIMIT, "%s: more than %d JSON values", parser->label,
                         MAX_VALUES);
    size_t capacity = parser->capacity ? parser->capacity * 2 : 64;
    struct ppi_json_value *values = ppi_alloc(parser->mem, capacity, sizeof *values);
    if (!values)
        return ppi_error_nomem(parser->err, "JSON values", capacity * sizeof *values);
    if (parser->n_values > 0)
        memcpy(values, parser->values, parser->n_values * sizeof *values);
    ppi_free(parser->mem, parser->values);
    parser->values = values;
    parser->capacity = capacity;
    return PP_OK;
}

/* A string, decoded; the cursor stands at its opening quote. */
static pp_status read_string(struct parser *parser, bool is_name, const char **string,
                             uint32_t *len)
{
    const struct ppi_json_limits *limits = parser->limits;
    bool allow_nul = limits && (is_name ? limits->nul_in_names : limits->allow_nul);
    const char *reason = ppi_json_scan_string(&parser->cursor, allow_nul, string, len);
    if (reason)
        return bad(parser, reason);
    if (is_limited(parser) && *len > parser->limits->max_name)
        return ppi_error(parser->err, PP_ERR_LIMIT,
                         "%s: a %s name of %u bytes (\"%s\"); at most %lld are accepted",
                         parser->label, parser->limits->what, *len, ppi_label(*string).text,
                         (long long)parser->limits->max_name);
    return PP_OK;
}

/* "name": of the next member; the cursor then stands before its value. */
static pp_status read_name(struct parser *parser, const char **name, uint32_t *len)
{
    if (ppi_json_peek(&parser->cursor) != '"')
        return bad(parser, "a name in double quotes is needed");
    PP_TRY(read_string(parser, true, name, len));
    if (ppi_json_peek(&parser->cursor) != ':')
        return bad(parser, "':' is needed after a name");
    parser->cursor.at++;
    return PP_OK;
}

/* Opens an array or object: what follows is inside it until it is closed. */
static pp_status open_container(struct parser *parser)
{
    if (parser->depth == MAX_DEPTH)
        return bad(parser, "nested deeper than 32");
    parser->cursor.at++;
    parser->open[parser->depth++] = parser->n_values - 1;
    return PP_OK;
}

/* One value at the cursor; of an array or object only its beginning. */
static pp_status read_value(struct parser *parser, const char *name, uint32_t name_len)
{
    PP_TRY(reserve(parser));
    struct ppi_json_value *value = &parser->values[parser->n_values++];
    *value = (struct ppi_json_value){.name = name, .name_len = name_len, .span = 1};
    const char *reason = NULL;
    switch (ppi_json_peek(&parser->cursor)) {
    case '{':
        value->type = PPI_JSON_OBJECT;
        return open_container(parser);
    case '[':
        value->type = PPI_JSON_ARRAY;
        return open_container(parser);
    case '"':
        value->type = PPI_JSON_STRING;
        return read_string(parser, false, &value->string, &value->len);
    case 't':
        value->type = PPI_JSON_TRUE;
        reason = ppi_json_scan_word(&parser->cursor, "true");
        break;
    case 'f':
        value->type = PPI_JSON_FALSE;
        reason = ppi_json_scan_word(&parser->cursor, "false");
        break;
    case 'n':
        reason = ppi_json_scan_word(&parser->cursor, "null");
        break;
    default:
        reason = ppi_json_scan_number(&parser->cursor, parser->limits && parser->limits->any_number,
                                      value);
    }
    return reason ? bad(parser, reason) : PP_OK;
}

/* ---- objects --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct ppi_json_value *const *x = a, *const *y = b;
    uint32_t n = (*x)->name_len < (*y)->name_len ? (*x)->name_len : (*y)->name_len;
    int order = memcmp((*x)->name, (*y)->name, n);
    return order ? order : ((*x)->name_len > (*y)->name_len) - ((*x)->name_len < (*y)->name_len);
}

/* Sorted rather than hashed: no input makes it slow. */
static pp_status check_names(struct parser *parser, const struct ppi_json_value *object)
{
    const struct ppi_json_value *few[16], **names = few, *member = ppi_json_first(object);
    size_t n = object->len;
    if (n > PPI_COUNT(few) && !(names = ppi_alloc(parser->mem, n, sizeof *names)))
        return ppi_error_nomem(parser->err, "JSON names", n * sizeof *names);
    for (size_t i = 0; i < n; i++, member = ppi_json_next(object, member))
        names[i] = member;
    if (n > 1)
        qsort(names, n, sizeof *names, by_name);
    const char *twice = NULL;
    for (size_t i = 1; i < n; i++)
        if (by_name(&names[i - 1], &names[i]) == 0)
            twice = names[i]->name;
    if (names != few)
        ppi_free(parser->mem, names);
    return twice ? ppi_error(parser->err, PP_ERR_FORMAT, "%s: \"%s\" occurs twice in one object",
                             parser->label, ppi_label(twice).text)
                 : PP_OK;
}

/* Takes the innermost array or object off the stack. */
static pp_status close_container(struct parser *parser)
{
    struct ppi_json_value *value = &parser->values[parser->open[--parser->depth]];
    parser->cursor.at++;
    value->span = (uint32_t)(&parser->values[parser->n_values] - value);
    return value->type == PPI_JSON_OBJECT ? check_names(parser, value) : PP_OK;
}

/* After a value or an opening bracket: closes what ends here. *done: the root has; otherwise the
 * cursor stands before the next value or name. */
static pp_status finish_value(struct parser *parser, bool *done)
{
    while (parser->depth > 0) {
        struct ppi_json_value *parent = &parser->values[parser->open[parser->depth - 1]];
        char close = parent->type == PPI_JSON_OBJECT ? '}' : ']';
        bool is_empty = parent == &parser->values[parser->n_values - 1];
        int c = ppi_json_peek(&parser->cursor);
        if (c == close) {
            PP_TRY(close_container(parser));
            continue;
        }
        if (c != ',' && !is_empty)
            return bad(parser, close == '}' ? "',' or '}' is needed" : "',' or ']' is needed");
        parser->cursor.at += !is_empty;
        if (is_limited(parser) && ++parser->n_members > parser->limits->max_members)
            return ppi_error(parser->err, PP_ERR_LIMIT, "%s: more than %lld %ss", parser->label,
                             (long long)parser->limits->max_members, parser->limits->what);
        parent->len++;
        *done = false;
        return PP_OK;
    }
    *done = true;
    return PP_OK;
}

static pp_status parse_object(struct parser *parser)
{
    bool done = false;
    if (ppi_json_peek(&parser->cursor) != '{')
        return bad(parser, "an object is needed");
    while (!done) {
        const char *name = NULL;
        uint32_t name_len = 0;
        if (parser->depth > 0 &&
            parser->values[parser->open[parser->depth - 1]].type == PPI_JSON_OBJECT)
            PP_TRY(read_name(parser, &name, &name_len));
        PP_TRY(read_value(parser, name, name_len));
        PP_TRY(finish_value(parser, &done));
    }
    if (ppi_json_peek(&parser->cursor) >= 0)
        return bad(parser, "nothing may follow the object");
    return PP_OK;
}

pp_status ppi_json_parse(char *text, size_t len, const char *label,
                         const struct ppi_json_limits *limits, struct ppi_mem *mem,
                         struct ppi_json *json, pp_error *err)
{
    struct parser parser = {
        .cursor = {.text = text, .len = len, .line = 1},
        .label = label,
        .limits = limits,
        .mem = mem,
        .err = err,
    };
    if (len >= UINT32_MAX)
        return ppi_error(err, PP_ERR_LIMIT, "%s: %zu bytes of JSON", label, len);
    pp_status status = parse_object(&parser);
    if (status < 0)
        ppi_free(mem, parser.values);
    else
        *json = (struct ppi_json){.root = parser.values};
    return status;
}

void ppi_json_free(struct ppi_json *json, struct ppi_mem *mem)
{
    ppi_free(mem, json->root);
    ppi_free(mem, json->text);
    *json = (struct ppi_json){0};
}

/* ---- looking at values ---- */

bool ppi_json_is(const struct ppi_json_value *value, enum ppi_json_type type)
{
    return value && value->type == type;
}

const char *ppi_json_string(const struct ppi_json_value *value)
{
    return ppi_json_is(value, PPI_JSON_STRING) ? value->string : NULL;
}

bool ppi_json_number(const struct ppi_json_value *value, double *number)
{
    if (ppi_json_is(value, PPI_JSON_REAL))
        *number = value->real;
    else if (ppi_json_is(value, PPI_JSON_INTEGER))
        *number = (double)value->integer;
    else
        return false;
    return true;
}

const struct ppi_json_value *ppi_json_first(const struct ppi_json_value *parent)
{
    return parent && parent->span > 1 ? parent + 1 : NULL;
}

const struct ppi_json_value *ppi_json_next(const struct ppi_json_value *parent,
                                           const struct ppi_json_value *value)
{
    const struct ppi_json_value *next = value + value->span;
    return next < parent + parent->span ? next : NULL;
}

const struct ppi_json_value *ppi_json_get(const struct ppi_json_value *object, const char *name)
{
    if (!ppi_json_is(object, PPI_JSON_OBJECT))
        return NULL;
    const struct ppi_json_value *member = ppi_json_first(object);
    while (member && strcmp(member->name, name) != 0)
        member = ppi_json_next(object, member);
    return member;
}

struct ppi_label ppi_json_describe(const struct ppi_json_value *value)
{
    static const char *const words[] = {
        [PPI_JSON_NULL] = "null",      [PPI_JSON_FALSE] = "false",      [PPI_JSON_TRUE] = "true",
        [PPI_JSON_ARRAY] = "an array", [PPI_JSON_OBJECT] = "an object", [PPI_JSON_STRING] = NULL,
    };
    struct ppi_label label = {"missing"};
    if (!value)
        return label;
    if (value->type == PPI_JSON_INTEGER) {
        snprintf(label.text, sizeof label.text, "%lld", (long long)value->integer);
    } else if (value->type == PPI_JSON_REAL && !isfinite(value->real)) {
        strcpy(label.text, isnan(value->real) ? "NaN" : value->real > 0 ? "Infinity" : "-Infinity");
    } else if (value->type == PPI_JSON_REAL) {
        snprintf(label.text, sizeof label.text - 2, "%.15g", value->real);
        if (!strpbrk(label.text, ".,e"))
            strcat(label.text, ".0");
    } else if (value->type == PPI_JSON_STRING) {
        snprintf(label.text, 42, "\"%s", value->string);
        label = ppi_label(label.text); /* the cut may have split a character */
        strcat(label.text, value->len > 40 ? "...\"" : "\"");
    } else {
        strcpy(label.text, words[value->type]);
    }
    return label;
}
