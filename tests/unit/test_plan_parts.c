/*
 * test_plan_parts.c: the planner's parts on their own: the bit set, the histogram, the bounds, and
 * the check that prompts are those of a plan.
 */
#include "test_plan_support.h"

#include "plan/bitset.h"
#include "plan/fewest/bounds.h"
#include "plan/histogram.h"
#include "plan/plan.h"

#define SEED 41

/* ---- bit set ---- */

/* The nearest member at or below (step -1) or above (step 1) i. */
static int64_t nearest(const bool *member, int64_t size, int64_t i, int64_t step)
{
    while (i >= 0 && i < size && !member[i])
        i += step;
    return i >= 0 && i < size ? i : -1;
}

START_TEST(bitset_against_an_array)
{
    static const int64_t sizes[] = {1,   2,    63,   64,   65,   127,   128,
                                    129, 4095, 4096, 4097, 5000, 262145};
    static bool member[262145];
    uint64_t random = SEED;
    int64_t size = sizes[_i];
    struct ppi_mem mem;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    struct bitset set;
    ck_assert_int_eq(ppi_bitset_create(&set, size, &mem, NULL), PP_OK);
    for (int i = 0; i < 40000; i++) {
        /* fill it, then empty it again */
        bool adding = (int)(next_random(&random) % 40000) > i;
        int64_t changed = random_between(&random, 0, size - 1);
        member[changed] = adding;
        if (adding)
            ppi_bitset_add(&set, changed);
        else
            ppi_bitset_remove(&set, changed);
        int64_t asked = random_between(&random, 0, size - 1);
        if (i % 8 == 0 && i % 64 != 0)
            asked = asked / 64 * 64; /* word boundaries */
        if (size < 6000 || i % 64 == 0) {
            assert_that(ppi_bitset_at_most(&set, asked) == nearest(member, size, asked, -1));
            assert_that(ppi_bitset_at_least(&set, asked) == nearest(member, size, asked, 1));
        }
    }
    ck_assert_int_eq(ppi_bitset_at_most(&set, -1), -1);
    ck_assert_int_eq(ppi_bitset_at_least(&set, size), -1);
    ck_assert_int_eq(ppi_bitset_at_least(&set, size + 64), -1);
    for (int64_t i = 0; i < size; i++)
        ppi_bitset_remove(&set, i);
    ck_assert_int_eq(ppi_bitset_at_most(&set, size - 1), -1);
    ck_assert_int_eq(ppi_bitset_at_least(&set, 0), -1);
    ppi_bitset_add(&set, size - 1);
    ck_assert_int_eq(ppi_bitset_at_least(&set, 0), size - 1);
    ppi_bitset_remove(&set, size - 1);
    ppi_bitset_add(&set, 0);
    ck_assert_int_eq(ppi_bitset_at_most(&set, size - 1), 0);
    ppi_bitset_destroy(&set, &mem);
    ppi_bitset_destroy(&set, &mem);
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

/* ---- histogram ---- */

static void check_histogram(const int64_t *lengths, int64_t n, bool ranked)
{
    int64_t shortest = INT64_MAX;
    int64_t longest = 0;
    for (int64_t i = 0; i < n; i++) {
        shortest = lengths[i] < shortest ? lengths[i] : shortest;
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    struct ppi_mem mem;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    struct histogram histogram;
    ck_assert_int_eq(ppi_histogram_create(&histogram, lengths, n, shortest, longest, &mem, NULL),
                     PP_OK);
    ck_assert_int_eq(histogram.lengths != NULL, ranked);
    ck_assert_int_le(histogram.n_slots, 5 * n + 1024);
    int32_t next = 0;
    int64_t last = histogram.n_slots - 1;
    for (int64_t slot = 0; slot <= last; slot++) {
        struct bucket bucket = histogram.buckets[slot];
        int64_t length = ppi_histogram_length(&histogram, slot);
        assert_that(bucket.next == next && bucket.end >= next);
        for (; next < bucket.end; next++) {
            assert_that(lengths[histogram.order[next]] == length);
            if (next > bucket.next)
                assert_that(histogram.order[next] > histogram.order[next - 1]);
        }
        assert_that(ppi_histogram_floor(&histogram, length, last) == slot);
        assert_that(ppi_histogram_floor(&histogram, length - 1, last) == slot - 1);
        assert_that(ppi_histogram_floor(&histogram, INT64_MAX, slot) == slot);
        assert_that(ppi_histogram_floor(&histogram, INT64_MAX, slot - 1) == slot - 1);
    }
    ck_assert_int_eq(next, n);
    ck_assert_int_eq(ppi_histogram_floor(&histogram, 0, last), -1);
    ppi_histogram_destroy(&histogram, &mem);
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}

START_TEST(histogram_groups_and_keeps_order)
{
    static int64_t lengths[3000];
    uint64_t random = SEED;
    for (int64_t n = 1; n <= 3000; n = n * 3 / 2 + 1) {
        for (int64_t width = 1; width < INT64_C(1) << 61; width *= 11) {
            for (int64_t i = 0; i < n; i++)
                lengths[i] = random_between(&random, 1, width);
            int64_t widest = 0;
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < n && n < 60; j++)
                    widest = lengths[i] - lengths[j] > widest ? lengths[i] - lengths[j] : widest;
            widest = n < 60 ? widest : width - 1;
            if (n < 60 || width < 4 * n + 1024 || width > 16 * n + 4096)
                check_histogram(lengths, n, widest >= 4 * n + 1024);
        }
    }
    check_histogram((const int64_t[]){1, INT64_MAX}, 2, true);
    check_histogram((const int64_t[]){INT64_MAX, INT64_MAX}, 2, false);
    check_histogram((const int64_t[]){7, 7 + 1024 + 7}, 2, false);
    check_histogram((const int64_t[]){7, 7 + 1024 + 8}, 2, true);
}
END_TEST

/* ---- bounds ---- */

START_TEST(bounds)
{
    ck_assert_int_eq(ppi_bound_l1(0, 0), 0);
    ck_assert_int_eq(ppi_bound_l1(1, 10), 1);
    ck_assert_int_eq(ppi_bound_l1(10, 10), 1);
    ck_assert_int_eq(ppi_bound_l1(11, 10), 2);
    ck_assert_int_eq(ppi_bound_l1(INT64_MAX, INT64_MAX), 1);
    ck_assert_int_eq(ppi_bound_l1(INT64_MAX, INT64_MAX - 1), 2);
    ck_assert_int_eq(ppi_bound_l1(INT64_MAX, INT64_C(1) << 62), 2);
    ck_assert_int_eq(ppi_bound_bins(0, 0), 0);
    ck_assert_int_eq(ppi_bound_bins(1, 1), 1);
    ck_assert_int_eq(ppi_bound_bins(1, 9), 1);
    ck_assert_int_eq(ppi_bound_bins(3, 9), 5);
    ck_assert_int_eq(ppi_bound_bins(9, 9), 9);
    ck_assert_int_eq(ppi_bound_bins(INT32_MAX, INT32_MAX), INT32_MAX);
}
END_TEST

/* ---- prompts of a plan ---- */

/* As a run does: the number of prompts, then the tokens of each. */
static pp_status match_plan(const pp_plan *plan, const pp_prompt *prompts, int64_t n, pp_error *err)
{
    pp_status status = ppi_plan_match_number(plan, n, err);
    for (int64_t i = 0; i < n && status >= 0; i++)
        status = ppi_plan_match_length(plan, i, prompts[i].n_tokens, err);
    return status;
}

START_TEST(prompts_match_their_plan)
{
    const int64_t lengths[] = {6, 3, 5};
    pp_plan *plan = make_plan(PP_POLICY_FFD, 10, lengths, 3); /* bins {0, 1}, {2} */
    pp_prompt prompts[3] = {{.n_tokens = 6}, {.n_tokens = 3}, {.n_tokens = 5}};
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(match_plan(plan, prompts, 3, &err), PP_OK);
    assert_error(match_plan(plan, prompts, 2, &err), &err, PP_ERR_ARG, -1,
                 "2 prompts given, but the plan was made from 3");
    prompts[2].n_tokens = 4;
    assert_error(match_plan(plan, prompts, 3, &err), &err, PP_ERR_ARG, 2,
                 "prompt 2 has 4 tokens, but the plan was made from one of 5");
    prompts[2].n_tokens = 5;
    prompts[1].n_tokens = 4;
    assert_error(match_plan(plan, prompts, 3, &err), &err, PP_ERR_ARG, 1, "prompt 1");
    prompts[0].n_tokens = 4;
    prompts[1].n_tokens = 5; /* the same sum */
    assert_error(match_plan(plan, prompts, 3, &err), &err, PP_ERR_ARG, 0, "prompt 0");
    prompts[0].n_tokens = 6;
    prompts[1].n_tokens = 0;
    assert_error(match_plan(plan, prompts, 3, &err), &err, PP_ERR_ARG, 1, "prompt 1");
    prompts[1].n_tokens = INT64_MAX;
    assert_error(match_plan(plan, prompts, 3, &err), &err, PP_ERR_ARG, 1, "prompt 1");
    pp_plan_destroy(plan);
    plan = make_plan(PP_POLICY_FFD, 10, NULL, 0);
    ck_assert_int_eq(match_plan(plan, NULL, 0, &err), PP_OK);
    pp_plan_destroy(plan);
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("plan parts");
    TCase *tcase = tcase_create("parts");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, bitset_against_an_array, 0, 13);
    tcase_add_test(tcase, histogram_groups_and_keeps_order);
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, prompts_match_their_plan);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
