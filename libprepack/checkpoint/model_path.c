/* model_path.c: whether a path is the directory of a model, and paths as strings. */
#define _GNU_SOURCE
#include "checkpoint/model_path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Length without slashes at the end; the root keeps its own. */
static size_t trimmed_length(const char *path)
{
    size_t n = strnlen(path, PATH_MAX - 1);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

/* Where the last part begins. */
static size_t last_start(const char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n;
}

/* The sentences explain what errno's text would only repeat; its number still goes along. */
static pp_status with_errno(pp_status status, int errno_value, pp_error *err)
{
    if (status == PP_ERR_IO && err && err->struct_size > offsetof(pp_error, native_code))
        err->native_code = errno_value;
    return status;
}

pp_status ppi_model_path_check(const char *path, pp_error *err)
{
    struct stat info;
    char trimmed[PATH_MAX];
    int number = stat(path, &info) == 0 ? 0 : errno;
    if (number == ENOTDIR && strlen(path) < PATH_MAX) { /* perhaps a file with a '/' behind it */
        snprintf(trimmed, sizeof trimmed, "%.*s", (int)trimmed_length(path), path);
        if (stat(trimmed, &info) == 0) {
            path = trimmed;
            number = 0;
        }
    }
    if (number != 0)
        return with_errno(ppi_refuse_missing(path, number, err), number, err);
    if (!S_ISDIR(info.st_mode))
        return with_errno(ppi_refuse_file(path, &info, err), ENOTDIR, err);
    if (ppi_path_has(path, "config.json"))
        return PP_OK;
    return with_errno(ppi_refuse_folder(path, err), ENOENT, err);
}

bool ppi_path_join(const char *dir, const char *name, char out[PATH_MAX])
{
    const size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] != '/' ? "/" : "";
    const int len = snprintf(out, PATH_MAX, "%s%s%s", dir, slash, name);
    return len >= 0 && len < PATH_MAX;
}

void ppi_path_parent(const char *path, char out[PATH_MAX])
{
    size_t n = last_start(path, trimmed_length(path));
    while (n > 1 && path[n - 1] == '/')
        n--;
    snprintf(out, PATH_MAX, "%.*s", n > 0 ? (int)n : 1, n > 0 ? path : ".");
}

void ppi_path_last(const char *path, char out[PATH_MAX])
{
    const size_t n = trimmed_length(path), start = last_start(path, n);
    snprintf(out, PATH_MAX, "%.*s", (int)(n - start), path + start);
}

bool ppi_path_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool ppi_path_has(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    return ppi_path_join(dir, name, path) && (lstat(path, &info) == 0 || errno == EACCES);
}

bool ppi_path_ends(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcasecmp(name + n - m, ending) == 0;
}
