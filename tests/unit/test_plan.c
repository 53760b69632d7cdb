/*
 * test_plan.c: every policy gives, bin for bin and prompt for prompt, what its textbook definition
 * gives, and the figures of a plan are right.
 */
#include "test_plan_support.h"

#include <math.h>

#define SEED    41
#define MAX_N   240
#define BIG_N   20000
#define BIG_31  (INT64_C(1) << 31)
#define BIG_40  (INT64_C(1) << 40)
#define HUGE_62 (INT64_C(1) << 62)

static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_BFD, PP_POLICY_ARRIVAL,
                                   PP_POLICY_FIRST_FIT, PP_POLICY_BEST_FIT};
#define N_POLICIES (sizeof policies / sizeof *policies)

/* ---- the definitions ---- */

/* A packing as an oracle writes it: the prompts in the order of placing and the bin of each. */
struct packing {
    int64_t n_bins;
    int32_t order[BIG_N];
    int32_t bin_of[BIG_N]; /* by place in order */
    int64_t tokens[BIG_N]; /* by bin */
};

static const int64_t *sort_lengths;

static int longer_first(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a;
    int32_t j = *(const int32_t *)b;
    if (sort_lengths[i] != sort_lengths[j])
        return sort_lengths[i] > sort_lengths[j] ? -1 : 1;
    return i < j ? -1 : i > j;
}

/* The bin that the policy chooses for a prompt, n_bins for a new one. */
static int64_t choose_bin(const struct packing *packing, int32_t policy, int64_t capacity,
                          int64_t length)
{
    int64_t best = packing->n_bins;
    if (policy == PP_POLICY_ARRIVAL)
        return best > 0 && length <= capacity - packing->tokens[best - 1] ? best - 1 : best;
    for (int64_t bin = 0; bin < packing->n_bins; bin++) {
        if (length > capacity - packing->tokens[bin])
            continue;
        if (policy == PP_POLICY_FFD || policy == PP_POLICY_FIRST_FIT)
            return bin;
        if (best == packing->n_bins || packing->tokens[bin] > packing->tokens[best])
            best = bin;
    }
    return best;
}

static void pack_by_definition(struct packing *packing, int32_t policy, int64_t capacity,
                               const int64_t *lengths, size_t n)
{
    packing->n_bins = 0;
    for (size_t i = 0; i < n; i++)
        packing->order[i] = (int32_t)i;
    sort_lengths = lengths;
    if (policy == PP_POLICY_FFD || policy == PP_POLICY_BFD)
        qsort(packing->order, n, sizeof *packing->order, longer_first);
    for (size_t i = 0; i < n; i++) {
        int64_t length = lengths[packing->order[i]];
        int64_t bin = choose_bin(packing, policy, capacity, length);
        if (bin == packing->n_bins)
            packing->tokens[packing->n_bins++] = 0;
        packing->tokens[bin] += length;
        packing->bin_of[i] = (int32_t)bin;
    }
}

static struct packing expected;

/* The plan is the packing, in the order of bins and within bins. */
static void assert_plan_is(const pp_plan *plan, const struct packing *packing, size_t n)
{
    static int64_t n_seen[BIG_N];
    assert_that(plan_info(plan).n_bins == packing->n_bins);
    memset(n_seen, 0, (size_t)packing->n_bins * sizeof *n_seen);
    for (size_t i = 0; i < n; i++) {
        const int32_t *prompts;
        int64_t n_prompts;
        int64_t tokens;
        int32_t bin = packing->bin_of[i];
        assert_that(pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL) == PP_OK);
        assert_that(n_seen[bin] < n_prompts);
        assert_that(prompts[n_seen[bin]] == packing->order[i]);
        n_seen[bin]++;
        assert_that(tokens == packing->tokens[bin]);
    }
    for (int64_t bin = 0; bin < packing->n_bins; bin++) {
        int64_t n_prompts;
        assert_that(pp_plan_get_bin(plan, bin, NULL, &n_prompts, NULL, NULL) == PP_OK);
        assert_that(n_prompts == n_seen[bin]);
    }
}

