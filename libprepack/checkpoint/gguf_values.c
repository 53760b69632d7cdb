/*
 * gguf_values.c: the values of a GGUF file's keys: checked where they stand, looked at in place.
 */
#include "checkpoint/gguf_scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes; /* 0: it varies */
} types[PPI_GGUF_N_TYPES] = {
    [PPI_GGUF_U8] = {"uint8", 1},      [PPI_GGUF_I8] = {"int8", 1},
    [PPI_GGUF_U16] = {"uint16", 2},    [PPI_GGUF_I16] = {"int16", 2},
    [PPI_GGUF_U32] = {"uint32", 4},    [PPI_GGUF_I32] = {"int32", 4},
    [PPI_GGUF_F32] = {"float32", 4},   [PPI_GGUF_BOOL] = {"bool", 1},
    [PPI_GGUF_STRING] = {"string", 0}, [PPI_GGUF_ARRAY] = {"array", 0},
    [PPI_GGUF_U64] = {"uint64", 8},    [PPI_GGUF_I64] = {"int64", 8},
    [PPI_GGUF_F64] = {"float64", 8},
};

/* ---- taking ---- */

static pp_status take_type(struct ppi_gguf_scan *scan, const char *of, enum ppi_gguf_type *type)
{
    uint32_t number;
    PP_TRY(ppi_gguf_take_u32(scan, &number));
    if (number >= PPI_GGUF_N_TYPES)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s: its %s have type %u; 0 to %d are the types of GGUF", scan->label,
                         ppi_gguf_place(scan).text, of, number, PPI_GGUF_N_TYPES - 1);
    *type = number;
    return PP_OK;
}

static pp_status check_bools(struct ppi_gguf_scan *scan, const char *data, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if ((unsigned char)data[i] > 1)
            return ppi_error(scan->err, PP_ERR_FORMAT, "%s: %s has a bool of %u; 0 or 1 is needed",
                             scan->label, ppi_gguf_place(scan).text, (unsigned char)data[i]);
    return PP_OK;
}

/* All strings are walked, so that whoever walks them later need not check. */
static pp_status take_strings(struct ppi_gguf_scan *scan, uint64_t n)
{
    uint64_t len;
    char *data;
    for (uint64_t i = 0; i < n; i++) {
        PP_TRY(ppi_gguf_take_u64(scan, &len));
        PP_TRY(ppi_gguf_take(scan, len, &data));
    }
    return PP_OK;
}

static pp_status take_array(struct ppi_gguf_scan *scan, struct ppi_gguf_value *value)
{
    char *data;
    PP_TRY(take_type(scan, "items", &value->item_type));
    PP_TRY(ppi_gguf_take_u64(scan, &value->len));
    if (value->item_type == PPI_GGUF_ARRAY)
        return ppi_error(scan->err, PP_ERR_UNSUPPORTED,
                         "%s: %s is an array of arrays; arrays of numbers, bools and strings are "
                         "read",
                         scan->label, ppi_gguf_place(scan).text);
    size_t item_bytes = types[value->item_type].bytes;
    PP_TRY(ppi_gguf_check_count(scan, value->len, item_bytes ? item_bytes : 8, "items"));
    value->data = scan->bytes + scan->at;
    if (item_bytes == 0)
        PP_TRY(take_strings(scan, value->len));
    else
        PP_TRY(ppi_gguf_take(scan, value->len * item_bytes, &data));
    value->data_bytes = (size_t)(scan->bytes + scan->at - value->data);
    return value->item_type == PPI_GGUF_BOOL ? check_bools(scan, value->data, value->len) : PP_OK;
}

pp_status ppi_gguf_take_value(struct ppi_gguf_scan *scan, struct ppi_gguf_value *value)
{
    char *data;
    PP_TRY(take_type(scan, "values", &value->type));
    if (value->type == PPI_GGUF_ARRAY)
        return take_array(scan, value);
    if (value->type == PPI_GGUF_STRING)
        PP_TRY(ppi_gguf_take_u64(scan, &value->len));
    value->data_bytes =
        value->type == PPI_GGUF_STRING ? (size_t)value->len : types[value->type].bytes;
    PP_TRY(ppi_gguf_take(scan, value->data_bytes, &data));
    value->data = data;
    return value->type == PPI_GGUF_BOOL ? check_bools(scan, data, 1) : PP_OK;
}

/* ---- in order ---- */

