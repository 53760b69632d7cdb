/*
 * test_plan_bounds.c: the bounds of bounds.h against their definitions in rational numbers, against
 * packings (no bound is above one), and in the order that is a theorem.
 */
#include "test_plan_support.h"
#include "support/rounds.h"

#include "plan/fewest/bounds.h"
#include "plan/search/columns.h"

#define SEED  41
#define MAX_N 160

static struct ppi_mem mem;

/* The items as the planner's algorithms get them. */
static struct packing packing_of(const int64_t *sizes, int64_t n, int64_t capacity)
{
    struct packing packing = {.n = n, .sizes = sizes, .capacity = capacity, .shortest = INT64_MAX};
    for (int64_t i = 0; i < n; i++) {
        packing.shortest = sizes[i] < packing.shortest ? sizes[i] : packing.shortest;
        packing.longest = sizes[i] > packing.longest ? sizes[i] : packing.longest;
        packing.total += sizes[i];
    }
    return packing;
}

static struct size_counts count_sizes(const struct packing *packing)
{
    struct size_counts counts;
    assert_that(ppi_size_counts_count(&counts, packing, &mem, NULL) == PP_OK);
    return counts;
}

static int64_t div_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* ---- the definitions, for every alpha and eps there can be ---- */

static int64_t l2_by_definition(const int64_t *sizes, int64_t n, int64_t capacity)
{
    int64_t best = 0;
    for (int64_t alpha = 0; 2 * alpha <= capacity; alpha++) {
        int64_t n_long = 0, n_middle = 0, middle = 0, small = 0;
        for (int64_t i = 0; i < n; i++) {
            if (sizes[i] > capacity - alpha)
                n_long++;
            else if (2 * sizes[i] > capacity) {
                n_middle++;
                middle += sizes[i];
            } else if (sizes[i] >= alpha)
                small += sizes[i];
        }
        int64_t beside = small - (n_middle * capacity - middle);
        int64_t bound = n_long + n_middle + (beside > 0 ? div_up(beside, capacity) : 0);
        best = bound > best ? bound : best;
    }
    return best;
}

/* The k-th stair function after U^eps, in units of 1 / (k * capacity). */
static int64_t stair(int64_t size, int64_t eps, int64_t k, int64_t capacity)
{
    if (size > capacity - eps)
        size = capacity;
    else if (size < eps)
        size = 0;
    return (k + 1) * size % capacity == 0 ? k * size : (k + 1) * size / capacity * capacity;
}

static int64_t dff_by_definition(const int64_t *sizes, int64_t n, int64_t capacity, int64_t max_k)
{
    int64_t best = l2_by_definition(sizes, n, capacity);
    for (int64_t k = 1; k <= max_k; k++)
        for (int64_t eps = 0; 2 * eps <= capacity; eps++) {
            int64_t sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += stair(sizes[i], eps, k, capacity);
            int64_t bound = div_up(sum, k * capacity);
            best = bound > best ? bound : best;
        }
    return best;
}

static void draw_sizes(uint64_t *random, int shape, int64_t capacity, int64_t *sizes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t spread = capacity / 20 + 1;
        int64_t part = capacity / (shape + 1);
        int64_t size = shape == 0   ? random_between(random, 1, capacity)
                       : shape <= 3 ? part + random_between(random, -spread, spread)
                       : shape == 4 ? part + random_between(random, -1, 1)
                       : shape == 5 ? capacity / random_between(random, 1, 9)
                                    : random_between(random, capacity / 7, capacity / 2 + 1);
        sizes[i] = size < 1 ? 1 : size > capacity ? capacity : size;
    }
}

START_TEST(bounds_follow_their_definitions)
{
    uint64_t random = SEED + (uint64_t)_i;
    int n_above = 0;
    for (int i = 0; i < 400; i++) {
        int64_t sizes[40];
        int64_t n = random_between(&random, 1, 40);
        int64_t capacity = random_between(&random, 1, 200);
        draw_sizes(&random, _i, capacity, sizes, n);
        struct packing packing = packing_of(sizes, n, capacity);
        struct size_counts counts = count_sizes(&packing);
        int64_t l1 = ppi_bound_l1(packing.total, capacity);
        int64_t l2 = ppi_bound_l2(&counts);
        int64_t dff;
        assert_that(ppi_bound_dff(&counts, 12, INT64_MAX, &dff, &mem, NULL) == PP_OK);
        ck_assert_int_eq(l2, l2_by_definition(sizes, n, capacity));
        ck_assert_int_eq(dff, dff_by_definition(sizes, n, capacity, 12));
        assert_that(l1 <= l2 && l2 <= dff);
        n_above += dff > l2;
        ppi_size_counts_destroy(&counts, &mem);
    }
    if (_i == 2) /* around a third: the functions gain something */
        ck_assert_int_gt(n_above, 10);
}
END_TEST

/* ---- against packings ---- */

/* A packing that is known, made by cutting bins up: no bound is above its bins, with every scale
 * of sizes. */
