/*
 * source.h: the tensors that a model's files store, by name: model.safetensors or the shards of an
 * index in a directory, or a GGUF file. It knows names, shapes, dtypes and places, and nothing of
 * what a model needs.
 */
#ifndef PPI_SOURCE_H
#define PPI_SOURCE_H

#include "internal.h"
#include "checkpoint/gguf.h"
#include "checkpoint/model_file.h"
#include "checkpoint/safetensors.h"

struct ppi_source;

/* One stored tensor; its parts are the source's. */
struct ppi_stored {
    const struct ppi_stored_entry *entry; /* name, dtype, shape; NULL: none */
    const struct ppi_file *file;
    int64_t begin; /* offset of the values in the file */
};

/* Opens the files and reads and checks their tables of contents. Errors: PP_ERR_IO, PP_ERR_FORMAT,
 * PP_ERR_LIMIT, PP_ERR_PATH, PP_ERR_NOMEM. mem must outlive the source. */
pp_status ppi_source_open(const struct ppi_dir *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          struct ppi_source **source, pp_error *err);
/* The same of a GGUF file or one that was split; *source is NULL where the path means none
 * (gguf_set.h says when). Further errors: PP_ERR_UNSUPPORTED. */
pp_status ppi_source_open_gguf(const char *path, struct ppi_mem *mem, struct ppi_source **source,
                               pp_error *err);
/* The keys of a source that was opened so. They may be many megabytes: whoever has read them drops
 * them. */
const struct ppi_gguf *ppi_source_gguf(const struct ppi_source *source);
void ppi_source_drop_keys(struct ppi_source *source);

/* Of the file that has the keys, or of the only file or index, for messages. */
const char *ppi_source_label(const struct ppi_source *source);

void ppi_source_close(struct ppi_source *source);

/* false where no tensor has the name; one that is found is noted as asked for. */
bool ppi_source_find(struct ppi_source *source, const char *name, struct ppi_stored *stored);

/* The error for a tensor that was not found and is needed. */
pp_status ppi_source_missing(const struct ppi_source *source, const char *name, pp_error *err);

/* The names of the tensors that nobody asked for, one a call; NULL after the last. *cursor begins
 * as 0. */
const char *ppi_source_unasked(const struct ppi_source *source, size_t *cursor);

/* Elements [first, first + n) of the values, in row-major order and the entry's dtype; of a tensor
 * in blocks both are multiples of the block, as those of whole rows are. Thread-safety: safe.
 * Errors: PP_ERR_IO (also when the file's size or modification time is not that of the opening),
 * PP_ERR_INTERNAL (the range is not in the tensor). */
pp_status ppi_stored_read(const struct ppi_stored *stored, int64_t first, int64_t n, void *dst,
                          pp_error *err);

/* Bytes [first, first + n) of what is stored, whatever the dtype. As ppi_stored_read. */
pp_status ppi_stored_read_bytes(const struct ppi_stored *stored, int64_t first, int64_t n,
                                void *dst, pp_error *err);

/* The product of the shape. */
int64_t ppi_stored_n_elements(const struct ppi_stored *stored);

#endif
