/* profile_options.h: the command line of `prepack profile`. */
#ifndef PREPACK_PROFILE_OPTIONS_H
#define PREPACK_PROFILE_OPTIONS_H

#include "command.h"
#include "data_options.h"
#include "device_options.h"
#include "model_options.h"
#include "packer_options.h"

/* The ways to run a batch that are compared. */
enum method {
    METHOD_PREPACKING,
    METHOD_FULL,
    METHOD_ORDERED,
    METHOD_DATASET,
    METHOD_SHARED,
    N_METHODS
};
extern const char *const method_names[N_METHODS + 1]; /* NULL at the end */

struct method_list {
    int items[N_METHODS]; /* [n] of METHOD_* */
    int n;
};

enum { METRIC_PREFILL, METRIC_TTFT };
enum { PER_BATCH, PER_PROMPT };

struct profile_options {
    struct model_options model;
    const char *dataset; /* NULL: not given */
    const char *ids;     /* the file of --ids; NULL: not given */
    struct data_options data;
    int64_t batch_size;
    int64_t num_runs;
    int64_t metric; /* METRIC_* */
    struct method_list methods;
    int64_t per;         /* PER_* */
    int64_t max_batches; /* 0: all */
    int64_t max_length;  /* 0: prompts are not cut */
    struct packer_options packing;
    struct device_options device;
    bool dry_run;
    struct seed seed;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command profile_command;

int run_profile(const void *options);

#endif
