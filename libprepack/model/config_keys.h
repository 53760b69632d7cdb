/*
 * config_keys.h: reading the keys of config.json: what a value must be, and the sentence when it is
 * not. Nothing here knows what a key means.
 */
#ifndef PPI_CONFIG_KEYS_H
#define PPI_CONFIG_KEYS_H

#include "internal.h"
#include "json/json_text.h"

struct ppi_config_reader {
    const char *label; /* of the file, for messages */
    const struct ppi_log *log;
    struct ppi_mem *mem;
    const struct ppi_json_value *top;  /* the file's object */
    const struct ppi_json_value *root; /* of the text model: top, or text_config in it */
    pp_error *err;
};

bool ppi_json_is_absent(const struct ppi_json_value *value); /* missing, or null */

/* Of the text model. */
const struct ppi_json_value *ppi_config_get(const struct ppi_config_reader *reader,
                                            const char *key);

/* LABEL: "KEY" is VALUE; WANTED. Returns code. */
pp_status ppi_config_refuse(const struct ppi_config_reader *reader, pp_status code, const char *key,
                            const struct ppi_json_value *value, const char *wanted);

/* An integer of at least min; above max is PP_ERR_LIMIT. */
pp_status ppi_config_count(const struct ppi_config_reader *reader, const char *key,
                           const struct ppi_json_value *value, int64_t min, int64_t max,
                           int32_t *out);
/* That of the text model's key; a missing one leaves `omitted`. */
pp_status ppi_config_count_or(const struct ppi_config_reader *reader, const char *key,
                              int32_t omitted, int64_t min, int64_t max, int32_t *out);
/* An integer of at least 1; what is above INT32_MAX is as good as that. */
pp_status ppi_config_clamped(const struct ppi_config_reader *reader, const char *key,
                             const struct ppi_json_value *value, int32_t *out);

/* A finite number of `object` into *out. A missing key leaves it, and so does null where it is
 * allowed. */
pp_status ppi_config_number(const struct ppi_config_reader *reader,
                            const struct ppi_json_value *object, const char *key, bool null_allowed,
                            double *out);
/* The same, and PP_ERR_FORMAT unless it is then above 0. */
pp_status ppi_config_positive(const struct ppi_config_reader *reader,
                              const struct ppi_json_value *object, const char *key,
                              bool null_allowed, double *out);

/* That of the text model, and PP_ERR_FORMAT unless it is above 0 and finite in f32 too. A missing
 * key leaves *out, which is above 0 then. */
pp_status ppi_config_positive_f32(const struct ppi_config_reader *reader, const char *key,
                                  float *out);

/* PP_ERR_FORMAT unless it is an array of n entries. */
pp_status ppi_config_array(const struct ppi_config_reader *reader, const char *key,
                           const struct ppi_json_value *value, int32_t n);

/* true or false; missing or null leaves *out. */
pp_status ppi_config_flag(const struct ppi_config_reader *reader,
                          const struct ppi_json_value *object, const char *key, bool *out);

#endif
