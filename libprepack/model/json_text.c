/*
 * json_text.c: JSON under limits. Jansson does the parsing; a scan before it bounds what jansson
 * will build and how deep it will recurse.
 */
#include "model/json_text.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 32

/* The end of the string that opens at text[i]: the index of its closing quote, or len. */
static size_t string_end(const char *text, size_t len, size_t i)
{
    for (i++; i < len && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i < len ? i : len;
}

/* Looks at nesting, commas and strings alone; whether the text is JSON is the parser's question. */
static pp_status scan(const char *text, size_t len, const char *label,
                      const struct ppi_json_limits *limits, pp_error *err)
{
    int depth = 0;
    int64_t n_members = 1;
    for (size_t i = 0; i < len; i++) {
        bool limited = limits && depth <= limits->depth;
        char c = text[i];
        if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH)
                return ppi_error(err, PP_ERR_FORMAT,
                                 "%s: nested deeper than %d at byte %zu of the JSON", label,
                                 MAX_DEPTH, i);
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',' && limited) {
            if (++n_members > limits->max_members)
                return ppi_error(err, PP_ERR_LIMIT, "%s: more than %lld %ss", label,
                                 (long long)limits->max_members, limits->what);
        } else if (c == '"') {
            size_t end = string_end(text, len, i);
            if (limited && end - i - 1 > (size_t)limits->max_string)
                return ppi_error(err, PP_ERR_LIMIT,
                                 "%s: a %s name of %zu bytes at byte %zu of the JSON; at most %lld "
                                 "are accepted",
                                 label, limits->what, end - i - 1, i,
                                 (long long)limits->max_string);
            i = end;
        }
    }
    return PP_OK;
}

/* Jansson has a code for this, but reports a failed allocation for a string as a bad token (which a
 * string, complete with its quotes, cannot be otherwise), and most others without a text. */
static bool is_out_of_memory(const json_error_t *error)
{
    static const char *const texts[] = {"invalid token near '\"",
                                        "string or '}' expected near '\""};
    for (size_t i = 0; i < PPI_COUNT(texts); i++)
        if (strncmp(error->text, texts[i], strlen(texts[i])) == 0)
            return true;
    return json_error_code(error) == json_error_out_of_memory || error->text[0] == '\0';
}

pp_status ppi_json_parse(const char *text, size_t len, const char *label,
                         const struct ppi_json_limits *limits, json_t **object, pp_error *err)
{
    json_error_t error;
    PP_TRY(scan(text, len, label, limits, err));
    size_t flags = JSON_REJECT_DUPLICATES | (limits && limits->allow_nul ? JSON_ALLOW_NUL : 0);
    json_t *root = json_loadb(text, len, flags, &error);
    if (!root && is_out_of_memory(&error))
        return ppi_error(err, PP_ERR_NOMEM, "no memory for the JSON of %s (%zu bytes)", label, len);
    if (!root)
        return ppi_error(err, PP_ERR_FORMAT, "%s: malformed JSON in line %d, column %d: %s", label,
                         error.line, error.column, ppi_label(error.text).text);
    if (!json_is_object(root)) {
        json_decref(root);
        return ppi_error(err, PP_ERR_FORMAT, "%s: the JSON is not an object", label);
    }
    *object = root;
    return PP_OK;
}

pp_status ppi_json_read(const struct ppi_file *file, int64_t max_bytes, struct ppi_mem *mem,
                        const struct ppi_json_limits *limits, json_t **object, pp_error *err)
{
    if (file->size > max_bytes)
        return ppi_error(err, PP_ERR_LIMIT, "%s has %lld bytes; at most %lld are accepted",
                         file->label.text, (long long)file->size, (long long)max_bytes);
    size_t len = (size_t)file->size;
    char *text = ppi_alloc(mem, len, 1);
    if (!text)
        return ppi_error_nomem(err, file->label.text, len);
    pp_status status = ppi_file_read(file, 0, text, len, err);
    if (status >= 0)
        status = ppi_json_parse(text, len, file->label.text, limits, object, err);
    ppi_free(mem, text);
    return status;
}

struct ppi_label ppi_json_describe(const json_t *value)
{
    struct ppi_label label = {"missing"};
    if (!value)
        return label;
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        snprintf(label.text, sizeof label.text, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(label.text, 64, "%.15g", json_real_value(value));
        if (!strpbrk(label.text, ".e"))
            strcat(label.text, ".0");
        break;
    case JSON_STRING:
        snprintf(label.text, 64, "\"%.40s", json_string_value(value));
        label = ppi_label(label.text); /* the cut may have split a character */
        strcat(label.text, json_string_length(value) > 40 ? "...\"" : "\"");
        break;
    default: {
        static const char *const words[] = {
            [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_TRUE] = "true",
            [JSON_FALSE] = "false",      [JSON_NULL] = "null",
        };
        strcpy(label.text, words[json_typeof(value)]);
    }
    }
    return label;
}
