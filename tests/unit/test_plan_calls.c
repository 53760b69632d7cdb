/*
 * test_plan_calls.c: what the planner's functions promise around the packing: errors with their
 * index and sentence, structs of older and newer callers, memory that runs out.
 */
#include "test_plan_support.h"

#define UNTOUCHED ((void *)0x5a5a)

static pp_error new_error(void)
{
    return (pp_error){.struct_size = sizeof(pp_error), .index = -77};
}

/* ---- pp_packer_create ---- */

static void assert_create_fails(const pp_packer_params *params, pp_status status, const char *part)
{
    pp_error err = new_error();
    pp_packer *packer = UNTOUCHED;
    assert_error(pp_packer_create(params, &packer, &err), &err, status, -1, part);
    ck_assert_ptr_eq(packer, UNTOUCHED);
    ck_assert_int_eq(pp_packer_create(params, &packer, NULL), status);
}

START_TEST(packer_params_are_checked)
{
    pp_packer_params good;
    pp_packer_params_init(&good, sizeof good);
    ck_assert_uint_eq(good.struct_size, sizeof good);
    ck_assert_int_eq(good.objective, PP_OBJECTIVE_FEWEST_BINS);
    ck_assert_int_eq(good.capacity, 0);
    ck_assert_ptr_null(good.allocator);
    ck_assert(!good.fewest && !good.balanced && !good.cheapest);

    pp_packer_params params = good;
    pp_fewest_params fewest = {.struct_size = sizeof fewest, .policy = 8};
    params.fewest = &fewest;
    assert_create_fails(&params, PP_ERR_ARG, "policy 8 is unknown; there are 1 (FFD) to 7 (AUTO)");
    fewest.policy = PP_POLICY_INT32;
    assert_create_fails(&params, PP_ERR_ARG, "policy -1 is unknown");
    params = good;
    params.objective = 4;
    assert_create_fails(&params, PP_ERR_ARG, "objective 4 is unknown");
    params = good;
    params.capacity = -5;
    assert_create_fails(&params, PP_ERR_ARG, "capacity is -5");
    params = good;
    params.struct_size = 0;
    assert_create_fails(&params, PP_ERR_STRUCT_SIZE, "struct_size is 0");
    params.struct_size = 3;
    assert_create_fails(&params, PP_ERR_STRUCT_SIZE, "struct_size is 3");

    pp_allocator allocator = {.struct_size = sizeof allocator, .allocate = meter_allocate};
    params = good;
    params.allocator = &allocator;
    assert_create_fails(&params, PP_ERR_ARG, "both allocate and release");
    allocator = (pp_allocator){.struct_size = 2};
    assert_create_fails(&params, PP_ERR_STRUCT_SIZE, "pp_allocator.struct_size is 2");

    pp_error err = new_error();
    assert_error(pp_packer_create(&good, NULL, &err), &err, PP_ERR_ARG, -1, "packer is NULL");
}
END_TEST

START_TEST(settings_belong_to_an_objective)
{
    const pp_fewest_params fewest = {.struct_size = sizeof fewest};
    const pp_balanced_params balanced = {.struct_size = sizeof balanced, .n_bins = 2};
    const pp_cheapest_params cheapest = {
        .struct_size = sizeof cheapest, .row_lens = (const int64_t[]){8}, .n_row_lens = 1};
    static const char *const names[] = {"FEWEST_BINS", "BALANCED", "CHEAPEST"};
    static const char *const fields[] = {"fewest", "balanced", "cheapest"};
    for (int32_t objective = 1; objective <= 3; objective++)
        for (int32_t given = 1; given <= 3; given++) {
            pp_packer_params params;
            pp_packer_params_init(&params, sizeof params);
            params.objective = objective;
            params.fewest = given == 1 || objective == 1 ? &fewest : NULL;
            params.balanced = given == 2 || objective == 2 ? &balanced : NULL;
            params.cheapest = given == 3 || objective == 3 ? &cheapest : NULL;
            pp_packer *packer = NULL;
            char part[128];
            if (given != objective) {
                snprintf(part, sizeof part, "pp_packer_params.%s is set, but the objective is %s",
                         fields[given - 1], names[objective - 1]);
                assert_create_fails(&params, PP_ERR_ARG, part);
                continue;
            }
            ck_assert_int_eq(pp_packer_create(&params, &packer, NULL), PP_OK);
            pp_packer_destroy(packer);
            params.fewest = NULL;
            params.balanced = NULL;
            params.cheapest = NULL;
            snprintf(part, sizeof part, "the objective %s needs pp_packer_params.%s",
                     names[objective - 1], fields[objective - 1]);
            if (objective != PP_OBJECTIVE_FEWEST_BINS)
                assert_create_fails(&params, PP_ERR_ARG, part);
        }
}
END_TEST

