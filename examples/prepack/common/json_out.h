/* json_out.h: helpers that build the JSON of reports. */
#ifndef PREPACK_JSON_OUT_H
#define PREPACK_JSON_OUT_H

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdint.h>

/* A string that may hold bytes that are no UTF-8, such as a path: those become '?'. */
json_t *json_lenient(const char *text);
/* Adds to an object or, with a NULL key, a list; value is given away. Without memory *json is freed
 * and stays NULL. */
void json_put(json_t **json, const char *key, json_t *value);
void json_put_count(json_t **json, const char *key, int64_t value);
json_t *json_pair(const char *first_key, double first, const char *second_key, double second);
/* What a session runs on. */
void json_put_device(json_t **json, const pp_session_info *session);

#endif
