/* tune_options.h: the command line of `prepack tune`. */
#ifndef PREPACK_TUNE_OPTIONS_H
#define PREPACK_TUNE_OPTIONS_H

#include "command.h"
#include "device_options.h"
#include "model_options.h"

struct tune_options {
    struct model_options model;
    double seconds;     /* 0: the library's choice */
    int64_t max_tokens; /* of a pass; 0: the library's choice */
    int64_t max_length; /* 0: the library's choice */
    struct device_options device;
    struct seed seed;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command tune_command;

int run_tune(const void *options);

#endif
