/*
 * plan_instance.h: a case of the planner's property test: prompts, what is asked of the plan, and
 * the check that a plan keeps all of it.
 */
#ifndef TEST_PLAN_INSTANCE_H
#define TEST_PLAN_INSTANCE_H

#include <prepack/prepack.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_BYTES   1024
#define MAX_N          48
#define MAX_CAPACITIES 6
#define MAX_LENGTH     256

struct instance {
    int32_t n;
    int64_t lengths[MAX_N];
    int32_t together[MAX_N]; /* -1: none */
    int32_t apart[MAX_N];
    int32_t twin[MAX_N]; /* prompt whose tokens this one begins with, its own index: none */
    int32_t objective, policy, oversize, keep_order, share_prefixes;
    int64_t capacity, max_prompts, bin_alignment, prompt_alignment, n_bins;
    int64_t n_capacities, capacities[MAX_CAPACITIES];
    int64_t per_square; /* of the cost model; 0: none is given */
};

/* Ends a check: what is wrong. */
#define WRONG(...)                                                                                 \
    do {                                                                                           \
        snprintf(reason, REASON_BYTES, __VA_ARGS__);                                               \
        return reason;                                                                             \
    } while (0)

struct prompts {
    int32_t tokens[MAX_N][MAX_LENGTH];
    pp_prompt prompts[MAX_N];
};

void instance_fill_prompts(const struct instance *instance, struct prompts *prompts);

/* What is wrong with the plan of the instance, or NULL. `reason` holds the sentence. */
const char *instance_check(const struct instance *instance, char reason[REASON_BYTES]);

/* As instance_check, of the batches built from a plan. */
const char *instance_check_batches(const struct instance *instance, const pp_plan *plan,
                                   const pp_plan_info *info, char reason[REASON_BYTES]);

/* The fewest bins of any plan without parts, by trying all; -1: none exists. n is at most 8;
 * capacity: of a bin, where none are given. */
int64_t instance_optimum(const struct instance *instance, int64_t capacity);

/* Everything in one plan of an instance without shrinking, for permutations. */
pp_status instance_plan(const struct instance *instance, pp_plan **plan, pp_error *err);

/* Tokens of prompt i: those of its twin as far as they go, then its own. */
int32_t instance_token(const struct instance *instance, int32_t i, int64_t position);

static inline bool instance_has(const int32_t *classes, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (classes[i] >= 0)
            return true;
    return false;
}

static inline bool is_split(const struct instance *instance)
{
    return instance->oversize == PP_OVERSIZE_SPLIT || instance->share_prefixes;
}

#endif
