/*
 * test_balance_items.c: BALANCED and CHEAPEST of items that are not whole prompts: of several
 * prompts, or with a size above their tokens. Against every assignment; and LPT against its
 * definition.
 */
#include "test_balance_support.h"

#include "plan/balance/balance.h"

#define SEED  41
#define MAX_N 8

struct items {
    struct packing packing;
    pp_cost_model cost;
    int64_t sizes[MAX_N], tokens[MAX_N];
    int32_t n_prompts[MAX_N];
    double squares[MAX_N];
    int64_t shapes[3];
};

static void random_items(uint64_t *random, struct items *items)
{
    random_cost(random, &items->cost);
    items->packing = (struct packing){.n = random_between(random, 1, MAX_N),
                                      .sizes = items->sizes,
                                      .n_prompts = items->n_prompts,
                                      .tokens = items->tokens,
                                      .squares = items->squares,
                                      .shortest = INT64_MAX,
                                      .cost = &items->cost,
                                      .policy = PP_POLICY_AUTO,
                                      .capacity = INT64_MAX,
                                      .max_prompts = INT64_MAX,
                                      .n_bins = random_between(random, 1, 4)};
    struct packing *packing = &items->packing;
    int64_t most = 0, n_prompts = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        items->n_prompts[i] = (int32_t)random_between(random, 1, 3);
        items->tokens[i] = 0;
        items->squares[i] = items->sizes[i] = 0;
        for (int32_t j = 0; j < items->n_prompts[i]; j++) {
            int64_t length = random_between(random, 1, 50);
            items->tokens[i] += length;
            items->squares[i] += (double)length * (double)length;
            items->sizes[i] += (length + 7) / 8 * 8;
        }
        int64_t size = items->sizes[i];
        packing->total += size;
        packing->shortest = size < packing->shortest ? size : packing->shortest;
        packing->longest = size > packing->longest ? size : packing->longest;
        n_prompts += items->n_prompts[i];
        most = items->n_prompts[i] > most ? items->n_prompts[i] : most;
    }
    if (random_between(random, 0, 1))
        packing->capacity = packing->longest + random_between(random, 0, packing->total);
    if (random_between(random, 0, 1))
        packing->max_prompts = random_between(random, most, n_prompts);
}

/* The cheapest shape that holds so much, by its row's cost. */
static double cost_of_row(const struct items *items, int64_t size, int64_t n_prompts)
{
    for (int64_t i = 0; i < items->packing.n_capacities; i++) {
        double shape = (double)items->shapes[i];
        if (size <= items->shapes[i])
            return cost_of(&items->cost, items->shapes[i], shape * shape, n_prompts);
    }
    return INFINITY;
}

struct sums {
    int64_t size, tokens, n_prompts;
    double squares;
};

/* What bins cost by the objective, INFINITY when one holds too much. */
static double judge(const struct items *items, int32_t objective, const struct sums *bins,
                    int64_t n_bins)
{
    double cost = 0;
    for (int64_t bin = 0; bin < n_bins; bin++) {
        const struct sums *sums = &bins[bin];
        if (sums->n_prompts == 0)
            continue;
        if (sums->size > items->packing.capacity || sums->n_prompts > items->packing.max_prompts)
            return INFINITY;
        if (objective == PP_OBJECTIVE_CHEAPEST)
            cost += cost_of_row(items, sums->size, sums->n_prompts);
        else
            cost = fmax(cost, cost_of(&items->cost, sums->tokens, sums->squares, sums->n_prompts));
    }
    return cost;
}

static void add_item(const struct items *items, int64_t i, struct sums *sums)
{
    sums->size += items->sizes[i];
    sums->tokens += items->tokens[i];
    sums->n_prompts += items->n_prompts[i];
    sums->squares += items->squares[i];
}

static double best_of_all(const struct items *items, int32_t objective, int64_t max_bins)
{
    int64_t n_ways = 1;
    for (int64_t i = 0; i < items->packing.n; i++)
        n_ways *= max_bins;
    double best = INFINITY;
    for (int64_t way = 0; way < n_ways; way++) {
        struct sums bins[MAX_N] = {{0}};
        int64_t left = way;
        for (int64_t i = 0; i < items->packing.n; i++, left /= max_bins)
            add_item(items, i, &bins[left % max_bins]);
        best = fmin(best, judge(items, objective, bins, max_bins));
    }
    return best;
}

