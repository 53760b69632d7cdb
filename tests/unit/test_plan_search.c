/*
 * test_plan_search.c: MBS, EXACT and AUTO: small instances against every assignment, large ones
 * whose optimum is known by construction, equal bins for equal lengths, limits, memory.
 */
#include "test_plan_support.h"
#include "support/rounds.h"

#define SEED  41
#define MAX_N 600

static const int32_t searches[] = {PPI_POLICY_MBS, PP_POLICY_EXACT, PP_POLICY_AUTO};
#define N_SEARCHES (sizeof searches / sizeof *searches)

static pp_plan *plan_within(int32_t policy, int64_t capacity, int64_t max_steps, double max_seconds,
                            const int64_t *lengths, size_t n)
{
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    params.max_steps = max_steps;
    params.max_seconds = max_seconds;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    assert_that(flat_create(&params, &packer, NULL) == PP_OK);
    assert_that(pp_packer_plan(packer, lengths, n, &plan, NULL) == PP_OK);
    pp_packer_destroy(packer);
    return plan;
}

/* ---- small instances ---- */

/* Fewest bins, by trying every assignment of prompts [i, n). */
static int64_t optimum(const int64_t *lengths, int n, int64_t capacity, int i, int64_t *rooms,
                       int64_t n_bins, int64_t best)
{
    if (n_bins >= best)
        return best;
    if (i == n)
        return n_bins;
    for (int64_t bin = 0; bin <= n_bins; bin++) {
        if (bin == n_bins)
            rooms[bin] = capacity;
        if (rooms[bin] < lengths[i])
            continue;
        rooms[bin] -= lengths[i];
        best = optimum(lengths, n, capacity, i + 1, rooms, n_bins + (bin == n_bins), best);
        rooms[bin] += lengths[i];
    }
    return best;
}

/* Lengths that leave bins open: uniform, near a half, near a third, or few different ones. */
static void draw_lengths(uint64_t *random, int shape, int64_t capacity, int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t spread = capacity / 16 + 1;
        int64_t length = shape == 0   ? random_between(random, 1, capacity)
                         : shape == 1 ? capacity / 2 + random_between(random, -spread, spread)
                         : shape == 2 ? capacity / 3 + random_between(random, -spread, spread)
                         : shape == 3 ? capacity / random_between(random, 1, 7)
                                      : random_between(random, capacity / 7 + 1, capacity / 2);
        lengths[i] = length < 1 ? 1 : length > capacity ? capacity : length;
    }
}

