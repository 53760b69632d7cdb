/* partial_file.c: creating, writing and renaming, each failure with a sentence. */
#include "partial_file.h"
#include "interrupt.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_written(const struct partial_file *file, int number)
{
    return fail("%s could not be written: %s", file->path,
                number ? strerror(number) : "the device took no more");
}

int partial_file_check(const char *path, bool force)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return STATUS_OK;
    if (S_ISDIR(info.st_mode))
        return fail("%s is a directory; --out must be a file", path);
    if (!force)
        return fail("%s is there already; --force replaces it", path);
    return S_ISREG(info.st_mode)
               ? STATUS_OK
               : fail("%s is no regular file, which alone --force replaces", path);
}

int partial_file_open(const char *path, bool force, struct partial_file *file)
{
    *file = (struct partial_file){.path = path, .fd = -1, .force = force};
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files becomes an error of the write */
    const int status = partial_file_check(path, force);
    if (status)
        return status;
    if (asprintf(&file->partial, "%s.partial-%ld", path, (long)getpid()) < 0) {
        file->partial = NULL;
        return fail_memory();
    }
    file->fd = open(file->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd >= 0) {
        interrupt_remove(file->partial);
        return STATUS_OK;
    }
    const int number = errno;
    const int failed =
        fail("%s could not be opened for writing: %s", file->partial, strerror(number));
    free(file->partial); /* somebody else's, perhaps */
    file->partial = NULL;
    return failed;
}

FILE *partial_file_stream(const struct partial_file *file)
{
    const int copy = dup(file->fd); /* the stream closes its own */
    FILE *stream = copy < 0 ? NULL : fdopen(copy, "w");
    if (stream)
        return stream;
    const int number = errno;
    if (copy >= 0)
        close(copy);
    fail_written(file, number);
    return NULL;
}

int partial_file_end_stream(const struct partial_file *file, FILE *stream)
{
    errno = 0;
    const bool failed = fflush(stream) != 0 || ferror(stream);
    const int number = errno;
    fclose(stream);
    return failed ? fail_written(file, number) : STATUS_OK;
}

int partial_file_take_room(const struct partial_file *file, int64_t bytes)
{
    if (bytes == 0 || fallocate(file->fd, 0, 0, bytes) == 0)
        return STATUS_OK;
    const int number = errno;
    if (number != ENOSPC && number != EFBIG && number != EDQUOT)
        return STATUS_OK;
    return fail("%s would have %" PRId64 " bytes: %s", file->path, bytes, strerror(number));
}

int partial_file_write(const struct partial_file *file, int64_t place, const void *bytes, int64_t n)
{
    const char *next = bytes;
    while (n > 0) {
        const size_t most = (size_t)1 << 30;
        const ssize_t written = pwrite(file->fd, next, n < (int64_t)most ? (size_t)n : most, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_written(file, written < 0 ? errno : 0);
        next += written;
        place += written;
        n -= written;
    }
    return STATUS_OK;
}

static bool rename_partial(const struct partial_file *file)
{
    if (!file->force &&
        renameat2(AT_FDCWD, file->partial, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0)
        return true;
    if (!file->force && errno != EINVAL && errno != ENOSYS)
        return false;
    return rename(file->partial, file->path) == 0;
}

int partial_file_finish(struct partial_file *file)
{
    const int closed = close(file->fd);
    file->fd = -1;
    if (closed != 0)
        return fail_written(file, errno);
    if (!rename_partial(file))
        return fail("%s could not be renamed to %s: %s", file->partial, file->path,
                    strerror(errno));
    interrupt_remove(NULL);
    free(file->partial);
    file->partial = NULL;
    return STATUS_OK;
}

void partial_file_close(struct partial_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    if (file->partial) {
        unlink(file->partial);
        interrupt_remove(NULL);
    }
    free(file->partial);
    file->partial = NULL;
}