static void assert_figures(const pp_plan *plan, int32_t policy, int64_t capacity,
                           const int64_t *lengths, size_t n)
{
    pp_plan_info info = plan_info(plan);
    int64_t tokens = 0;
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        tokens += lengths[i];
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    int64_t cap = capacity ? capacity : longest;
    assert_that(info.policy == policy);
    assert_that(info.n_prompts == (int64_t)n);
    assert_that(info.capacity == cap);
    assert_that(info.tokens == tokens);
    assert_that(info.longest_prompt == longest);
    assert_that(info.bound_l1 == (n ? tokens / cap + (tokens % cap ? 1 : 0) : 0));
    assert_that(info.bound_l2 >= info.bound_l1);
    assert_that(info.bound_dff == 0 || info.bound_dff >= info.bound_l2);
    int64_t lower_bound = info.bound_dff > 0 ? info.bound_dff : info.bound_l2;
    assert_that(info.lower_bound == lower_bound);
    assert_that(info.n_bins >= lower_bound);
    assert_that(info.proven_optimal == (info.n_bins == lower_bound));
    assert_that(info.seconds >= 0.0 && info.seconds < 60.0);
    long double slots = (long double)info.n_bins * (long double)cap;
    long double waste = n ? 1.0L - (long double)tokens / slots : 0.0L;
    assert_that(fabs((double)(info.waste - waste)) < 1e-12);
    assert_that(info.waste >= 0.0);
    double gap = n ? (double)info.n_bins / (double)lower_bound - 1.0 : 0.0;
    assert_that(fabs(info.gap - gap) < 1e-12);
}

static void check_instance(int64_t capacity, const int64_t *lengths, size_t n)
{
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = lengths[i] > longest ? lengths[i] : longest;
    for (size_t i = 0; i < N_POLICIES; i++) {
        pp_plan *plan = make_plan(policies[i], capacity, lengths, n);
        pack_by_definition(&expected, policies[i], capacity ? capacity : longest, lengths, n);
        assert_plan_is(plan, &expected, n);
        assert_figures(plan, policies[i], capacity, lengths, n);
        pp_plan_destroy(plan);
    }
}

/* ---- instances ---- */

static const int64_t capacities[] = {0,    1,       2,      7,      10,      63,       64,   65,
                                     100,  127,     128,    129,    1000,    2048,     4095, 4096,
                                     4097, 1048576, BIG_31, BIG_40, HUGE_62, INT64_MAX};
#define N_CAPACITIES (sizeof capacities / sizeof *capacities)
#define N_SHAPES     9

/* n lengths in [1, most] of one of N_SHAPES kinds. */
static void draw_lengths(uint64_t *random, int shape, int64_t most, int64_t *lengths, size_t n)
{
    int64_t fixed = random_between(random, 1, most);
    for (size_t i = 0; i < n; i++) {
        int64_t length = random_between(random, 1, most);
        switch (shape) {
        case 1: /* all equal */
            length = fixed;
            break;
        case 2: /* all the longest there may be */
            length = most;
            break;
        case 3: /* short ones, many a bin */
            length = random_between(random, 1, most / 16 + 1);
            break;
        case 4: /* few different ones */
            length = most / random_between(random, 1, 7);
            break;
        case 5: /* around half: two a bin or one */
            length = most / 2 + random_between(random, -2, 2);
            break;
        case 6: /* around a third */
            length = most / 3 + random_between(random, -3, 3);
            break;
        case 7: /* at the word boundaries of the bit sets */
            length = 64 * random_between(random, 0, 80) + random_between(random, -1, 1);
            break;
        case 8: /* skewed: most short, some long */
            length = most >> random_between(random, 0, 10);
            break;
        }
        lengths[i] = length < 1 ? 1 : length > most ? most : length;
    }
}

START_TEST(plans_follow_their_definitions)
{
    uint64_t random = SEED + (uint64_t)_i;
    int64_t lengths[MAX_N];
    for (int i = 0; i < 250; i++) {
        int64_t capacity = capacities[next_random(&random) % N_CAPACITIES];
        size_t n = (size_t)random_between(&random, 0, i % 4 == 0 ? 8 : MAX_N);
        int64_t most = capacity ? capacity : random_between(&random, 1, 3000);
        if (n > 0 && most > INT64_MAX / (int64_t)n)
            most = INT64_MAX / (int64_t)n;
        draw_lengths(&random, (int)(next_random(&random) % N_SHAPES), most, lengths, n);
        check_instance(capacity, lengths, n);
    }
}
END_TEST

/* Every small instance: up to 5 prompts of lengths 1 .. 5 in bins of 5 .. 7. */
START_TEST(plans_of_all_small_instances)
{
    for (size_t n = 0; n <= 5; n++) {
        int64_t n_instances = 1;
        for (size_t i = 0; i < n; i++)
            n_instances *= 5;
        for (int64_t code = 0; code < n_instances; code++) {
            int64_t lengths[5];
            int64_t rest = code;
            for (size_t i = 0; i < n; i++, rest /= 5)
                lengths[i] = 1 + rest % 5;
            check_instance(5 + code % 3, lengths, n);
        }
    }
}
END_TEST

