/*
 * safetensors.c: the header of a safetensors file: 8 bytes of length (little-endian), JSON, data.
 * Everything is checked before anything is used, in this order: size of the file, length of the
 * header, JSON, fields of each tensor, sizes with checked arithmetic, coverage of the data.
 */
#include "checkpoint/safetensors.h"
#include "json/json_text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES 100000000
#define MAX_TENSORS      1000000
#define MAX_NAME_BYTES   4096

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are stored little-endian");

static const struct dtype {
    const char *name;
    int32_t bits;
    int32_t dtype; /* PP_DTYPE_*, 0: known but not computed with */
} dtypes[] = {
    {"F32", 32, PP_DTYPE_F32},
    {"F16", 16, PP_DTYPE_F16},
    {"BF16", 16, PP_DTYPE_BF16},
    {"BOOL", 8, 0},
    {"U4", 4, 0},
    {"I4", 4, 0},
    {"F4", 4, 0},
    {"F6_E2M3", 6, 0},
    {"F6_E3M2", 6, 0},
    {"U8", 8, 0},
    {"I8", 8, 0},
    {"F8_E5M2", 8, 0},
    {"F8_E4M3", 8, 0},
    {"F8_E8M0", 8, 0},
    {"F8_E4M3FNUZ", 8, 0},
    {"F8_E5M2FNUZ", 8, 0},
    {"U16", 16, 0},
    {"I16", 16, 0},
    {"U32", 32, 0},
    {"I32", 32, 0},
    {"U64", 64, 0},
    {"I64", 64, 0},
    {"F64", 64, 0},
    {"C64", 64, 0},
};

/* What reading one tensor's description needs; name is clipped for messages. */
struct place {
    const char *label;
    const char *name;
    int64_t data_bytes;
    pp_error *err;
};

static pp_status read_dtype(const struct place *place, const struct ppi_json_value *value,
                            const struct dtype **dtype)
{
    const char *name = ppi_json_string(value);
    for (size_t i = 0; name && i < PPI_COUNT(dtypes); i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = &dtypes[i];
            return PP_OK;
        }
    return ppi_error(place->err, PP_ERR_FORMAT,
                     "%s: tensor \"%s\": dtype is %s; a dtype of the safetensors format is needed",
                     place->label, place->name, ppi_json_describe(value).text);
}

/* The elements of an array of non-negative integers; the caller has checked its length. */
static pp_status read_sizes(const struct place *place, const char *field,
                            const struct ppi_json_value *array, int64_t *sizes)
{
    const struct ppi_json_value *item = ppi_json_first(array);
    for (int i = 0; item; item = ppi_json_next(array, item), i++) {
        if (!ppi_json_is(item, PPI_JSON_INTEGER) || item->integer < 0)
            return ppi_error(place->err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\": %s[%d] is %s; an integer of at least 0 is needed",
                             place->label, place->name, field, i, ppi_json_describe(item).text);
        sizes[i] = item->integer;
    }
    return PP_OK;
}

static pp_status read_shape(const struct place *place, const struct ppi_json_value *value,
                            struct ppi_stored_entry *entry)
{
    if (!ppi_json_is(value, PPI_JSON_ARRAY))
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\": shape is %s; an array is needed", place->label,
                         place->name, ppi_json_describe(value).text);
    if (value->len > PPI_STORED_MAX_RANK)
        return ppi_error(place->err, PP_ERR_LIMIT,
                         "%s: tensor \"%s\" has %u dimensions; at most %d are accepted",
                         place->label, place->name, value->len, PPI_STORED_MAX_RANK);
    entry->rank = (int32_t)value->len;
    return read_sizes(place, "shape", value, entry->shape);
}

static pp_status read_range(const struct place *place, const struct ppi_json_value *value,
                            struct ppi_stored_entry *entry)
{
    int64_t range[2];
    if (!ppi_json_is(value, PPI_JSON_ARRAY) || value->len != 2)
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\": data_offsets must be an array of two integers",
                         place->label, place->name);
    PP_TRY(read_sizes(place, "data_offsets", value, range));
    if (range[0] > range[1] || range[1] > place->data_bytes)
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\": data_offsets [%lld, %lld] are not a range within the "
                         "%lld bytes of data",
                         place->label, place->name, (long long)range[0], (long long)range[1],
                         (long long)place->data_bytes);
    entry->begin = range[0];
    entry->end = range[1];
    return PP_OK;
}

