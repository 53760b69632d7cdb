/*
 * test_plan_limits.c: what limits on the bins do to plans of known instances. That every limit is
 * kept whatever the instance is test_plan_prop.c's.
 */
#include "test_plan_support.h"

#define N 5000

static pp_packer *packer_with(struct flat_params params)
{
    pp_packer *packer = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (flat_create(&params, &packer, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    return packer;
}

static struct flat_params defaults(int32_t policy, int64_t capacity)
{
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    return params;
}

static pp_plan *plan_with(struct flat_params params, const int64_t *lengths, size_t n)
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
    struct flat_params params = defaults(PP_POLICY_FFD, 100);
    params.max_prompts = 4;
    pp_plan *plan = plan_with(params, lengths, 400);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 100);
    ck_assert_int_eq(info.lower_bound, 100);
    ck_assert_int_eq(info.proven_optimal, 1);
    ck_assert_int_eq(info.policy, PP_POLICY_AUTO);
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
        struct flat_params params = defaults(PP_POLICY_FFD, 2048);
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
        struct flat_params params = defaults(PP_POLICY_AUTO, 100);
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

/* ---- what is refused ---- */

static void assert_refused(struct flat_params params, pp_status status, const char *part)
{
    pp_packer *packer = NULL;
    pp_error err = {.struct_size = sizeof err, .index = -1};
    assert_error(flat_create(&params, &packer, &err), &err, status, -1, part);
    ck_assert_ptr_null(packer);
}

START_TEST(settings_that_contradict_one_another)
{
    static const int64_t capacities[] = {64, 32};
    struct flat_params good = defaults(0, 100), params = good;
    params.bin_alignment = 128;
    assert_refused(params, PP_ERR_ARG, "a bin of 100 tokens holds nothing with a bin_alignment of");
    params = good;
    params.bin_alignment = 64;
    params.prompt_alignment = 80;
    assert_refused(params, PP_ERR_ARG, "a bin of 100 tokens holds nothing with a prompt_alignment");
    params = good;
    params.oversize = PP_OVERSIZE_OWN_BIN;
    params.capacities = capacities;
    params.n_capacities = 2;
    assert_refused(params, PP_ERR_ARG, "there are no bins but those of `capacities`");
    params = good;
    params.oversize = PP_OVERSIZE_OWN_BIN;
    params.objective = PP_OBJECTIVE_BALANCED;
    params.n_bins = 2;
    assert_refused(params, PP_ERR_ARG, "BALANCED makes n_bins bins");
    params = good;
    params.bin_alignment = 0;
    assert_refused(params, PP_ERR_ARG, "bin_alignment is 0; it must be at least 1");
    params = good;
    params.max_prompts = -1;
    assert_refused(params, PP_ERR_ARG, "max_prompts is -1; it must be at least 0");
}
END_TEST

static void assert_input_refused(struct flat_params params, pp_plan_input input, pp_status status,
                                 int64_t index, const char *part)
{
    pp_packer *packer = packer_with(params);
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err, .index = -1};
    input.struct_size = sizeof input;
    assert_error(pp_packer_plan_input(packer, &input, &plan, &err), &err, status, index, part);
    ck_assert_ptr_null(plan);
    pp_packer_destroy(packer);
}

