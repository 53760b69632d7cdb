/*
 * prepack/packer.h: the planner. Lengths in, bins out; needs no model and no device.
 *
 *     pp_packer_params params;
 *     pp_packer_params_init(&params, sizeof params);
 *     params.capacity = 2048;
 *     params.policy = PP_POLICY_AUTO;
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
 *  CHEAPEST: rows of the lengths in `capacities`, each computed in full, the cheapest in all.
 */
#define PP_OBJECTIVE_FEWEST_BINS 1
#define PP_OBJECTIVE_BALANCED    2
#define PP_OBJECTIVE_CHEAPEST    3

/*
 * Packing policies. Values are frozen. Ties are broken by the prompt's index, so that equal input
 * gives an equal plan on every machine. Prompts in another order get the same bins but for the
 * online policies (ARRIVAL, FIRST_FIT, BEST_FIT).
 *  FFD: first-fit decreasing, at most 11/9 OPT + 6/9 bins (Dosa 2007).
 *  BFD: best-fit decreasing, same bound; what the paper's code uses.
 *  ARRIVAL: next fit, keeps the order of the prompts, at most 2 OPT bins.
 *  FIRST_FIT: in order of arrival, each into the first bin with room, at most 1.7 OPT (Dosa, Sgall
 *      2013).
 *  BEST_FIT: in order of arrival, each into the fullest bin with room.
 *  MBS: minimum bin slack, bin after bin the prompts that fill it best (Gupta, Ho 1999).
 *  EXACT: FFD, MBS, column generation (Gilmore, Gomory 1961) and a search, until the plan is proven
 *      optimal or the limits are reached.
 *  AUTO: FFD, then as EXACT while the gap is open, within limits for planning on the fly. BALANCED
 *      and CHEAPEST: the best of their methods.
 *  LPT: BALANCED only: longest processing time first, at most 4/3 OPT (Graham 1969). Also what
 *      FFD, BFD and those that search have become where max_prompts made them mix long and short.
 *  KK: BALANCED only: largest differencing method (Karmarkar, Karp 1982).
 *  ORDERED: CHEAPEST only: one prompt a row, like lengths together (length-ordered batching).
 */
#define PP_POLICY_FFD       1
#define PP_POLICY_BFD       2
#define PP_POLICY_ARRIVAL   3
#define PP_POLICY_FIRST_FIT 4
#define PP_POLICY_BEST_FIT  5
#define PP_POLICY_MBS       6
#define PP_POLICY_EXACT     7
#define PP_POLICY_AUTO      8
#define PP_POLICY_LPT       9
#define PP_POLICY_KK        10
#define PP_POLICY_ORDERED   11

/* Prompts longer than the capacity. Values are frozen.
 *  ERROR: PP_ERR_TOO_LONG.
 *  OWN_BIN: alone in a bin as large as they are.
 *  SPLIT: into chunks, in bins that run one after another; pp_prefill refuses such plans as yet.
 */
#define PP_OVERSIZE_ERROR   1
#define PP_OVERSIZE_OWN_BIN 2
#define PP_OVERSIZE_SPLIT   3

