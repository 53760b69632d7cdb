/* json_out.c: building JSON without a check after every step. */
#include "json_out.h"
#include "engine.h"

#include <stdlib.h>
#include <string.h>

json_t *json_lenient(const char *text)
{
    json_t *exact = json_string(text);
    char *copy = exact ? NULL : strdup(text);
    if (!copy)
        return exact;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json_t *string = json_string(copy);
    free(copy);
    return string;
}

void json_put(json_t **json, const char *key, json_t *value)
{
    if (!*json)
        json_decref(value);
    else if (key ? json_object_set_new(*json, key, value) : json_array_append_new(*json, value)) {
        json_decref(*json);
        *json = NULL;
    }
}

void json_put_count(json_t **json, const char *key, int64_t value)
{
    json_put(json, key, json_integer(value));
}

json_t *json_pair(const char *first_key, double first, const char *second_key, double second)
{
    return json_pack("{s:f, s:f}", first_key, first, second_key, second);
}

void json_put_device(json_t **json, const pp_session_info *session)
{
    json_put(json, "device", json_string(session->device));
    json_put(json, "device_name",
             is_on_gpu(session) ? json_string(session->device_name) : json_null());
    json_put(json, "attention", json_string(session->attention));
    json_put(json, "dtype", json_string(pp_dtype_name(session->dtype)));
    json_put(json, "weights", json_string(pp_weights_name(session->weights)));
    json_put_count(json, "threads", session->n_threads);
}