START_TEST(settings_of_objectives_are_checked)
{
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    pp_fewest_params fewest = {.struct_size = 1};
    params.fewest = &fewest;
    assert_create_fails(&params, PP_ERR_STRUCT_SIZE, "pp_fewest_params.struct_size is 1");
    fewest = (pp_fewest_params){
        .struct_size = sizeof fewest, .capacities = (const int64_t[]){5, 6}, .n_capacities = 2};
    params.capacity = 7;
    assert_create_fails(&params, PP_ERR_ARG, "capacity is 7, but the bins there are have those");
    params.capacity = 0;
    fewest.n_capacities = -1;
    assert_create_fails(&params, PP_ERR_ARG, "n_capacities is -1; it must be at least 0");

    params.objective = PP_OBJECTIVE_BALANCED;
    params.fewest = NULL;
    pp_balanced_params balanced = {.struct_size = sizeof balanced};
    params.balanced = &balanced;
    assert_create_fails(&params, PP_ERR_ARG, "n_bins is 0; it must be at least 1");

    params.objective = PP_OBJECTIVE_CHEAPEST;
    params.balanced = NULL;
    pp_cheapest_params cheapest = {.struct_size = sizeof cheapest};
    params.cheapest = &cheapest;
    assert_create_fails(&params, PP_ERR_ARG, "n_row_lens is 0; it must be at least 1");
    cheapest.n_row_lens = ((int64_t)1 << 20) + 1;
    pp_error err = new_error();
    pp_packer *packer = NULL;
    assert_error(pp_packer_create(&params, &packer, &err), &err, PP_ERR_ARG, 0, "row length 0 of");
    cheapest = (pp_cheapest_params){
        .struct_size = sizeof cheapest, .row_lens = (const int64_t[]){8}, .n_row_lens = 1};
    params.capacity = 8;
    assert_create_fails(&params, PP_ERR_ARG, "capacity is 8, but rows have the lengths");
}
END_TEST

START_TEST(packer_defaults)
{
    pp_packer *packer = NULL;
    pp_error err = new_error();
    ck_assert_int_eq(pp_packer_create(NULL, &packer, &err), PP_OK);
    ck_assert_int_eq(err.index, -77); /* success leaves it alone */
    pp_plan *plan = NULL;
    ck_assert_int_eq(pp_packer_plan(packer, (const int64_t[]){3, 9, 6}, 3, &plan, &err), PP_OK);
    pp_packer_destroy(packer);
    pp_plan_info info = plan_info(plan); /* plans outlive their packer */
    ck_assert_int_eq(info.policy, PP_POLICY_FFD);
    ck_assert_int_eq(info.capacity, 9);
    ck_assert_int_eq(info.n_bins, 2);
    pp_plan_destroy(plan);
    pp_packer_destroy(NULL);
    pp_plan_destroy(NULL);
    pp_packer_params_init(NULL, sizeof(pp_packer_params));
}
END_TEST

/* ---- pp_packer_plan ---- */

