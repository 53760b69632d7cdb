/*
 * polish.c: local search. The dearest bin gives a job to another bin, or exchanges one with it,
 * where that makes the dearer of the two cheaper than the dearest was; where no exchange does, the
 * jobs of two bins are divided anew. Each step lowers the costs of all bins, sorted, in lexical
 * order, so that it ends; what is found depends on nothing but the jobs.
 */
#include "balance.h"
#include "plan/settings.h"

#include <math.h>
#include <string.h>

#define N_NEAR 4  /* partners looked at on each side of the best weight */
#define WALK   16 /* entries of a list that take as long as a step */

#define SPLIT_NODES 1000 /* of the search that divides two bins */

struct polish {
    struct balance *balance;
    struct assignment *assignment;
    int32_t *by_cost;   /* [n_bins] bins, dearest first */
    double *costs;      /* [n_bins] of each bin */
    int32_t *first;     /* [n_bins] first job of each bin, or -1 */
    int32_t *next;      /* [n] next job of the bin, ascending; or -1 */
    int32_t *jobs_from; /* [n] scratch: the jobs of the dearest bin */
    int32_t *jobs_to;   /* [n] */
    int64_t n_until_clock;
};

/* A job moves from the dearest bin to another, and perhaps one back. */
struct exchange {
    int32_t job;
    int32_t back; /* or -1 */
    double cost;  /* of the dearer of the two bins, afterwards */
};

static bool take_step(struct polish *polish)
{
    struct balance *balance = polish->balance;
    if (balance->n_steps <= 0) {
        balance->limit_reached = 1;
        return false;
    }
    balance->n_steps--;
    if (balance->deadline < INFINITY && --polish->n_until_clock <= 0) {
        polish->n_until_clock = 1024;
        if (ppi_seconds() >= balance->deadline) {
            balance->limit_reached = 2;
            return false;
        }
    }
    return true;
}

/* Looks at one exchange; *best becomes it when it is better. */
static void try_exchange(const struct polish *polish, int32_t from, int32_t to, int32_t job,
                         int32_t back, struct exchange *best)
{
    const struct balance *balance = polish->balance;
    struct load left = polish->assignment->loads[from];
    struct load right = polish->assignment->loads[to];
    ppi_load_remove(&left, &balance->jobs[job]);
    if (back >= 0) {
        ppi_load_remove(&right, &balance->jobs[back]);
        if (!ppi_load_fits(balance, &left, &balance->jobs[back]))
            return;
        ppi_load_add(&left, &balance->jobs[back]);
    }
    if (!ppi_load_fits(balance, &right, &balance->jobs[job]))
        return;
    ppi_load_add(&right, &balance->jobs[job]);
    double cost = ppi_load_cost(balance->cost, &left);
    double other = ppi_load_cost(balance->cost, &right);
    cost = other > cost ? other : cost;
    if (cost < best->cost)
        *best = (struct exchange){.job = job, .back = back, .cost = cost};
}

static int64_t list_jobs(const struct polish *polish, int32_t bin, int32_t *jobs)
{
    int64_t n = 0;
    for (int32_t job = polish->first[bin]; job >= 0; job = polish->next[job])
        jobs[n++] = job;
    return n;
}

/* The best exchange of the two bins; false when the steps end. Ideal is one that halves the
 * difference of their weights; for each job that leaves, the partners of about the right weight are
 * tried. Both lists are sorted, so that the right weight only falls. */
