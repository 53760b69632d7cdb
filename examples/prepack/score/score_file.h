/*
 * score_file.h: the file of `prepack score --out`: a line that says what was run, then an object a
 * record, in their order. It is whole up to its last line at any time, so that a run that was
 * stopped can go on.
 */
#ifndef PREPACK_SCORE_FILE_H
#define PREPACK_SCORE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct score_file {
    const char *path;
    FILE *file; /* NULL: closed */
};

/* Refuses a path at which nothing may be written; before a long run. */
int score_file_check(const char *path, bool resume, bool force);
/*
 * Begins the file, or, with resume, opens the one that is there behind its last whole line, if it
 * was begun with the same header; each of its objects is given to take, which says whether it is
 * one. *n_done: how many. header: not taken. The caller closes the file, also after a failure.
 */
int score_file_open(const char *path, bool resume, const json_t *header,
                    bool (*take)(void *user, json_t *line), void *user, struct score_file *file,
                    size_t *n_done);
/* Appends an object. */
int score_file_add(struct score_file *file, const json_t *line);
/* All that was added is in the file then, whatever becomes of the process. */
int score_file_flush(struct score_file *file);
void score_file_close(struct score_file *file);

#endif
