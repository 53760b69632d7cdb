/* prefill_options.h: the command line of `prepack prefill`. */
#ifndef PREPACK_PREFILL_OPTIONS_H
#define PREPACK_PREFILL_OPTIONS_H

#include "command.h"
#include "device_options.h"
#include "model_options.h"
#include "packer_options.h"
#include "prompt_options.h"

struct prefill_options {
    struct model_options model;
    struct prompt_options prompts;
    struct data_options data;
    const char *out; /* NULL: not given */
    bool kv;
    bool force;
    int64_t batch_size;
    struct packer_options packing;
    struct device_options device;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command prefill_command;

int run_prefill(const void *options);

#endif