/* Lengths so far apart that memory in proportion to them could not be had, and the step from
 * counting lengths to ranking them. */
START_TEST(plans_of_lengths_far_apart)
{
    int64_t lengths[MAX_N];
    uint64_t random = SEED;
    for (int64_t width = 1020; width <= 1030 + 4 * 12; width++) {
        for (size_t i = 0; i < 12; i++)
            lengths[i] = 1000000 + random_between(&random, 0, width);
        lengths[0] = 1000000 + width;
        lengths[1] = 1000000;
        check_instance(3 * (1000000 + width), lengths, 12);
    }
    for (size_t i = 0; i < MAX_N; i++) /* one short, one of nearly 2^40, in turns */
        lengths[i] = i % 2 ? random_between(&random, 1, 9) : BIG_40 - (int64_t)i;
    check_instance(BIG_40, lengths, MAX_N);
    check_instance(BIG_40 + 1000, lengths, MAX_N);
    check_instance(0, lengths, MAX_N);
    check_instance(HUGE_62, lengths, MAX_N);
    check_instance(INT64_MAX, lengths, MAX_N);
    check_instance(HUGE_62, (const int64_t[]){HUGE_62}, 1);
    check_instance(INT64_MAX, (const int64_t[]){INT64_MAX}, 1);
    check_instance(INT64_MAX, (const int64_t[]){INT64_MAX - 1, 1}, 2);
    check_instance(0, (const int64_t[]){HUGE_62, HUGE_62 - 1}, 2);
}
END_TEST

START_TEST(plans_without_prompts)
{
    for (size_t i = 0; i < N_POLICIES; i++)
        for (int64_t capacity = 0; capacity <= 8; capacity += 8) {
            pp_plan *plan = make_plan(policies[i], capacity, NULL, 0);
            pp_plan_info info = plan_info(plan);
            ck_assert_int_eq(info.n_bins, 0);
            ck_assert_int_eq(info.capacity, capacity);
            ck_assert_int_eq(info.proven_optimal, 1);
            ck_assert(info.waste == 0.0 && info.gap == 0.0);
            pp_plan_destroy(plan);
        }
}
END_TEST

/* ---- skewed lists, as prompts come ---- */