/* The range must have the bytes that shape and dtype ask for. */
static pp_status check_bytes(const struct place *place, const struct ppi_stored_entry *entry,
                             int32_t bits)
{
    int64_t total = bits;
    for (int32_t i = 0; i < entry->rank; i++)
        if (__builtin_mul_overflow(total, entry->shape[i], &total))
            return ppi_error(place->err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\": the product of its shape overflows", place->label,
                             place->name);
    if (total % 8 != 0)
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\": its %lld bits do not fill whole bytes", place->label,
                         place->name, (long long)total);
    if (total / 8 != entry->end - entry->begin)
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\": data_offsets hold %lld bytes, its shape and dtype "
                         "need %lld",
                         place->label, place->name, (long long)(entry->end - entry->begin),
                         (long long)(total / 8));
    return PP_OK;
}

static pp_status read_entry(const struct place *place, const struct ppi_json_value *description,
                            struct ppi_stored_entry *entry)
{
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    const struct dtype *dtype = NULL;
    if (!ppi_json_is(description, PPI_JSON_OBJECT))
        return ppi_error(place->err, PP_ERR_FORMAT, "%s: tensor \"%s\" is %s; an object is needed",
                         place->label, place->name, ppi_json_describe(description).text);
    for (size_t i = 0; i < PPI_COUNT(fields); i++)
        if (!ppi_json_get(description, fields[i]))
            return ppi_error(place->err, PP_ERR_FORMAT, "%s: tensor \"%s\" has no %s", place->label,
                             place->name, fields[i]);
    if (description->len != PPI_COUNT(fields))
        return ppi_error(place->err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\" has fields besides dtype, shape and data_offsets",
                         place->label, place->name);
    PP_TRY(read_dtype(place, ppi_json_get(description, "dtype"), &dtype));
    PP_TRY(read_shape(place, ppi_json_get(description, "shape"), entry));
    PP_TRY(read_range(place, ppi_json_get(description, "data_offsets"), entry));
    entry->dtype = dtype->dtype;
    entry->dtype_name = dtype->name;
    return check_bytes(place, entry, dtype->bits);
}

static pp_status check_metadata(const char *label, const struct ppi_json_value *metadata,
                                pp_error *err)
{
    if (!ppi_json_is(metadata, PPI_JSON_OBJECT))
        return ppi_error(err, PP_ERR_FORMAT, "%s: __metadata__ is %s; an object is needed", label,
                         ppi_json_describe(metadata).text);
    const struct ppi_json_value *item = ppi_json_first(metadata);
    for (; item; item = ppi_json_next(metadata, item))
        if (!ppi_json_string(item))
            return ppi_error(err, PP_ERR_FORMAT, "%s: __metadata__ \"%s\" is %s, not a string",
                             label, ppi_label(item->name).text, ppi_json_describe(item).text);
    return PP_OK;
}

/* Makes room for every member of the header. */
static pp_status allocate_table(const struct ppi_json_value *header, const char *label,
                                struct ppi_mem *mem, struct ppi_safetensors *table, pp_error *err)
{
    size_t n_bytes = 0;
    const struct ppi_json_value *item = ppi_json_first(header);
    for (; item; item = ppi_json_next(header, item))
        n_bytes += strlen(item->name) + 1;
    table->entries = ppi_zalloc(mem, header->len, sizeof *table->entries);
    table->names = ppi_alloc(mem, n_bytes, 1);
    if (!table->entries || !table->names)
        return ppi_error_nomem(err, label, header->len * sizeof *table->entries + n_bytes);
    return PP_OK;
}

static pp_status fill_table(const struct ppi_json_value *header, const char *label,
                            struct ppi_safetensors *table, pp_error *err)
{
    char *name = table->names;
    const struct ppi_json_value *item = ppi_json_first(header);
    for (; item; item = ppi_json_next(header, item)) {
        if (strcmp(item->name, "__metadata__") == 0) {
            PP_TRY(check_metadata(label, item, err));
            continue;
        }
        struct ppi_stored_entry *entry = &table->entries[table->n_entries++];
        struct ppi_label clipped = ppi_label(item->name);
        struct place place = {label, clipped.text, table->data_bytes, err};
        PP_TRY(read_entry(&place, item, entry));
        size_t size = strlen(item->name) + 1;
        entry->name = memcpy(name, item->name, size);
        name += size;
    }
    return PP_OK;
}

