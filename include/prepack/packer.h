/*
 * prepack/packer.h: the planner. Lengths in, bins out; needs no model and no device.
 *
 *     pp_packer_params params;
 *     pp_packer_params_init(&params, sizeof params);
 *     params.capacity = 2048;
 *     pp_fewest_params fewest = {.struct_size = sizeof fewest, .policy = PP_POLICY_AUTO};
 *     params.fewest = &fewest;                         without it: PP_POLICY_FFD
 *     pp_packer_create(&params, &packer, &err);
 *     pp_packer_plan(packer, lengths, n, &plan, &err);
 *
 * bins.h says how a plan is read, and the terms: bin, capacity, waste, segment.
 */
#ifndef PREPACK_PACKER_H
#define PREPACK_PACKER_H

#include "bins.h"
#include "cost.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The token ids of one prompt, borrowed. A plain slice, like iovec: it will never grow. */
typedef struct pp_prompt {
    const int32_t *tokens; /* [n_tokens] */
    int64_t n_tokens;
} pp_prompt;

/*
 * What the bins shall be. Values are frozen.
 *  FEWEST_BINS: as few bins of the capacity as possible (bin packing).
 *  BALANCED: n_bins bins, the dearest as cheap as possible (multiprocessor scheduling); without a
 *      cost model: the smallest longest row. Bins without prompts come last and cost nothing.
 *  CHEAPEST: rows of a few lengths, each computed in full, the cheapest in all.
 */
enum {
    PP_OBJECTIVE_FEWEST_BINS = 1,
    PP_OBJECTIVE_BALANCED = 2,
    PP_OBJECTIVE_CHEAPEST = 3,
    PP_OBJECTIVE_INT32 = -1, /* no value: see common.h */
};

/*
 * Policies of FEWEST_BINS. Values are frozen. Ties are broken by the prompt's index, so that equal
 * input gives an equal plan on every machine. Prompts in another order get the same bins but for
 * the online policies (ARRIVAL, FIRST_FIT, BEST_FIT).
 *  FFD: first-fit decreasing, at most 11/9 OPT + 6/9 bins (Dosa 2007).
 *  BFD: best-fit decreasing, same bound; what the paper's code uses.
 *  ARRIVAL: next fit, keeps the order of the prompts, at most 2 OPT bins.
 *  FIRST_FIT: in order of arrival, each into the first bin with room, at most 1.7 OPT (Dosa, Sgall
 *      2013).
 *  BEST_FIT: in order of arrival, each into the fullest bin with room.
 *  EXACT: FFD, minimum bin slack (Gupta, Ho 1999), column generation (Gilmore, Gomory 1961) and a
 *      search, until the plan is proven optimal or the limits are reached.
 *  AUTO: FFD, then as EXACT while the gap is open, within limits for planning on the fly.
 */
enum {
    PP_POLICY_FFD = 1,
    PP_POLICY_BFD = 2,
    PP_POLICY_ARRIVAL = 3,
    PP_POLICY_FIRST_FIT = 4,
    PP_POLICY_BEST_FIT = 5,
    PP_POLICY_EXACT = 6,
    PP_POLICY_AUTO = 7,
    PP_POLICY_INT32 = -1, /* no value: see common.h */
};

/* Prompts longer than the capacity. Values are frozen.
 *  ERROR: PP_ERR_TOO_LONG.
 *  OWN_BIN: alone in a bin as large as they are.
 *  SPLIT: into chunks, in bins that run one after another; pp_prefill refuses such plans as yet.
 */
enum {
    PP_OVERSIZE_ERROR = 1,
    PP_OVERSIZE_OWN_BIN = 2,
    PP_OVERSIZE_SPLIT = 3,
    PP_OVERSIZE_INT32 = -1, /* no value: see common.h */
};

/* Settings of FEWEST_BINS; a field that is 0 has its default. */
typedef struct pp_fewest_params {
    uint32_t struct_size;
    int32_t policy;            /* PP_POLICY_*; default PP_POLICY_FFD */
    const int64_t *capacities; /* [n_capacities] of the bins there are, no others are made; the plan
                                  says which it uses (pp_bin_info.choice). Copied. */
    int64_t n_capacities;      /* default 0: as many bins of `capacity` as it takes */
    int64_t min_shared_prefix; /* prefixes of at least so many tokens that prompts share are placed
                                  once; needs the prompts' tokens (pp_packer_plan_input). Default 0:
                                  none is shared */
} pp_fewest_params;

/* Settings of BALANCED. */
typedef struct pp_balanced_params {
    uint32_t struct_size;
    int64_t n_bins; /* to make, at least 1 */
} pp_balanced_params;