START_TEST(input_that_cannot_be_packed)
{
    static const int64_t lengths[] = {30, 40, 50};
    static const int32_t all[] = {7, 7, 7}, pair[] = {-1, 3, 3}, tokens[60] = {0};
    static const pp_prompt prompts[] = {{tokens, 30}, {tokens, 41}, {tokens, 50}};
    const pp_plan_input given = {.n = 3, .lengths = lengths};
    struct flat_params good = defaults(0, 100), params = good;
    pp_plan_input input = given;
    input.together = all;
    assert_input_refused(
        params, input, PP_ERR_TOO_LONG, 0,
        "the 3 prompts together with prompt 0 (class 7) take 120 tokens, but a bin "
        "holds 100");
    params.oversize = PP_OVERSIZE_OWN_BIN; /* of single prompts only */
    assert_input_refused(params, input, PP_ERR_TOO_LONG, 0, "take 120 tokens");
    params = good;
    params.capacity = 200;
    params.max_prompts = 2;
    assert_input_refused(params, input, PP_ERR_TOO_LONG, 0, "are 3, but a bin holds 2");
    params.max_prompts = 0;
    input.apart = pair;
    assert_input_refused(params, input, PP_ERR_ARG, 2,
                         "prompts 1 and 2 shall be apart (class 3), but must be together");
    input = given;
    params = good;
    params.prompt_alignment = 32;
    params.bin_alignment = 50;
    assert_input_refused(defaults(0, 45), given, PP_ERR_TOO_LONG, 2,
                         "prompt 2 has 50 tokens, but a bin holds 45");
    params.capacity = 55;
    assert_input_refused(params, given, PP_ERR_TOO_LONG, 1,
                         "prompt 1 has 40 tokens, 64 with its alignment, but a bin holds 50");
    input.prompts = prompts;
    assert_input_refused(good, input, PP_ERR_ARG, 1,
                         "prompt 1 has 41 tokens, but its length is given as 40");

    static const int64_t two[] = {60, 50}, three[] = {60, 50, 10};
    params = good;
    params.capacity = 0;
    params.capacities = two;
    params.n_capacities = 2;
    assert_input_refused(params, given, PP_ERR_TOO_LONG, -1,
                         "the prompts take 120 tokens, but the 2 bins hold 110");
    params.capacities = three;
    params.n_capacities = 3;
    assert_input_refused(params, given, PP_ERR_TOO_LONG, -1,
                         "no way was found to put 3 items of 120 tokens into the 3 bins");
    input = given;
    input.apart = all;
    params.capacities = two;
    params.n_capacities = 2;
    assert_input_refused(params, input, PP_ERR_TOO_LONG, -1,
                         "3 prompts shall be apart, but there are 2 bins");
    const int64_t vast[] = {INT64_MAX - 5, 1};
    params = defaults(0, 0);
    params.prompt_alignment = 64;
    input = (pp_plan_input){.n = 2, .lengths = vast};
    assert_input_refused(params, input, PP_ERR_ARG, 0, "2^63 - 1");
}
END_TEST

/* ---- bins that differ ---- */

START_TEST(given_bins_are_named)
{
    static const int64_t capacities[] = {10, 100, 40, 100}, lengths[] = {90, 30, 15, 60};
    struct flat_params params = defaults(PP_POLICY_AUTO, 0);
    params.capacities = capacities;
    params.n_capacities = 4;
    pp_plan *plan = plan_with(params, lengths, 4);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 3); /* 195 tokens need all but the smallest */
    ck_assert_int_eq(info.capacity, 100);
    ck_assert_int_eq(info.total_capacity, 240);
    static const int32_t choices[] = {1, 2, 3};
    for (int64_t bin = 0; bin < 3; bin++) {
        pp_bin_info found = {.struct_size = sizeof found};
        ck_assert_int_eq(pp_plan_get_bin_info(plan, bin, &found, NULL), PP_OK);
        ck_assert_int_eq(found.choice, choices[bin]);
        ck_assert_int_eq(found.capacity, capacities[choices[bin]]);
    }
    pp_plan_destroy(plan);
    params.policy = PP_POLICY_ARRIVAL; /* 90 skips the bin of 10, 30 fits into that of 40 */
    plan = plan_with(params, lengths, 3);
    ck_assert_int_eq(plan_info(plan).n_bins, 3);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(long_prompts_have_bins_of_their_own)
{
    static const int64_t lengths[] = {30, 250, 60, 100, 131};
    struct flat_params params = defaults(PP_POLICY_FFD, 100);
    params.oversize = PP_OVERSIZE_OWN_BIN;
    params.bin_alignment = 4;
    params.max_prompts = 2;
    pp_plan *plan = plan_with(params, lengths, 5);
    pp_plan_info info = plan_info(plan);
    ck_assert_int_eq(info.n_bins, 4);
    ck_assert_int_eq(info.lower_bound, 4);
    ck_assert_int_eq(info.capacity, 252);
    ck_assert_int_eq(info.total_capacity, 252 + 132 + 100 + 100);
    pp_plan_destroy(plan);
}
END_TEST

/* ---- many ---- */

