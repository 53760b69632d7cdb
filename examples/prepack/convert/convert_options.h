/* convert_options.h: the command line of `prepack convert`. */
#ifndef PREPACK_CONVERT_OPTIONS_H
#define PREPACK_CONVERT_OPTIONS_H

#include "command.h"
#include "model_options.h"

struct convert_options {
    struct model_options model;
    int64_t weights; /* PP_WEIGHTS_*; PP_WEIGHTS_AUTO: not given */
    const char *out; /* the new directory */
    int64_t threads; /* 0: every processor */
    struct seed seed;
};

extern const struct command convert_command;

int run_convert(const void *options);

#endif
