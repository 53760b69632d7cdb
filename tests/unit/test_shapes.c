/*
 * test_shapes.c: CHEAPEST against every way to put small cases into rows; its candidates, its
 * bound, its order.
 */
#include "test_balance_support.h"

#define SEED     41
#define N_SHAPES 5

/* ---- every way ---- */

struct oracle {
    const struct balance_case *c;
    int64_t n_used; /* rows that have prompts so far */
    int64_t tokens[CASE_MAX_N], n_prompts[CASE_MAX_N];
    double best;
};

/* The cost of a row that holds so much, INFINITY when no shape does. */
static double cost_of_row(const struct balance_case *c, int64_t tokens, int64_t n_prompts)
{
    double best = INFINITY;
    for (int64_t i = 0; i < c->params.n_capacities; i++) {
        int64_t shape = c->params.capacities[i];
        if (tokens <= shape)
            best = fmin(best, cost_of(&c->cost, shape, (double)shape * (double)shape, n_prompts));
    }
    return best;
}

static void place_from(struct oracle *oracle, int64_t i)
{
    const struct balance_case *c = oracle->c;
    if (i == c->n) {
        double sum = 0;
        for (int64_t row = 0; row < oracle->n_used; row++)
            sum += cost_of_row(c, oracle->tokens[row], oracle->n_prompts[row]);
        oracle->best = fmin(oracle->best, sum);
        return;
    }
    int64_t length = c->lengths[i];
    int64_t first = c->params.keep_order && oracle->n_used > 0 ? oracle->n_used - 1 : 0;
    for (int64_t row = first; row <= oracle->n_used; row++) {
        if (cost_of_row(c, oracle->tokens[row] + length, 1) == INFINITY ||
            (c->params.max_prompts > 0 && oracle->n_prompts[row] == c->params.max_prompts))
            continue;
        bool opens = row == oracle->n_used;
        oracle->n_used += opens;
        oracle->tokens[row] += length;
        oracle->n_prompts[row]++;
        place_from(oracle, i + 1);
        oracle->n_prompts[row]--;
        oracle->tokens[row] -= length;
        oracle->n_used -= opens;
    }
}

static double best_of_all(const struct balance_case *c)
{
    struct oracle oracle = {.c = c, .best = INFINITY};
    place_from(&oracle, 0);
    return oracle.best;
}

/* ---- cases ---- */

static void random_case(uint64_t *random, struct balance_case *c, int64_t *capacities,
                        int64_t max_n)
{
    flat_init(&c->params);
    c->params.objective = PP_OBJECTIVE_CHEAPEST;
    random_cost(random, &c->cost);
    c->params.cost = &c->cost;
    c->n = random_between(random, 1, max_n);
    int64_t largest =
        random_between(random, 0, 9) == 0 ? INT64_C(1) << 40 : random_between(random, 1, 90);
    int64_t longest = random_between(random, 1, largest);
    for (int64_t i = 0; i < c->n; i++)
        c->lengths[i] = random_between(random, 1, longest);
    c->params.n_capacities = random_between(random, 1, N_SHAPES);
    for (int64_t i = 0; i < c->params.n_capacities; i++)
        capacities[i] = random_between(random, 1, largest);
    capacities[random_between(random, 0, c->params.n_capacities - 1)] = largest;
    c->params.capacities = capacities;
    if (random_between(random, 0, 2) == 0)
        c->params.max_prompts = random_between(random, 1, c->n);
}