static bool find_exchange(struct polish *polish, int64_t n_from, int32_t from, int32_t to,
                          struct exchange *best)
{
    const struct job *jobs = polish->balance->jobs;
    const struct load *loads = polish->assignment->loads;
    double half = (loads[from].weight - loads[to].weight) / 2;
    int64_t n_to = list_jobs(polish, to, polish->jobs_to);
    polish->balance->n_steps -= n_to / WALK;
    int64_t near = 0;
    for (int64_t i = 0; i < n_from; i++) {
        int32_t job = polish->jobs_from[i];
        if (i > 0 && jobs[job].weight == jobs[polish->jobs_from[i - 1]].weight &&
            jobs[job].size == jobs[polish->jobs_from[i - 1]].size)
            continue; /* as the one before it */
        if (!take_step(polish))
            return false;
        try_exchange(polish, from, to, job, -1, best);
        while (near < n_to && jobs[polish->jobs_to[near]].weight > jobs[job].weight - half)
            near++;
        int64_t begin = near > N_NEAR ? near - N_NEAR : 0;
        int64_t end = near + N_NEAR < n_to ? near + N_NEAR : n_to;
        for (int64_t j = begin; j < end; j++) {
            if (!take_step(polish))
                return false;
            try_exchange(polish, from, to, job, polish->jobs_to[j], best);
        }
    }
    return true;
}

static void unlink_job(struct polish *polish, int32_t bin, int32_t job)
{
    int32_t *link = &polish->first[bin];
    while (*link != job)
        link = &polish->next[*link];
    *link = polish->next[job];
    ppi_load_remove(&polish->assignment->loads[bin], &polish->balance->jobs[job]);
}

static void link_job(struct polish *polish, int32_t bin, int32_t job)
{
    int32_t *link = &polish->first[bin];
    while (*link >= 0 && *link < job)
        link = &polish->next[*link];
    polish->next[job] = *link;
    *link = job;
    ppi_load_add(&polish->assignment->loads[bin], &polish->balance->jobs[job]);
    polish->assignment->bins[job] = bin;
}

static bool is_dearer(const struct polish *polish, int32_t a, int32_t b)
{
    return polish->costs[a] > polish->costs[b] || (polish->costs[a] == polish->costs[b] && a < b);
}

/* The bin at place i of by_cost has another cost now. */
static void reposition(struct polish *polish, int64_t i)
{
    int32_t *by_cost = polish->by_cost;
    int32_t bin = by_cost[i];
    int64_t was = i;
    polish->costs[bin] = ppi_load_cost(polish->balance->cost, &polish->assignment->loads[bin]);
    for (; i > 0 && is_dearer(polish, bin, by_cost[i - 1]); i--)
        by_cost[i] = by_cost[i - 1];
    for (; i + 1 < polish->balance->n_bins && is_dearer(polish, by_cost[i + 1], bin); i++)
        by_cost[i] = by_cost[i + 1];
    by_cost[i] = bin;
    polish->balance->n_steps -= (i > was ? i - was : was - i) / WALK;
}

/* The bin at `place` of by_cost and the first one have changed. */
static void reposition_both(struct polish *polish, int64_t place, int32_t first)
{
    reposition(polish, place);
    int64_t i = 0;
    while (polish->by_cost[i] != first)
        i++;
    reposition(polish, i);
}

/* The jobs of two bins, dearest first; jobs ascend in index as they do in cost. */
static int64_t merge_jobs(const struct polish *polish, int32_t a, int32_t b, int32_t *jobs)
{
    int32_t i = polish->first[a], j = polish->first[b];
    int64_t n = 0;
    while (i >= 0 || j >= 0) {
        int32_t *job = j < 0 || (i >= 0 && i < j) ? &i : &j;
        jobs[n++] = *job;
        *job = polish->next[*job];
    }
    return n;
}

