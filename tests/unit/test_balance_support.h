/*
 * test_balance_support.h: what the tests of BALANCED, CHEAPEST and of partitions share: random
 * cases, the cost of a bin written down once more, and the check that a plan holds every prompt
 * once, within its limits.
 */
#ifndef TEST_BALANCE_SUPPORT_H
#define TEST_BALANCE_SUPPORT_H

#include "test_plan_support.h"

#include <math.h>

#define CASE_MAX_N 64

struct balance_case {
    struct flat_params params;
    pp_cost_model cost;
    int64_t lengths[CASE_MAX_N];
    int64_t n;
};

/* Exactly one of some shapes of cost model. */
static inline void random_cost(uint64_t *random, pp_cost_model *cost)
{
    pp_cost_init(cost, sizeof *cost);
    switch (random_between(random, 0, 5)) {
    case 0: /* tokens */
        break;
    case 1: /* whole tiles */
        cost->tile = random_between(random, 2, 40);
        cost->per_pass = (double)random_between(random, 0, 50);
        break;
    case 2: /* attention counts most */
        cost->per_square = 0.125;
        break;
    case 3: /* seconds of a machine */
        cost->per_pass = 3.1e-4;
        cost->per_token = 1.7e-5;
        cost->per_square = 2.3e-7;
        cost->per_prompt = 4.5e-5;
        cost->tile = random_between(random, 1, 16);
        break;
    case 4: /* prompts only */
        cost->per_token = 0;
        cost->per_prompt = 1;
        break;
    default: /* nothing costs anything, or a pass alone does */
        cost->per_token = 0;
        cost->per_pass = (double)random_between(random, 0, 1);
    }
}

static inline double cost_of(const pp_cost_model *cost, int64_t tokens, double squares,
                             int64_t n_prompts)
{
    if (n_prompts == 0)
        return 0;
    int64_t tiles = tokens / cost->tile + (tokens % cost->tile != 0);
    return cost->per_pass + cost->per_token * (double)tiles * (double)cost->tile +
           cost->per_square * squares + cost->per_prompt * (double)n_prompts;
}

static inline bool nearly(double a, double b)
{
    return fabs(a - b) <= 1e-12 * (fabs(a) + fabs(b));
}

/* PP_OK and a plan, or the status, which is PP_ERR_TOO_LONG. */
static inline pp_status plan_case(const struct balance_case *c, pp_plan **plan, pp_error *err)
{
    pp_packer *packer = NULL;
    *err = (pp_error){.struct_size = sizeof *err};
    if (flat_create(&c->params, &packer, err) != PP_OK)
        ck_abort_msg("%s", err->message);
    pp_status status = pp_packer_plan(packer, c->lengths, (size_t)c->n, plan, err);
    pp_packer_destroy(packer);
    if (status != PP_OK && status != PP_ERR_TOO_LONG)
        ck_abort_msg("%s", err->message);
    return status;
}

/* Every prompt is in one bin, bins keep their capacity and number of prompts, and say what they
 * hold. */
static inline void check_bins(const struct balance_case *c, const pp_plan *plan)
{
    bool seen[CASE_MAX_N] = {false};
    pp_plan_info info = plan_info(plan);
    int64_t n_seen = 0;
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts, tokens, sum = 0;
        assert_that(pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL) == PP_OK);
        for (int64_t i = 0; i < n_prompts; i++) {
            assert_that(prompts[i] >= 0 && prompts[i] < c->n && !seen[prompts[i]]);
            seen[prompts[i]] = true;
            sum += c->lengths[prompts[i]];
            if (c->params.keep_order)
                assert_that(prompts[i] == n_seen + i);
        }
        n_seen += n_prompts;
        pp_bin_info bin_info = {.struct_size = sizeof bin_info};
        assert_that(pp_plan_get_bin_info(plan, bin, &bin_info, NULL) == PP_OK);
        assert_that(tokens == sum && bin_info.tokens == sum && sum <= bin_info.capacity);
        assert_that(c->params.max_prompts == 0 || n_prompts <= c->params.max_prompts);
        assert_that(bin_info.capacity <= info.capacity);
    }
    assert_that(n_seen == c->n);
}

static inline void print_case(const struct balance_case *c)
{
    printf("# policy %d, n_bins %lld, capacity %lld, max_prompts %lld, keep_order %d, "
           "cost %g %g %g %g tile %lld, lengths",
           c->params.policy, (long long)c->params.n_bins, (long long)c->params.capacity,
           (long long)c->params.max_prompts, c->params.keep_order, c->cost.per_pass,
           c->cost.per_token, c->cost.per_square, c->cost.per_prompt, (long long)c->cost.tile);
    for (int64_t i = 0; i < c->n; i++)
        printf(" %lld", (long long)c->lengths[i]);
    printf("\n");
    fflush(stdout);
}

/* As assert_that, with the case. */
#define assert_case(c, condition)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_case(c);                                                                         \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

#endif
