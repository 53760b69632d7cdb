/* data_options.h: the options that say which prompts are read, and how they become tokens. */
#ifndef PREPACK_DATA_OPTIONS_H
#define PREPACK_DATA_OPTIONS_H

#include "option.h"

/* What a file of prompts holds. */
enum data_format {
    FORMAT_AUTO, /* as its content looks */
    FORMAT_LINES,
    FORMAT_TEXT, /* one text */
    FORMAT_JSON, /* objects one after another, or a list of them */
    FORMAT_CSV,
    FORMAT_TSV,
    FORMAT_LENGTHS
};

/* Special tokens that a prompt spells out, such as </s>. */
enum special_tokens { SPECIAL_PARSE, SPECIAL_LITERAL };

struct data_options {
    const char *field;       /* NULL: not given */
    int64_t format;          /* FORMAT_* */
    int64_t special;         /* SPECIAL_* */
    bool texts_only;         /* numbers alone in the lines of a file are texts, too */
    bool whole_texts;        /* what looks like lines is one text */
    const char *usual_field; /* where `field` is not given; NULL: "prompt" */
};

/* --dataset: the place is a const char *. */
extern const struct option_rule dataset_rules[];
/* Of struct data_options: the field, which is called prompt unless it is named; and the rest. */
extern const struct option_rule field_rules[];
extern const struct option_rule reading_rules[];
/* --ids: the place is a const char *. */
extern const struct option_rule ids_rules[];

#endif