typedef struct pp_packer_params {
    uint32_t struct_size;
    int32_t policy;   /* PP_POLICY_*; default 0: FFD for FEWEST_BINS, AUTO for the others */
    int64_t capacity; /* tokens of a bin; 0, the default: the longest prompt of each call, the rule
                         of the Prepacking paper (arXiv 2404.09529); BALANCED: 0 is no limit */
    const pp_allocator
        *allocator;     /* memory of the packer, its plans and their batches; NULL: malloc */
    int32_t objective;  /* PP_OBJECTIVE_*; default PP_OBJECTIVE_FEWEST_BINS */
    int32_t oversize;   /* PP_OVERSIZE_*; default PP_OVERSIZE_ERROR */
    int32_t keep_order; /* 1: bins are runs of prompts in order of arrival, the best such whatever
                           the policy, which becomes ARRIVAL; default 0 */
    int32_t share_prefixes;    /* 1: prefixes that prompts share are placed once; needs the prompts'
                                  tokens (pp_packer_plan_input); default 0 */
    int64_t min_prefix;        /* tokens that a shared prefix has at least; default 16 */
    int64_t max_prompts;       /* prompts of a bin; default 0: no limit */
    int64_t bin_alignment;     /* a bin's tokens are rounded up to a multiple of this; default 1 */
    int64_t prompt_alignment;  /* each prompt's room is a multiple of this; default 1 */
    int64_t n_bins;            /* BALANCED: bins to make, at least 1; otherwise 0 */
    const int64_t *capacities; /* [n_capacities] FEWEST_BINS: of the bins there are, the plan names
                                  those it uses (choice); CHEAPEST: lengths of a row. Copied. */
    int64_t n_capacities;      /* default 0: all bins have `capacity` */
    const pp_cost_model *cost; /* what a bin costs; copied. Default NULL: its tokens */
    int64_t max_steps;  /* of a search, some tens of nanoseconds each; -1: no limit; default 0: 2000
                           a prompt, at most 2,000,000; EXACT, or with max_seconds: 2^31 */
    double max_seconds; /* also stop searching after this time, 0: no such limit (the default). A
                           plan that a clock ended may differ from run to run; its info says so */
    int64_t reserved[10];
} pp_packer_params;

/* Limits and policy. Immutable, may be shared by threads. */
typedef struct pp_packer pp_packer;

/* Fills *params with defaults; `struct_size` is the caller's sizeof. */
PP_API void pp_packer_params_init(pp_packer_params *params, size_t struct_size);

/* Creates a packer. Errors: PP_ERR_ARG (an unknown policy, objective or value, a negative limit;
 * settings that contradict one another), PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM. The caller destroys
 * *packer. */
PP_API pp_status pp_packer_create(const pp_packer_params *params, pp_packer **packer,
                                  pp_error *err);
/* Plans stay valid after their packer is destroyed. */
PP_API void pp_packer_destroy(pp_packer *packer);

/*
 * Packs n prompts of the given lengths (tokens, each at least 1) into bins. n = 0 gives a plan
 * without bins. Deterministic. Time for 1,000,000 prompts: about 10 ms with PP_POLICY_FFD.
 *
 * lengths: [n], borrowed for the call. The caller destroys *plan.
 * Errors: PP_ERR_ARG (a length below 1, n above 2^31 - 1, a sum above 2^63 - 1; err->index names
 * the prompt), PP_ERR_TOO_LONG (a prompt longer than the capacity; prompts that do not fit into the
 * bins there are), PP_ERR_NOMEM.
 */
PP_API pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, size_t n,
                                pp_plan **plan, pp_error *err);

/* Prompts and what is known of them besides their lengths. Every array is [n] or NULL. */
typedef struct pp_plan_input {
    uint32_t struct_size;
    uint32_t reserved0;
    int64_t n;
    const int64_t *lengths;   /* tokens; NULL: those of `prompts` */
    const pp_prompt *prompts; /* token ids, looked at where prefixes are shared */
    const int32_t *together;  /* prompts with the same number, not negative, go into the same bin */
    const int32_t *apart; /* prompts with the same number, not negative, go into different bins */
    int64_t reserved[4];
} pp_plan_input;

/* As pp_packer_plan. Further errors: PP_ERR_ARG (lengths that are not the prompts'; prompts that
 * shall be both together and apart; share_prefixes without tokens), PP_ERR_TOO_LONG (prompts that
 * belong together do not fit into a bin), PP_ERR_UNSUPPORTED (a constraint that this objective
 * cannot keep), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_packer_plan_input(const pp_packer *packer, const pp_plan_input *input,
                                      pp_plan **plan, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
