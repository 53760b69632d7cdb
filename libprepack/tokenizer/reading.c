/*
 * reading.c: values of tokenizer.json and the sentences about them; see reading.h.
 */
#include "tokenizer/reading.h"

#include <stdio.h>
#include <string.h>

#define MAX_PARTS 64
#define MAX_DEPTH 16

pp_status ppi_reading_refuse(const struct ppi_reading *reading, pp_status code, const char *where,
                             const struct ppi_json_value *value, const char *wanted)
{
    return ppi_error(reading->err, code, "%s: \"%s\" is %s; %s", reading->label, where,
                     ppi_json_describe(value).text, wanted);
}

pp_status ppi_reading_unknown(const struct ppi_reading *reading, const char *part,
                              const struct ppi_json_value *object)
{
    if (!ppi_json_string(ppi_json_get(object, "type")))
        return ppi_error(reading->err, PP_ERR_FORMAT, "%s: \"%s\" is %s without a \"type\"",
                         reading->label, part, ppi_json_describe(object).text);
    return ppi_error(reading->err, PP_ERR_UNSUPPORTED, "%s: the %s \"%s\" is not implemented",
                     reading->label, part, ppi_label(ppi_reading_type(object)).text);
}

const char *ppi_reading_type(const struct ppi_json_value *object)
{
    const char *type = ppi_json_string(ppi_json_get(object, "type"));
    return type ? type : "";
}

/* "where.key", or the key of a whole file, for a sentence. */
static struct ppi_label place(const char *where, const char *key)
{
    char text[160];
    snprintf(text, sizeof text, "%s%s%s", where, *where ? "." : "", key);
    return ppi_label(text);
}

static bool is_absent(const struct ppi_json_value *value)
{
    return !value || value->type == PPI_JSON_NULL;
}

pp_status ppi_reading_flag(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, const char *key, bool *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (is_absent(value))
        return PP_OK;
    if (value->type != PPI_JSON_TRUE && value->type != PPI_JSON_FALSE)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, place(where, key).text, value,
                                  "true or false is needed");
    *out = value->type == PPI_JSON_TRUE;
    return PP_OK;
}

pp_status ppi_reading_integer(const struct ppi_reading *reading, const char *where,
                              const struct ppi_json_value *object, const char *key, int64_t min,
                              int64_t max, int64_t *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    char wanted[96];
    if (is_absent(value))
        return PP_OK;
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld is needed", (long long)min,
             (long long)max);
    if (value->type != PPI_JSON_INTEGER || value->integer < min || value->integer > max)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, place(where, key).text, value, wanted);
    *out = value->integer;
    return PP_OK;
}

pp_status ppi_reading_string(const struct ppi_reading *reading, const char *where,
                             const struct ppi_json_value *object, const char *key, const char **out,
                             size_t *n)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (is_absent(value))
        return PP_OK;
    if (value->type != PPI_JSON_STRING)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, place(where, key).text, value,
                                  "a string is needed");
    *out = value->string;
    *n = value->len;
    return PP_OK;
}

char *ppi_reading_copy(struct ppi_mem *mem, const char *bytes, size_t n)
{
    char *copy = ppi_alloc(mem, n + 1, 1);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

pp_status ppi_reading_parts(const struct ppi_reading *reading, const char *where, const char *array,
                            const struct ppi_json_value *object,
                            pp_status (*take)(const struct ppi_reading *reading,
                                              const struct ppi_json_value *part, void *user),
                            void *user)
{
    struct {
        const struct ppi_json_value *list, *next;
    } open[MAX_DEPTH];
    int depth = 0, n = 0;
    const struct ppi_json_value *part = object;
    for (;;) {
        if (++n > MAX_PARTS)
            return ppi_error(reading->err, PP_ERR_LIMIT, "%s: \"%s\" has more than %d parts",
                             reading->label, where, MAX_PARTS);
        if (strcmp(ppi_reading_type(part), "Sequence") != 0) {
            PP_TRY(take(reading, part, user));
        } else {
            const struct ppi_json_value *list = ppi_json_get(part, array);
            if (!ppi_json_is(list, PPI_JSON_ARRAY))
                return ppi_reading_refuse(reading, PP_ERR_FORMAT, place(where, array).text, list,
                                          "a list is needed");
            if (depth == MAX_DEPTH)
                return ppi_error(reading->err, PP_ERR_LIMIT, "%s: \"%s\" nests deeper than %d",
                                 reading->label, where, MAX_DEPTH);
            open[depth].list = list;
            open[depth++].next = ppi_json_first(list);
        }
        while (depth > 0 && !open[depth - 1].next)
            depth--;
        if (depth == 0)
            return PP_OK;
        part = open[depth - 1].next;
        open[depth - 1].next = ppi_json_next(open[depth - 1].list, part);
    }
}
