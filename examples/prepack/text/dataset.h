/*
 * dataset.h: prompts by name or from a file: as text, or only as token counts; and the same as
 * token ids, ready to run.
 */
#ifndef PREPACK_DATASET_H
#define PREPACK_DATASET_H

#include "tokenizer.h"

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stddef.h>

/* Either texts or lengths is set. */
struct dataset {
    size_t n;
    size_t room;
    char **texts;     /* [n] UTF-8, or NULL */
    char **answers;   /* [n], or NULL; single answers may be NULL */
    int64_t *lengths; /* [n] token counts, or NULL */
    bool built_in;    /* comes with the program */
    bool is_demo;     /* the prompts that come with the demo model */
};

/*
 * name: a built-in data set or a file. field: of .jsonl and .csv; NULL: "prompt". A data set has at
 * least one prompt; every length is at least 1.
 */
int dataset_load(const char *name, const char *field, struct dataset *set);
/* A data set of texts given by the caller. */
int dataset_from_texts(const char *const *texts, size_t n, struct dataset *set);
void dataset_free(struct dataset *set);

/* Readers of one kind of file each (datafile.c). They append to an empty set. */
int dataset_read_lines(const char *path, struct dataset *set);
int dataset_read_lengths(const char *path, struct dataset *set);
int dataset_read_jsonl(const char *path, const char *field, struct dataset *set);
int dataset_read_csv(const char *path, const char *field, struct dataset *set);
/* Appends one prompt, whose text and answer (may be NULL) are copied. */
int dataset_add_text(struct dataset *set, const char *text, const char *answer);
int dataset_add_length(struct dataset *set, int64_t length);

/* A data set as token ids. */
struct promptset {
    size_t n;
    int32_t *tokens;    /* all of them, one prompt after another */
    pp_prompt *prompts; /* [n] slices of tokens */
    int64_t n_tokens;
    size_t n_cut; /* prompts that were longer than max_length */
};

/* Turns texts into token counts; they are cut to max_length unless that is 0. *n_cut: how many. */
int dataset_count_tokens(struct dataset *set, struct tokenizer *tokenizer, int64_t max_length,
                         size_t *n_cut);

/*
 * Tokenizes the texts of a set, or draws random token ids for its lengths (tokenizer may be NULL
 * then): each prompt from its own stream of the seed, below vocab_size. max_length cuts longer
 * prompts (0: there is no --max-length; -1: the command has no such option); those longer than
 * max_position are refused.
 */
int promptset_build(const struct dataset *set, struct tokenizer *tokenizer, int32_t vocab_size,
                    int64_t max_length, int64_t max_position, uint64_t seed,
                    struct promptset *prompts);
void promptset_free(struct promptset *prompts);

#endif