/* Where no exchange helps: divides the jobs of the dearest bin and of another anew. */
static bool divide(struct polish *polish, int64_t n_from)
{
    struct balance *balance = polish->balance;
    int32_t from = polish->by_cost[0];
    for (int64_t place = balance->n_bins - 1; place > 0; place--) {
        int32_t to = polish->by_cost[place];
        if (!take_step(polish))
            return false;
        if (n_from + list_jobs(polish, to, polish->jobs_to) > PPI_MOST_SPLIT)
            continue;
        int32_t jobs[PPI_MOST_SPLIT];
        unsigned char sides[PPI_MOST_SPLIT];
        int64_t n = merge_jobs(polish, from, to, jobs);
        /* a gain that rounding could feign would never end */
        double limit = polish->costs[from] * (1 - 1e-12);
        double half = (polish->costs[from] + polish->costs[to]) / 2;
        double enough = half + 1e-6 * (polish->costs[from] - half);
        balance->n_steps -= SPLIT_NODES;
        if (ppi_balance_resplit(balance, jobs, n, limit, enough, SPLIT_NODES, sides) >= limit)
            continue;
        for (int64_t i = 0; i < n; i++) {
            int32_t was = polish->assignment->bins[jobs[i]], is = sides[i] ? to : from;
            if (was != is) {
                unlink_job(polish, was, jobs[i]);
                link_job(polish, is, jobs[i]);
            }
        }
        reposition_both(polish, place, from);
        return true;
    }
    return false;
}

/* Makes the dearest bin cheaper with the help of the cheapest bin that can; false when none can. */
static bool improve(struct polish *polish)
{
    int32_t from = polish->by_cost[0];
    int64_t n_from = list_jobs(polish, from, polish->jobs_from);
    for (int64_t place = polish->balance->n_bins - 1; place > 0; place--) {
        int32_t to = polish->by_cost[place];
        struct exchange best = {.job = -1, .cost = polish->costs[from]};
        if (!find_exchange(polish, n_from, from, to, &best))
            return false;
        if (best.job < 0)
            continue;
        unlink_job(polish, from, best.job);
        if (best.back >= 0) {
            unlink_job(polish, to, best.back);
            link_job(polish, from, best.back);
        }
        link_job(polish, to, best.job);
        reposition_both(polish, place, from);
        return true;
    }
    return divide(polish, n_from);
}

/* The lists of the bins' jobs, and the bins by cost. */
static pp_status prepare(struct polish *polish, struct ppi_mem *mem, pp_error *err)
{
    const struct balance *balance = polish->balance;
    memset(polish->first, 0xff, (size_t)balance->n_bins * sizeof *polish->first); /* -1 */
    for (int32_t job = (int32_t)(balance->n - 1); job >= 0; job--) {
        int32_t *first = &polish->first[polish->assignment->bins[job]];
        polish->next[job] = *first;
        *first = job;
    }
    for (int32_t bin = 0; bin < balance->n_bins; bin++)
        polish->costs[bin] = ppi_load_cost(balance->cost, &polish->assignment->loads[bin]);
    return ppi_sort_down(polish->costs, balance->n_bins, polish->by_cost, mem, err);
}

pp_status ppi_balance_polish(struct balance *balance, struct assignment *assignment,
                             struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)balance->n, n_bins = (size_t)balance->n_bins;
    if (assignment->max_cost <= balance->bound)
        return PP_OK;
    struct polish polish = {.balance = balance, .assignment = assignment};
    pp_status status = PP_OK;
    polish.costs = ppi_alloc(mem, n_bins, sizeof *polish.costs);
    polish.by_cost = ppi_alloc(mem, n_bins, 2 * sizeof *polish.by_cost);
    polish.next = ppi_alloc(mem, n, 3 * sizeof *polish.next);
    if (!polish.costs || !polish.by_cost || !polish.next) {
        status = ppi_error_nomem(err, "improving an assignment",
                                 3 * n * sizeof *polish.next + 2 * n_bins * sizeof *polish.costs);
        goto done;
    }
    polish.first = polish.by_cost + n_bins;
    polish.jobs_from = polish.next + n;
    polish.jobs_to = polish.jobs_from + n;
    status = prepare(&polish, mem, err);
    while (status >= 0 && polish.costs[polish.by_cost[0]] > balance->bound && improve(&polish))
        ;
    if (status >= 0)
        ppi_assignment_weigh(assignment, balance);
done:
    ppi_free(mem, polish.costs);
    ppi_free(mem, polish.by_cost);
    ppi_free(mem, polish.next);
    return status;
}
