/* score_file.c: lines that are appended, and those of a file that is gone on with. */
#include "score_file.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Doubles come back as the same. */
enum { FORMAT = JSON_COMPACT | JSON_REAL_PRECISION(17) };

static int fail_written(const struct score_file *file, int number)
{
    return fail("%s could not be written: %s", file->path,
                number ? strerror(number) : "the device took no more");
}

int score_file_check(const char *path, bool resume, bool force)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return STATUS_OK;
    if (S_ISDIR(info.st_mode))
        return fail("%s is a directory; --out must be a file", path);
    if (!S_ISREG(info.st_mode))
        return fail("%s is no regular file; --out must be one", path);
    return resume || force ? STATUS_OK
                           : fail("%s is there already; --resume goes on with it, --force begins "
                                  "anew",
                                  path);
}

int score_file_add(struct score_file *file, const json_t *line)
{
    char *text = line ? json_dumps(line, FORMAT) : NULL;
    if (!text)
        return fail_memory();
    errno = 0;
    const bool good = fputs(text, file->file) != EOF && fputc('\n', file->file) != EOF;
    const int number = errno;
    free(text);
    return good ? STATUS_OK : fail_written(file, number);
}

int score_file_flush(struct score_file *file)
{
    errno = 0;
    return fflush(file->file) == 0 ? STATUS_OK : fail_written(file, errno);
}

void score_file_close(struct score_file *file)
{
    if (file->file)
        fclose(file->file);
    file->file = NULL;
}

/* ---- a file that is there ---- */

static const char *text_of(const json_t *value, char *room, size_t n)
{
    if (json_is_string(value))
        return json_string_value(value);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    snprintf(room, n, "%s", text ? text : "none");
    free(text);
    return room;
}

/* Names the first thing that is not as it was. */
static int compare_headers(const struct score_file *file, const json_t *was, const json_t *now)
{
    const char *key;
    json_t *value;
    char a[64], b[64];
    json_object_foreach((json_t *)now, key, value)
    {
        const json_t *before = json_object_get(was, key);
        if (before && json_equal(before, value))
            continue;
        return fail("%s was begun with %s %s, but this run has %s; --force begins anew", file->path,
                    key, text_of(before, a, sizeof a), text_of(value, b, sizeof b));
    }
    return STATUS_OK;
}

static int take_header(const struct score_file *file, const char *line, const json_t *header)
{
    json_error_t error;
    json_t *was = json_loads(line, 0, &error);
    const int status = json_object_get(was, "prepack_score")
                           ? compare_headers(file, was, header)
                           : fail("%s is not a file that 'prepack score' wrote; --force replaces "
                                  "it",
                                  file->path);
    json_decref(was);
    return status;
}

static int take_line(const struct score_file *file, const char *line, size_t i,
                     bool (*take)(void *user, json_t *line), void *user)
{
    json_error_t error;
    json_t *json = json_loads(line, 0, &error);
    const json_t *item = json_object_get(json, "item");
    const bool good =
        json_is_integer(item) && json_integer_value(item) == (json_int_t)i && take(user, json);
    json_decref(json);
    return good ? STATUS_OK
                : fail("line %zu of %s is not item %zu of the run that it is of; --force begins "
                       "anew",
                       i + 2, file->path, i + 1);
}

/* Whether the beginning of a header is all that there is. */
static bool is_cut_header(const char *line, const json_t *header)
{
    char *text = json_dumps(header, FORMAT);
    const bool cut = text && strncmp(text, line, strlen(line)) == 0;
    free(text);
    return cut;
}

/* Reads whole lines; *end: where they end. */
static int read_lines(struct score_file *file, const json_t *header,
                      bool (*take)(void *user, json_t *line), void *user, size_t *n_lines,
                      int64_t *end)
{
    char *line = NULL;
    size_t room = 0;
    int status = STATUS_OK;
    *n_lines = 0;
    *end = 0;
    for (ssize_t n; !status && (n = getline(&line, &room, file->file)) > 0;) {
        const bool whole = line[n - 1] == '\n';
        if (!whole && *n_lines == 0 && !is_cut_header(line, header))
            status = take_header(file, line, header);
        if (!whole)
            break;
        status = *n_lines == 0 ? take_header(file, line, header)
                               : take_line(file, line, *n_lines - 1, take, user);
        ++*n_lines;
        *end += n;
    }
    free(line);
    if (!status && ferror(file->file))
        status = fail("%s could not be read", file->path);
    return status;
}

/* ---- opening ---- */

static int open_stream(struct score_file *file, bool resume)
{
    const int fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        return fail("%s is being written by another process", file->path);
    }
    if (fd >= 0 && (resume || ftruncate(fd, 0) == 0))
        file->file = fdopen(fd, "r+");
    if (file->file)
        return STATUS_OK;
    const int number = errno;
    if (fd >= 0)
        close(fd);
    return fail("%s could not be opened for writing: %s", file->path, strerror(number));
}

int score_file_open(const char *path, bool resume, const json_t *header,
                    bool (*take)(void *user, json_t *line), void *user, struct score_file *file,
                    size_t *n_done)
{
    size_t n_lines = 0;
    int64_t end = 0;
    *file = (struct score_file){.path = path};
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files becomes an error of the write */
    int status = open_stream(file, resume);
    if (!status && resume)
        status = read_lines(file, header, take, user, &n_lines, &end);
    *n_done = n_lines > 0 ? n_lines - 1 : 0;
    if (status)
        return status;
    if (fseeko(file->file, end, SEEK_SET) != 0 || ftruncate(fileno(file->file), end) != 0)
        return fail_written(file, errno);
    if (n_lines > 0)
        return STATUS_OK;
    status = score_file_add(file, header);
    return status ? status : score_file_flush(file);
}
