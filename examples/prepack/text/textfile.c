/* textfile.c: a sentence about bytes that are no UTF-8 names their line. */
#include "textfile.h"
#include "files.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

static const size_t max_file_bytes = (size_t)1 << 30;

/* The line of the first byte that is not text; the file as a whole is not. */
static int fail_not_text(const struct textfile *file)
{
    const char *start = file->next;
    size_t line = 1;
    for (;; line++) {
        const char *end = memchr(start, '\n', (size_t)(file->end - start));
        const size_t n = (size_t)((end ? end : file->end) - start);
        if (!is_text(start, n) || !end)
            return fail("line %zu of %s is not UTF-8 text%s", line, file->name,
                        memchr(start, '\0', n) ? ": it has a NUL byte" : "");
        start = end + 1;
    }
}

int textfile_open(const char *path, struct textfile *file)
{
    size_t n;
    *file = (struct textfile){.name = strcmp(path, "-") == 0 ? "standard input" : path, .line = 1};
    const int status = read_file(path, max_file_bytes, &file->bytes, &n);
    if (status)
        return status;
    const size_t skip = n >= 3 && memcmp(file->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    file->next = file->bytes + skip;
    file->end = file->bytes + n;
    return is_text(file->next, n - skip) ? STATUS_OK : fail_not_text(file);
}

void textfile_close(struct textfile *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

char *textfile_next_line(struct textfile *file)
{
    if (file->next >= file->end)
        return NULL;
    char *start = file->next;
    char *end = memchr(start, '\n', (size_t)(file->end - start));
    file->next = end ? end + 1 : file->end;
    if (!end)
        end = file->end;
    if (end > start && end[-1] == '\r')
        end--;
    *end = '\0';
    file->line++;
    return start;
}

bool is_blank(const char *line)
{
    return line[strspn(line, " \t")] == '\0';
}
