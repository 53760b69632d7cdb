/*
 * test_balance_calls.c: what BALANCED, CHEAPEST and pp_plan_partition promise around the packing:
 * errors, edges, equal plans for permuted prompts, memory that runs out, batches of plans with
 * empty bins.
 */
#include "test_balance_support.h"

#define SEED 41

static const int64_t shapes[] = {2048, 512, 64, 512};

static struct flat_params balanced(int64_t n_bins, int64_t capacity)
{
    struct flat_params params;
    flat_init(&params);
    params.objective = PP_OBJECTIVE_BALANCED;
    params.n_bins = n_bins;
    params.capacity = capacity;
    return params;
}

static struct flat_params cheapest(void)
{
    struct flat_params params;
    flat_init(&params);
    params.objective = PP_OBJECTIVE_CHEAPEST;
    params.capacities = shapes;
    params.n_capacities = 4;
    return params;
}

static pp_plan *plan_or_abort(const struct flat_params *params, const int64_t *lengths, size_t n)
{
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (flat_create(params, &packer, &err) != PP_OK ||
        pp_packer_plan(packer, lengths, n, &plan, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    pp_packer_destroy(packer);
    return plan;
}

/* ---- errors ---- */

static void assert_create_fails(const struct flat_params *params, const char *part)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer *packer = NULL;
    assert_error(flat_create(params, &packer, &err), &err, PP_ERR_ARG, -1, part);
    ck_assert_ptr_null(packer);
}

static void assert_plan_fails(const struct flat_params *params, const int64_t *lengths, size_t n,
                              pp_status status, int64_t index, const char *part)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    ck_assert_int_eq(flat_create(params, &packer, &err), PP_OK);
    assert_error(pp_packer_plan(packer, lengths, n, &plan, &err), &err, status, index, part);
    ck_assert_ptr_null(plan);
    pp_packer_destroy(packer);
}

START_TEST(settings_are_checked)
{
    struct flat_params params = balanced(0, 0);
    assert_create_fails(&params, "n_bins is 0; it must be at least 1");
    params = balanced(4, 0);
    params.capacities = shapes;
    params.n_capacities = 4;
    assert_create_fails(&params, "pp_packer_params.fewest is set, but the objective is BALANCED");
    params = cheapest();
    params.capacity = 100;
    assert_create_fails(&params, "capacity is 100, but rows have the lengths in row_lens");
    params = cheapest();
    params.n_capacities = 0;
    assert_create_fails(&params, "n_row_lens is 0; it must be at least 1");
    params = cheapest();
    params.n_bins = 3;
    assert_create_fails(&params, "pp_packer_params.balanced is set, but the objective is CHEAPEST");
    params = cheapest();
    static int64_t many[(1 << 20) + 1];
    for (int64_t i = 0; i <= 1 << 20; i++)
        many[i] = i + 1;
    params.n_capacities = (1 << 20) + 1;
    params.capacities = many;
    assert_create_fails(&params, "n_row_lens is 1048577; it must be at most 1048576");
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    const int64_t lengths[] = {60, 60, 60, 60, 60};
    struct flat_params params = balanced(4, 100);
    assert_plan_fails(&params, lengths, 5, PP_ERR_TOO_LONG, -1,
                      "300 tokens find no place in 4 bins of 100 tokens: they need at least");
    assert_plan_fails(&params, lengths, 5, PP_ERR_TOO_LONG, -1, "knows a way with 5");
    params.keep_order = 1;
    assert_plan_fails(&params, lengths, 5, PP_ERR_TOO_LONG, -1,
                      "300 tokens in order of arrival need 5 bins of 100 tokens, but n_bins is 4");
    params = balanced(4, 0);
    params.max_prompts = 1;
    assert_plan_fails(&params, lengths, 5, PP_ERR_TOO_LONG, -1,
                      "at most 1 prompts each: they need at least 5 bins");
    params = balanced(4, 59);
    assert_plan_fails(&params, lengths, 5, PP_ERR_TOO_LONG, 0,
                      "prompt 0 has 60 tokens, but a bin holds 59");
    params = cheapest();
    assert_plan_fails(&params, (const int64_t[]){5, 2049}, 2, PP_ERR_TOO_LONG, 1,
                      "prompt 1 has 2049 tokens, but a bin holds 2048");
    pp_cost_model vast;
    pp_cost_init(&vast, sizeof vast);
    vast.per_square = 1e302;
    params.cost = &vast;
    const int64_t many[] = {1 << 20, 1 << 20};
    assert_plan_fails(&params, lengths, 5, PP_ERR_ARG, -1, "than a double holds");
    params = balanced(2, 0);
    params.cost = &vast;
    assert_plan_fails(&params, many, 2, PP_ERR_ARG, -1, "than a double holds");
    params.keep_order = 1;
    assert_plan_fails(&params, many, 2, PP_ERR_ARG, -1, "than a double holds");
}
END_TEST

