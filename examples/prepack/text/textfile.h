/* textfile.h: files of UTF-8 text, read whole, and their lines. */
#ifndef PREPACK_TEXTFILE_H
#define PREPACK_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>

struct textfile {
    const char *name; /* as sentences call it */
    char *bytes;      /* owned */
    char *next, *end; /* what is still to be read; *end is NUL */
    size_t line;      /* the number, from 1, of the line at next */
};

/* Reads a file, or standard input for "-"; the byte order mark that some editors put before a text
 * is left out. The caller closes it, also after a failure. */
int textfile_open(const char *path, struct textfile *file);
void textfile_close(struct textfile *file);

/* The next line, NUL-ended in place, without its end; NULL after the last. Its number
 * is file->line - 1 then. */
char *textfile_next_line(struct textfile *file);
/* Whether a line has nothing but spaces. */
bool is_blank(const char *line);

#endif