/* Classes of all sizes must not take quadratic time: this is seconds if they do. */
START_TEST(large_classes)
{
    enum { MANY = 100000 };
    int64_t *lengths = malloc(MANY * sizeof *lengths);
    int32_t *apart = malloc(MANY * sizeof *apart);
    int32_t *together = malloc(MANY * sizeof *together);
    assert_that(lengths && apart && together);
    static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_BFD, PP_POLICY_ARRIVAL,
                                       PP_POLICY_FIRST_FIT, PP_POLICY_BEST_FIT};
    for (size_t i = 0; i < 2 * sizeof policies / sizeof *policies; i++) {
        int32_t n_classes = i % 2 ? 1 : 7;
        for (int k = 0; k < MANY; k++) {
            lengths[k] = 1 + k % 50;
            apart[k] = k % n_classes;
            together[k] = n_classes > 1 ? k / 5 : -1; /* five of different classes */
        }
        struct flat_params params = defaults(policies[i / 2], 2048);
        params.max_prompts = 64;
        pp_packer *packer = packer_with(params);
        pp_plan_input input = {.struct_size = sizeof input,
                               .n = MANY,
                               .lengths = lengths,
                               .apart = apart,
                               .together = together};
        pp_plan *plan = NULL;
        pp_error err = {.struct_size = sizeof err};
        if (pp_packer_plan_input(packer, &input, &plan, &err) != PP_OK)
            ck_abort_msg("%s", err.message);
        pp_plan_info info = plan_info(plan);
        ck_assert_int_ge(info.n_bins, (MANY + n_classes - 1) / n_classes);
        ck_assert_int_ge(info.lower_bound, (MANY + n_classes - 1) / n_classes);
        pp_plan_destroy(plan);
        pp_packer_destroy(packer);
    }
    free(together);
    free(apart);
    free(lengths);
}
END_TEST

/* ---- memory ---- */

/* Plans once while the meter's allocations fail; true when that worked. */
static bool plan_under(struct meter *meter, struct flat_params params, const pp_plan_input *input)
{
    pp_allocator allocator = meter_allocator(meter);
    params.allocator = &allocator;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = flat_create(&params, &packer, &err);
    if (status == PP_OK)
        status = pp_packer_plan_input(packer, input, &plan, &err);
    if (status < 0) {
        assert_error(status, &err, PP_ERR_NOMEM, err.index, "no memory for");
        ck_assert_ptr_null(plan);
    }
    pp_packer_destroy(packer);
    pp_plan_destroy(plan);
    return status == PP_OK;
}

START_TEST(memory_runs_out)
{
    enum { FEW = 40 };
    int64_t lengths[FEW];
    int32_t together[FEW], apart[FEW], tokens[100] = {0};
    pp_prompt prompts[FEW];
    uint64_t random = 41;
    for (int i = 0; i < FEW; i++) {
        lengths[i] = random_between(&random, 1, 40);
        prompts[i] = (pp_prompt){.tokens = tokens, .n_tokens = lengths[i]};
        together[i] = i < 12 ? i / 3 : -1;
        apart[i] = i % 3 == 0 ? i % 5 : -1;
    }
    static const int64_t capacities[] = {100, 90, 200, 300, 100, 100, 300, 200};
    for (int kind = 0; kind < 12; kind++) {
        struct flat_params params = defaults(kind % 2 ? PP_POLICY_AUTO : PP_POLICY_FFD, 130);
        pp_plan_input input = {.struct_size = sizeof input, .n = FEW, .lengths = lengths};
        params.max_prompts = kind % 4 > 1 ? 5 : 0;
        params.max_steps = 1000;
        if (kind % 3 == 0) {
            input.together = together;
            input.apart = apart;
        } else if (kind % 3 == 1) {
            params.capacities = capacities;
            params.n_capacities = 8;
            params.capacity = 0;
            params.bin_alignment = 10;
            input.apart = kind > 6 ? apart : NULL;
        } else {
            params.capacity = 38;
            params.oversize = PP_OVERSIZE_OWN_BIN;
            params.prompt_alignment = 2;
            input.lengths = NULL;
            input.prompts = prompts;
        }
        bool planned = false;
        for (int64_t fail_at = 1; !planned; fail_at++) {
            struct meter meter = {.fail_at = fail_at};
            planned = plan_under(&meter, params, &input);
            ck_assert_uint_eq(meter.n_blocks, 0);
            ck_assert(!planned || fail_at > 10);
        }
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
    tcase_add_test(tcase, settings_that_contradict_one_another);
    tcase_add_test(tcase, input_that_cannot_be_packed);
    tcase_add_test(tcase, given_bins_are_named);
    tcase_add_test(tcase, long_prompts_have_bins_of_their_own);
    tcase_add_test(tcase, large_classes);
    tcase_add_test(tcase, memory_runs_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