/* ---- edges ---- */

START_TEST(edges_of_balanced)
{
    static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
    for (size_t i = 0; i < 6; i++) {
        struct flat_params params = balanced(4, 0);
        params.policy = policies[i % 3];
        params.keep_order = i >= 3;
        pp_plan *plan = plan_or_abort(&params, NULL, 0);
        ck_assert_int_eq(plan_info(plan).n_bins, 0);
        ck_assert_int_eq(plan_info(plan).capacity, 0);
        pp_plan_destroy(plan);

        const int64_t huge = INT64_MAX;
        plan = plan_or_abort(&params, &huge, 1);
        pp_plan_info info = plan_info(plan);
        ck_assert_int_eq(info.n_bins, 4);
        ck_assert_int_eq(info.proven_optimal, 1);
        ck_assert_int_eq(info.capacity, INT64_MAX); /* of the fullest: there is no limit */
        ck_assert_double_eq(info.mean_cost, info.max_cost / 4);
        pp_bin_info last = {.struct_size = sizeof last};
        ck_assert_int_eq(pp_plan_get_bin_info(plan, 3, &last, NULL), PP_OK);
        ck_assert_int_eq(last.n_segments, 0);
        ck_assert_double_eq(last.cost, 0);
        pp_plan_destroy(plan);

        int64_t equal[CASE_MAX_N]; /* 62 of 7 tokens over 4: 16, 16, 15, 15 */
        for (int j = 0; j < 62; j++)
            equal[j] = 7;
        plan = plan_or_abort(&params, equal, 62);
        info = plan_info(plan);
        ck_assert_double_eq(info.max_cost, 112);
        ck_assert_double_eq(info.cost_bound, 112);
        ck_assert_int_eq(info.capacity, 112);
        ck_assert_int_eq(info.proven_optimal, 1);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(edges_of_cheapest)
{
    struct flat_params params = cheapest();
    for (int keep_order = 0; keep_order <= 1; keep_order++) {
        params.keep_order = keep_order;
        pp_plan *plan = plan_or_abort(&params, NULL, 0);
        ck_assert_int_eq(plan_info(plan).n_bins, 0);
        pp_plan_destroy(plan);
        const int64_t lengths[] = {65, 400, 2048, 3};
        plan = plan_or_abort(&params, lengths, 4); /* 65 + 400 + 3 into 512 */
        pp_plan_info info = plan_info(plan);
        ck_assert_int_eq(info.capacity, 2048);
        ck_assert_int_eq(info.total_capacity, keep_order ? 2048 + 512 + 64 : 2048 + 512);
        ck_assert_int_eq(info.proven_optimal, 1);
        ck_assert_double_eq(info.cost_bound, (double)info.total_capacity);
        pp_plan_destroy(plan);
    }
}
END_TEST

START_TEST(steps_are_limited)
{
    int64_t lengths[CASE_MAX_N];
    uint64_t random = SEED;
    for (int i = 0; i < CASE_MAX_N; i++)
        lengths[i] = random_between(&random, 1, INT64_C(1) << 40);
    struct flat_params params = balanced(9, 0);
    double before = INFINITY;
    for (int64_t max_steps = 1; max_steps <= 1000000; max_steps *= 1000) {
        params.max_steps = max_steps;
        pp_plan *plan = plan_or_abort(&params, lengths, CASE_MAX_N);
        ck_assert_int_eq(plan_info(plan).limit_reached, max_steps < 1000000);
        ck_assert_double_lt(plan_info(plan).max_cost, before);
        before = plan_info(plan).max_cost;
        pp_plan_destroy(plan);
    }
    params.max_steps = -1;
    params.max_seconds = 1e-9;
    pp_plan *plan = plan_or_abort(&params, lengths, CASE_MAX_N);
    ck_assert_int_eq(plan_info(plan).limit_reached, 2);
    pp_plan_destroy(plan);
}
END_TEST

/* A plan with empty bins makes batches like any other. */
START_TEST(batches_of_empty_bins)
{
    const int32_t tokens[] = {5, 6, 7};
    const pp_prompt prompts[] = {{tokens, 3}, {tokens + 1, 2}};
    const int64_t lengths[] = {3, 2};
    struct flat_params params = balanced(4, 0);
    pp_plan *plan = plan_or_abort(&params, lengths, 2);
    pp_batch_params batch_params;
    pp_batch_params_init(&batch_params, sizeof batch_params);
    pp_batch *batch = NULL;
    pp_batch_view view = {.struct_size = sizeof view};
    ck_assert_int_eq(pp_batch_build(plan, prompts, 2, &batch_params, &batch, NULL), PP_OK);
    ck_assert_int_eq(pp_batch_get_view(batch, &view, NULL), PP_OK);
    ck_assert_int_eq(view.n_tokens, 5);
    pp_batch_destroy(batch);

    batch_params.layout = PP_LAYOUT_PADDED;
    ck_assert_int_eq(pp_batch_build(plan, prompts, 2, &batch_params, &batch, NULL), PP_OK);
    ck_assert_int_eq(pp_batch_get_view(batch, &view, NULL), PP_OK);
    ck_assert_int_eq(view.n_rows, 4);
    ck_assert_int_eq(view.row_len, 3);
    bool mask[4 * 3 * 3];
    ck_assert_int_eq(pp_batch_mask(batch, PP_DTYPE_BOOL, -1, mask, sizeof mask, NULL), PP_OK);
    for (int i = 2 * 3 * 3; i < 4 * 3 * 3; i++)
        ck_assert_int_eq(mask[i], i / 3 % 3 == i % 3); /* pads see themselves, as everywhere */
    pp_batch_destroy(batch);

    batch_params.first_bin = 2;
    batch_params.n_bins = 2;
    ck_assert_int_eq(pp_batch_build(plan, prompts, 2, &batch_params, &batch, NULL), PP_OK);
    ck_assert_int_eq(pp_batch_get_view(batch, &view, NULL), PP_OK);
    ck_assert_int_eq(view.n_prompts, 0);
    ck_assert_int_eq(view.n_tokens, 0);
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
}
END_TEST

/* ---- the same plan for the same prompts ---- */

static void shuffle(uint64_t *random, int64_t *lengths, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_between(random, 0, i);
        int64_t length = lengths[i];
        lengths[i] = lengths[j];
        lengths[j] = length;
    }
}

/* Two plans have the same lengths in the same bins, in the same order. */
static void assert_same_lengths(const pp_plan *a, const int64_t *lengths_a, const pp_plan *b,
                                const int64_t *lengths_b)
{
    pp_plan_info info_a = plan_info(a), info_b = plan_info(b);
    assert_that(info_a.n_bins == info_b.n_bins && info_a.policy == info_b.policy);
    assert_that(info_a.max_cost == info_b.max_cost && info_a.cost_bound == info_b.cost_bound);
    assert_that(info_a.proven_optimal == info_b.proven_optimal);
    for (int64_t bin = 0; bin < info_a.n_bins; bin++) {
        const int32_t *prompts_a, *prompts_b;
        int64_t n_a, n_b;
        assert_that(pp_plan_get_bin(a, bin, &prompts_a, &n_a, NULL, NULL) == PP_OK);
        assert_that(pp_plan_get_bin(b, bin, &prompts_b, &n_b, NULL, NULL) == PP_OK);
        assert_that(n_a == n_b);
        for (int64_t i = 0; i < n_a; i++)
            assert_that(lengths_a[prompts_a[i]] == lengths_b[prompts_b[i]]);
    }
}

START_TEST(order_of_prompts_does_not_matter)
{
    static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK,      PP_POLICY_AUTO,
                                       PP_POLICY_FFD,  PPI_POLICY_ORDERED, PP_POLICY_AUTO};
    uint64_t random = SEED;
    for (int i = 0; i < 600; i++) {
        pp_cost_model cost;
        random_cost(&random, &cost);
        struct flat_params params =
            i % 6 < 3 ? balanced(random_between(&random, 1, 9), 0) : cheapest();
        params.policy = policies[i % 6];
        params.cost = &cost;
        int64_t n = random_between(&random, 1, CASE_MAX_N), longest = 1 << (i % 12);
        if (params.objective == PP_OBJECTIVE_BALANCED && i % 4 == 0)
            params.max_prompts = n / params.n_bins + 1;
        int64_t lengths[CASE_MAX_N], permuted[CASE_MAX_N];
        for (int64_t j = 0; j < n; j++)
            permuted[j] = lengths[j] = random_between(&random, 1, longest);
        shuffle(&random, permuted, n);
        pp_plan *a = plan_or_abort(&params, lengths, (size_t)n);
        pp_plan *again = plan_or_abort(&params, lengths, (size_t)n);
        pp_plan *b = plan_or_abort(&params, permuted, (size_t)n);
        assert_same_lengths(a, lengths, again, lengths);
        assert_same_lengths(a, lengths, b, permuted);
        pp_plan_destroy(a);
        pp_plan_destroy(again);
        pp_plan_destroy(b);
    }
}
END_TEST