/* Settings of CHEAPEST. */
typedef struct pp_cheapest_params {
    uint32_t struct_size;
    const int64_t *row_lens; /* [n_row_lens] lengths that a row may have. Copied. */
    int64_t n_row_lens;      /* 1 to 2^20 */
} pp_cheapest_params;

typedef struct pp_packer_params {
    uint32_t struct_size;
    int32_t objective;   /* PP_OBJECTIVE_*; default PP_OBJECTIVE_FEWEST_BINS */
    int64_t capacity;    /* tokens of a bin; 0, the default: FEWEST_BINS: the longest prompt of each
                            call, the rule of the Prepacking paper (arXiv 2404.09529); BALANCED: no
                            limit. 0 where pp_fewest_params.capacities or CHEAPEST's row_lens say it */
    int32_t oversize;    /* PP_OVERSIZE_*; default PP_OVERSIZE_ERROR, the only one of BALANCED and
                            CHEAPEST */
    int32_t keep_order;  /* 1: bins are runs of prompts in order of arrival, the best such
                            whatever the policy, which becomes ARRIVAL; default 0 */
    int64_t max_prompts; /* prompts of a bin; default 0: no limit */
    int64_t bin_alignment;    /* a bin's tokens are rounded up to a multiple of this; default 1 */
    int64_t prompt_alignment; /* each prompt's room is a multiple of this; default 1 */
    int64_t max_steps;  /* of a search, some tens of nanoseconds each; -1: no limit; default 0: 2000
                           a prompt, at most 2,000,000; EXACT, or with max_seconds: 2^31 */
    double max_seconds; /* also stop searching after this time, 0: no such limit (the default). A
                           plan that a clock ended may differ from run to run; its info says so */
    const pp_cost_model *cost; /* what a bin costs; copied. Default NULL: its tokens */
    const pp_allocator
        *allocator; /* memory of the packer, its plans and their batches; NULL: malloc */
    /* Settings of the objective; those of another are refused. */
    const pp_fewest_params *fewest;     /* default NULL: its defaults */
    const pp_balanced_params *balanced; /* needed by BALANCED */
    const pp_cheapest_params *cheapest; /* needed by CHEAPEST */
} pp_packer_params;

/* Limits and policy. Thread-safety: immutable, may be shared by threads. */
typedef struct pp_packer pp_packer;

/* Fills *params with defaults; `struct_size` is the caller's sizeof. */
PP_API void pp_packer_params_init(pp_packer_params *params, size_t struct_size);

/* Creates a packer. Errors: PP_ERR_ARG (an unknown policy, objective or value, a negative limit;
 * settings of another objective, or that contradict one another), PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM.
 * The caller destroys *packer. */
PP_API pp_status pp_packer_create(const pp_packer_params *params, pp_packer **packer,
                                  pp_error *err);
/* Plans stay valid after their packer is destroyed. */
PP_API void pp_packer_destroy(pp_packer *packer);

/*
 * Packs n prompts of the given lengths (tokens, each at least 1) into bins. n = 0 gives a plan
 * without bins. Deterministic. Time for 1,000,000 prompts: about 10 ms with PP_POLICY_FFD.
 *
 * lengths: [n], borrowed for the call. The caller destroys *plan.
 * Errors: PP_ERR_ARG (a length below 1, n outside [0, 2^31 - 1], a sum above 2^63 - 1; err->index
 * names the prompt), PP_ERR_TOO_LONG (a prompt longer than the capacity; prompts that do not fit
 * into the bins there are), PP_ERR_NOMEM.
 */
PP_API pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, int64_t n,
                                pp_plan **plan, pp_error *err);

/* Prompts and what is known of them besides their lengths. Every array is [n] or NULL. */
typedef struct pp_plan_input {
    uint32_t struct_size;
    int64_t n;
    const int64_t *lengths;   /* tokens; NULL: those of `prompts` */
    const pp_prompt *prompts; /* token ids, looked at where prefixes are shared */
    const int32_t *together;  /* prompts with the same number, not negative, go into the same bin */
    const int32_t *apart; /* prompts with the same number, not negative, go into different bins */
} pp_plan_input;

/* As pp_packer_plan. Further errors: PP_ERR_ARG (lengths that are not the prompts'; prompts that
 * shall be both together and apart; shared prefixes without tokens), PP_ERR_TOO_LONG (prompts that
 * belong together do not fit into a bin), PP_ERR_UNSUPPORTED (a constraint that this objective
 * cannot keep), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_packer_plan_input(const pp_packer *packer, const pp_plan_input *input,
                                      pp_plan **plan, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
