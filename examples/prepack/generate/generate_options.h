/* generate_options.h: the command line of `prepack generate`. */
#ifndef PREPACK_GENERATE_OPTIONS_H
#define PREPACK_GENERATE_OPTIONS_H

#include "command.h"
#include "device_options.h"
#include "model_options.h"
#include "packer_options.h"
#include "prompt_options.h"

struct generate_options {
    struct model_options model;
    struct prompt_options prompts;
    struct data_options data;
    int64_t max_new_tokens;
    int64_t batch_size;
    bool compare;
    int64_t show;       /* rows of the comparison */
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: no limit */
    double top_p;       /* 1: no limit */
    double min_p;       /* 0: no limit */
    struct seed seed;
    struct packer_options packing;
    struct device_options device;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command generate_command;

int run_generate(const void *options);

#endif