static int by_range(const void *a, const void *b)
{
    const struct ppi_stored_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end == y->end ? 0 : x->end < y->end ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
    const struct ppi_stored_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* The ranges must tile the data: no byte of the file is unaccounted for or has two meanings. */
static pp_status check_coverage(const char *label, struct ppi_safetensors *table, pp_error *err)
{
    int64_t covered = 0;
    qsort(table->entries, table->n_entries, sizeof *table->entries, by_range);
    for (size_t i = 0; i < table->n_entries; i++) {
        const struct ppi_stored_entry *entry = &table->entries[i];
        if (entry->begin != covered)
            return ppi_error(
                err, PP_ERR_FORMAT,
                "%s: tensor \"%s\" begins at byte %lld of the data, %s byte %lld where "
                "the tensors before it end",
                label, ppi_label(entry->name).text, (long long)entry->begin,
                entry->begin < covered ? "overlapping" : "leaving a hole after",
                (long long)covered);
        covered = entry->end;
    }
    if (covered != table->data_bytes)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: the tensors end at byte %lld of the data, which has %lld bytes",
                         label, (long long)covered, (long long)table->data_bytes);
    qsort(table->entries, table->n_entries, sizeof *table->entries, by_name);
    return PP_OK;
}

static pp_status check_first(char first, const char *label, pp_error *err)
{
    if (first == '{')
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT, "%s: the header begins with byte 0x%02x instead of {",
                     label, (unsigned char)first);
}

/* Padding after the JSON is spaces only; *len is left without it. */
static pp_status check_frame(const char *header, size_t *len, const char *label, pp_error *err)
{
    PP_TRY(check_first(*len > 0 ? header[0] : '\0', label, err));
    while (header[*len - 1] == ' ')
        --*len;
    if (header[*len - 1] != '}')
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: the header does not end with } and spaces; its byte %zu is 0x%02x",
                         label, *len - 1, (unsigned char)header[*len - 1]);
    return PP_OK;
}

pp_status ppi_safetensors_parse(char *header, size_t len, int64_t data_bytes, const char *label,
                                struct ppi_mem *mem, struct ppi_safetensors *table, pp_error *err)
{
    static const struct ppi_json_limits limits = {
        .what = "tensor", .depth = 1, .max_members = MAX_TENSORS, .max_name = MAX_NAME_BYTES};
    struct ppi_safetensors parsed = {.data_start = 8 + (int64_t)len, .data_bytes = data_bytes};
    struct ppi_json json;
    PP_TRY(check_frame(header, &len, label, err));
    PP_TRY(ppi_json_parse(header, len, label, &limits, mem, &json, err));
    pp_status status = allocate_table(json.root, label, mem, &parsed, err);
    if (status >= 0)
        status = fill_table(json.root, label, &parsed, err);
    ppi_json_free(&json, mem);
    if (status >= 0)
        status = check_coverage(label, &parsed, err);
    if (status < 0)
        ppi_safetensors_free(&parsed, mem);
    else
        *table = parsed;
    return status;
}

pp_status ppi_safetensors_read(const struct ppi_file *file, struct ppi_mem *mem,
                               struct ppi_safetensors *table, pp_error *err)
{
    const char *label = file->label.text;
    uint64_t len;
    char first;
    if (file->size <= (int64_t)sizeof len)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s has %lld bytes; a safetensors file has at least 10", label,
                         (long long)file->size);
    PP_TRY(ppi_file_read(file, 0, &len, sizeof len, err));
    if (len == 0 || len > (uint64_t)file->size - sizeof len)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: a header of %llu bytes is announced; the file has %lld after its "
                         "length",
                         label, (unsigned long long)len, (long long)file->size - 8);
    if (len > MAX_HEADER_BYTES)
        return ppi_error(err, PP_ERR_LIMIT,
                         "%s: the header has %llu bytes; at most %d are accepted", label,
                         (unsigned long long)len, MAX_HEADER_BYTES);
    PP_TRY(ppi_file_read(file, sizeof len, &first, 1, err));
    PP_TRY(check_first(first, label, err));
    char *header = ppi_alloc(mem, (size_t)len, 1);
    if (!header)
        return ppi_error_nomem(err, label, (size_t)len);
    pp_status status = ppi_file_read(file, sizeof len, header, (size_t)len, err);
    if (status >= 0)
        status = ppi_safetensors_parse(header, (size_t)len,
                                       file->size - (int64_t)sizeof len - (int64_t)len, label, mem,
                                       table, err);
    ppi_free(mem, header);
    return status;
}

struct ppi_stored_entry *ppi_safetensors_find(const struct ppi_safetensors *table, const char *name)
{
    struct ppi_stored_entry key = {.name = name};
    return bsearch(&key, table->entries, table->n_entries, sizeof key, by_name);
}

void ppi_safetensors_free(struct ppi_safetensors *table, struct ppi_mem *mem)
{
    ppi_free(mem, table->entries);
    ppi_free(mem, table->names);
    *table = (struct ppi_safetensors){0};
}
