/*
 * gguf_tensors.c: the table of tensors of a GGUF file: names, shapes, types, and places, which must
 * fill the data.
 */
#include "checkpoint/gguf_scan.h"

#include <stdlib.h>
#include <string.h>

#define MAX_RANK        4  /* of the format */
#define MIN_ENTRY_BYTES 25 /* length of the name, 1 byte of it, rank 0, type, offset */
#define MAX_TENSORS     1000000

static pp_status refuse_type(const struct ppi_gguf_scan *scan, uint32_t number)
{
    return ppi_error(scan->err, PP_ERR_UNSUPPORTED,
                     "%s: %s has type %u, which is none that is known; F32, F16, BF16, Q4_0, Q4_1, "
                     "Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS and MXFP4 are read",
                     scan->label, ppi_gguf_place(scan).text, number);
}

/* GGUF has the fastest dimension first, entries have it last. */
static pp_status take_shape(struct ppi_gguf_scan *scan, struct ppi_stored_entry *entry)
{
    uint32_t rank;
    uint64_t size;
    PP_TRY(ppi_gguf_take_u32(scan, &rank));
    if (rank > MAX_RANK)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s has %u dimensions; GGUF allows %d at most", scan->label,
                         ppi_gguf_place(scan).text, rank, MAX_RANK);
    entry->rank = (int32_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        PP_TRY(ppi_gguf_take_u64(scan, &size));
        if (size == 0 || size > INT64_MAX)
            return ppi_error(scan->err, PP_ERR_FORMAT,
                             "%s: %s: dimension %u is %llu; 1 to %lld are possible", scan->label,
                             ppi_gguf_place(scan).text, i, (unsigned long long)size,
                             (long long)INT64_MAX);
        entry->shape[rank - 1 - i] = (int64_t)size;
    }
    return PP_OK;
}

/* The bytes that shape and type need. Rows are whole blocks. */
static pp_status count_bytes(const struct ppi_gguf_scan *scan, const struct ppi_stored_entry *entry,
                             const struct ppi_gguf_tensor_type *type, int64_t *bytes)
{
    int64_t row = entry->rank > 0 ? entry->shape[entry->rank - 1] : 1;
    int64_t total = row / type->block_len;
    if (row % type->block_len != 0)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s has rows of %lld elements; those of type %s are multiples of %d",
                         scan->label, ppi_gguf_place(scan).text, (long long)row, type->name,
                         type->block_len);
    bool fits = !__builtin_mul_overflow(total, type->block_bytes, &total);
    int64_t n = row; /* elements: their number must be one too */
    for (int32_t i = 0; fits && i < entry->rank - 1; i++)
        fits = !__builtin_mul_overflow(total, entry->shape[i], &total) &&
               !__builtin_mul_overflow(n, entry->shape[i], &n);
    if (!fits)
        return ppi_error(scan->err, PP_ERR_FORMAT, "%s: %s: the product of its shape overflows",
                         scan->label, ppi_gguf_place(scan).text);
    *bytes = total;
    return PP_OK;
}

static pp_status take_tensor(struct ppi_gguf_scan *scan, int64_t alignment,
                             struct ppi_stored_entry *entry)
{
    uint32_t number;
    uint64_t offset;
    int64_t bytes = 0;
    PP_TRY(ppi_gguf_take_name(scan));
    PP_TRY(take_shape(scan, entry));
    PP_TRY(ppi_gguf_take_u32(scan, &number));
    PP_TRY(ppi_gguf_take_u64(scan, &offset));
    const struct ppi_gguf_tensor_type *type = ppi_gguf_tensor_type(number);
    if (!type)
        return refuse_type(scan, number);
    PP_TRY(count_bytes(scan, entry, type, &bytes));
    if (offset > (uint64_t)scan->size || bytes > scan->size - (int64_t)offset)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s has %lld bytes at byte %llu of the data; the whole file has %lld",
                         scan->label, ppi_gguf_place(scan).text, (long long)bytes,
                         (unsigned long long)offset, (long long)scan->size);
    if (offset % (uint64_t)alignment != 0)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s begins at byte %llu of the data, which is no multiple of the "
                         "alignment %lld",
                         scan->label, ppi_gguf_place(scan).text, (unsigned long long)offset,
                         (long long)alignment);
    entry->begin = (int64_t)offset;
    entry->end = entry->begin + bytes;
    entry->dtype = type->dtype;
    entry->dtype_name = type->name;
    entry->blocks = type->dtype && type->block_len > 1 ? (int32_t)number : 0;
    return PP_OK;
}