static int by_key(const void *a, const void *b)
{
    const struct ppi_gguf_value *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static const char *ended(const char *text, size_t len)
{
    char *moved = (char *)text - 1; /* the last byte of its length, which nobody needs any more */
    memmove(moved, text, len);
    moved[len] = '\0';
    return moved;
}

pp_status ppi_gguf_finish_values(struct ppi_gguf *gguf, const char *label, pp_error *err)
{
    for (size_t i = 0; i < gguf->n_values; i++) {
        struct ppi_gguf_value *value = &gguf->values[i];
        uint64_t key_len;
        memcpy(&key_len, value->key - sizeof key_len, sizeof key_len);
        value->key = ended(value->key, (size_t)key_len);
        if (value->type == PPI_GGUF_STRING)
            value->data = ended(value->data, value->data_bytes);
    }
    qsort(gguf->values, gguf->n_values, sizeof *gguf->values, by_key);
    for (size_t i = 1; i < gguf->n_values; i++)
        if (strcmp(gguf->values[i - 1].key, gguf->values[i].key) == 0)
            return ppi_error(err, PP_ERR_FORMAT, "%s: the key \"%s\" occurs twice", label,
                             ppi_label(gguf->values[i].key).text);
    return PP_OK;
}

/* ---- looking ---- */

const struct ppi_gguf_value *ppi_gguf_find(const struct ppi_gguf *gguf, const char *key)
{
    struct ppi_gguf_value wanted = {.key = key};
    return gguf->n_values == 0
               ? NULL
               : bsearch(&wanted, gguf->values, gguf->n_values, sizeof wanted, by_key);
}

const char *ppi_gguf_string(const struct ppi_gguf_value *value)
{
    if (!value || value->type != PPI_GGUF_STRING || strlen(value->data) != value->len)
        return NULL;
    return value->data;
}

/* The number at data, in whichever of the two it is exact. */
static bool read_integer(const struct ppi_gguf_value *value, int64_t *integer)
{
    uint64_t bits = 0;
    memcpy(&bits, value->data, value->data_bytes);
    switch (value->type) {
    case PPI_GGUF_I8:
        *integer = (int8_t)bits;
        return true;
    case PPI_GGUF_I16:
        *integer = (int16_t)bits;
        return true;
    case PPI_GGUF_I32:
        *integer = (int32_t)bits;
        return true;
    case PPI_GGUF_I64:
        *integer = (int64_t)bits;
        return true;
    case PPI_GGUF_U8:
    case PPI_GGUF_U16:
    case PPI_GGUF_U32:
    case PPI_GGUF_U64:
        if (bits > INT64_MAX)
            return false;
        *integer = (int64_t)bits;
        return true;
    default:
        return false;
    }
}

static bool is_scalar(const struct ppi_gguf_value *value)
{
    return value && types[value->type].bytes > 0;
}

bool ppi_gguf_integer(const struct ppi_gguf_value *value, int64_t *integer)
{
    return is_scalar(value) && read_integer(value, integer);
}

bool ppi_gguf_number(const struct ppi_gguf_value *value, double *number)
{
    int64_t integer;
    float narrow;
    if (ppi_gguf_integer(value, &integer))
        *number = (double)integer;
    else if (value && value->type == PPI_GGUF_F64)
        memcpy(number, value->data, sizeof *number);
    else if (value && value->type == PPI_GGUF_F32) {
        memcpy(&narrow, value->data, sizeof narrow);
        *number = narrow;
    } else
        return false;
    return true;
}

bool ppi_gguf_bool(const struct ppi_gguf_value *value, bool *truth)
{
    if (!value || value->type != PPI_GGUF_BOOL)
        return false;
    *truth = value->data[0] != 0;
    return true;
}

bool ppi_gguf_is_array(const struct ppi_gguf_value *value, enum ppi_gguf_type item_type)
{
    return value && value->type == PPI_GGUF_ARRAY && value->item_type == item_type;
}

struct ppi_gguf_value ppi_gguf_item(const struct ppi_gguf_value *array, uint64_t i)
{
    size_t bytes = types[array->item_type].bytes;
    return (struct ppi_gguf_value){
        .type = array->item_type, .data = array->data + (size_t)i * bytes, .data_bytes = bytes};
}

bool ppi_gguf_next_string(const struct ppi_gguf_value *array, struct ppi_gguf_cursor *cursor,
                          const char **text, size_t *len)
{
    uint64_t bytes;
    if (cursor->i >= array->len)
        return false;
    memcpy(&bytes, array->data + cursor->at, sizeof bytes);
    *text = array->data + cursor->at + sizeof bytes;
    *len = (size_t)bytes;
    cursor->at += sizeof bytes + *len;
    cursor->i++;
    return true;
}

struct ppi_label ppi_gguf_describe(const struct ppi_gguf_value *value)
{
    struct ppi_label label = {"missing"};
    int64_t integer;
    double number;
    bool truth;
    if (!value)
        return label;
    if (value->type == PPI_GGUF_STRING)
        snprintf(label.text, sizeof label.text, "\"%.180s\"", ppi_label(value->data).text);
    else if (value->type == PPI_GGUF_ARRAY)
        snprintf(label.text, sizeof label.text, "an array of %llu %ss",
                 (unsigned long long)value->len, types[value->item_type].name);
    else if (ppi_gguf_bool(value, &truth))
        snprintf(label.text, sizeof label.text, "%s", truth ? "true" : "false");
    else if (ppi_gguf_integer(value, &integer))
        snprintf(label.text, sizeof label.text, "%lld", (long long)integer);
    else if (ppi_gguf_number(value, &number))
        snprintf(label.text, sizeof label.text, "%.9g", number);
    else
        snprintf(label.text, sizeof label.text, "an integer above %lld", (long long)INT64_MAX);
    return label;
}
