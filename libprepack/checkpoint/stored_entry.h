/*
 * stored_entry.h: one tensor of a weight file's table of contents, whatever the format of the file.
 */
#ifndef PPI_STORED_ENTRY_H
#define PPI_STORED_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#define PPI_STORED_MAX_RANK 8

struct ppi_stored_entry {
    const char *name; /* without NUL inside */
    int64_t begin;    /* byte range in the file's data */
    int64_t end;
    int64_t shape[PPI_STORED_MAX_RANK]; /* slowest dimension first */
    int32_t rank;
    int32_t dtype;          /* PP_DTYPE_*, or 0: the format knows it, we do not compute with it */
    const char *dtype_name; /* as the format spells it; static */
    int32_t blocks; /* the number of a GGUF type of blocks of numbers; values are read as dtype,
                       F32; 0: plain numbers of dtype */
    bool asked;     /* for who owns the table: somebody asked for it */
};

#endif
