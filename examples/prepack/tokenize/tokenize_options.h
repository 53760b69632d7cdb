/* tokenize_options.h: the command line of `prepack tokenize`. */
#ifndef PREPACK_TOKENIZE_OPTIONS_H
#define PREPACK_TOKENIZE_OPTIONS_H

#include "command.h"
#include "model_options.h"
#include "prompt_options.h"

struct tokenize_options {
    struct model_options model;
    const char *tokenizer; /* a file or directory; NULL: the model's */
    struct prompt_options prompts;
    struct data_options data;
    bool ids_only, counts;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command tokenize_command;

int run_tokenize(const void *options);

#endif