START_TEST(small_instances_against_every_assignment)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < rounds(1500); i++) {
        int64_t lengths[10];
        int64_t rooms[10];
        int n = (int)random_between(&random, 1, 10);
        int64_t capacity = i % 3 == 0   ? random_between(&random, 5, 40)
                           : i % 3 == 1 ? random_between(&random, 90, 1100)
                                        : (INT64_C(1) << 40) + random_between(&random, 0, 999);
        draw_lengths(&random, i % 5, capacity, lengths, (size_t)n);
        int64_t best = optimum(lengths, n, capacity, 0, rooms, 0, n + 1);
        for (size_t j = 0; j < N_SEARCHES; j++) {
            pp_plan *plan = make_plan(searches[j], capacity, lengths, (size_t)n);
            pp_plan_info info = plan_info(plan);
            assert_that(plan_is_a_packing(plan, capacity, lengths, (size_t)n));
            assert_that(info.lower_bound <= best && info.n_bins >= best);
            assert_that(info.bound_l1 <= info.bound_l2 && info.bound_lp <= best);
            assert_that(info.proven_optimal == (info.lower_bound == info.n_bins));
            if (searches[j] != PPI_POLICY_MBS)
                assert_that(info.n_bins == best && info.proven_optimal);
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

START_TEST(plans_without_much_to_search)
{
    static int64_t lengths[MAX_N];
    for (size_t j = 0; j < N_SEARCHES; j++) {
        pp_plan *plan = make_plan(searches[j], 0, NULL, 0);
        ck_assert_int_eq(plan_info(plan).n_bins, 0);
        ck_assert_int_eq(plan_info(plan).proven_optimal, 1);
        pp_plan_destroy(plan);
        plan = make_plan(searches[j], 9, (const int64_t[]){4}, 1);
        ck_assert_int_eq(plan_info(plan).n_bins, 1);
        pp_plan_destroy(plan);
        for (int64_t length = 1; length <= 100; length += 33) { /* all equal; as long as a bin */
            for (size_t i = 0; i < MAX_N; i++)
                lengths[i] = length;
            plan = make_plan(searches[j], 100, lengths, MAX_N);
            int64_t fit = 100 / length;
            ck_assert_int_eq(plan_info(plan).n_bins, (MAX_N + fit - 1) / fit);
            ck_assert_int_eq(plan_info(plan).proven_optimal, 1);
            ck_assert(plan_is_a_packing(plan, 100, lengths, MAX_N));
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

/* ---- a known optimum ---- */

/* n / 3 bins, each filled to the last token by three. */
static void draw_triplets(uint64_t *random, int64_t capacity, int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        lengths[i] = random_between(random, capacity * 380 / 1000, capacity * 490 / 1000);
        lengths[i + 1] = random_between(random, capacity / 4, (capacity - lengths[i]) / 2);
        lengths[i + 2] = capacity - lengths[i] - lengths[i + 1];
    }
}

START_TEST(perfect_triplets)
{
    static const size_t numbers[] = {30, 60, 120, 249, 501};
    static int64_t lengths[MAX_N];
    uint64_t random = SEED + (uint64_t)_i;
    size_t n = numbers[_i];
    for (int i = 0; i < rounds(4); i++) {
        draw_triplets(&random, 1000, lengths, n);
        pp_plan *plan = make_plan(PP_POLICY_EXACT, 1000, lengths, n);
        pp_plan_info info = plan_info(plan);
        ck_assert_int_eq(info.n_bins, (int64_t)n / 3);
        ck_assert_int_eq(info.proven_optimal, 1);
        ck_assert_int_eq(info.limit_reached, 0);
        ck_assert(plan_is_a_packing(plan, 1000, lengths, n));
        pp_plan_destroy(plan);
    }
}
END_TEST

/* Bins cut into pieces at random: as many bins suffice. Bins may be vast. */
START_TEST(bins_cut_into_pieces)
{
    static const int64_t capacities[] = {100, 1000, 20000, INT64_C(1) << 31, INT64_C(1) << 40};
    static int64_t lengths[MAX_N];
    uint64_t random = SEED + (uint64_t)_i;
    int64_t capacity = capacities[_i];
    for (int i = 0; i < rounds(20); i++) {
        size_t n = 0;
        int64_t n_bins = 0;
        for (; n_bins < 40; n_bins++)
            for (int64_t room = capacity; room > 0; n++) {
                int64_t piece = random_between(&random, capacity / 10 + 1, capacity / 2);
                lengths[n] = room - piece < capacity / 10 ? room : piece;
                room -= lengths[n];
            }
        for (size_t j = 0; j < N_SEARCHES; j++) {
            bool finishes = capacity <= 1000 && searches[j] == PP_POLICY_EXACT;
            int64_t max_steps = finishes ? 0 : 2000000;
            pp_plan *plan = plan_within(searches[j], capacity, max_steps, 0, lengths, n);
            pp_plan_info info = plan_info(plan);
            assert_that(plan_is_a_packing(plan, capacity, lengths, n));
            ck_assert_int_le(info.lower_bound, n_bins);
            ck_assert_int_ge(info.n_bins, n_bins);
            if (finishes)
                ck_assert_int_eq(info.n_bins, n_bins);
            else
                ck_assert_int_le(info.n_bins, n_bins + 1 + (searches[j] == PPI_POLICY_MBS));
            pp_plan_destroy(plan);
        }
    }
}
END_TEST

/* ---- equal input, equal plans ---- */

START_TEST(bins_do_not_depend_on_the_order_of_prompts)
{
    uint64_t random = SEED;
    static int64_t lengths[MAX_N];
    static int64_t shuffled[MAX_N];
    for (int i = 0; i < rounds(60); i++) {
        size_t n = (size_t)random_between(&random, 20, 90);
        int64_t capacity = i % 2 ? 500 : INT64_C(1) << 40;
        draw_lengths(&random, 2 + 2 * (i % 2), capacity, lengths, n);
        memcpy(shuffled, lengths, sizeof lengths);
        for (size_t j = n - 1; j > 0; j--) {
            size_t k = next_random(&random) % (j + 1);
            int64_t length = shuffled[j];
            shuffled[j] = shuffled[k];
            shuffled[k] = length;
        }
        for (size_t s = 0; s < N_SEARCHES; s++) {
            int64_t steps = i % 4 == 0 ? 3000 : 100000;
            pp_plan *a = plan_within(searches[s], capacity, steps, 0, lengths, n);
            pp_plan *b = plan_within(searches[s], capacity, steps, 0, shuffled, n);
            ck_assert_int_eq(plan_info(a).n_bins, plan_info(b).n_bins);
            ck_assert_int_eq(plan_info(a).lower_bound, plan_info(b).lower_bound);
            ck_assert_int_eq(plan_info(a).policy, plan_info(b).policy);
            for (int64_t bin = 0; bin < plan_info(a).n_bins; bin++) {
                const int32_t *a_prompts;
                const int32_t *b_prompts;
                int64_t n_a;
                int64_t n_b;
                pp_plan_get_bin(a, bin, &a_prompts, &n_a, NULL, NULL);
                pp_plan_get_bin(b, bin, &b_prompts, &n_b, NULL, NULL);
                assert_that(n_a == n_b);
                for (int64_t j = 0; j < n_a; j++) {
                    assert_that(lengths[a_prompts[j]] == shuffled[b_prompts[j]]);
                    if (j > 0 && lengths[a_prompts[j]] == lengths[a_prompts[j - 1]])
                        assert_that(a_prompts[j] > a_prompts[j - 1]);
                }
            }
            pp_plan_destroy(a);
            pp_plan_destroy(b);
        }
    }
}
END_TEST

/* ---- limits ---- */

START_TEST(limits_end_the_search)
{
    static int64_t lengths[MAX_N];
    uint64_t random = SEED;
    draw_triplets(&random, 100000, lengths, 501);
    for (size_t j = 0; j < N_SEARCHES; j++) {
        int64_t worst = INT64_MAX;
        for (int64_t steps = 1; steps <= 100000; steps *= 10) {
            pp_plan *plan = plan_within(searches[j], 100000, steps, 0, lengths, 501);
            pp_plan_info info = plan_info(plan);
            ck_assert(plan_is_a_packing(plan, 100000, lengths, 501));
            if (steps <= 1000)
                ck_assert_int_eq(info.limit_reached, 1);
            ck_assert_int_le(info.n_bins, worst); /* more steps, never more bins */
            worst = info.n_bins;
            pp_plan_destroy(plan);
        }
    }
    pp_plan *plan = plan_within(PP_POLICY_EXACT, 100000, -1, 1e-9, lengths, 501);
    ck_assert_int_eq(plan_info(plan).limit_reached, 2);
    ck_assert(plan_is_a_packing(plan, 100000, lengths, 501));
    pp_plan_destroy(plan);
    plan = plan_within(PP_POLICY_EXACT, 100000, -1, 0.3, lengths, 501);
    ck_assert(plan_info(plan).seconds < 30); /* long enough for valgrind */
    ck_assert(plan_is_a_packing(plan, 100000, lengths, 501));
    pp_plan_destroy(plan);
}
END_TEST

/* ---- memory ---- */

/* Plans while the fail_at-th allocation fails; true when that worked. */
static bool plan_with(struct meter *meter, int32_t policy, int64_t capacity, const int64_t *lengths,
                      size_t n)
{
    pp_allocator allocator = meter_allocator(meter);
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    params.allocator = &allocator;
    params.max_steps = 100000;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_status status = flat_create(&params, &packer, &err);
    if (status == PP_OK)
        status = pp_packer_plan(packer, lengths, n, &plan, &err);
    pp_packer_destroy(packer);
    if (status < 0) {
        assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
        assert_that(plan == NULL);
        return false;
    }
    /* the instance is hard enough for every part of the search */
    assert_that(policy == PPI_POLICY_MBS || capacity > 1000 || plan_info(plan).bound_lp > 0);
    pp_plan_destroy(plan);
    return true;
}

START_TEST(memory_runs_out_while_searching)
{
    int64_t lengths[90];
    uint64_t random = SEED + 1;
    int32_t policy = searches[_i];
    for (int wide = 0; wide <= 1; wide++) { /* by table, by branch and bound */
        int64_t capacity = wide ? INT64_C(1) << 40 : 1000;
        draw_triplets(&random, capacity, lengths, 90);
        for (int persistent = 0; persistent <= 1; persistent++)
            for (int64_t fail_at = 1;; fail_at++) {
                struct meter meter = {.fail_at = fail_at, .persistent = persistent};
                bool planned = plan_with(&meter, policy, capacity, lengths, 90);
                ck_assert_uint_eq(meter.n_blocks, 0);
                if (planned) {
                    ck_assert_int_gt(fail_at, policy == PPI_POLICY_MBS ? 15 : 25);
                    break;
                }
            }
    }
}
END_TEST

/* 10,000,000 prompts. Their plan and FFD's scratch hold 200 MB, BFD's and best fit's 280 MB. */
START_TEST(ten_million_prompts)
{
    const size_t n = (size_t)rounds(10000000);
    int64_t *lengths = malloc(n * sizeof *lengths);
    ck_assert_ptr_nonnull(lengths);
    uint64_t random = SEED;
    for (size_t i = 0; i < n; i++)
        lengths[i] =
            1 + (random_between(&random, 1, 2048) * random_between(&random, 1, 2048) >> 11);
    static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_BFD, PP_POLICY_FIRST_FIT,
                                       PP_POLICY_BEST_FIT, PP_POLICY_AUTO};
    pp_plan *plan = make_plan(policies[_i], 4096, lengths, n);
    pp_plan_info info = plan_info(plan);
    ck_assert(plan_is_a_packing(plan, 4096, lengths, n));
    ck_assert(n < 10000000 || info.tokens > INT64_C(1) << 31);
    ck_assert(info.gap < 0.02);
    pp_plan_destroy(plan);
    free(lengths);
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("plan search");
    TCase *tcase = tcase_create("searches");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, small_instances_against_every_assignment, 0, 3);
    tcase_add_test(tcase, plans_without_much_to_search);
    tcase_add_loop_test(tcase, perfect_triplets, 0, 5);
    tcase_add_loop_test(tcase, bins_cut_into_pieces, 0, 5);
    tcase_add_test(tcase, bins_do_not_depend_on_the_order_of_prompts);
    tcase_add_test(tcase, limits_end_the_search);
    tcase_add_loop_test(tcase, memory_runs_out_while_searching, 0, 3);
    tcase_add_loop_test(tcase, ten_million_prompts, 0, 5);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
