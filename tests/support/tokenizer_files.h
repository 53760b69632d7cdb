/*
 * tokenizer_files.h: tokenizers for tests, made at run time: a temporary directory, files in it
 * written with ' for ", and an allocator that counts, fails on demand and has a limit. Public
 * interface only.
 */
#ifndef TEST_TOKENIZER_FILES_H
#define TEST_TOKENIZER_FILES_H

#include <prepack/tokenizer.h>

#include <pthread.h>

/* A small tokenizer of bytes, with ' for ": "hell" "o" " " "w" "é"; <s> before a text, and a tool
 * token that is not special. */
extern const char TINY_TOKENIZER[];

/* A new directory under TMPDIR; failing ends the program ("Bail out!"), as everywhere here.
 * tokenizer_dir_remove takes it away with all in it. */
struct tokenizer_dir {
    char path[256];
};
struct tokenizer_dir tokenizer_dir_make(void);
void tokenizer_dir_remove(const struct tokenizer_dir *dir);

/* Writes n bytes; quoted: each ' becomes ". */
void tokenizer_dir_write(const struct tokenizer_dir *dir, const char *name, const char *bytes,
                         size_t n, int quoted);
/* A text with ' for ". */
void tokenizer_dir_put(const struct tokenizer_dir *dir, const char *name, const char *text);

/* text with the first `find`, which must be there, replaced; malloced. */
char *tokenizer_text_with(const char *text, const char *find, const char *with);

/* The user of counting_allocator. Any number of threads. */
struct counting {
    pthread_mutex_t lock;
    int64_t calls, fail_at; /* the fail_at-th call fails; 0: none */
    int persistent;         /* and all after it */
    int64_t held, peak;     /* bytes */
    int64_t limit;          /* of held; 0: none */
};
#define COUNTING_INIT                                                                              \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }
pp_allocator counting_allocator(struct counting *counting);

#endif
