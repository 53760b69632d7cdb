/* bench_options.h: the command line of `prepack bench`. */
#ifndef PREPACK_BENCH_OPTIONS_H
#define PREPACK_BENCH_OPTIONS_H

#include "bench_lengths.h"
#include "command.h"
#include "device_options.h"
#include "model_options.h"

/* What is measured. */
enum bench { BENCH_GEMM = 1, BENCH_ATTENTION = 2, BENCH_ROWS = 4 };

/* Of attention, in place of the model's; 0: not given. */
struct heads {
    int64_t q, kv;
};

struct bench_options {
    int64_t benches; /* of BENCH_* */
    struct model_options model;
    struct numbers rows;
    struct numbers formats;      /* PP_WEIGHTS_* of products; n 0: the session's alone */
    struct lengths_list lengths; /* owned */
    int64_t tokens;              /* of all prompts of attention together; 0: what a pass holds */
    struct heads heads;
    int64_t head_dim; /* 0: the model's */
    int64_t num_runs;
    struct device_options device;
    struct seed seed;
    const char *json; /* "-": standard output; NULL: not given */
};

extern const struct command bench_command;

int run_bench(const void *options);

#endif
