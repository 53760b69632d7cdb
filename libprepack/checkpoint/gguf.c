/*
 * gguf.c: the frame of a GGUF file: magic, version, counts, keys with values, tensors, padding,
 * data. The beginning is read into memory piece by piece until the data begins; the data is not
 * looked at. Everything is checked before anything is used.
 */
#include "checkpoint/gguf_scan.h"

#include <string.h>

#define MAX_HEADER_BYTES  ((int64_t)1 << 28) /* the largest vocabularies need 2^24 */
#define MAX_KEYS          100000
#define MAX_ALIGNMENT     ((int64_t)1 << 20)
#define FIRST_BYTES       ((int64_t)1 << 20) /* read at first; the rest by doubling */
#define MIN_KEY_BYTES     14                 /* length of the name, 1 byte of it, type, bool */
#define DEFAULT_ALIGNMENT 32

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are used as they are stored");

static const char magic[] = {'G', 'G', 'U', 'F'};

pp_status ppi_gguf_is(const struct ppi_file *file, bool *is, pp_error *err)
{
    char begin[sizeof magic];
    *is = false;
    if (file->size < (int64_t)sizeof begin)
        return PP_OK;
    PP_TRY(ppi_file_read(file, 0, begin, sizeof begin, err));
    *is = memcmp(begin, magic, sizeof begin) == 0;
    return PP_OK;
}

static pp_status take_version(struct ppi_gguf_scan *scan, uint32_t *version)
{
    char *begin;
    PP_TRY(ppi_gguf_take(scan, sizeof magic, &begin));
    if (memcmp(begin, magic, sizeof magic) != 0)
        return ppi_error(scan->err, PP_ERR_FORMAT, "%s does not begin with GGUF", scan->label);
    PP_TRY(ppi_gguf_take_u32(scan, version));
    if (*version == 2 || *version == 3)
        return PP_OK;
    if (*version != 0 && (*version & 0xffff) == 0)
        return ppi_error(scan->err, PP_ERR_UNSUPPORTED,
                         "%s is a big-endian GGUF file; little-endian ones are read", scan->label);
    return ppi_error(scan->err, PP_ERR_UNSUPPORTED,
                     "%s is a GGUF file of version %u; versions 2 and 3 are read", scan->label,
                     *version);
}

static pp_status take_keys(struct ppi_gguf_scan *scan, uint64_t n, struct ppi_mem *mem,
                           struct ppi_gguf *gguf)
{
    if (n > MAX_KEYS)
        return ppi_error(scan->err, PP_ERR_LIMIT,
                         "%s: %llu keys are announced; at most %d are accepted", scan->label,
                         (unsigned long long)n, MAX_KEYS);
    PP_TRY(ppi_gguf_check_count(scan, n, MIN_KEY_BYTES, "keys"));
    gguf->values = ppi_zalloc(mem, (size_t)n, sizeof *gguf->values);
    if (!gguf->values)
        return ppi_error_nomem(scan->err, scan->label, (size_t)n * sizeof *gguf->values);
    scan->kind = "key";
    for (scan->index = 0; scan->index < n; scan->index++) {
        struct ppi_gguf_value *value = &gguf->values[scan->index];
        scan->name = NULL;
        PP_TRY(ppi_gguf_take_name(scan));
        value->key = scan->name;
        PP_TRY(ppi_gguf_take_value(scan, value));
        gguf->n_values++;
    }
    return PP_OK;
}