/* ---- partitions ---- */

START_TEST(partition_against_every_partition)
{
    uint64_t random = SEED;
    double ratio = 0;
    for (int i = 0; i < 300; i++) {
        pp_cost_model cost;
        random_cost(&random, &cost);
        struct flat_params params;
        flat_init(&params);
        params.cost = &cost;
        params.capacity = 50;
        int64_t lengths[14], n = random_between(&random, 1, 14);
        for (int64_t j = 0; j < n; j++)
            lengths[j] = random_between(&random, 20, 50);
        pp_plan *plan = plan_or_abort(&params, lengths, (size_t)n);
        int64_t n_bins = plan_info(plan).n_bins;
        n_bins = n_bins < 9 ? n_bins : 9;
        int32_t workers[14];
        int64_t n_workers = random_between(&random, 1, 4);
        pp_partition_info info = {.struct_size = sizeof info};
        ck_assert_int_eq(pp_plan_partition(plan, n_workers, workers, (size_t)plan_info(plan).n_bins,
                                           &info, NULL),
                         PP_OK);
        double costs[14], sums[4] = {0}, most = 0, all = 0;
        int64_t n_of[4] = {0}, most_bins = 0;
        for (int64_t bin = 0; bin < plan_info(plan).n_bins; bin++) {
            pp_bin_info bin_info = {.struct_size = sizeof bin_info};
            ck_assert_int_eq(pp_plan_get_bin_info(plan, bin, &bin_info, NULL), PP_OK);
            costs[bin] = bin_info.cost;
            assert_that(workers[bin] >= 0 && workers[bin] < n_workers);
            sums[workers[bin]] += bin_info.cost;
            all += bin_info.cost;
            most_bins = ++n_of[workers[bin]] > most_bins ? n_of[workers[bin]] : most_bins;
        }
        for (int64_t worker = 0; worker < n_workers; worker++)
            most = fmax(most, sums[worker]);
        assert_that(nearly(info.max_cost, most) && info.max_bins == most_bins);
        assert_that(nearly(info.mean_cost, all / (double)n_workers));
        assert_that(info.n_workers == n_workers);
        if (n_bins == plan_info(plan).n_bins) {
            int64_t n_ways = 1;
            for (int64_t j = 0; j < n_bins; j++)
                n_ways *= n_workers;
            double best = INFINITY;
            for (int64_t way = 0; way < n_ways; way++) {
                double loads[4] = {0}, dearest = 0;
                for (int64_t j = 0, left = way; j < n_bins; j++, left /= n_workers)
                    dearest = fmax(dearest, loads[left % n_workers] += costs[j]);
                best = fmin(best, dearest);
            }
            assert_that(info.max_cost >= best * (1 - 1e-12) && info.cost_bound <= best);
            assert_that(!info.proven_optimal || nearly(info.max_cost, best));
            ratio = fmax(ratio, best > 0 ? info.max_cost / best : 1);
        }
        pp_plan_destroy(plan);
    }
    printf("# dearest worker at most %.4f of the optimum\n", ratio);
    fflush(stdout);
    ck_assert_double_lt(ratio, 1.2);
}
END_TEST

