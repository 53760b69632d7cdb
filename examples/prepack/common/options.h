/* options.h: the command line of each command, checked. */
#ifndef PREPACK_OPTIONS_H
#define PREPACK_OPTIONS_H

#include "bench_lengths.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command {
    COMMAND_PROFILE = 1,
    COMMAND_GENERATE = 2,
    COMMAND_PLAN = 4,
    COMMAND_BENCH = 8,
    COMMAND_TUNE = 16
};

/* The ways to run a batch that `profile` compares. */
enum method { METHOD_PREPACKING, METHOD_FULL, METHOD_ORDERED, METHOD_DATASET, N_METHODS };
extern const char *const method_names[N_METHODS];

enum { METRIC_PREFILL, METRIC_TTFT };

enum { PER_BATCH, PER_PROMPT };

/* What `bench` measures. */
enum bench { BENCH_GEMM = 1, BENCH_ATTENTION = 2, BENCH_ROWS = 4 };

/* Whole numbers; n 0: not given. */
enum { MAX_NUMBERS = 32 };
struct numbers {
    int n;
    int64_t items[MAX_NUMBERS];
};

/* Of attention, in place of the model's; 0: not given. */
struct heads {
    int64_t q, kv;
};

/* A word that an option may have, and what it means. */
struct choice {
    const char *name; /* NULL: the end of a list */
    int64_t value;
};

struct options {
    const char *model;   /* a preset, "demo" or a directory; NULL: not given */
    const char *dataset; /* NULL: not given */
    const char *prompts; /* the file of generate --prompts; NULL: not given */
    const char *field;   /* NULL: not given */
    const char *device;
    const char *json;   /* "-": standard output; NULL: not given */
    const char **texts; /* [n_texts] of generate -p; owned */
    size_t n_texts;
    int64_t batch_size; /* 0: everything at once (plan) */
    int64_t num_runs;
    int64_t max_batches; /* 0: all */
    int64_t max_length;  /* 0: prompts are not cut */
    int64_t capacity;    /* 0: the longest prompt of the batch */
    int64_t threads;     /* 0: every processor */
    int64_t max_new_tokens;
    int64_t show; /* rows of the comparison */
    uint64_t seed;
    bool seed_given;
    double temperature; /* 0: greedy */
    double top_p;
    int64_t metric;      /* METRIC_* */
    int64_t per;         /* PER_* */
    int64_t policy;      /* PP_POLICY_*; 0: the library's choice (plan) */
    int64_t objective;   /* PP_OBJECTIVE_* */
    int64_t oversize;    /* PP_OVERSIZE_* */
    int64_t n_bins;      /* 0: as many as it takes */
    int64_t workers;     /* 0: not asked for */
    int64_t max_prompts; /* of a bin; 0: no limit */
    int64_t align, align_prompts;
    int64_t max_steps;       /* of a search; 0: what suits the policy */
    double time_limit;       /* seconds; 0: none */
    struct numbers shapes;   /* lengths of rows */
    const char *save, *load; /* files of plans; NULL: not given */
    const char *svg;
    int64_t dtype;        /* PP_DTYPE_* */
    int64_t memory_limit; /* bytes of the device; 0: the library's choice */
    int methods[N_METHODS];
    int n_methods;
    int benches; /* of BENCH_* */
    struct numbers rows;
    struct lengths_list lengths; /* owned */
    struct heads heads;
    int64_t head_dim;   /* 0: the model's */
    int64_t tokens;     /* of all prompts of attention together; 0: what a pass holds */
    const char *cost;   /* the file of a cost model; NULL: not given */
    double seconds;     /* that tune may take; 0: the library's choice */
    int64_t max_tokens; /* of a pass of tune; 0: the library's choice */
    bool predict;
    bool dry_run;
    bool draw;
    bool keep_order;
    bool share_prefixes;
    bool compare;
    bool help;
};

/* Reads argv, whose first entry is the command's name. The caller frees with options_free, also
 * after a failure. */
int options_parse(enum command command, int argc, char **argv, struct options *options);
void options_free(struct options *options);

/* The help of the whole program (0) or of one command. */
const char *help_text(int command);

#endif
