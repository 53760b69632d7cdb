/* embed_options.h: the command line of `prepack embed`. */
#ifndef PREPACK_EMBED_OPTIONS_H
#define PREPACK_EMBED_OPTIONS_H

#include "command.h"
#include "device_options.h"
#include "model_options.h"
#include "packer_options.h"
#include "prompt_options.h"

enum { POOLING_OF_MODEL = -1 };

struct embed_options {
    struct model_options model;
    struct prompt_options prompts;
    struct data_options data;
    const char *prefix; /* before every text; NULL: not given */
    const char *out;
    bool force;
    int64_t pooling; /* PP_POOLING_*, or POOLING_OF_MODEL */
    bool normalize, no_normalize;
    bool labels;
    bool append_eos;
    int64_t max_length; /* 0: longer texts are refused */
    int64_t batch_size;
    struct packer_options packing;
    struct device_options device;
    struct seed seed;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command embed_command;

const char *pooling_name(int64_t pooling);

int run_embed(const void *options);

#endif
