/*
 * gguf_scan.h: taking pieces from the beginning of a GGUF file: for gguf.c, gguf_values.c and
 * gguf_tensors.c. Nothing is taken that is not there.
 */
#ifndef PPI_GGUF_SCAN_H
#define PPI_GGUF_SCAN_H

#include "checkpoint/gguf.h"

/* bytes[0, len) of a file of `size` bytes, and what is being read, for messages. */
struct ppi_gguf_scan {
    char *bytes;
    size_t len;
    int64_t size;
    size_t at;
    uint64_t wanted; /* what was missing ends here, in the file but not in bytes; 0: nothing was */
    const char *label;
    const char *kind; /* "key" or "tensor", NULL outside both */
    uint64_t index;   /* of it, from 0 */
    const char *name; /* of it, once read, else NULL; name_len bytes */
    size_t name_len;
    pp_error *err;
};

/* The place in words: key 3, tensor "a.weight", the header. */
struct ppi_label ppi_gguf_place(const struct ppi_gguf_scan *scan);

/* The next n bytes. Errors: PP_ERR_FORMAT: the file ends before. */
pp_status ppi_gguf_take(struct ppi_gguf_scan *scan, uint64_t n, char **data);
pp_status ppi_gguf_take_u32(struct ppi_gguf_scan *scan, uint32_t *number);
pp_status ppi_gguf_take_u64(struct ppi_gguf_scan *scan, uint64_t *number);

/* A count of things that have at least min_bytes each and follow here, all in memory. */
pp_status ppi_gguf_check_count(struct ppi_gguf_scan *scan, uint64_t n, uint64_t min_bytes,
                               const char *things);

/* The name of a key or tensor: length and bytes; becomes that of the place. */
pp_status ppi_gguf_take_name(struct ppi_gguf_scan *scan);

/* gguf_values.c: the type and value of a key whose name was taken. */
pp_status ppi_gguf_take_value(struct ppi_gguf_scan *scan, struct ppi_gguf_value *value);
/* Puts the NUL after keys and strings, each moved a byte towards its length, and sorts. */
pp_status ppi_gguf_finish_values(struct ppi_gguf *gguf, const char *label, pp_error *err);

/* gguf_tensors.c: the table of n tensors; and, once data_start is known, the check of their places.
 */
pp_status ppi_gguf_take_tensors(struct ppi_gguf_scan *scan, uint64_t n, struct ppi_mem *mem,
                                struct ppi_gguf *gguf);
pp_status ppi_gguf_check_places(struct ppi_gguf *gguf, int64_t size, const char *label,
                                pp_error *err);

#endif