/* Of all values the only one that the frame depends on. Names are not ended yet. */
static pp_status find_alignment(const struct ppi_gguf_scan *scan, struct ppi_gguf *gguf)
{
    static const char key[] = "general.alignment";
    gguf->alignment = DEFAULT_ALIGNMENT;
    for (size_t i = 0; i < gguf->n_values; i++) {
        const struct ppi_gguf_value *value = &gguf->values[i];
        uint64_t len;
        memcpy(&len, value->key - sizeof len, sizeof len);
        if (len != sizeof key - 1 || memcmp(value->key, key, sizeof key - 1) != 0)
            continue;
        int64_t alignment = 0;
        if (value->type != PPI_GGUF_U32 || !ppi_gguf_integer(value, &alignment) || alignment < 1 ||
            alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
            return ppi_error(scan->err, PP_ERR_FORMAT,
                             "%s: %s is %s; a uint32 that is a power of two of at most %lld is "
                             "needed",
                             scan->label, key,
                             value->type == PPI_GGUF_U32 ? ppi_gguf_describe(value).text
                                                         : "of another type",
                             (long long)MAX_ALIGNMENT);
        gguf->alignment = alignment;
    }
    return PP_OK;
}

static pp_status take_all(struct ppi_gguf_scan *scan, struct ppi_mem *mem, struct ppi_gguf *gguf)
{
    uint64_t n_tensors, n_keys;
    PP_TRY(take_version(scan, &gguf->version));
    PP_TRY(ppi_gguf_take_u64(scan, &n_tensors));
    PP_TRY(ppi_gguf_take_u64(scan, &n_keys));
    PP_TRY(take_keys(scan, n_keys, mem, gguf));
    PP_TRY(find_alignment(scan, gguf));
    PP_TRY(ppi_gguf_take_tensors(scan, n_tensors, mem, gguf));
    gguf->data_start = ppi_round_up((int64_t)scan->at, gguf->alignment);
    PP_TRY(ppi_gguf_check_places(gguf, scan->size, scan->label, scan->err));
    return ppi_gguf_finish_values(gguf, scan->label, scan->err);
}

pp_status ppi_gguf_parse(char *bytes, size_t len, int64_t size, const char *label,
                         struct ppi_mem *mem, struct ppi_gguf *gguf, uint64_t *wanted,
                         pp_error *err)
{
    struct ppi_gguf_scan scan = {
        .bytes = bytes, .len = len, .size = size, .label = label, .err = err};
    struct ppi_gguf parsed = {0};
    pp_status status = take_all(&scan, mem, &parsed);
    if (wanted)
        *wanted = scan.wanted;
    if (status < 0)
        ppi_gguf_free(&parsed, mem);
    else
        *gguf = parsed;
    return status;
}

/* One attempt with the first len bytes. */
static pp_status read_begin(const struct ppi_file *file, size_t len, struct ppi_mem *mem,
                            struct ppi_gguf *gguf, uint64_t *wanted, pp_error *err)
{
    *wanted = 0;
    char *bytes = ppi_alloc(mem, len, 1);
    if (!bytes)
        return ppi_error_nomem(err, file->label.text, len);
    pp_status status = ppi_file_read(file, 0, bytes, len, err);
    if (status >= 0)
        status = ppi_gguf_parse(bytes, len, file->size, file->label.text, mem, gguf, wanted, err);
    if (status < 0)
        ppi_free(mem, bytes);
    else
        gguf->header = bytes;
    return status;
}

pp_status ppi_gguf_read(const struct ppi_file *file, struct ppi_mem *mem, struct ppi_gguf *gguf,
                        pp_error *err)
{
    uint64_t wanted;
    int64_t most = file->size < MAX_HEADER_BYTES ? file->size : MAX_HEADER_BYTES;
    int64_t len = FIRST_BYTES < most ? FIRST_BYTES : most;
    for (;;) {
        pp_status status = read_begin(file, (size_t)len, mem, gguf, &wanted, err);
        if (status >= 0 || wanted == 0)
            return status;
        if (wanted > (uint64_t)most)
            return ppi_error(err, PP_ERR_LIMIT,
                             "%s: keys and tensors take more than %lld bytes before the data; no "
                             "more are accepted",
                             file->label.text, (long long)MAX_HEADER_BYTES);
        len = 2 * len > (int64_t)wanted ? 2 * len : (int64_t)wanted;
        len = len < most ? len : most;
    }
}

void ppi_gguf_drop_values(struct ppi_gguf *gguf, struct ppi_mem *mem)
{
    ppi_free(mem, gguf->values);
    ppi_free(mem, gguf->header);
    gguf->values = NULL;
    gguf->n_values = 0;
    gguf->header = NULL;
}

void ppi_gguf_free(struct ppi_gguf *gguf, struct ppi_mem *mem)
{
    ppi_gguf_drop_values(gguf, mem);
    ppi_free(mem, gguf->entries);
    ppi_free(mem, gguf->names);
    *gguf = (struct ppi_gguf){0};
}