/* The names, which stand in the header so far, move to a place of their own. */
static pp_status keep_names(struct ppi_gguf *gguf, const char *label, struct ppi_mem *mem,
                            pp_error *err)
{
    size_t n_bytes = 0;
    uint64_t len;
    for (size_t i = 0; i < gguf->n_entries; i++) {
        memcpy(&len, gguf->entries[i].name - sizeof len, sizeof len);
        n_bytes += (size_t)len + 1;
    }
    char *next = gguf->names = ppi_alloc(mem, n_bytes, 1);
    if (!next)
        return ppi_error_nomem(err, label, n_bytes);
    for (size_t i = 0; i < gguf->n_entries; i++) {
        const char *name = gguf->entries[i].name;
        memcpy(&len, name - sizeof len, sizeof len);
        gguf->entries[i].name = memcpy(next, name, (size_t)len);
        next += len;
        *next++ = '\0';
    }
    return PP_OK;
}

pp_status ppi_gguf_take_tensors(struct ppi_gguf_scan *scan, uint64_t n, struct ppi_mem *mem,
                                struct ppi_gguf *gguf)
{
    scan->kind = NULL;
    if (n > MAX_TENSORS)
        return ppi_error(scan->err, PP_ERR_LIMIT,
                         "%s: %llu tensors are announced; at most %d are accepted", scan->label,
                         (unsigned long long)n, MAX_TENSORS);
    PP_TRY(ppi_gguf_check_count(scan, n, MIN_ENTRY_BYTES, "tensors"));
    gguf->entries = ppi_zalloc(mem, (size_t)n, sizeof *gguf->entries);
    if (!gguf->entries)
        return ppi_error_nomem(scan->err, scan->label, (size_t)n * sizeof *gguf->entries);
    scan->kind = "tensor";
    for (scan->index = 0; scan->index < n; scan->index++) {
        struct ppi_stored_entry *entry = &gguf->entries[scan->index];
        scan->name = NULL;
        PP_TRY(take_tensor(scan, gguf->alignment, entry));
        entry->name = scan->name;
        gguf->n_entries++;
    }
    return keep_names(gguf, scan->label, mem, scan->err);
}

/* ---- places ---- */

static int by_place(const void *a, const void *b)
{
    const struct ppi_stored_entry *x = a, *y = b;
    return x->begin == y->begin ? 0 : x->begin < y->begin ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
    const struct ppi_stored_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static pp_status check_names(struct ppi_gguf *gguf, const char *label, pp_error *err)
{
    qsort(gguf->entries, gguf->n_entries, sizeof *gguf->entries, by_name);
    for (size_t i = 1; i < gguf->n_entries; i++)
        if (strcmp(gguf->entries[i - 1].name, gguf->entries[i].name) == 0)
            return ppi_error(err, PP_ERR_FORMAT, "%s: the tensor \"%s\" occurs twice", label,
                             ppi_label(gguf->entries[i].name).text);
    return PP_OK;
}

pp_status ppi_gguf_check_places(struct ppi_gguf *gguf, int64_t size, const char *label,
                                pp_error *err)
{
    int64_t covered = 0; /* at most size + alignment */
    qsort(gguf->entries, gguf->n_entries, sizeof *gguf->entries, by_place);
    for (size_t i = 0; i < gguf->n_entries; i++) {
        const struct ppi_stored_entry *entry = &gguf->entries[i];
        if (entry->begin != covered)
            return ppi_error(
                err, PP_ERR_FORMAT,
                "%s: tensor \"%s\" begins at byte %lld of the data, %s byte %lld where "
                "the tensors before it end",
                label, ppi_label(entry->name).text, (long long)entry->begin,
                entry->begin < covered ? "overlapping" : "leaving a hole after",
                (long long)covered);
        if (entry->end > size - gguf->data_start)
            return ppi_error(err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\" ends at byte %lld of the data, of which the file "
                             "has %lld",
                             label, ppi_label(entry->name).text, (long long)entry->end,
                             size > gguf->data_start ? (long long)(size - gguf->data_start) : 0);
        covered = ppi_round_up(entry->end, gguf->alignment);
    }
    return check_names(gguf, label, err);
}

struct ppi_stored_entry *ppi_gguf_find_tensor(const struct ppi_gguf *gguf, const char *name)
{
    struct ppi_stored_entry key = {.name = name};
    return bsearch(&key, gguf->entries, gguf->n_entries, sizeof key, by_name);
}
