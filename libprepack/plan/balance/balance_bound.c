/*
 * balance_bound.c: how cheap the dearest of k bins can be. Each bound holds for every assignment;
 * where a cost is not a sum of weights (tiles, per_pass), it is computed from the least tokens,
 * squares and prompts that some bin must hold.
 */
#include "balance.h"

#include <math.h>

struct totals {
    struct load all;
    int64_t shortest, longest; /* tokens of a prompt, at least and at most */
};

static struct totals sum_jobs(const struct balance *balance)
{
    struct totals totals = {.shortest = INT64_MAX};
    for (int64_t i = 0; i < balance->n; i++) {
        const struct job *job = &balance->jobs[i];
        ppi_load_add(&totals.all, job);
        /* an item of several prompts says little of each: at least 1 token, at most all */
        int64_t least = job->n_prompts > 1 ? 1 : job->tokens;
        totals.shortest = least < totals.shortest ? least : totals.shortest;
        totals.longest = job->tokens > totals.longest ? job->tokens : totals.longest;
    }
    return totals;
}

/* The cheapest load of so many tokens at least, on top of what `start` holds. */
static double cost_from(const struct balance *balance, const struct totals *totals,
                        struct load start, int64_t tokens, int64_t n_prompts)
{
    int64_t more = tokens > start.tokens ? tokens - start.tokens : 0;
    int64_t n_more =
        totals->longest > 0 ? more / totals->longest + (more % totals->longest != 0) : 0;
    if (n_more < n_prompts - start.n_prompts)
        n_more = n_prompts - start.n_prompts;
    if (more < n_more * totals->shortest)
        more = n_more * totals->shortest;
    start.tokens += more;
    start.squares += (double)more * (double)totals->shortest;
    start.n_prompts += n_more;
    return ppi_load_cost(balance->cost, &start);
}

/* All that is to be done, spread evenly over the bins that can be used; tokens are computed in
 * whole tiles. Using fewer bins makes each dearer. */
static double bound_mean(const struct balance *balance, const struct totals *totals)
{
    double all = ppi_load_cost(balance->cost, &totals->all) - balance->cost->per_pass;
    return balance->cost->per_pass + all / (double)balance->n_bins;
}

/* Some bin holds at least the mean of the tokens; the dearest item's bin holds at least what the
 * others have no room for. */
static double bound_rooms(const struct balance *balance, const struct totals *totals)
{
    int64_t n = balance->n_bins;
    int64_t tokens = totals->all.tokens / n + (totals->all.tokens % n != 0);
    double bound = cost_from(balance, totals, (struct load){0}, tokens, 1);
    struct load dearest = {0};
    ppi_load_add(&dearest, &balance->jobs[0]);
    int64_t others_tokens, others_prompts; /* at most, in the other bins */
    if (__builtin_mul_overflow(balance->capacity, n - 1, &others_tokens))
        others_tokens = INT64_MAX;
    if (__builtin_mul_overflow(balance->max_prompts, n - 1, &others_prompts))
        others_prompts = INT64_MAX;
    double cost = cost_from(balance, totals, dearest, totals->all.tokens - others_tokens,
                            totals->all.n_prompts - others_prompts);
    return cost > bound ? cost : bound;
}

/* Of the dearest j k + 1 items, some bin holds j + 1: at least as dear as the cheapest j + 1 of
 * them. Their tokens are rounded up to tiles where the dearest items are also the longest. */
static double bound_pigeons(const struct balance *balance)
{
    const struct job *jobs = balance->jobs;
    int64_t k = balance->n_bins;
    bool by_length = true;
    for (int64_t i = 1; i < balance->n && by_length; i++)
        by_length = jobs[i].tokens <= jobs[i - 1].tokens &&
                    jobs[i].squares <= jobs[i - 1].squares &&
                    jobs[i].n_prompts == jobs[0].n_prompts;
    double bound = 0;
    for (int64_t last = 0, count = 1; last < balance->n; last += k, count++) {
        struct load load = {0};
        for (int64_t i = last - count + 1; i <= last; i++)
            ppi_load_add(&load, &jobs[i]);
        double cost =
            by_length ? ppi_load_cost(balance->cost, &load) : balance->cost->per_pass + load.weight;
        bound = cost > bound ? cost : bound;
        if (count >= 64) /* from there on the mean is as good */
            break;
    }
    return bound;
}

/* Are all costs whole numbers that a double holds exactly? */
static bool has_whole_costs(const struct balance *balance, const struct totals *totals)
{
    const pp_cost_model *cost = balance->cost;
    return cost->per_square == 0 && floor(cost->per_pass) == cost->per_pass &&
           floor(cost->per_token) == cost->per_token &&
           floor(cost->per_prompt) == cost->per_prompt &&
           ppi_load_cost(cost, &totals->all) < 0x1p52;
}

double ppi_balance_bound(const struct balance *balance)
{
    struct totals totals = sum_jobs(balance);
    const double bounds[] = {bound_mean(balance, &totals), bound_rooms(balance, &totals),
                             bound_pigeons(balance)};
    double bound = 0;
    for (size_t i = 0; i < PPI_COUNT(bounds); i++)
        bound = bounds[i] > bound ? bounds[i] : bound;
    if (has_whole_costs(balance, &totals))
        return ceil(bound);
    /* what sums of doubles may have been rounded up by */
    return bound * (1 - 0x1p-53 * (double)(balance->n + 64));
}