/* Plans the case; returns the plan's cost. */
static double check_policy(struct balance_case *c, int32_t policy, double best, pp_plan_info *info)
{
    c->params.policy = policy;
    pp_plan *plan = NULL;
    pp_error err;
    assert_case(c, plan_case(c, &plan, &err) == PP_OK);
    check_bins(c, plan);
    *info = plan_info(plan);
    double sum = 0;
    for (int64_t row = 0; row < info->n_bins; row++) {
        pp_bin_info bin = {.struct_size = sizeof bin};
        assert_that(pp_plan_get_bin_info(plan, row, &bin, NULL) == PP_OK);
        bool allowed = false;
        for (int64_t i = 0; i < c->params.n_capacities; i++)
            allowed = allowed || c->params.capacities[i] == bin.capacity;
        assert_case(c, allowed && bin.n_segments > 0);
        assert_case(c, nearly(bin.cost, cost_of_row(c, bin.tokens, bin.n_segments)));
        sum += bin.cost;
    }
    assert_case(c, nearly(sum, info->mean_cost * (double)info->n_bins));
    assert_case(c, sum >= best * (1 - 1e-12));
    assert_case(c, info->cost_bound <= best * (1 + 1e-15));
    assert_case(c, info->lower_bound <= info->n_bins);
    assert_case(c, info->proven_optimal == (info->gap == 0 && nearly(sum, info->cost_bound)));
    if (info->proven_optimal)
        assert_case(c, nearly(sum, best));
    pp_plan_destroy(plan);
    return sum;
}

static double cost_of_bucketing(const struct balance_case *c)
{
    double sum = 0;
    for (int64_t i = 0; i < c->n; i++)
        sum += cost_of_row(c, c->lengths[i], 1);
    return sum;
}

START_TEST(against_every_way)
{
    uint64_t random = SEED + (uint64_t)_i;
    double ratio = 0;
    int64_t n_ordered = 0, n_packed = 0, n_best = 0, n_proven = 0, n_cases = 0;
    for (int i = 0; i < 1500; i++) {
        struct balance_case c;
        int64_t capacities[N_SHAPES];
        random_case(&random, &c, capacities, 8);
        double best = best_of_all(&c);
        pp_plan_info info;
        double ordered = check_policy(&c, PPI_POLICY_ORDERED, best, &info);
        assert_case(&c, info.policy == PP_POLICY_AUTO && info.n_bins == c.n);
        assert_case(&c, nearly(ordered, cost_of_bucketing(&c)));
        double ffd = check_policy(&c, PP_POLICY_FFD, best, &info);
        assert_case(&c, info.policy == PP_POLICY_FFD);
        double cheapest = check_policy(&c, PP_POLICY_AUTO, best, &info);
        assert_case(&c, cheapest <= ffd * (1 + 1e-12) && cheapest <= ordered * (1 + 1e-12));
        if (best == 0)
            continue;
        n_ordered += info.n_bins == c.n;
        n_packed += info.n_bins != c.n;
        n_best += nearly(cheapest, best);
        n_proven += info.proven_optimal;
        n_cases++;
        ratio += cheapest / best;
    }
    printf("# AUTO: %lld of %lld optimal, %lld proven, %.4f of the optimum in the mean, %lld "
           "ordered\n",
           (long long)n_best, (long long)n_cases, (long long)n_proven, ratio / (double)n_cases,
           (long long)n_ordered);
    fflush(stdout);
    ck_assert_double_lt(ratio / (double)n_cases, 1.03);
    ck_assert_int_gt(n_ordered, 50);
    ck_assert_int_gt(n_packed, 50);
}
END_TEST

START_TEST(rows_in_order_against_every_way)
{
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < 1500; i++) {
        struct balance_case c;
        int64_t capacities[N_SHAPES];
        random_case(&random, &c, capacities, 13);
        c.params.keep_order = 1;
        double best = best_of_all(&c);
        pp_plan_info info;
        double cheapest = check_policy(&c, PP_POLICY_FFD, best, &info);
        assert_case(&c, info.policy == PP_POLICY_ARRIVAL);
        assert_case(&c, nearly(cheapest, best) && info.proven_optimal);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("shapes");
    TCase *tcase = tcase_create("shapes");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, against_every_way, 0, 4);
    tcase_add_loop_test(tcase, rows_in_order_against_every_way, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
