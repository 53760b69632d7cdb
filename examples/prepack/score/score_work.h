/*
 * score_work.h: what `prepack score` computes: sequences of tokens of which the last few are
 * scored, each given those before it. A record, a line of the output, has as many of them as it has
 * continuations, or windows.
 */
#ifndef PREPACK_SCORE_WORK_H
#define PREPACK_SCORE_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sequence {
    size_t first;             /* its tokens begin at score_work.tokens[first] */
    int64_t n_tokens;         /* at least 2; the model sees all but the last */
    int64_t n_targets;        /* the last so many tokens are scored; at least 1 */
    int64_t n_chars, n_bytes; /* of a continuation's text: code points, UTF-8; 0: ids */
};

struct record {
    size_t line; /* of the file, from 1 */
    size_t first_sequence, n_sequences;
    int64_t answer;           /* which continuation is right; -1: nobody says */
    int64_t n_tokens;         /* of a text, without those before it */
    int64_t n_words, n_bytes; /* of a text; 0: ids */
};

struct score_work {
    const char *name; /* of the data, as sentences call it */
    bool is_text;     /* records are texts with windows, not continuations */
    int32_t *tokens;  /* [n_tokens] */
    size_t n_tokens, tokens_room;
    struct sequence *sequences;
    size_t n_sequences, sequences_room;
    struct record *records;
    size_t n_records, records_room;
    int64_t n_targets;
    int64_t n_cut;     /* sequences that lost tokens at their beginning, which did not fit */
    int64_t n_crossed; /* whose context has other tokens with its continuation than alone */
};

/* Appends tokens; *first: where they begin. */
int work_add_tokens(struct score_work *work, const int32_t *tokens, size_t n, size_t *first);
/* Appends a record without sequences. */
int work_add_record(struct score_work *work, const struct record *record);
/* Appends a sequence to the last record. */
int work_add_sequence(struct score_work *work, const struct sequence *sequence);
void work_free(struct score_work *work);

/* A number that stands for all of it. */
uint64_t work_hash(const struct score_work *work);
/* "item 4 (line 6 of FILE)" for record i. */
void work_name_record(const struct score_work *work, size_t i, char *out, size_t out_bytes);

#endif
