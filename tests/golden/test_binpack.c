/*
 * test_binpack.c: the planner on the OR-Library's instances u120 to u1000: FFD and BFD open as many
 * bins as is known of them, no bound is above the optimum, and the search finds and proves it.
 * PREPACK_GOLDEN_DIR names the folder of golden data.
 */
#include "unit/test_plan_support.h"

#define CAPACITY    150
#define SHORTEST    20
#define LONGEST     100
#define MAX_ITEMS   1000
#define N_INSTANCES 80

struct instance {
    char name[32];
    int n;
    int fewest;
    int64_t sizes[MAX_ITEMS];
};

static struct instance instances[N_INSTANCES];

static void read_instances(void)
{
    char path[4096];
    const char *dir = getenv("PREPACK_GOLDEN_DIR");
    snprintf(path, sizeof path, "%s/binpack/orlib.txt", dir ? dir : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    for (int i = 0; i < N_INSTANCES; i++) {
        struct instance *instance = &instances[i];
        assert_that(fscanf(file, "%31s %d %d", instance->name, &instance->n, &instance->fewest) ==
                    3);
        int n = 0;
        for (int64_t size = SHORTEST; size <= LONGEST; size++) {
            int count;
            assert_that(fscanf(file, "%d", &count) == 1 && count >= 0 && count <= MAX_ITEMS - n);
            while (count-- > 0)
                instance->sizes[n++] = size;
        }
        assert_that(n == instance->n);
    }
    fclose(file);
}

/* Bins of all instances by a policy; every item is in one bin and every bin within the capacity. */
static int64_t count_bins(int32_t policy, int64_t *n_best, int64_t *n_proven)
{
    int64_t n_bins = 0;
    *n_best = *n_proven = 0;
    for (int i = 0; i < N_INSTANCES; i++) {
        const struct instance *instance = &instances[i];
        pp_plan *plan = make_plan(policy, CAPACITY, instance->sizes, (size_t)instance->n);
        pp_plan_info info = plan_info(plan);
        ck_assert_msg(info.lower_bound <= instance->fewest && info.n_bins >= instance->fewest,
                      "%s: %lld bins, bound %lld, optimum %d", instance->name,
                      (long long)info.n_bins, (long long)info.lower_bound, instance->fewest);
        assert_that(plan_is_a_packing(plan, CAPACITY, instance->sizes, (size_t)instance->n));
        n_bins += info.n_bins;
        *n_best += info.n_bins == instance->fewest;
        *n_proven += info.proven_optimal;
        pp_plan_destroy(plan);
    }
    return n_bins;
}

START_TEST(heuristics_open_the_known_numbers)
{
    int64_t n_best;
    int64_t n_proven;
    read_instances();
    ck_assert_int_eq(count_bins(PP_POLICY_FFD, &n_best, &n_proven), 15243);
    ck_assert_int_eq(n_best, 6);
    ck_assert_int_eq(count_bins(PP_POLICY_BFD, &n_best, &n_proven), 15243);
    ck_assert_int_eq(n_best, 6);
    ck_assert_int_lt(count_bins(PPI_POLICY_MBS, &n_best, &n_proven), 15243 - 100);
}
END_TEST

START_TEST(searches_find_the_optimum)
{
    int64_t n_best;
    int64_t n_proven;
    read_instances();
    ck_assert_int_eq(count_bins(PP_POLICY_EXACT, &n_best, &n_proven), 15048);
    ck_assert_int_eq(n_best, N_INSTANCES);
    ck_assert_int_eq(n_proven, N_INSTANCES);
    count_bins(PP_POLICY_AUTO, &n_best, &n_proven); /* its limits leave one or two */
    ck_assert_int_ge(n_proven, N_INSTANCES - 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("binpack");
    TCase *tcase = tcase_create("OR-Library");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, heuristics_open_the_known_numbers);
    tcase_add_test(tcase, searches_find_the_optimum);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
