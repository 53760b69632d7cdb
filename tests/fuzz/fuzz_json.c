/*
 * fuzz_json.c: the JSON reader against jansson: both accept the same texts and read the same
 * values from them. Where ours has limits of its own, it may refuse more.
 */
#include "fuzz.h"
#include "json/json_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_seeds[] = {
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"__metadata__\":{\"k\":"
    "\"v\"}}",
    "{\"e\":1e-05,\"r\":-2.50,\"i\":-9223372036854775808,\"n\":null,\"t\":[true,false,[],{}]}",
    "{\"\\ud83d\\ude00\\u00e4\":\"\xf0\x9f\x98\x80\xc3\xa4\\n\\\"\",\"\":\"\\\\\"}",
    NULL,
};

static void fail(const char *what, const uint8_t *bytes, size_t len)
{
    fprintf(stderr, "%s: %.*s\n", what, (int)len, (const char *)bytes);
    abort();
}

static bool equal(const struct ppi_json_value *ours, json_t *theirs)
{
    size_t n = 0;
    const struct ppi_json_value *item;
    switch (json_typeof(theirs)) {
    case JSON_OBJECT:
        if (!ppi_json_is(ours, PPI_JSON_OBJECT) || ours->len != json_object_size(theirs))
            return false;
        for (item = ppi_json_first(ours); item; item = ppi_json_next(ours, item), n++) {
            json_t *member = json_object_get(theirs, item->name);
            if (!member || !equal(item, member))
                return false;
        }
        return n == ours->len;
    case JSON_ARRAY:
        if (!ppi_json_is(ours, PPI_JSON_ARRAY) || ours->len != json_array_size(theirs))
            return false;
        for (item = ppi_json_first(ours); item; item = ppi_json_next(ours, item), n++)
            if (!equal(item, json_array_get(theirs, n)))
                return false;
        return n == ours->len;
    case JSON_STRING:
        return ppi_json_is(ours, PPI_JSON_STRING) && ours->len == json_string_length(theirs) &&
               memcmp(ours->string, json_string_value(theirs), ours->len + 1) == 0;
    case JSON_INTEGER:
        return ppi_json_is(ours, PPI_JSON_INTEGER) && ours->integer == json_integer_value(theirs);
    case JSON_REAL:
        return ppi_json_is(ours, PPI_JSON_REAL) && ours->real == json_real_value(theirs);
    case JSON_TRUE:
        return ppi_json_is(ours, PPI_JSON_TRUE);
    case JSON_FALSE:
        return ppi_json_is(ours, PPI_JSON_FALSE);
    default:
        return ppi_json_is(ours, PPI_JSON_NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ppi_mem mem;
    struct ppi_json json;
    pp_error err = {.struct_size = sizeof err};
    char *text = malloc(len ? len : 1);
    memcpy(text, bytes, len);
    ppi_mem_init(&mem, NULL, 0, NULL);
    pp_status status = ppi_json_parse(text, len, "text", NULL, &mem, &json, &err);
    json_t *theirs = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
    if (status >= 0 && (!theirs || !equal(json.root, theirs)))
        fail("accepted, jansson reads it otherwise", bytes, len);
    /* jansson skips a NUL byte after a number */
    bool is_own_limit = memchr(bytes, '\0', len) || strstr(err.message, "nested deeper") ||
                        strstr(err.message, "127") || strstr(err.message, "an object is needed");
    if (status < 0 && theirs && !is_own_limit)
        fail(err.message, bytes, len);
    if (status >= 0)
        ppi_json_free(&json, &mem);
    if (mem.bytes != 0)
        fail("leak", bytes, len);
    json_decref(theirs);
    free(text);
    return 0;
}