static void assert_plan_fails(const pp_packer *packer, const int64_t *lengths, size_t n,
                              pp_status status, int64_t index, const char *part)
{
    pp_error err = new_error();
    pp_plan *plan = UNTOUCHED;
    assert_error(pp_packer_plan(packer, lengths, n, &plan, &err), &err, status, index, part);
    ck_assert_ptr_eq(plan, UNTOUCHED);
    ck_assert_int_eq(pp_packer_plan(packer, lengths, n, &plan, NULL), status);
}

START_TEST(lengths_are_checked)
{
    static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_BFD, PP_POLICY_ARRIVAL,
                                       PP_POLICY_FIRST_FIT, PP_POLICY_BEST_FIT};
    const int64_t half = INT64_C(1) << 62;
    pp_packer *packer = make_packer(policies[_i], 100, NULL);
    pp_packer *unlimited = make_packer(policies[_i], 0, NULL);
    pp_packer *vast = make_packer(policies[_i], half, NULL);

    assert_plan_fails(packer, (const int64_t[]){5, 100, 0}, 3, PP_ERR_ARG, 2,
                      "prompt 2 has a length of 0 tokens; it must have at least 1");
    assert_plan_fails(packer, (const int64_t[]){-7, 5}, 2, PP_ERR_ARG, 0, "prompt 0");
    assert_plan_fails(packer, (const int64_t[]){INT64_MIN}, 1, PP_ERR_ARG, 0, "prompt 0");
    assert_plan_fails(packer, (const int64_t[]){100, 101, 300}, 3, PP_ERR_TOO_LONG, 1,
                      "prompt 1 has 101 tokens, but a bin holds 100");
    assert_plan_fails(packer, (const int64_t[]){1, 101, 0}, 3, PP_ERR_TOO_LONG, 1, "prompt 1");
    assert_plan_fails(packer, (const int64_t[]){1, 0, 101}, 3, PP_ERR_ARG, 1, "prompt 1");
    assert_plan_fails(unlimited, (const int64_t[]){4, 0}, 2, PP_ERR_ARG, 1, "prompt 1");
    assert_plan_fails(unlimited, (const int64_t[]){INT64_MAX, 1}, 2, PP_ERR_ARG, 1, "2^63 - 1");
    assert_plan_fails(vast, (const int64_t[]){half, half - 1, 1, half}, 4, PP_ERR_ARG, 2,
                      "prompts 0 to 2 have more than 2^63 - 1 tokens together");

    int64_t one = 1;
    assert_plan_fails(packer, &one, (size_t)1 << 31, PP_ERR_ARG, -1, "2147483648 prompts");
    assert_plan_fails(packer, NULL, 3, PP_ERR_ARG, -1, "lengths is NULL, but there are 3");
    assert_plan_fails(NULL, &one, 1, PP_ERR_ARG, -1, "packer is NULL");
    pp_error err = new_error();
    assert_error(pp_packer_plan(packer, &one, 1, NULL, &err), &err, PP_ERR_ARG, -1, "plan is NULL");

    pp_plan *plan = NULL; /* the largest sum there is: 2^63 - 1 */
    ck_assert_int_eq(pp_packer_plan(vast, (const int64_t[]){half, half - 1}, 2, &plan, NULL),
                     PP_OK);
    ck_assert_int_eq(plan_info(plan).tokens, INT64_MAX);
    ck_assert_int_eq(plan_info(plan).lower_bound, 2);
    pp_plan_destroy(plan);
    pp_packer_destroy(vast);
    pp_packer_destroy(unlimited);
    pp_packer_destroy(packer);
}
END_TEST

/* ---- reading a plan ---- */

