/*
 * config_keys.c: see config_keys.h.
 */
#include "model/config_keys.h"

#include <math.h>

bool ppi_json_is_absent(const struct ppi_json_value *value)
{
    return !value || value->type == PPI_JSON_NULL;
}

const struct ppi_json_value *ppi_config_get(const struct ppi_config_reader *reader, const char *key)
{
    return ppi_json_get(reader->root, key);
}

pp_status ppi_config_refuse(const struct ppi_config_reader *reader, pp_status code, const char *key,
                            const struct ppi_json_value *value, const char *wanted)
{
    return ppi_error(reader->err, code, "%s: \"%s\" is %s; %s", reader->label, ppi_label(key).text,
                     ppi_json_describe(value).text, wanted);
}

pp_status ppi_config_count(const struct ppi_config_reader *reader, const char *key,
                           const struct ppi_json_value *value, int64_t min, int64_t max,
                           int32_t *out)
{
    if (!ppi_json_is(value, PPI_JSON_INTEGER) || value->integer < min)
        return ppi_error(reader->err, PP_ERR_FORMAT,
                         "%s: \"%s\" is %s; an integer from %lld to %lld is needed", reader->label,
                         key, ppi_json_describe(value).text, (long long)min, (long long)max);
    if (value->integer > max)
        return ppi_error(reader->err, PP_ERR_LIMIT, "%s: \"%s\" is %lld; at most %lld is accepted",
                         reader->label, key, (long long)value->integer, (long long)max);
    *out = (int32_t)value->integer;
    return PP_OK;
}

pp_status ppi_config_count_or(const struct ppi_config_reader *reader, const char *key,
                              int32_t omitted, int64_t min, int64_t max, int32_t *out)
{
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    *out = omitted;
    return value ? ppi_config_count(reader, key, value, min, max, out) : PP_OK;
}

pp_status ppi_config_clamped(const struct ppi_config_reader *reader, const char *key,
                             const struct ppi_json_value *value, int32_t *out)
{
    if (ppi_json_is(value, PPI_JSON_INTEGER) && value->integer > INT32_MAX) {
        *out = INT32_MAX;
        return PP_OK;
    }
    return ppi_config_count(reader, key, value, 1, INT32_MAX, out);
}

pp_status ppi_config_number(const struct ppi_config_reader *reader,
                            const struct ppi_json_value *object, const char *key, bool null_allowed,
                            double *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (!value || (null_allowed && value->type == PPI_JSON_NULL))
        return PP_OK;
    double number;
    if (!ppi_json_number(value, &number) || !isfinite(number))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, value, "a finite number is needed");
    *out = number;
    return PP_OK;
}

pp_status ppi_config_positive(const struct ppi_config_reader *reader,
                              const struct ppi_json_value *object, const char *key,
                              bool null_allowed, double *out)
{
    PP_TRY(ppi_config_number(reader, object, key, null_allowed, out));
    if (*out > 0)
        return PP_OK;
    return ppi_config_refuse(reader, PP_ERR_FORMAT, key, ppi_json_get(object, key),
                             "a number above 0 is needed");
}

pp_status ppi_config_positive_f32(const struct ppi_config_reader *reader, const char *key,
                                  float *out)
{
    double value = (double)*out;
    PP_TRY(ppi_config_positive(reader, reader->root, key, false, &value));
    *out = (float)value;
    if (isfinite(*out) && *out > 0)
        return PP_OK;
    return ppi_config_refuse(reader, PP_ERR_FORMAT, key, ppi_config_get(reader, key),
                             "an f32 above 0 is needed");
}

pp_status ppi_config_array(const struct ppi_config_reader *reader, const char *key,
                           const struct ppi_json_value *value, int32_t n)
{
    if (!ppi_json_is(value, PPI_JSON_ARRAY))
        return ppi_error(reader->err, PP_ERR_FORMAT, "%s: \"%s\" is %s; an array of %d is needed",
                         reader->label, key, ppi_json_describe(value).text, n);
    if ((int64_t)value->len != n)
        return ppi_error(reader->err, PP_ERR_FORMAT, "%s: \"%s\" has %u entries; %d are needed",
                         reader->label, key, value->len, n);
    return PP_OK;
}

pp_status ppi_config_flag(const struct ppi_config_reader *reader,
                          const struct ppi_json_value *object, const char *key, bool *out)
{
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (ppi_json_is(value, PPI_JSON_TRUE))
        *out = true;
    else if (ppi_json_is(value, PPI_JSON_FALSE))
        *out = false;
    else if (!ppi_json_is_absent(value))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, value, "true or false is needed");
    return PP_OK;
}
