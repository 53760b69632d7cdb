/*
 * pattern_json.c: values of tokenizer.json that several parts have; see pattern_json.h.
 */
#include "tokenizer/pattern/pattern_json.h"

#include <stdio.h>

pp_status ppi_pattern_read(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, struct ppi_pattern **pattern)
{
    const struct ppi_json_value *value = ppi_json_get(object, "pattern");
    const struct ppi_json_value *regex = ppi_json_get(value, "Regex");
    const struct ppi_json_value *text = regex ? regex : ppi_json_get(value, "String");
    char place[96];
    snprintf(place, sizeof place, "%s.pattern", where);
    if (!ppi_json_is(text, PPI_JSON_STRING))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, place, text ? text : value,
                                  "{\"String\": text} or {\"Regex\": text} is needed");
    return ppi_pattern_create(text->string, text->len, regex != NULL, reading->label, where,
                              reading->mem, pattern, reading->err);
}

pp_status ppi_reading_choice(const struct ppi_reading *reading, const char *where,
                             const struct ppi_json_value *object, const char *key,
                             const char *const *names, int32_t *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    const char *text = ppi_json_string(value);
    char place[96], wanted[160];
    if (*out >= 0 && (!value || value->type == PPI_JSON_NULL))
        return PP_OK;
    int used = snprintf(wanted, sizeof wanted, "allowed is");
    for (int32_t i = 0; names[i]; i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *out = i;
            return PP_OK;
        }
        if (used < (int)sizeof wanted)
            used += snprintf(wanted + used, sizeof wanted - (size_t)used, "%s %s", i ? "," : "",
                             names[i]);
    }
    snprintf(place, sizeof place, "%s.%s", where, key);
    return ppi_reading_refuse(reading, PP_ERR_FORMAT, place, value, wanted);
}

pp_status ppi_reading_char(const struct ppi_reading *reading, const char *where,
                           const struct ppi_json_value *object, const char *key, uint32_t *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    size_t n = 0;
    char place[96];
    if (ppi_json_is(value, PPI_JSON_STRING) && value->len > 0)
        *out = ppi_utf8_get(value->string, &n);
    if (n > 0 && n == value->len)
        return PP_OK;
    snprintf(place, sizeof place, "%s.%s", where, key);
    return ppi_reading_refuse(reading, PP_ERR_FORMAT, place, value, "one character is needed");
}