static double next_normal(uint64_t *random)
{
    double u = ((double)(next_random(random) >> 11) + 0.5) * 0x1p-53;
    double v = ((double)(next_random(random) >> 11) + 0.5) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

START_TEST(plans_of_skewed_lists)
{
    static const struct {
        double median;
        double sigma;
        int64_t capacity;
    } lists[] = {{28, 1.3, 2048}, {28, 1.3, 8192}, {1020, 0.9, 4096}, {150, 0.7, 1024}};
    static int64_t lengths[BIG_N];
    uint64_t random = SEED;
    double median = lists[_i].median;
    int64_t capacity = lists[_i].capacity;
    for (size_t i = 0; i < BIG_N; i++) {
        int64_t length = (int64_t)(median * exp(lists[_i].sigma * next_normal(&random)));
        lengths[i] = length < 1 ? 1 : length > capacity ? capacity : length;
    }
    check_instance(capacity, lengths, BIG_N);
    pp_plan *plan = make_plan(PP_POLICY_FFD, capacity, lengths, BIG_N);
    ck_assert(plan_info(plan).gap < 0.02); /* such lists leave FFD next to nothing to lose */
    pp_plan_destroy(plan);
}
END_TEST

/* ---- quality ---- */

/* Fewest bins, by trying every assignment of prompts [i, n). */
static int64_t optimum(const int64_t *lengths, int n, int64_t capacity, int i, int64_t *tokens,
                       int64_t n_bins, int64_t best)
{
    if (n_bins >= best)
        return best;
    if (i == n)
        return n_bins;
    for (int64_t bin = 0; bin <= n_bins; bin++) {
        if (bin == n_bins)
            tokens[bin] = 0;
        if (tokens[bin] + lengths[i] > capacity)
            continue;
        tokens[bin] += lengths[i];
        int64_t found =
            optimum(lengths, n, capacity, i + 1, tokens, bin == n_bins ? n_bins + 1 : n_bins, best);
        best = found < best ? found : best;
        tokens[bin] -= lengths[i];
    }
    return best;
}

START_TEST(bins_against_the_optimum)
{
    uint64_t random = SEED;
    int n_proven = 0;
    for (int i = 0; i < 1500; i++) {
        int64_t lengths[9];
        int64_t tokens[9];
        int n = (int)random_between(&random, 1, 9);
        int64_t capacity = random_between(&random, 5, 60);
        draw_lengths(&random, (int)(next_random(&random) % N_SHAPES), capacity, lengths, (size_t)n);
        int64_t best = optimum(lengths, n, capacity, 0, tokens, 0, n + 1);
        for (size_t j = 0; j < N_POLICIES; j++) {
            pp_plan *plan = make_plan(policies[j], capacity, lengths, (size_t)n);
            pp_plan_info info = plan_info(plan);
            ck_assert_int_le(info.lower_bound, best);
            ck_assert_int_ge(info.n_bins, best);
            if (info.proven_optimal)
                ck_assert_int_eq(info.n_bins, best);
            if (policies[j] == PP_POLICY_ARRIVAL)
                ck_assert_int_le(info.n_bins, 2 * best);
            else if (policies[j] == PP_POLICY_FIRST_FIT || policies[j] == PP_POLICY_BEST_FIT)
                ck_assert_int_le(10 * info.n_bins, 17 * best);
            else
                ck_assert_int_le(9 * info.n_bins, 11 * best + 6);
            n_proven += info.proven_optimal;
            pp_plan_destroy(plan);
        }
    }
    ck_assert_int_gt(n_proven, 1000);
}
END_TEST

/* Triplets: each bin can be filled by three prompts exactly, so the optimum is n / 3. */
START_TEST(bins_of_triplets)
{
    uint64_t random = SEED;
    int64_t lengths[120];
    for (size_t i = 0; i < 120; i += 3) {
        lengths[i] = random_between(&random, 380, 490);
        lengths[i + 1] = random_between(&random, 251, 310);
        lengths[i + 2] = 1000 - lengths[i] - lengths[i + 1];
    }
    check_instance(1000, lengths, 120);
    for (size_t j = 0; j < N_POLICIES; j++) {
        pp_plan *plan = make_plan(policies[j], 1000, lengths, 120);
        pp_plan_info info = plan_info(plan);
        ck_assert_int_eq(info.lower_bound, 40);
        ck_assert_int_ge(info.n_bins, 40);
        ck_assert_int_le(info.n_bins,
                         policies[j] == PP_POLICY_FFD || policies[j] == PP_POLICY_BFD ? 49 : 79);
        pp_plan_destroy(plan);
    }
}
END_TEST

/* FFD and BFD see lengths only: any order of the prompts gives bins of the same lengths. */
START_TEST(bins_do_not_depend_on_the_order_of_prompts)
{
    uint64_t random = SEED;
    for (int i = 0; i < 300; i++) {
        int64_t lengths[MAX_N];
        int64_t shuffled[MAX_N];
        size_t n = (size_t)random_between(&random, 2, MAX_N);
        int64_t capacity = i % 2 ? 500 : BIG_40;
        draw_lengths(&random, i % N_SHAPES, capacity, lengths, n);
        memcpy(shuffled, lengths, sizeof lengths);
        for (size_t j = n - 1; j > 0; j--) {
            size_t k = next_random(&random) % (j + 1);
            int64_t length = shuffled[j];
            shuffled[j] = shuffled[k];
            shuffled[k] = length;
        }
        int32_t policy = policies[i / 2 % 2]; /* FFD, BFD */
        pp_plan *a = make_plan(policy, capacity, lengths, n);
        pp_plan *b = make_plan(policy, capacity, shuffled, n);
        ck_assert_int_eq(plan_info(a).n_bins, plan_info(b).n_bins);
        for (int64_t bin = 0; bin < plan_info(a).n_bins; bin++) {
            const int32_t *a_prompts;
            const int32_t *b_prompts;
            int64_t n_a;
            int64_t n_b;
            pp_plan_get_bin(a, bin, &a_prompts, &n_a, NULL, NULL);
            pp_plan_get_bin(b, bin, &b_prompts, &n_b, NULL, NULL);
            ck_assert_int_eq(n_a, n_b);
            for (int64_t j = 0; j < n_a; j++)
                assert_that(lengths[a_prompts[j]] == shuffled[b_prompts[j]]);
        }
        pp_plan_destroy(a);
        pp_plan_destroy(b);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("policies");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, plans_follow_their_definitions, 0, 12);
    tcase_add_test(tcase, plans_of_all_small_instances);
    tcase_add_test(tcase, plans_of_lengths_far_apart);
    tcase_add_test(tcase, plans_without_prompts);
    tcase_add_loop_test(tcase, plans_of_skewed_lists, 0, 4);
    tcase_add_test(tcase, bins_against_the_optimum);
    tcase_add_test(tcase, bins_of_triplets);
    tcase_add_test(tcase, bins_do_not_depend_on_the_order_of_prompts);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
