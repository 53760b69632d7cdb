/*
 * model_file.h: the files of a model directory: which may be opened, and reading them. Links are
 * followed only inside the directory, or into the blobs of the Hugging Face cache that it is a
 * snapshot of. Only regular files are opened, and opening never blocks.
 */
#ifndef PPI_MODEL_FILE_H
#define PPI_MODEL_FILE_H

#include "internal.h"
#include "json/label.h"

#include <limits.h>
#include <time.h>

struct ppi_dir {
    struct ppi_label label; /* as the caller spelled it, for messages */
    char real[PATH_MAX];    /* without links; "" for the root */
};

struct ppi_file {
    int fd; /* -1: closed */
    int64_t size;
    struct timespec mtime;
    struct ppi_label label;
};

/* Errors: PP_ERR_ARG (path is NULL), PP_ERR_IO. */
pp_status ppi_dir_open(const char *path, struct ppi_dir *dir, pp_error *err);

/* Whether the directory has an entry of that name, a broken link included. */
bool ppi_dir_has(const struct ppi_dir *dir, const char *name);

/* Opens dir/name for reading. Errors: PP_ERR_PATH (a link that leaves the directory), PP_ERR_IO
 * (also for anything but a regular file), PP_ERR_FORMAT (a Git LFS pointer or a web page in its
 * place). */
pp_status ppi_dir_open_file(const struct ppi_dir *dir, const char *name, struct ppi_file *file,
                            pp_error *err);

/* Opens a file that the caller names: links may lead anywhere. Errors: PP_ERR_IO, PP_ERR_FORMAT, as
 * above. */
pp_status ppi_file_open(const char *path, struct ppi_file *file, pp_error *err);

/* PP_ERR_IO unless size and modification time are still those of the opening. */
pp_status ppi_file_unchanged(const struct ppi_file *file, pp_error *err);

/* Exactly bytes [offset, offset + bytes), or PP_ERR_IO. Thread-safety: safe. */
pp_status ppi_file_read(const struct ppi_file *file, int64_t offset, void *dst, size_t bytes,
                        pp_error *err);

void ppi_file_close(struct ppi_file *file);

#endif
