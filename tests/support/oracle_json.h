/*
 * oracle_json.h: keys of a config.json as the oracle reads them; null counts as absent.
 */
#ifndef TEST_ORACLE_JSON_H
#define TEST_ORACLE_JSON_H

#include "oracle_families.h"

#include <jansson.h>
#include <string.h>

static inline const json_t *oracle_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static inline double oracle_number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = oracle_get(object, key);
    return value ? json_number_value(value) : fallback;
}

static inline int64_t oracle_integer(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = oracle_get(object, key);
    return value ? (int64_t)json_integer_value(value) : fallback;
}

static inline bool oracle_truth(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = oracle_get(object, key);
    return value ? json_is_true(value) : fallback;
}

static inline bool oracle_is(const struct family *family, const char *name)
{
    return strcmp(family->name, name) == 0;
}

/* oracle_config_mixed.c: what of a configuration is about experts, linear layers and Gemma 4; all
 * else has been read. */
void oracle_config_read_mixed(const struct family *family, const json_t *text,
                              struct oracle_config *config);

#endif