/* Packs, checks that every item is there once and the bound; returns the cost. */
static double pack_items(const struct items *items, int32_t objective, double best)
{
    const struct packing *packing = &items->packing;
    struct ppi_mem mem;
    assert_that(ppi_mem_init(&mem, NULL, 0, NULL) == PP_OK);
    int32_t listed[MAX_N];
    int64_t starts[MAX_N + 2], sizes[MAX_N + 1], capacities[MAX_N + 1];
    struct bins bins = {.items = listed,
                        .starts = starts,
                        .sizes = sizes,
                        .capacities = capacities,
                        .policy = packing->policy};
    pp_status status = ppi_pack(objective, packing, &bins, &mem, NULL);
    assert_that(atomic_load(&mem.bytes) == 0);
    if (status == PP_ERR_TOO_LONG)
        return INFINITY;
    assert_that(status == PP_OK);
    struct sums sums[MAX_N + 1] = {{0}};
    unsigned seen = 0;
    for (int64_t bin = 0; bin < bins.n; bin++) {
        for (int64_t i = starts[bin]; i < starts[bin + 1]; i++) {
            assert_that((seen & 1u << listed[i]) == 0);
            seen |= 1u << listed[i];
            add_item(items, listed[i], &sums[bin]);
        }
        assert_that(sizes[bin] == sums[bin].size);
        assert_that(objective != PP_OBJECTIVE_CHEAPEST || sizes[bin] <= capacities[bin]);
    }
    assert_that(seen == (1u << packing->n) - 1);
    double cost = judge(items, objective, sums, bins.n);
    assert_that(cost < INFINITY && cost >= best * (1 - 1e-12));
    assert_that(bins.cost_bound <= best * (1 + 1e-15));
    return cost;
}

START_TEST(balanced_items)
{
    static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
    uint64_t random = SEED;
    double ratio = 0;
    int n_found = 0, n_lost = 0;
    for (int i = 0; i < 600; i++) {
        struct items items;
        random_items(&random, &items);
        items.packing.policy = policies[i % 3];
        double best = best_of_all(&items, PP_OBJECTIVE_BALANCED, items.packing.n_bins);
        double cost = pack_items(&items, PP_OBJECTIVE_BALANCED, best);
        n_lost += cost == INFINITY && best < INFINITY;
        if (cost < INFINITY && best > 0 && items.packing.policy == PP_POLICY_AUTO) {
            ratio += cost / best;
            n_found++;
        }
    }
    printf("# AUTO: %.4f of the optimum in the mean; %d not found\n", ratio / n_found, n_lost);
    fflush(stdout);
    ck_assert_double_lt(ratio / n_found, 1.01);
    ck_assert_int_lt(n_lost, 12);
}
END_TEST

START_TEST(rows_of_items)
{
    uint64_t random = SEED;
    double ratio = 0;
    int n_found = 0;
    for (int i = 0; i < 120; i++) {
        struct items items;
        random_items(&random, &items);
        struct packing *packing = &items.packing;
        packing->n = packing->n < 6 ? packing->n : 6;
        items.shapes[0] = packing->longest / 2 + 1;
        items.shapes[1] = packing->longest;
        items.shapes[2] = 2 * packing->longest;
        packing->capacities = items.shapes;
        packing->n_capacities = 3;
        packing->capacity = items.shapes[2];
        packing->total = packing->longest = 0;
        packing->shortest = INT64_MAX;
        for (int64_t j = 0; j < packing->n; j++) {
            int64_t size = items.sizes[j];
            packing->total += size;
            packing->longest = size > packing->longest ? size : packing->longest;
            packing->shortest = size < packing->shortest ? size : packing->shortest;
        }
        double best = best_of_all(&items, PP_OBJECTIVE_CHEAPEST, packing->n);
        packing->keep_order = false;
        double cost = pack_items(&items, PP_OBJECTIVE_CHEAPEST, best);
        if (best > 0) {
            ratio += cost / best;
            n_found++;
        }
    }
    printf("# AUTO: %.4f of the optimum in the mean\n", ratio / n_found);
    fflush(stdout);
    ck_assert_double_lt(ratio / n_found, 1.05);
}
END_TEST

/* Each item, longest first, into the lightest bin, of equal ones the first. */
START_TEST(lpt_follows_its_definition)
{
    uint64_t random = SEED;
    for (int i = 0; i < 300; i++) {
        enum { N = 300, MAX_BINS = 40 };
        int64_t lengths[N], loads[MAX_BINS] = {0}, n_bins = random_between(&random, 1, MAX_BINS);
        for (int j = 0; j < N; j++)
            lengths[j] = random_between(&random, 1, i % 2 ? 9 : 5000);
        struct flat_params params;
        flat_init(&params);
        params.objective = PP_OBJECTIVE_BALANCED;
        params.policy = PPI_POLICY_LPT;
        params.n_bins = n_bins;
        pp_packer *packer = NULL;
        pp_plan *plan = NULL;
        assert_that(flat_create(&params, &packer, NULL) == PP_OK);
        assert_that(pp_packer_plan(packer, lengths, N, &plan, NULL) == PP_OK);
        pp_packer_destroy(packer);
        for (int j = 0; j < N; j++) {
            int longest = 0, lightest = 0;
            for (int k = 1; k < N; k++)
                longest = lengths[k] > lengths[longest] ? k : longest;
            for (int k = 1; k < n_bins; k++)
                lightest = loads[k] < loads[lightest] ? k : lightest;
            loads[lightest] += lengths[longest];
            lengths[longest] = 0;
        }
        for (int64_t bin = 0; bin < n_bins; bin++) {
            int64_t tokens;
            assert_that(pp_plan_get_bin(plan, bin, NULL, NULL, &tokens, NULL) == PP_OK);
            assert_that(tokens == loads[bin]);
        }
        pp_plan_destroy(plan);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("balance items");
    TCase *tcase = tcase_create("items");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, balanced_items);
    tcase_add_test(tcase, rows_of_items);
    tcase_add_test(tcase, lpt_follows_its_definition);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
