/*
 * model_file.c: opening and reading the files of a model directory. A checkpoint may come from
 * anyone, so a name in it must not reach files elsewhere on the machine, and a FIFO or device under
 * the name of a weight file must not stop the caller.
 */
#define _GNU_SOURCE
#include "checkpoint/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux reads at most about 2 GiB at once. */
#define MAX_READ ((size_t)1 << 30)

#define MAX_POINTER_BYTES 1024 /* by the specification of Git LFS, version 1 */

pp_status ppi_dir_open(const char *path, struct ppi_dir *dir, pp_error *err)
{
    if (!path)
        return ppi_error(err, PP_ERR_ARG, "the model directory is NULL");
    dir->label = ppi_label_path(path, NULL);
    if (!realpath(path, dir->real))
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot open the model directory %s",
                               dir->label.text);
    if (strcmp(dir->real, "/") == 0)
        dir->real[0] = '\0';
    return PP_OK;
}

static bool join(const struct ppi_dir *dir, const char *name, char path[PATH_MAX])
{
    int len = snprintf(path, PATH_MAX, "%s/%s", dir->real, name);
    return len >= 0 && len < PATH_MAX;
}

bool ppi_dir_has(const struct ppi_dir *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    return join(dir, name, path) && (lstat(path, &info) == 0 || errno != ENOENT);
}

static bool is_below(const char *path, const char *root, size_t root_len)
{
    return strncmp(path, root, root_len) == 0 && path[root_len] == '/';
}

/* The cache keeps .../models--owner--name/snapshots/revision/file as links to
 * .../models--owner--name/blobs/hash. */
static bool is_blob_of(const char *path, const char *dir)
{
    static const char prefix[] = "models--", blobs[] = "/blobs/";
    for (const char *part = dir; (part = strchr(part, '/')); part++) {
        if (strncmp(part + 1, prefix, sizeof prefix - 1) != 0)
            continue;
        size_t root_len = (size_t)(strchrnul(part + 1, '/') - dir);
        if (is_below(path, dir, root_len) && strncmp(path + root_len, blobs, sizeof blobs - 1) == 0)
            return true;
    }
    return false;
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

/* Opens a path without links; the file is looked at before, so that no device is touched, and
 * again after, in case it was replaced. */
static pp_status open_regular(const char *path, struct ppi_file *file, pp_error *err)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot open %s", file->label.text);
    if (S_ISREG(info.st_mode)) {
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        while ((file->fd = open(path, flags)) < 0 && errno == EINTR)
            ;
        if (file->fd < 0 || fstat(file->fd, &info) != 0)
            return ppi_error_errno(err, PP_ERR_IO, errno, "cannot open %s", file->label.text);
    }
    if (!S_ISREG(info.st_mode))
        return ppi_error(err, PP_ERR_IO, "%s is %s; a regular file is needed", file->label.text,
                         kind_of(info.st_mode));
    file->size = info.st_size;
    file->mtime = info.st_mtim;
    return PP_OK;
}

/* What a download leaves in the place of a file that it could not have. */
static pp_status refuse_stand_in(const struct ppi_file *file, pp_error *err)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/";
    static const char *const pages[] = {"<!doctype", "<html", "<?xml"};
    char begin[sizeof pointer] = "";
    const size_t n = file->size < (int64_t)sizeof begin ? (size_t)file->size : sizeof begin - 1;
    PP_TRY(ppi_file_read(file, 0, begin, n, err));
    if (file->size <= MAX_POINTER_BYTES && strcmp(begin, pointer) == 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s is a Git LFS pointer in place of the file; fetch the file with \"git "
                         "lfs pull\" in the model directory, or download it again",
                         file->label.text);
    const char *text = begin + strspn(begin, " \t\r\n");
    for (size_t i = 0; i < PPI_COUNT(pages); i++)
        if (strncasecmp(text, pages[i], strlen(pages[i])) == 0)
            return ppi_error(err, PP_ERR_FORMAT,
                             "%s is a web page in place of the file, such as one that asks for a "
                             "login; download the file again",
                             file->label.text);
    return PP_OK;
}

/* A path without links, under the label that *file has. */
static pp_status open_real(const char *real, struct ppi_file *file, pp_error *err)
{
    pp_status status = open_regular(real, file, err);
    if (status >= 0)
        status = refuse_stand_in(file, err);
    if (status < 0)
        ppi_file_close(file);
    return status;
}

pp_status ppi_file_open(const char *path, struct ppi_file *file, pp_error *err)
{
    char real[PATH_MAX];
    struct ppi_file opened = {.fd = -1, .label = ppi_label_path(path, NULL)};
    if (!realpath(path, real))
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot open %s", opened.label.text);
    PP_TRY(open_real(real, &opened, err));
    *file = opened;
    return PP_OK;
}

pp_status ppi_dir_open_file(const struct ppi_dir *dir, const char *name, struct ppi_file *file,
                            pp_error *err)
{
    char path[PATH_MAX], real[PATH_MAX];
    struct ppi_file opened = {.fd = -1, .label = ppi_label_path(dir->label.text, name)};
    if (!join(dir, name, path))
        return ppi_error_errno(err, PP_ERR_IO, ENAMETOOLONG, "cannot open %s", opened.label.text);
    if (!realpath(path, real))
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot open %s", opened.label.text);
    if (!is_below(real, dir->real, strlen(dir->real)) && !is_blob_of(real, dir->real))
        return ppi_error(err, PP_ERR_PATH,
                         "%s is a link to %s; links may lead only to files in the model directory "
                         "or in the blobs of its Hugging Face cache",
                         opened.label.text, ppi_label_path(real, NULL).text);
    PP_TRY(open_real(real, &opened, err));
    *file = opened;
    return PP_OK;
}

pp_status ppi_file_unchanged(const struct ppi_file *file, pp_error *err)
{
    struct stat info;
    if (fstat(file->fd, &info) != 0)
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot examine %s", file->label.text);
    if (info.st_size != file->size)
        return ppi_error(err, PP_ERR_IO, "%s changed while in use: it had %lld bytes, now %lld",
                         file->label.text, (long long)file->size, (long long)info.st_size);
    if (info.st_mtim.tv_sec != file->mtime.tv_sec || info.st_mtim.tv_nsec != file->mtime.tv_nsec)
        return ppi_error(err, PP_ERR_IO,
                         "%s changed while in use: its modification time is another",
                         file->label.text);
    return PP_OK;
}

pp_status ppi_file_read(const struct ppi_file *file, int64_t offset, void *dst, size_t bytes,
                        pp_error *err)
{
    char *next = dst;
    while (bytes > 0) {
        ssize_t got = pread(file->fd, next, bytes < MAX_READ ? bytes : MAX_READ, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ppi_error_errno(err, PP_ERR_IO, errno, "cannot read %s at byte %lld",
                                   file->label.text, (long long)offset);
        if (got == 0)
            return ppi_error(err, PP_ERR_IO, "%s ends at byte %lld; %zu more bytes were expected",
                             file->label.text, (long long)offset, bytes);
        next += got;
        offset += got;
        bytes -= (size_t)got;
    }
    return PP_OK;
}

void ppi_file_close(struct ppi_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