START_TEST(bins_are_checked)
{
    pp_plan *plan = make_plan(PP_POLICY_FFD, 10, (const int64_t[]){6, 3, 5}, 3);
    const int32_t *prompts = UNTOUCHED;
    int64_t n_prompts = -3;
    int64_t tokens = -4;
    pp_error err = new_error();
    assert_error(pp_plan_get_bin(plan, 2, &prompts, &n_prompts, &tokens, &err), &err, PP_ERR_ARG, 2,
                 "bin 2 is not in the plan, which has 2");
    assert_error(pp_plan_get_bin(plan, -1, &prompts, &n_prompts, &tokens, &err), &err, PP_ERR_ARG,
                 -1, "bin -1");
    assert_error(pp_plan_get_bin(NULL, 0, &prompts, &n_prompts, &tokens, &err), &err, PP_ERR_ARG,
                 -1, "plan is NULL");
    ck_assert_ptr_eq(prompts, UNTOUCHED);
    ck_assert_int_eq(n_prompts, -3);
    ck_assert_int_eq(tokens, -4);
    ck_assert_int_eq(pp_plan_get_bin(plan, 0, &prompts, &n_prompts, &tokens, &err), PP_OK);
    ck_assert_int_eq(n_prompts, 2);
    ck_assert_int_eq(tokens, 9);
    ck_assert_int_eq(prompts[0], 0);
    ck_assert_int_eq(prompts[1], 1);
    ck_assert_int_eq(pp_plan_get_bin(plan, 1, NULL, NULL, NULL, NULL), PP_OK);
    pp_plan_destroy(plan);
}
END_TEST

START_TEST(info_of_older_and_newer_callers)
{
    pp_plan *plan = make_plan(PP_POLICY_BFD, 10, (const int64_t[]){6, 3, 5}, 3);
    struct {
        pp_plan_info info;
        int64_t later_field;
    } newer;
    memset(&newer, 0x11, sizeof newer);
    newer.info.struct_size = sizeof newer;
    ck_assert_int_eq(pp_plan_get_info(plan, &newer.info, NULL), PP_OK);
    ck_assert_uint_eq(newer.info.struct_size, sizeof newer);
    ck_assert_int_eq(newer.info.n_bins, 2);
    ck_assert_int_eq(newer.info.policy, PP_POLICY_BFD);
    ck_assert_int_eq(newer.later_field, 0); /* what this library does not know is zero */

    pp_plan_info older;
    memset(&older, 0x11, sizeof older);
    older.struct_size = offsetof(pp_plan_info, capacity);
    ck_assert_int_eq(pp_plan_get_info(plan, &older, NULL), PP_OK);
    ck_assert_int_eq(older.n_bins, 2);
    ck_assert_int_eq(older.capacity, 0x1111111111111111); /* beyond the caller's struct */

    pp_error err = new_error();
    older.struct_size = 0;
    assert_error(pp_plan_get_info(plan, &older, &err), &err, PP_ERR_STRUCT_SIZE, -1,
                 "pp_plan_info.struct_size is 0");
    ck_assert_int_eq(older.n_bins, 2);
    assert_error(pp_plan_get_info(plan, NULL, &err), &err, PP_ERR_ARG, -1, "pp_plan_info");
    assert_error(pp_plan_get_info(NULL, &newer.info, &err), &err, PP_ERR_ARG, -1, "plan is NULL");
    pp_plan_destroy(plan);
}
END_TEST

static int64_t capacity_used(const void *params)
{
    pp_packer *packer = NULL;
    ck_assert_int_eq(pp_packer_create(params, &packer, NULL), PP_OK);
    pp_plan *plan = NULL;
    ck_assert_int_eq(pp_packer_plan(packer, (const int64_t[]){4, 7}, 2, &plan, NULL), PP_OK);
    int64_t capacity = plan_info(plan).capacity;
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    return capacity;
}

