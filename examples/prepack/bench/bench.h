/* bench.h: the figures of `prepack bench`, and how they are shown. */
#ifndef PREPACK_BENCH_H
#define PREPACK_BENCH_H

#include "bench_options.h"

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdio.h>

/* One operation at one size. */
struct bench_figure {
    enum bench bench;        /* in which table it stands */
    const char *name;        /* "qkv" */
    int64_t n, k;            /* of a weight matrix */
    int32_t weights;         /* PP_WEIGHTS_*, of a product */
    int64_t rows;            /* of the operation; prompts x tokens of attention */
    pp_measurement measured; /* of attention: its caches flushed */
    /* Of attention. */
    const struct lengths *lengths; /* what was asked for */
    int64_t low, high, prompts;    /* tokens of a prompt, from low to high: of a range as
                                      asked for, of others as drawn */
    int64_t tokens;                /* of all prompts */
    char kernel[32];               /* "wgmma" */
    pp_measurement warm;           /* its caches warm */
    int place, order;              /* in the table: kernels for the same prompts share a place */
};

/* The most that products can do, as this run has seen it. */
struct bench_roof {
    double flop;      /* a second; 0: nothing of this kind was measured */
    const char *peak; /* the instruction that did it, by itself; NULL: a product */
};

/* The best that the device did in this run. */
struct bench_roofs {
    struct bench_roof numbers;  /* with numbers of the session's dtype; attention's too */
    struct bench_roof integers; /* with weights and activations in few bits */
    double bytes;               /* a second */
};

struct bench_report {
    const char *model;
    const struct bench_options *options;
    pp_model_config config;
    pp_session_info session;
    struct bench_roofs roofs;
    struct bench_figure *figures; /* [n_figures], owned */
    size_t n_figures;
};

/* Whether products with weights of this format are of integers. */
bool bench_is_integer(int32_t weights);
/* Least seconds that the roofs leave a figure, as a part of those it took; *limit: which roof. */
double bench_share(const struct bench_report *report, const struct bench_figure *figure,
                   const pp_measurement *measured, const char **limit);
/* What the guard of packing invariance adds to a product, in percent; false: not known. */
bool bench_guard_percent(const struct bench_figure *figure, double *percent);

int bench_print(const struct bench_report *report, FILE *out);
json_t *bench_json(const struct bench_report *report);

#endif
