/*
 * test_plan_limits.c: what limits on the bins do to plans of known instances. That every limit is
 * kept whatever the instance is test_plan_prop.c's.
 */
#include "test_plan_support.h"

#define N 5000

static pp_packer *packer_with(pp_packer_params params)
{
    pp_packer *packer = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (pp_packer_create(&params, &packer, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    return packer;
}

static pp_packer_params defaults(int32_t policy, int64_t capacity)
{
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    params.policy = policy;
    params.capacity = capacity;
    return params;
}

static pp_plan *plan_with(pp_packer_params params, const int64_t *lengths, size_t n)
{
    pp_packer *packer = packer_with(params);
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (pp_packer_plan(packer, lengths, n, &plan, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    pp_packer_destroy(packer);
    return plan;
}

/* ---- max_prompts ---- */

/* Half of the prompts are long, half are short, and a bin takes two of each: first-fit decreasing
 * puts three long ones together and is left with short ones, four a bin. */
START_TEST(long_and_short_are_mixed)
{
    int64_t lengths[400];
    for (int i = 0; i < 400; i++)
        lengths[i] = i % 2 ? 33 : 10;
    pp_packer_params params = defaults(PP_POLICY_FFD, 100);
    params.max_prompts = 4;
    pp_plan *plan = plan_with(params, lengths, 400);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 100);
    ck_assert_int_eq(info.lower_bound, 100);
    ck_assert_int_eq(info.proven_optimal, 1);
    ck_assert_int_eq(info.policy, PP_POLICY_LPT);
    ck_assert_int_eq(info.max_bin_prompts, 4);
    pp_plan_destroy(plan);

    params.policy = PP_POLICY_FIRST_FIT; /* online: no mixing */
    plan = plan_with(params, lengths, 400);
    ck_assert_int_eq(plan_info(plan).policy, PP_POLICY_FIRST_FIT);
    pp_plan_destroy(plan);
}
END_TEST

/* Lengths as those of prompts: many short ones, a long tail. */
START_TEST(close_to_the_bound)
{
    static int64_t lengths[N];
    uint64_t random = 41;
    for (int i = 0; i < N; i++)
        lengths[i] = 10 + random_between(&random, 1, 1 << random_between(&random, 3, 10));
    for (int64_t max_prompts = 4; max_prompts <= 64; max_prompts *= 2) {
        pp_packer_params params = defaults(PP_POLICY_FFD, 2048);
        params.max_prompts = max_prompts;
        pp_plan *plan = plan_with(params, lengths, N);
        pp_plan_info info = plan_info(plan);
        ck_assert_int_le(info.max_bin_prompts, max_prompts);
        ck_assert_int_ge(info.n_bins, info.lower_bound);
        ck_assert_int_le(info.n_bins, info.lower_bound + 2);
        ck_assert_int_ge(info.lower_bound, (N + max_prompts - 1) / max_prompts);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* With two places the optimum is a maximum matching, which two fingers find: the bound meets it. */
START_TEST(pairs_are_optimal)
{
    uint64_t random = 41;
    for (int round = 0; round < 200; round++) {
        int64_t lengths[60];
        int n = (int)random_between(&random, 1, 60);
        for (int i = 0; i < n; i++)
            lengths[i] = random_between(&random, 1, 100);
        pp_packer_params params = defaults(PP_POLICY_AUTO, 100);
        params.policy = PP_POLICY_BFD;
        params.max_prompts = 2;
        pp_plan *plan = plan_with(params, lengths, (size_t)n);
        bool taken[60] = {false};
        int64_t fewest = 0;
        for (int left = n; left > 0; fewest++) { /* the longest, with the longest that fits */
            int first = -1, second = -1;
            for (int i = 0; i < n; i++)
                if (!taken[i] && (first < 0 || lengths[i] > lengths[first]))
                    first = i;
            taken[first] = true;
            left--;
            for (int i = 0; i < n; i++)
                if (!taken[i] && lengths[i] + lengths[first] <= 100 &&
                    (second < 0 || lengths[i] > lengths[second]))
                    second = i;
            if (second >= 0) {
                taken[second] = true;
                left--;
            }
        }
        pp_plan_info info = plan_info(plan);
        ck_assert_int_eq(info.n_bins, fewest);
        ck_assert_int_le(info.lower_bound, fewest);
        ck_assert_int_ge(info.lower_bound, fewest - 1); /* at times the bound is one short */
        pp_plan_destroy(plan);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan limits");
    TCase *tcase = tcase_create("limits");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, long_and_short_are_mixed);
    tcase_add_test(tcase, close_to_the_bound);
    tcase_add_test(tcase, pairs_are_optimal);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
