/*
 * prepack/packer.h: the planner. Lengths in, bins out; needs no model and no device.
 *
 *     pp_packer_params params;
 *     pp_packer_params_init(&params, sizeof params);
 *     params.capacity = 2048;
 *     pp_packer_create(&params, &packer, &err);
 *     pp_packer_plan(packer, lengths, n, &plan, &err);
 *     for (int64_t b = 0; b < info.n_bins; b++)
 *         pp_plan_get_bin(plan, b, &prompts, &n_prompts, &tokens);
 *
 * Terms: a *bin* is a set of prompts that run together; its *capacity* is the most tokens it may
 * hold; *waste* is the share of the capacity of all bins that no token fills.
 */
#ifndef PREPACK_PACKER_H
#define PREPACK_PACKER_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Packing policies. Values are frozen. Ties are broken by the prompt's index, so that equal input
 * gives an equal plan on every machine. */
#define PP_POLICY_FFD     1 /* first-fit decreasing: at most 11/9 OPT + 6/9 bins (Dosa 2007) */
#define PP_POLICY_BFD     2 /* best-fit decreasing: same bound, what the paper's code uses */
#define PP_POLICY_ARRIVAL 3 /* next fit: keeps the order of the prompts, at most 2 OPT bins */

typedef struct pp_packer_params {
    uint32_t struct_size;
    int32_t policy;   /* PP_POLICY_*; default PP_POLICY_FFD */
    int64_t capacity; /* tokens of a bin; 0, the default: the longest prompt of each call, the rule
                         of the Prepacking paper (arXiv 2404.09529) */
    const pp_allocator
        *allocator; /* memory of the packer, its plans and their batches; NULL: malloc */
    int64_t reserved[6];
} pp_packer_params;

/* Limits and policy. Thread-safety: immutable, may be shared by threads. */
typedef struct pp_packer pp_packer;
/* The outcome of one pp_packer_plan. Thread-safety: immutable, may be shared by threads. */
typedef struct pp_plan pp_plan;

/* Fills *params with defaults; `struct_size` is the caller's sizeof. */
PP_API void pp_packer_params_init(pp_packer_params *params, size_t struct_size);

/* Creates a packer. Errors: PP_ERR_ARG (unknown policy, negative capacity), PP_ERR_STRUCT_SIZE,
 * PP_ERR_NOMEM. The caller destroys *packer. */
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
 * the prompt), PP_ERR_TOO_LONG (a prompt longer than the capacity), PP_ERR_NOMEM.
 */
PP_API pp_status pp_packer_plan(const pp_packer *packer, const int64_t *lengths, size_t n,
                                pp_plan **plan, pp_error *err);
PP_API void pp_plan_destroy(pp_plan *plan);

/* Figures of a plan. */
typedef struct pp_plan_info {
    uint32_t struct_size;
    int32_t policy;
    int64_t n_prompts;
    int64_t n_bins;
    int64_t capacity;       /* tokens of a bin; 0 when there are no prompts and none was given */
    int64_t tokens;         /* sum of all lengths */
    int64_t longest_prompt; /* tokens */
    int64_t lower_bound;    /* no packing has fewer bins: L1 = ceil(tokens / capacity) */
    int32_t proven_optimal; /* 1 when n_bins equals lower_bound */
    int32_t reserved0;
    double waste;   /* 1 - tokens / (n_bins * capacity), 0 without bins */
    double gap;     /* n_bins / lower_bound - 1, 0 without bins */
    double seconds; /* wall time that the planning took */
    int64_t reserved[6];
} pp_plan_info;

/* Fills *info; the caller sets info->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_plan_get_info(const pp_plan *plan, pp_plan_info *info, pp_error *err);

/*
 * One bin. *prompts: [*n_prompts] indices into the lengths given to pp_packer_plan, in the order in
 * which they lie in the bin; a view that lives as long as the plan. *tokens: their sum. Each result
 * pointer may be NULL. Errors: PP_ERR_ARG (bin outside [0, n_bins)).
 */
PP_API pp_status pp_plan_get_bin(const pp_plan *plan, int64_t bin, const int32_t **prompts,
                                 int64_t *n_prompts, int64_t *tokens, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
