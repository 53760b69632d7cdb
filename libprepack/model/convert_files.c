/*
 * convert_files.c: a new directory that has its name only when all its files are written, so that
 * nobody opens half a model.
 */
#define _GNU_SOURCE
#include "model/convert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POOLING_DIR "1_Pooling" /* the one folder in it */

/* Whether the path is free: nothing there, or an empty directory. */
static pp_status check_free(const char *path, pp_error *err)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT)
        return PP_OK;
    if (!dir)
        return ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot become a directory for a model",
                               ppi_label_path(path, NULL).text);
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty ? PP_OK
                 : ppi_error(err, PP_ERR_IO,
                             "%s is there and is not empty; a new or an empty directory is needed",
                             ppi_label_path(path, NULL).text);
}

pp_status ppi_new_dir_begin(const char *path, struct ppi_new_dir *dir, pp_error *err)
{
    size_t len = strlen(path);
    *dir = (struct ppi_new_dir){.path = path};
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len > PATH_MAX - 64)
        return ppi_error(err, PP_ERR_ARG,
                         "the path of the new directory has %zu bytes; allowed: 1 to %d", len,
                         PATH_MAX - 64);
    memcpy(dir->real, path, len);
    PP_TRY(check_free(dir->real, err));
    snprintf(dir->place, sizeof dir->place, "%.*s.part-%ld", PATH_MAX - 64, dir->real,
             (long)getpid());
    if (mkdir(dir->place, 0777) == 0)
        return PP_OK;
    pp_status status = ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot be made",
                                       ppi_label_path(dir->place, NULL).text);
    dir->place[0] = '\0';
    return status;
}

pp_status ppi_new_dir_finish(struct ppi_new_dir *dir, pp_error *err)
{
    if (rename(dir->place, dir->real) != 0)
        return ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot be given its name",
                               ppi_label_path(dir->path, NULL).text);
    dir->place[0] = '\0';
    return PP_OK;
}

void ppi_new_dir_drop(struct ppi_new_dir *dir)
{
    static const char *const names[] = {"config.json", "generation_config.json", "modules.json",
                                        POOLING_DIR "/config.json", "model.safetensors"};
    int fd = dir->place[0] ? open(dir->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    for (size_t i = 0; i < PPI_COUNT(names); i++)
        unlinkat(fd, names[i], 0);
    unlinkat(fd, POOLING_DIR, AT_REMOVEDIR);
    close(fd);
    rmdir(dir->place);
    dir->place[0] = '\0';
}

pp_status ppi_new_file(const struct ppi_new_dir *dir, const char *name, int *fd, pp_error *err)
{
    int place = open(dir->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place >= 0 && strncmp(name, POOLING_DIR "/", sizeof POOLING_DIR) == 0)
        mkdirat(place, POOLING_DIR, 0777); /* where it fails, opening the file tells why */
    *fd = place < 0 ? -1 : openat(place, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int error = errno;
    if (place >= 0)
        close(place);
    return *fd >= 0 ? PP_OK
                    : ppi_error_errno(err, PP_ERR_IO, error, "%s cannot be written",
                                      ppi_label_path(dir->path, name).text);
}

pp_status ppi_new_file_write(int fd, const char *name, int64_t offset, const void *bytes, int64_t n,
                             pp_error *err)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t done = pwrite(fd, from, (size_t)n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return ppi_error_errno(err, PP_ERR_IO, done < 0 ? errno : ENOSPC,
                                   "%s of the new model cannot be written", name);
        from += done;
        offset += done;
        n -= done;
    }
    return PP_OK;
}

pp_status ppi_new_file_close(int fd, const char *name, pp_error *err)
{
    int failed = fsync(fd), error = errno;
    if (close(fd) != 0 && failed == 0) {
        failed = -1;
        error = errno;
    }
    return failed == 0 ? PP_OK
                       : ppi_error_errno(err, PP_ERR_IO, error,
                                         "%s of the new model cannot be written", name);
}
