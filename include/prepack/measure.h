/*
 * prepack/measure.h: how long each operation of a forward pass takes on a session's device, and how
 * fast that device copies memory. For measuring and developing: this header is not part of the
 * stable interface, it may change in any release.
 *
 *     pp_measure_params params;
 *     pp_measurement down = {.struct_size = sizeof down};
 *     pp_measure_params_init(&params, sizeof params);
 *     params.operation = PP_MEASURE_DOWN;
 *     params.n_rows = 512;
 *     pp_session_measure(session, &params, &down, &err);
 *     printf("%.3f TFLOP/s\n", down.flop / down.seconds * 1e-12);
 *
 * An operation runs by itself, on random data in the model's shapes, with the session's weights. Of
 * layers that differ, those are measured that are like the first one that has it.
 * What is in the device's caches when it begins is a choice: PP_MEASURE_CACHES_*.
 */
#ifndef PREPACK_MEASURE_H
#define PREPACK_MEASURE_H

#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Operations. */
enum {
    /* products with a weight matrix; n_rows rows of activations */
    PP_MEASURE_QKV = 1,
    PP_MEASURE_O = 2,       /* adds to the residual stream */
    PP_MEASURE_GATE_UP = 3, /* with the activation */
    PP_MEASURE_DOWN = 4,    /* adds to the residual stream */
    PP_MEASURE_LM_HEAD = 5, /* or the head in its place, which scores labels */
    /* attention over prompts of the given lengths */
    PP_MEASURE_ATTENTION = 6, /* every token of the prompts */
    PP_MEASURE_DECODE = 7,    /* the last token of each prompt */
    /* operations on n_rows rows */
    PP_MEASURE_EMBED = 8,
    PP_MEASURE_RMSNORM = 9,
    PP_MEASURE_ROPE_KV = 10, /* rotates q and k, writes keys and values to their pages */
    PP_MEASURE_GATHER = 11,  /* of rows of the residual stream, in random order */
    PP_MEASURE_SAMPLE = 12,  /* draws a token from each row of logits, and hands it over */
    /* copies device memory: what limits operations that move more than they compute */
    PP_MEASURE_COPY = 13,
    /* of layers with experts; n_rows rows, which choose experts at random */
    PP_MEASURE_EXPERTS = 14, /* those that rows go through; bytes: of as many experts as are
                                expected to be chosen */
    PP_MEASURE_ROUTE = 15,   /* the product with the router's matrix, and the choice */
    /* of linear layers; n_rows rows */
    PP_MEASURE_LINEAR = 16,     /* what stands between the two products, of one prompt if it can be
                                   so long */
    PP_MEASURE_LINEAR_IN = 17,  /* the product before it */
    PP_MEASURE_LINEAR_OUT = 18, /* the product behind it; adds to the residual stream */
    PP_MEASURE_INT32 = -1,      /* no value: see common.h */
};

/*
 * What the caches of a device hold when an operation begins. IN_A_PASS: one run after the other
 * uses other memory, and the next layer's weights and pages, as far as there is memory. WARM: every
 * run uses the memory of the one before. FLUSHED: before each operation, outside its time, memory
 * as large as the last-level cache (32 to 256 MiB) is copied; a run is one operation.
 */
enum {
    PP_MEASURE_CACHES_IN_A_PASS = 0,
    PP_MEASURE_CACHES_WARM = 1,
    PP_MEASURE_CACHES_FLUSHED = 2,
    PP_MEASURE_CACHES_INT32 = -1, /* no value: see common.h */
};

typedef struct pp_measure_params {
    uint32_t struct_size;
    int32_t operation;      /* PP_MEASURE_*; there is no default */
    int64_t n_rows;         /* 1 .. max_pass_tokens, of PP_MEASURE_SAMPLE at most 64; 0: the most */
    const int64_t *lengths; /* [n_prompts] of attention: 1 .. max_position tokens each. ATTENTION:
                               at most max_pass_tokens together; DECODE: as many prompts */
    int64_t n_prompts;
    int32_t n_runs;    /* of which the median counts; at most 99; 0: 9 */
    int32_t unguarded; /* not 0: products also without the guard of packing invariance, and by the
                          library's own kernel, where the device makes a difference (cuda) */
    int32_t caches;    /* PP_MEASURE_CACHES_* */
} pp_measure_params;

PP_API void pp_measure_params_init(pp_measure_params *params, size_t struct_size);

typedef struct pp_measurement {
    uint32_t struct_size;
    int32_t n_runs;
    int64_t n_repeats; /* of the operation in a run */
    double seconds;    /* of one operation */
    double flop;       /* a multiplication and its addition are 2; of attention only the pairs of
                          tokens that see each other; 0 where moving is all there is */
    double bytes;      /* that must move at least: what is read once and what is written once */
    /* Of a product, one by one in the same way, its operands in caches; 0: not asked for, or the
     * device has no such way. */
    double guarded_seconds;   /* as it runs in a pass */
    double unguarded_seconds; /* the fastest there is for this number of rows, whatever its bits */
    double own_seconds;       /* by the library's own kernel */
} pp_measurement;

/*
 * Measures one operation. The session's caches stay as they are; memory is taken for the call.
 * Errors: PP_ERR_ARG (params), PP_ERR_UNSUPPORTED (the head of a model without one, what no layer
 * has), PP_ERR_TOO_LONG (a length), PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE,
 * PP_ERR_CANCELLED, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_session_measure(pp_session *session, const pp_measure_params *params,
                                    pp_measurement *measurement, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
