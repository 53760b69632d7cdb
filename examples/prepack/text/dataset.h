/* dataset.h: prompts by name or from a file: as text, as token ids, or only as token counts. */
#ifndef PREPACK_DATASET_H
#define PREPACK_DATASET_H

#include "data_options.h"

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stddef.h>

/* Either texts or lengths is set; with token ids, both ids and lengths. */
struct dataset {
    const char *name; /* as sentences call it; NULL: texts of the command line */
    size_t n;
    size_t room;
    size_t *line_numbers; /* [n] where each prompt begins in its file, from 1 */
    char **texts;         /* [n] UTF-8, or NULL */
    char **answers;       /* [n], or NULL; single answers may be NULL */
    int64_t *lengths;     /* [n] token counts, or NULL */
    int32_t **ids;        /* [n] token ids of those counts, or NULL */
    bool built_in;        /* comes with the program */
    bool is_demo;         /* the prompts that come with the demo model */
};

/* name: a built-in data set, a file, or "-"; it outlives the set. A data set has at least one
 * prompt; every length is at least 1. */
int dataset_load(const char *name, const struct data_options *options, struct dataset *set);
/* A data set of token ids from a file, or "-": of JSON lists. options->field: in objects, the
 * member with the list. */
int dataset_load_ids(const char *path, const struct data_options *options, struct dataset *set);
/* A data set of texts given by the caller. */
int dataset_from_texts(const char *const *texts, size_t n, struct dataset *set);
void dataset_free(struct dataset *set);

/* Appends the prompts of a file (datafile.c). */
int dataset_read(const char *path, const struct data_options *options, struct dataset *set);
/* Appends one prompt of a line, whose text and answer (may be NULL) are copied. */
int dataset_add_text(struct dataset *set, size_t line, const char *text, const char *answer);
int dataset_add_length(struct dataset *set, size_t line, int64_t length);
/* The same of a prompt of n token ids, which are copied. */
int dataset_add_ids(struct dataset *set, size_t line, const int32_t *ids, size_t n,
                    const char *answer);
/* Refuses token ids outside [0, vocab_size). */
int dataset_check_ids(const struct dataset *set, int32_t vocab_size);

/* "prompt 4 (line 6 of FILE)": every sentence about prompt i (from 0) calls it so. */
void dataset_name_prompt(const struct dataset *set, size_t i, char *out, size_t out_bytes);
/* For a call of the library that failed over prompt i, which it counts in its own way. */
int dataset_fail_library(const struct dataset *set, size_t i, const pp_error *err);

#endif
