/* score_options.h: the command line of `prepack score`. */
#ifndef PREPACK_SCORE_OPTIONS_H
#define PREPACK_SCORE_OPTIONS_H

#include "command.h"
#include "data_options.h"
#include "device_options.h"
#include "model_options.h"
#include "packer_options.h"

struct score_options {
    struct model_options model;
    const char *data; /* NULL: not given */
    const char *ids;  /* the file of --ids; NULL: not given */
    struct data_options reading;
    const char *continuation_field, *choices_field, *answer_field; /* NULL: not given */
    const char *delimiter;                                         /* NULL: a space */
    bool perplexity;
    int64_t stride;     /* 0: a rolling window */
    int64_t max_length; /* 0: the model's positions */
    int64_t batch_size;
    int64_t top; /* alternatives of each token */
    bool tokens; /* the figures of each token are written */
    int64_t show;
    const char *out; /* NULL: not given */
    bool resume, force;
    struct packer_options packing;
    struct device_options device;
    struct seed seed;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command score_command;

int run_score(const void *options);

#endif
