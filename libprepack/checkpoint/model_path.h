/*
 * model_path.h: what is wrong with a path that is not the directory of a model, in one sentence
 * that also says what to do. Nothing is opened but what such a sentence needs, nothing is
 * downloaded.
 */
#ifndef PPI_MODEL_PATH_H
#define PPI_MODEL_PATH_H

#include "checkpoint/model_file.h"

#include <sys/stat.h>

/* PP_OK for a directory with a config.json. Otherwise PP_ERR_ARG (an empty path), PP_ERR_IO (not
 * there, a file of a model, a folder around one, an unfinished download), PP_ERR_UNSUPPORTED (a
 * format that is not read) or PP_ERR_FORMAT (a Git LFS pointer). */
pp_status ppi_model_path_check(const char *path, pp_error *err);

/* The error for a directory that has a config.json but no weights in safetensors. */
pp_status ppi_model_path_weightless(const struct ppi_dir *dir, pp_error *err);

/* ---- the kinds of mistakes; each fills err and returns its status ---- */

/* A path that leads nowhere; errno_value says why (missing_path.c). */
pp_status ppi_refuse_missing(const char *path, int errno_value, pp_error *err);
/* Something that is there and no directory (file_path.c). */
pp_status ppi_refuse_file(const char *path, const struct stat *info, pp_error *err);
/* A directory without a config.json (folder_path.c). */
pp_status ppi_refuse_folder(const char *path, pp_error *err);

/* ---- helpers ---- */

/* dir/name in out; false where it does not fit. */
bool ppi_path_join(const char *dir, const char *name, char out[PATH_MAX]);
/* The path without what follows its last '/', and without slashes at its end; "." for a bare
 * name. */
void ppi_path_parent(const char *path, char out[PATH_MAX]);
/* What follows the last '/', without slashes at the end. */
void ppi_path_last(const char *path, char out[PATH_MAX]);
bool ppi_path_is_directory(const char *path);
bool ppi_path_has(const char *dir, const char *name);
bool ppi_path_ends(const char *name, const char *ending);

#endif
