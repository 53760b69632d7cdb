/*
 * say.h: what the program says when something goes wrong, and its exit statuses.
 *
 * Every function of the program that can fail returns an exit status: 0, or what one of these
 * functions returned after printing one sentence to standard error.
 */
#ifndef PREPACK_SAY_H
#define PREPACK_SAY_H

#include <prepack/prepack.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,       /* the run failed */
    STATUS_USAGE = 2,        /* the command line is wrong */
    STATUS_INTERRUPTED = 130 /* Ctrl-C, as shells count it */
};

/* Print "prepack: " and one sentence; each returns its status. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_memory(void);
int fail_interrupted(void);
/* For a call of the library that failed and filled err. */
int fail_library(const pp_error *err);

/* Whether standard output stands in the middle of a line: then a sentence begins with a new one. */
void say_line_open(bool open);

/* Prints "prepack: note: " and one sentence, each sentence once: what is right to know and stops
 * nothing. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A pp_log_fn: warnings of the library as notes. */
void say_log(void *user, int32_t level, const char *message);

#ifdef __cplusplus
}
#endif
#endif
