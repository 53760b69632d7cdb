/*
 * safetensors.h: the table of contents of a safetensors file, read and checked against the file.
 */
#ifndef PPI_SAFETENSORS_H
#define PPI_SAFETENSORS_H

#include "internal.h"
#include "checkpoint/model_file.h"
#include "checkpoint/stored_entry.h"

/* What is known after reading: every name occurs once, every range has the size of its shape and
 * dtype, and the ranges cover the data exactly. Byte ranges count from data_start. */
struct ppi_safetensors {
    int64_t data_start; /* offset in the file */
    int64_t data_bytes;
    size_t n_entries;
    struct ppi_stored_entry *entries; /* sorted by name */
    char *names;
};

/* Errors: PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_IO, PP_ERR_NOMEM. The table takes memory in
 * proportion to the header that is present, not to numbers in it. */
pp_status ppi_safetensors_read(const struct ppi_file *file, struct ppi_mem *mem,
                               struct ppi_safetensors *table, pp_error *err);

/* The same from memory: header[0, len) is the JSON, which is changed, data_bytes what follows it.
 * label names the file in messages. */
pp_status ppi_safetensors_parse(char *header, size_t len, int64_t data_bytes, const char *label,
                                struct ppi_mem *mem, struct ppi_safetensors *table, pp_error *err);

/* NULL where there is none of that name. */
struct ppi_stored_entry *ppi_safetensors_find(const struct ppi_safetensors *table,
                                              const char *name);

void ppi_safetensors_free(struct ppi_safetensors *table, struct ppi_mem *mem);

#endif
