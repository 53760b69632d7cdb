/*
 * test_balance.c: BALANCED against every assignment there is, for small cases; its bound, its
 * limits, its order; and what its policies promise for large ones.
 */
#include "test_balance_support.h"

#define SEED 41

/* ---- every assignment ---- */

struct oracle {
    const struct balance_case *c;
    int64_t n_used; /* bins that have prompts so far */
    int64_t tokens[CASE_MAX_N], n_prompts[CASE_MAX_N];
    double squares[CASE_MAX_N];
    double best;
};

static void place_from(struct oracle *oracle, int64_t i)
{
    const struct balance_case *c = oracle->c;
    if (i == c->n) {
        double dearest = 0;
        for (int64_t bin = 0; bin < oracle->n_used; bin++)
            dearest = fmax(dearest, cost_of(&c->cost, oracle->tokens[bin], oracle->squares[bin],
                                            oracle->n_prompts[bin]));
        oracle->best = fmin(oracle->best, dearest);
        return;
    }
    int64_t length = c->lengths[i];
    double square = (double)length * (double)length;
    int64_t first = c->params.keep_order && oracle->n_used > 0 ? oracle->n_used - 1 : 0;
    for (int64_t bin = first; bin <= oracle->n_used && bin < c->params.n_bins; bin++) {
        if ((c->params.capacity > 0 && oracle->tokens[bin] + length > c->params.capacity) ||
            (c->params.max_prompts > 0 && oracle->n_prompts[bin] == c->params.max_prompts))
            continue;
        bool opens = bin == oracle->n_used;
        oracle->n_used += opens;
        oracle->tokens[bin] += length;
        oracle->n_prompts[bin]++;
        double squares = oracle->squares[bin];
        oracle->squares[bin] += square;
        place_from(oracle, i + 1);
        oracle->squares[bin] = squares;
        oracle->n_prompts[bin]--;
        oracle->tokens[bin] -= length;
        oracle->n_used -= opens;
    }
}

/* Cost of the dearest bin of the best assignment, INFINITY when there is none. */
static double best_of_all(const struct balance_case *c)
{
    struct oracle oracle = {.c = c, .best = INFINITY};
    place_from(&oracle, 0);
    return oracle.best;
}

/* ---- cases ---- */

static void random_case(uint64_t *random, struct balance_case *c, int64_t max_n)
{
    flat_init(&c->params);
    c->params.objective = PP_OBJECTIVE_BALANCED;
    random_cost(random, &c->cost);
    c->params.cost = &c->cost;
    c->n = random_between(random, 1, max_n);
    c->params.n_bins = random_between(random, 1, 5);
    int64_t longest =
        random_between(random, 0, 9) == 0 ? INT64_C(1) << 40 : random_between(random, 1, 60);
    int64_t total = 0, most = 0;
    for (int64_t i = 0; i < c->n; i++) {
        c->lengths[i] = random_between(random, 1, longest);
        total += c->lengths[i];
        most = c->lengths[i] > most ? c->lengths[i] : most;
    }
    if (random_between(random, 0, 1)) { /* from hopeless to loose */
        int64_t mean = total / c->params.n_bins + 1;
        c->params.capacity = random_between(random, mean * 9 / 10, mean * 3 / 2) + 1;
        if (c->params.capacity < most)
            c->params.capacity = most;
    }
    if (random_between(random, 0, 2) == 0)
        c->params.max_prompts = random_between(random, 1, c->n);
}

static int64_t n_lost; /* feasible cases in which nothing was found */

/* Plans the case; returns the cost of its dearest bin, INFINITY when there is no plan. */
static double check_policy(struct balance_case *c, int32_t policy, double best)
{
    c->params.policy = policy;
    pp_plan *plan = NULL;
    pp_error err;
    if (plan_case(c, &plan, &err) != PP_OK) {
        n_lost += best < INFINITY;
        assert_case(c, strstr(err.message, "need") != NULL);
        return INFINITY;
    }
    assert_case(c, best < INFINITY);
    check_bins(c, plan);
    pp_plan_info info = plan_info(plan);
    assert_case(c, info.n_bins == c->params.n_bins);
    double dearest = 0, sum = 0;
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        pp_bin_info bin_info = {.struct_size = sizeof bin_info};
        ck_assert_int_eq(pp_plan_get_bin_info(plan, bin, &bin_info, NULL), PP_OK);
        dearest = fmax(dearest, bin_info.cost);
        sum += bin_info.cost;
    }
    assert_case(c, nearly(info.max_cost, dearest));
    assert_case(c, nearly(info.mean_cost * (double)info.n_bins, sum));
    assert_case(c, info.max_cost >= best * (1 - 1e-12));
    assert_case(c, info.cost_bound <= best);
    assert_case(c, info.gap >= 0);
    if (info.proven_optimal)
        assert_case(c, nearly(info.max_cost, best) && info.gap == 0);
    else
        assert_case(c, info.max_cost > info.cost_bound);
    pp_plan_destroy(plan);
    return info.max_cost;
}

START_TEST(against_every_assignment)
{
    uint64_t random = SEED + (uint64_t)_i;
    double ratio = 0;
    int64_t n_found = 0, n_proven = 0, n_best = 0;
    n_lost = 0;
    for (int i = 0; i < 1500; i++) {
        struct balance_case c;
        random_case(&random, &c, 9);
        double best = best_of_all(&c);
        double lpt = check_policy(&c, PPI_POLICY_LPT, best);
        double kk = check_policy(&c, PPI_POLICY_KK, best);
        double both = check_policy(&c, PP_POLICY_AUTO, best);
        assert_case(&c, both <= lpt * (1 + 1e-12) && both <= kk * (1 + 1e-12));
        double k = (double)c.params.n_bins;
        if (c.params.capacity == 0 && c.params.max_prompts == 0 && c.cost.tile == 1)
            assert_case(&c, lpt <= best * (4.0 / 3 - 1 / (3 * k)) * (1 + 1e-12));
        if (both == INFINITY || best == 0)
            continue;
        n_found++;
        n_best += nearly(both, best);
        ratio += both / best;
    }
    (void)n_proven;
    printf("# AUTO: %lld of %lld optimal, %.4f of the optimum in the mean, %lld not found\n",
           (long long)n_best, (long long)n_found, ratio / (double)n_found, (long long)n_lost / 3);
    fflush(stdout);
    ck_assert_double_lt(ratio / (double)n_found, 1.01);
    ck_assert_int_lt(n_lost, 3 * 1500 / 50);
}
END_TEST

START_TEST(runs_against_every_run)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < 1500; i++) {
        struct balance_case c;
        random_case(&random, &c, 14);
        c.params.keep_order = 1;
        double best = best_of_all(&c);
        pp_plan *plan = NULL;
        pp_error err;
        c.params.policy = PPI_POLICY_KK;
        pp_status status = plan_case(&c, &plan, &err);
        assert_case(&c, (status == PP_OK) == (best < INFINITY));
        if (status != PP_OK)
            continue;
        check_bins(&c, plan);
        pp_plan_info info = plan_info(plan);
        assert_case(&c, info.n_bins == c.params.n_bins && info.policy == PP_POLICY_ARRIVAL);
        assert_case(&c, nearly(info.max_cost, best) && info.proven_optimal && info.gap == 0);
        assert_case(&c, info.cost_bound <= info.max_cost);
        pp_plan_destroy(plan);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("balance");
    TCase *tcase = tcase_create("balance");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, against_every_assignment, 0, 4);
    tcase_add_loop_test(tcase, runs_against_every_run, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
