/*
 * gguf_keys.h: reading the keys of a GGUF file that describe a model: what a value must be, and the
 * sentence when it is not; and the keys that are refused. For the files of gguf_config.
 */
#ifndef PPI_GGUF_KEYS_H
#define PPI_GGUF_KEYS_H

#include "model/gguf_arch.h"

struct ppi_gguf_reader {
    struct ppi_source *source;
    const struct ppi_gguf *gguf;
    const struct ppi_gguf_arch *arch;
    const char *label; /* of the file */
    int32_t window;    /* pp_model_params.sliding_window */
    struct ppi_mem *mem;
    const struct ppi_log *log;
    pp_error *err;
};

/* Of the key ARCHITECTURE.name; NULL: none. */
const struct ppi_gguf_value *ppi_gguf_of(const struct ppi_gguf_reader *reader, const char *name);

/* LABEL: ARCHITECTURE.name is VALUE; WANTED. Returns code. */
pp_status ppi_gguf_refuse(const struct ppi_gguf_reader *reader, pp_status code, const char *name,
                          const char *wanted);

/* An integer, or an array of equal ones (an entry for each layer). A missing key leaves *out, and
 * is PP_ERR_FORMAT where it is required. */
pp_status ppi_gguf_take_integer(const struct ppi_gguf_reader *reader, const char *name,
                                bool required, int64_t *out);

/* A finite number. One of 32 bits becomes the shortest decimal that rounds to it: that is what the
 * config.json had that the file was made from. */
pp_status ppi_gguf_take_number(const struct ppi_gguf_reader *reader, const char *name,
                               bool required, double *out);
double ppi_gguf_decimal(float value);

/* PP_ERR_UNSUPPORTED for a key that changes what is computed and is not implemented; the log hears
 * of keys of the architecture that nobody knows. */
pp_status ppi_gguf_check_keys(const struct ppi_gguf_reader *reader);

#endif
