/* plan_options.h: the command line of `prepack plan`, and a packer made from it. */
#ifndef PREPACK_PLAN_OPTIONS_H
#define PREPACK_PLAN_OPTIONS_H

#include "command.h"
#include "data_options.h"
#include "device_options.h"
#include "model_options.h"

#include <prepack/prepack.h>

struct plan_options {
    const char *dataset; /* NULL: not given */
    const char *ids;     /* the file of --ids; NULL: not given */
    struct data_options data;
    struct model_options model;
    int64_t batch_size;  /* 0: everything at once */
    int64_t max_batches; /* 0: all */
    int64_t max_length;  /* 0: prompts are not cut */
    struct seed seed;
    int64_t objective; /* PP_OBJECTIVE_* */
    int64_t policy;    /* PP_POLICY_*; 0: the library's choice */
    int64_t capacity;  /* 0: the longest prompt of the batch */
    const char *cost;  /* the file of a cost model; NULL: not given */
    int64_t n_bins;    /* 0: as many as it takes */
    struct numbers shapes;
    int64_t max_prompts; /* of a bin; 0: no limit */
    int64_t align, align_prompts;
    int64_t oversize; /* PP_OVERSIZE_* */
    bool keep_order;
    int64_t share_prefixes;  /* tokens in common that are placed once; 0: none are */
    int64_t max_steps;       /* of a search; 0: what suits the policy */
    double time_limit;       /* seconds; 0: none */
    int64_t workers;         /* 0: not asked for */
    const char *save, *load; /* files of plans; NULL: not given */
    bool draw;
    const char *svg;
    bool predict;
    struct device_options device;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command plan_command;

int run_plan(const void *options);

/* "ffd", "first-fit", ...; "unknown". */
const char *policy_name(int64_t policy);
/* "fewest", "balanced", "cheapest"; "unknown". */
const char *objective_name(int64_t objective);

/* A packer with the command line's settings. The caller destroys it. */
int plan_packer_open(const struct plan_options *options, pp_packer **packer);

#endif
