/*
 * gguf_set.h: the GGUF file, or the parts of one that was split, that a path means: the path of a
 * file or of the directory that holds it.
 */
#ifndef PPI_GGUF_SET_H
#define PPI_GGUF_SET_H

#include "checkpoint/gguf.h"

struct ppi_gguf_part {
    struct ppi_file file;
    struct ppi_gguf gguf;
};

struct ppi_gguf_set {
    int32_t n;                   /* 0: the path means something else */
    struct ppi_gguf_part *parts; /* [n]; the first has the keys of the whole, others keep none */
};

/* Whether a path means a GGUF file: itself a regular file that begins as one, or a directory
 * without config.json that holds a single one whose name ends in .gguf; several there are an
 * error. Of a split file the first part is to be named, and the others are found beside it. Errors:
 * those of ppi_gguf_read, PP_ERR_PATH. */
pp_status ppi_gguf_set_open(const char *path, struct ppi_mem *mem, struct ppi_gguf_set *set,
                            pp_error *err);

/* Copes with a half-opened set. */
void ppi_gguf_set_close(struct ppi_gguf_set *set, struct ppi_mem *mem);

#endif