START_TEST(params_of_older_and_newer_callers)
{
    struct {
        pp_packer_params params;
        int64_t later_field;
    } newer;
    memset(&newer, 0x11, sizeof newer);
    pp_packer_params_init(&newer.params, sizeof newer);
    ck_assert_uint_eq(newer.params.struct_size, sizeof newer);
    ck_assert_int_eq(newer.later_field, 0);
    newer.params.capacity = 30;
    ck_assert_int_eq(capacity_used(&newer), 30);
    newer.later_field = (int64_t)1 << 56;
    assert_create_fails(&newer.params, PP_ERR_STRUCT_SIZE, "this library knows");

    pp_packer_params older;
    memset(&older, 0x11, sizeof older);
    pp_packer_params_init(&older, offsetof(pp_packer_params, allocator));
    ck_assert_int_eq(older.capacity, 0);
    ck_assert_int_eq((int64_t)(intptr_t)older.fewest, 0x1111111111111111);
    older.capacity = 40;
    ck_assert_int_eq(capacity_used(&older), 40); /* garbage after the struct is not read */
    pp_packer_params_init(&older, offsetof(pp_packer_params, capacity));
    ck_assert_int_eq(capacity_used(&older), 7);
    older.struct_size = sizeof(uint32_t);
    older.objective = 99;
    ck_assert_int_eq(capacity_used(&older), 7);
}
END_TEST

/* ---- memory ---- */

/* Creates a packer and plans once while the meter's allocations fail; true when that worked. Every
 * failure is clean: the status, the sentence, the results, the memory. */
static bool plan_with(struct meter *meter, int32_t policy, const int64_t *lengths, size_t n,
                      int64_t capacity)
{
    pp_allocator allocator = meter_allocator(meter);
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    const pp_fewest_params fewest = {.struct_size = sizeof fewest, .policy = policy};
    params.fewest = &fewest;
    params.capacity = capacity;
    params.allocator = &allocator;
    pp_packer *packer = UNTOUCHED;
    pp_error err = new_error();
    pp_status status = pp_packer_create(&params, &packer, &err);
    if (status < 0) {
        assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
        ck_assert_ptr_eq(packer, UNTOUCHED);
        return false;
    }
    memset(&allocator, 0, sizeof allocator); /* it was only borrowed */
    size_t n_held = meter->n_blocks;
    pp_plan *plan = UNTOUCHED;
    status = pp_packer_plan(packer, lengths, n, &plan, &err);
    if (status < 0) {
        assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
        ck_assert_ptr_eq(plan, UNTOUCHED);
        ck_assert_uint_eq(meter->n_blocks, n_held);
        pp_packer_destroy(packer);
        return false;
    }
    pp_packer_destroy(packer);
    ck_assert_int_gt(plan_info(plan).n_bins, 0);
    pp_plan_destroy(plan);
    return true;
}

static void plan_until_it_works(int32_t policy, int64_t capacity, bool persistent)
{
    int64_t lengths[64];
    uint64_t random = 41;
    for (int i = 0; i < 64; i++)
        lengths[i] = random_between(&random, 1, capacity);
    for (int64_t fail_at = 1;; fail_at++) {
        struct meter meter = {.fail_at = fail_at, .persistent = persistent};
        bool planned = plan_with(&meter, policy, lengths, 64, capacity);
        ck_assert_uint_eq(meter.n_blocks, 0);
        if (!planned)
            continue;
        /* packer, plan, its three arrays, and the scratch of FFD and BFD */
        ck_assert_int_gt(fail_at, policy == PP_POLICY_ARRIVAL ? 5 : 8);
        break;
    }
}

START_TEST(memory_runs_out_while_planning)
{
    for (int32_t policy = PP_POLICY_FFD; policy <= PP_POLICY_BEST_FIT; policy++)
        for (int persistent = 0; persistent <= 1; persistent++) {
            plan_until_it_works(policy, 200, persistent);
            plan_until_it_works(policy, INT64_C(1) << 40, persistent);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan calls");
    TCase *tcase = tcase_create("calls");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, packer_params_are_checked);
    tcase_add_test(tcase, settings_belong_to_an_objective);
    tcase_add_test(tcase, settings_of_objectives_are_checked);
    tcase_add_test(tcase, packer_defaults);
    tcase_add_loop_test(tcase, lengths_are_checked, 0, 5);
    tcase_add_test(tcase, bins_are_checked);
    tcase_add_test(tcase, info_of_older_and_newer_callers);
    tcase_add_test(tcase, params_of_older_and_newer_callers);
    tcase_add_test(tcase, memory_runs_out_while_planning);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
