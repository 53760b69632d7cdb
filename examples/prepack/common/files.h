/* files.h: whole files, and where the program's own data lies. */
#ifndef PREPACK_FILES_H
#define PREPACK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a regular file (or "-", standard input) of at most max_bytes whole, with a NUL after its
 * end. The caller frees *bytes. */
int read_file(const char *path, size_t max_bytes, char **bytes, size_t *n_bytes);

/*
 * The path of a data file or folder of the program ("lengths/mmlu.txt", "demo-model"): under
 * $PREPACK_DATA if that is set, otherwise where `meson install` put it (relative to the program, so
 * that the installation may be moved), otherwise in the source tree. The caller frees *path.
 */
int find_data(const char *name, char **path);

/* dir/name; NULL without memory. The caller frees it. */
char *join_path(const char *dir, const char *name);

bool is_directory(const char *path);
bool file_exists(const char *path);
/* Whether the bytes are well-formed UTF-8 without NUL. */
bool is_text(const char *bytes, size_t n);

#ifdef __cplusplus
}
#endif
#endif
