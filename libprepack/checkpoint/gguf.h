/*
 * gguf.h: what a GGUF file says before its data: keys with values, and the table of its tensors,
 * read and checked against the file. Versions 2 and 3, little-endian. It knows nothing of models
 * and does not read the data; gguf_blocks.h does.
 */
#ifndef PPI_GGUF_H
#define PPI_GGUF_H

#include "internal.h"
#include "checkpoint/model_file.h"
#include "checkpoint/stored_entry.h"

/* As the format numbers them. */
enum ppi_gguf_type {
    PPI_GGUF_U8,
    PPI_GGUF_I8,
    PPI_GGUF_U16,
    PPI_GGUF_I16,
    PPI_GGUF_U32,
    PPI_GGUF_I32,
    PPI_GGUF_F32,
    PPI_GGUF_BOOL,
    PPI_GGUF_STRING,
    PPI_GGUF_ARRAY,
    PPI_GGUF_U64,
    PPI_GGUF_I64,
    PPI_GGUF_F64,
    PPI_GGUF_N_TYPES
};

struct ppi_gguf_value {
    const char *key; /* UTF-8 without NUL inside; NULL: an item of an array */
    enum ppi_gguf_type type;
    enum ppi_gguf_type item_type; /* of an ARRAY; never ARRAY */
    uint64_t len;                 /* bytes of a STRING, items of an ARRAY */
    const char *data; /* not aligned; a key's STRING has a NUL after it, of an ARRAY of strings each
                         has 8 bytes of length before it */
    size_t data_bytes;
};

/* What is known after reading: every key and every tensor's name occurs once and is UTF-8, every
 * value lies in the header, and the tensors fill the data in some order, each at a multiple of the
 * alignment and padded to one. Byte ranges count from data_start. */
struct ppi_gguf {
    uint32_t version;
    int64_t alignment;
    int64_t data_start; /* offset in the file */
    size_t n_values;
    struct ppi_gguf_value *values; /* sorted by key */
    size_t n_entries;
    struct ppi_stored_entry *entries; /* sorted by name */
    char *names;
    char *header; /* what the values point into; NULL: the caller's */
};

/* Whether the file begins as a GGUF file does. Errors: PP_ERR_IO. */
pp_status ppi_gguf_is(const struct ppi_file *file, bool *is, pp_error *err);

/* Errors: PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_UNSUPPORTED (another version or byte order),
 * PP_ERR_IO, PP_ERR_NOMEM. Takes memory in proportion to the bytes that are present, not to numbers
 * in them. */
pp_status ppi_gguf_read(const struct ppi_file *file, struct ppi_mem *mem, struct ppi_gguf *gguf,
                        pp_error *err);

/* The same from memory: bytes[0, len) is the beginning of a file of `size` bytes. It is changed and
 * must outlive gguf. *wanted, where it is not NULL, becomes the length of the beginning that is
 * needed at least when an error is only that bytes[0, len) ends too early, else 0. Such an error
 * leaves err alone, so that a caller who then reads more has said nothing. */
pp_status ppi_gguf_parse(char *bytes, size_t len, int64_t size, const char *label,
                         struct ppi_mem *mem, struct ppi_gguf *gguf, uint64_t *wanted,
                         pp_error *err);

/* Forgets the values, which may be many megabytes, and keeps the tensors. */
void ppi_gguf_drop_values(struct ppi_gguf *gguf, struct ppi_mem *mem);

void ppi_gguf_free(struct ppi_gguf *gguf, struct ppi_mem *mem);

/* NULL where there is none of that name. */
struct ppi_stored_entry *ppi_gguf_find_tensor(const struct ppi_gguf *gguf, const char *name);

/* ---- values (gguf_values.c); NULL is a value of no type ---- */

/* NULL where there is none of that key. */
const struct ppi_gguf_value *ppi_gguf_find(const struct ppi_gguf *gguf, const char *key);

/* The text of a STRING that has no NUL inside, else NULL. */
const char *ppi_gguf_string(const struct ppi_gguf_value *value);

/* Each false, and its argument untouched, where the value is of another type or does not fit: an
 * integer of any width; that or a float; a BOOL. */
bool ppi_gguf_integer(const struct ppi_gguf_value *value, int64_t *integer);
bool ppi_gguf_number(const struct ppi_gguf_value *value, double *number);
bool ppi_gguf_bool(const struct ppi_gguf_value *value, bool *truth);

/* Whether the value is an ARRAY of items of that type. */
bool ppi_gguf_is_array(const struct ppi_gguf_value *value, enum ppi_gguf_type item_type);

/* Item i < len of an ARRAY whose items are no strings: a value without a key. */
struct ppi_gguf_value ppi_gguf_item(const struct ppi_gguf_value *array, uint64_t i);

/* Walks an ARRAY of strings: cursor begins as {0}; false after the last. The bytes may be anything
 * and have no NUL after them. */
struct ppi_gguf_cursor {
    uint64_t i;
    size_t at;
};
bool ppi_gguf_next_string(const struct ppi_gguf_value *array, struct ppi_gguf_cursor *cursor,
                          const char **text, size_t *len);

/* A value in words, for messages: 4096, 0.5, true, "text", an array of 3 strings, missing. */
struct ppi_label ppi_gguf_describe(const struct ppi_gguf_value *value);

/* ---- types of tensors (gguf_types.c) ---- */

struct ppi_gguf_tensor_type {
    const char *name;
    int32_t block_len, block_bytes; /* a block of so many elements takes so many bytes */
    int32_t dtype;                  /* what its values are read as, PP_DTYPE_*; 0: they are not */
};

/* NULL where the format has no type of that number. */
const struct ppi_gguf_tensor_type *ppi_gguf_tensor_type(uint32_t number);

#endif
