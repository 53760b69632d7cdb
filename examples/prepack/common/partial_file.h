/*
 * partial_file.h: a file that has another name until it is whole, and leaves nothing behind when it
 * does not become so.
 */
#ifndef PREPACK_PARTIAL_FILE_H
#define PREPACK_PARTIAL_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct partial_file {
    const char *path;
    char *partial; /* owned; the name until the end */
    int fd;        /* -1: closed */
    bool force;
};

/* Refuses a path at which a file may not be written; before a long run. force: a file of that name
 * may be there. */
int partial_file_check(const char *path, bool force);
/* Makes the file under its first name. path outlives it. The caller closes it, also after a
 * failure. */
int partial_file_open(const char *path, bool force, struct partial_file *file);
/* A stream of the file's own for what stands at its beginning; NULL after a sentence. */
FILE *partial_file_stream(const struct partial_file *file);
/* Closes such a stream; whether all was written to it. */
int partial_file_end_stream(const struct partial_file *file, FILE *stream);
/* Takes the room of the whole file, where the file system can: better now than after the run. */
int partial_file_take_room(const struct partial_file *file, int64_t bytes);
/* n bytes at a place. */
int partial_file_write(const struct partial_file *file, int64_t place, const void *bytes,
                       int64_t n);
/* Gives the file its name, and takes no other's unless that was asked for. */
int partial_file_finish(struct partial_file *file);
/* Closes it, and removes it where it is not finished. */
void partial_file_close(struct partial_file *file);

#endif