START_TEST(partition_is_checked)
{
    const int64_t lengths[] = {60, 50, 40};
    pp_plan *plan = make_plan(PP_POLICY_FFD, 60, lengths, 3);
    int32_t workers[3] = {-9, -9, -9};
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_partition_info info = {.struct_size = sizeof info};
    assert_error(pp_plan_partition(plan, 0, workers, 3, &info, &err), &err, PP_ERR_ARG, -1,
                 "n_workers is 0; it must be in [1, 2147483647]");
    assert_error(pp_plan_partition(plan, 2, workers, 2, &info, &err), &err, PP_ERR_ARG, -1,
                 "room for the workers of 2 bins, but the plan has 3");
    assert_error(pp_plan_partition(plan, 2, NULL, 3, &info, &err), &err, PP_ERR_ARG, -1,
                 "worker_of_bin is NULL");
    assert_error(pp_plan_partition(NULL, 2, workers, 3, &info, &err), &err, PP_ERR_ARG, -1,
                 "plan is NULL");
    info.struct_size = 1;
    assert_error(pp_plan_partition(plan, 2, workers, 3, &info, &err), &err, PP_ERR_STRUCT_SIZE, -1,
                 "pp_partition_info.struct_size is 1");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(workers[i], -9);
    ck_assert_int_eq(pp_plan_partition(plan, INT32_MAX, workers, 3, NULL, &err), PP_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(workers[i], i); /* the dearest bin's is 0 */
    pp_plan_destroy(plan);

    plan = make_plan(PP_POLICY_FFD, 60, NULL, 0);
    info.struct_size = sizeof info;
    ck_assert_int_eq(pp_plan_partition(plan, 2, NULL, 0, &info, &err), PP_OK);
    ck_assert_int_eq(info.proven_optimal, 1);
    pp_plan_destroy(plan);

    struct flat_params params; /* a prompt in chunks */
    flat_init(&params);
    params.capacity = 20;
    params.oversize = PP_OVERSIZE_SPLIT;
    plan = plan_or_abort(&params, lengths, 3);
    int32_t more[16];
    assert_error(pp_plan_partition(plan, 2, more, (size_t)plan_info(plan).n_bins, NULL, &err), &err,
                 PP_ERR_UNSUPPORTED, 0, "is continued from another bin");
    pp_plan_destroy(plan);
}
END_TEST

/* ---- memory ---- */

/* Creates a packer, plans and partitions while the meter's allocations fail; true when all
 * worked. */
static bool plan_with(struct meter *meter, struct flat_params params, const int64_t *lengths,
                      size_t n)
{
    pp_allocator allocator = meter_allocator(meter);
    params.allocator = &allocator;
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_status status = flat_create(&params, &packer, &err);
    if (status >= 0)
        status = pp_packer_plan(packer, lengths, n, &plan, &err);
    pp_packer_destroy(packer);
    int32_t workers[CASE_MAX_N] = {0};
    if (status >= 0)
        status = pp_plan_partition(plan, 3, workers, (size_t)plan_info(plan).n_bins, NULL, &err);
    pp_plan_destroy(plan);
    if (status < 0)
        assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
    return status >= 0;
}

START_TEST(memory_runs_out)
{
    int64_t lengths[CASE_MAX_N];
    uint64_t random = SEED;
    for (int i = 0; i < CASE_MAX_N; i++)
        lengths[i] = random_between(&random, 1, 500);
    struct flat_params all[10];
    for (int i = 0; i < 10; i++)
        all[i] = i < 7 ? balanced(8, 0) : cheapest();
    all[0].policy = PPI_POLICY_LPT;
    all[1].policy = PPI_POLICY_KK;
    all[2].capacity = INT64_MAX / 8;
    all[3].max_prompts = 8;
    all[4].keep_order = 1;
    all[5].capacity = 2100; /* too tight for the greedy ways, perhaps */
    all[6].n_bins = 40;
    all[7].policy = PPI_POLICY_ORDERED;
    all[8].keep_order = 1;
    for (int i = 0; i < 10; i++)
        for (int persistent = 0; persistent <= 1; persistent++)
            for (int64_t fail_at = 1;; fail_at++) {
                struct meter meter = {.fail_at = fail_at, .persistent = persistent != 0};
                bool worked = plan_with(&meter, all[i], lengths, CASE_MAX_N);
                ck_assert_uint_eq(meter.n_blocks, 0);
                if (worked) {
                    ck_assert_int_gt(fail_at, 8);
                    break;
                }
            }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("balance calls");
    TCase *tcase = tcase_create("calls");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, settings_are_checked);
    tcase_add_test(tcase, what_does_not_fit_is_named);
    tcase_add_test(tcase, edges_of_balanced);
    tcase_add_test(tcase, edges_of_cheapest);
    tcase_add_test(tcase, steps_are_limited);
    tcase_add_test(tcase, batches_of_empty_bins);
    tcase_add_test(tcase, order_of_prompts_does_not_matter);
    tcase_add_test(tcase, partition_against_every_partition);
    tcase_add_test(tcase, partition_is_checked);
    tcase_add_test(tcase, memory_runs_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
