/*
 * resplit.c: the jobs of two bins divided between them anew: a depth-first search that puts each
 * job, dearest first, on the lighter side first (the complete greedy algorithm, Korf 1998), so that
 * the cheapest jobs, which trim the difference, are varied most.
 */
#include "balance.h"

#include <string.h>

struct search {
    const struct balance *balance;
    const int32_t *jobs;
    int64_t n;
    struct load loads[2];
    unsigned char sides[PPI_MOST_SPLIT]; /* of the jobs placed so far */
    bool both[PPI_MOST_SPLIT];           /* the other side has been tried, too */
};

static const struct job *job_at(const struct search *search, int64_t depth)
{
    return &search->balance->jobs[search->jobs[depth]];
}

/* Puts the job on a side unless that has no room or no split below the limit can follow. */
static bool place(struct search *search, int64_t depth, unsigned char side, double limit)
{
    const struct balance *balance = search->balance;
    struct load *load = &search->loads[side];
    const struct job *job = job_at(search, depth);
    if (!ppi_load_fits(balance, load, job) ||
        balance->cost->per_pass + load->weight + job->weight >= limit)
        return false;
    ppi_load_add(load, job);
    search->sides[depth] = side;
    return true;
}

/* The next node after those below `depth` are done: back to a job whose other side is open. Returns
 * the depth after it, 0 at the end. The first job stays where it is: the sides are alike. */
static int64_t backtrack(struct search *search, int64_t depth, double limit)
{
    while (--depth > 0) {
        unsigned char side = search->sides[depth];
        ppi_load_remove(&search->loads[side], job_at(search, depth));
        if (!search->both[depth]) {
            search->both[depth] = true;
            if (place(search, depth, !side, limit))
                return depth + 1;
        }
    }
    return 0;
}

double ppi_balance_resplit(const struct balance *balance, const int32_t *jobs, int64_t n,
                           double limit, double enough, int64_t n_nodes, unsigned char *sides)
{
    struct search search = {.balance = balance, .jobs = jobs, .n = n};
    int64_t depth = place(&search, 0, 0, limit) ? 1 : 0;
    while (depth > 0 && n_nodes-- > 0) {
        if (depth == n) {
            double cost = ppi_load_cost(balance->cost, &search.loads[0]);
            double other = ppi_load_cost(balance->cost, &search.loads[1]);
            cost = other > cost ? other : cost;
            if (cost < limit) {
                limit = cost;
                memcpy(sides, search.sides, (size_t)n);
            }
            if (limit <= enough)
                break;
            depth = backtrack(&search, depth, limit);
            continue;
        }
        unsigned char lighter = search.loads[1].weight < search.loads[0].weight;
        search.both[depth] = false;
        if (place(&search, depth, lighter, limit)) {
            depth++;
            continue;
        }
        search.both[depth] = true;
        if (place(&search, depth, !lighter, limit))
            depth++;
        else
            depth = backtrack(&search, depth, limit);
    }
    return limit;
}