START_TEST(no_bound_is_above_a_packing)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < rounds(300); i++) {
        int64_t sizes[MAX_N];
        int64_t n = 0, n_bins = 0;
        int64_t capacity =
            (INT64_C(1) << random_between(&random, 2, 40)) + random_between(&random, 0, 3);
        int64_t parts = random_between(&random, 2, 8);
        while (n + 8 <= MAX_N && n_bins < 18) {
            int64_t room = capacity;
            for (int64_t j = 0; j < parts && room > 0; j++) {
                int64_t size =
                    j == parts - 1 ? room : capacity / parts + random_between(&random, -2, 2);
                size = size < 1 ? 1 : size > room ? room : size;
                sizes[n++] = size;
                room -= size;
            }
            n_bins++;
        }
        struct packing packing = packing_of(sizes, n, capacity);
        struct size_counts counts = count_sizes(&packing);
        int64_t dff;
        assert_that(ppi_bound_dff(&counts, 100, INT64_MAX, &dff, &mem, NULL) == PP_OK);
        assert_that(ppi_bound_l2(&counts) <= dff && dff <= n_bins);
        struct search search = {
            .counts = &counts, .steps_left = 200000, .n_bins = INT64_MAX, .mem = &mem};
        struct generation generation;
        assert_that(ppi_generation_create(&generation, &search) == PP_OK);
        assert_that(ppi_generate(&generation, INT64_MAX) == PP_OK);
        assert_that(generation.bound <= n_bins);
        ppi_generation_destroy(&generation);
        ppi_size_counts_destroy(&counts, &mem);
    }
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

/* The linear program's bound is at least L1: it prices a token at 1 / capacity if nothing else. */
START_TEST(column_generation_proves_its_value)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < rounds(60); i++) {
        int64_t sizes[MAX_N];
        int64_t capacity = i % 4 == 3 ? INT64_C(1) << 40 : random_between(&random, 50, 700);
        draw_sizes(&random, _i, capacity, sizes, MAX_N);
        struct packing packing = packing_of(sizes, MAX_N, capacity);
        struct size_counts counts = count_sizes(&packing);
        struct search search = {
            .counts = &counts, .steps_left = 100000000, .n_bins = INT64_MAX, .mem = &mem};
        struct generation generation;
        assert_that(ppi_generation_create(&generation, &search) == PP_OK);
        assert_that(ppi_generate(&generation, INT64_MAX) == PP_OK);
        int64_t bound = generation.bound;
        if (generation.knapsack.table) { /* prices are exact */
            assert_that(bound >= ppi_bound_l2(&counts));
            int64_t dff;
            assert_that(ppi_bound_dff(&counts, 30, INT64_MAX, &dff, &mem, NULL) == PP_OK);
            assert_that(bound >= dff);
        }
        pp_plan *plan = make_plan(PP_POLICY_FFD, capacity, sizes, MAX_N);
        assert_that(bound <= plan_info(plan).n_bins);
        pp_plan_destroy(plan);
        ppi_generation_destroy(&generation);
        ppi_size_counts_destroy(&counts, &mem);
    }
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

/* ---- the knapsack ---- */

static int64_t most_value(const struct size_counts *counts, const int32_t *values, int32_t i,
                          int64_t room)
{
    int64_t best = 0;
    if (i == counts->n)
        return 0;
    for (int32_t k = 0; k <= counts->counts[i] && k * counts->sizes[i] <= room; k++) {
        int64_t value =
            k * (int64_t)values[i] + most_value(counts, values, i + 1, room - k * counts->sizes[i]);
        best = value > best ? value : best;
    }
    return best;
}

START_TEST(knapsacks_against_every_choice)
{
    uint64_t random = SEED;
    for (int i = 0; i < rounds(600); i++) {
        int64_t sizes[12];
        int64_t capacity = i % 2 ? random_between(&random, 10, 90) : INT64_C(1) << 35;
        draw_sizes(&random, i % 7, capacity, sizes, 12);
        struct packing packing = packing_of(sizes, 12, capacity);
        struct size_counts counts = count_sizes(&packing);
        int32_t values[12];
        for (int j = 0; j < 12; j++)
            values[j] = (int32_t)random_between(&random, 0, 1 << 20);
        struct knapsack knapsack;
        assert_that(ppi_knapsack_create(&knapsack, &counts, &mem, NULL) == PP_OK);
        assert_that((knapsack.table != NULL) == (i % 2 == 1));
        struct patterns patterns = {0};
        int64_t best = most_value(&counts, values, 0, capacity);
        int64_t most;
        int64_t steps;
        assert_that(ppi_knapsack_solve(&knapsack, values, counts.counts, best / 2, 5, &patterns,
                                       &most, &steps, &mem, NULL) == PP_OK);
        ck_assert_int_eq(most, best);
        for (int64_t p = 0; p < patterns.n; p++) {
            int64_t value = 0, size = 0;
            for (int64_t j = patterns.starts[p]; j < patterns.starts[p + 1]; j++) {
                struct part part = patterns.parts[j];
                assert_that(part.count >= 1 && part.count <= counts.counts[part.size]);
                assert_that(j == patterns.starts[p] || part.size > patterns.parts[j - 1].size);
                value += (int64_t)part.count * values[part.size];
                size += part.count * counts.sizes[part.size];
            }
            assert_that(size <= capacity && value > best / 2);
            assert_that(p > 0 || value == best);
        }
        assert_that(best == 0 || patterns.n > 0);
        ppi_patterns_destroy(&patterns, &mem);
        ppi_knapsack_destroy(&knapsack, &mem);
        ppi_size_counts_destroy(&counts, &mem);
    }
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    if (ppi_mem_init(&mem, NULL, 0, NULL) < 0)
        return 1;
    Suite *suite = suite_create("plan bounds");
    TCase *tcase = tcase_create("bounds");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, bounds_follow_their_definitions, 0, 7);
    tcase_add_loop_test(tcase, no_bound_is_above_a_packing, 0, 4);
    tcase_add_loop_test(tcase, column_generation_proves_its_value, 0, 7);
    tcase_add_test(tcase, knapsacks_against_every_choice);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
