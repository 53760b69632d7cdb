/*
 * prepack/bins.h: what a plan says: its figures, bins and segments. (packer.h makes plans.)
 *
 *     pp_plan_info info = {.struct_size = sizeof info};
 *     pp_plan_get_info(plan, &info, &err);
 *     for (int64_t b = 0; b < info.n_bins; b++)
 *         pp_plan_get_bin(plan, b, &prompts, &n_prompts, &tokens, &err);
 *     pp_plan_destroy(plan);
 *
 * Terms: a *bin* is a set of prompts that run together; its *capacity* is the most tokens it may
 * hold; *waste* is the share of the capacity of all bins that no token fills; a *segment* is a
 * prompt's, or a part of a prompt's, place inside a bin.
 */
#ifndef PREPACK_BINS_H
#define PREPACK_BINS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The outcome of one pp_packer_plan. Immutable, may be shared by threads. */
typedef struct pp_plan pp_plan;
PP_API void pp_plan_destroy(pp_plan *plan);

/* Figures of a plan. Costs are in units of the cost model: seconds, or tokens without one. */
typedef struct pp_plan_info {
    uint32_t struct_size;
    int32_t policy; /* that found these bins; AUTO: none of the others alone */
    int32_t objective;
    int32_t proven_optimal; /* 1: no packing is better by the objective, rounding aside */
    int32_t limit_reached;  /* 1: max_steps, 2: max_seconds ended the search */
    int64_t n_prompts;
    int64_t n_bins;
    int64_t capacity; /* tokens of a bin, of the largest where they differ; of the fullest where
                         BALANCED has no limit; 0 when there are no prompts and none was given */
    int64_t tokens;   /* sum of all lengths */
    int64_t longest_prompt; /* tokens */
    int64_t lower_bound;    /* no packing has fewer bins: the largest of all bounds, also of what
                               other constraints ask and of a complete search */
    double waste;           /* 1 - placed tokens / capacity of all bins, 0 without bins */
    double gap;         /* FEWEST_BINS: n_bins / lower_bound - 1; otherwise cost / cost_bound - 1 */
    double seconds;     /* wall time that the planning took */
    int64_t n_segments; /* places in the bins; n_prompts unless prompts are split or shared */
    int64_t placed_tokens;  /* sum of the segments: tokens less those that prefixes share */
    int64_t used;           /* placed tokens and what alignment adds to them */
    int64_t total_capacity; /* of all bins, at most 2^63 - 1 */
    int64_t bound_l1;       /* ceil(tokens / capacity), less what prefixes could share */
    int64_t bound_l2;       /* Martello, Toth 1990; 0: not computed */
    int64_t bound_dff;      /* dual feasible functions, Fekete, Schepers 2001; 0: not computed */
    int64_t bound_lp;       /* Gilmore, Gomory 1961, by column generation; 0: not computed */
    int64_t max_bin_prompts;
    double mean_bin_prompts;
    double max_cost;   /* of a bin */
    double mean_cost;  /* of a bin */
    double cost_bound; /* BALANCED: no packing's dearest bin is cheaper; CHEAPEST: no packing's sum
                          is smaller; otherwise 0 */
} pp_plan_info;

/* Fills *info; the caller sets info->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_plan_get_info(const pp_plan *plan, pp_plan_info *info, pp_error *err);

/*
 * One bin. *prompts: [*n_prompts] indices into the lengths given to pp_packer_plan, in the order in
 * which they lie in the bin; a view that lives as long as the plan. *tokens: their sum. Each result
 * pointer may be NULL. Where prompts are split or shared, these are the bin's segments: a prompt
 * may be in several bins. Errors: PP_ERR_ARG (bin outside [0, n_bins)).
 */
PP_API pp_status pp_plan_get_bin(const pp_plan *plan, int64_t bin, const int32_t **prompts,
                                 int64_t *n_prompts, int64_t *tokens, pp_error *err);

/* Figures of a bin. */
typedef struct pp_bin_info {
    uint32_t struct_size;
    int32_t choice;        /* the bin is capacities[choice]; -1: no bins were given */
    int64_t first_segment; /* segments of all bins are numbered from 0 */
    int64_t n_segments;
    int64_t tokens;   /* sum of the segments */
    int64_t used;     /* and what alignment adds */
    int64_t capacity; /* at least `used` */
    double cost;      /* by the plan's cost model */
} pp_bin_info;

/* Errors: PP_ERR_ARG (bin outside the plan), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_plan_get_bin_info(const pp_plan *plan, int64_t bin, pp_bin_info *info,
                                      pp_error *err);

/* Tokens [first_token, first_token + n_tokens) of a prompt, in one place. A plain record: it will
 * never grow. */
typedef struct pp_segment {
    int32_t prompt;      /* of those that share the tokens, the one with the lowest index */
    int64_t first_token; /* 0 unless the prompt is split or shares a prefix */
    int64_t n_tokens;
    int64_t start; /* place in the bin, alignment included */
    int64_t after; /* the segment, in an earlier bin, whose KV cache this one continues; or -1 */
} pp_segment;

/* Segment `segment` of [0, n_segments). Errors: PP_ERR_ARG. */
PP_API pp_status pp_plan_get_segment(const pp_plan *plan, int64_t segment, pp_segment *out,
                                     pp_error *err);

/* The segment that holds each prompt's last token; from there `after` leads back to its first.
 * segments: [n], caller-owned; n is the plan's n_prompts. Errors: PP_ERR_ARG (another n). */
PP_API pp_status pp_plan_get_ends(const pp_plan *plan, int64_t *segments, int64_t n, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
