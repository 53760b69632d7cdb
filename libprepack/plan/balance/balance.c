/*
 * balance.c: the objective BALANCED: which method spreads the items over the bins, what is tried
 * where capacity or max_prompts leave little room, and the bins that come out.
 */
#include "balance.h"
#include "plan/fewest/bounds.h"
#include "plan/settings.h"
#include "plan/policies.h"

#include <stdio.h>

/* The differencing method takes n * k steps; for AUTO not more than this. */
#define MOST_DIFFERENCES (INT64_C(1) << 24)

/* Greedy placing by weight; where that finds no room, by what is scarce. */
static pp_status place_greedily(const struct balance *balance, struct assignment *assignment,
                                int32_t *found, struct ppi_mem *mem, pp_error *err)
{
    static const enum even ways[] = {EVEN_WEIGHTS, EVEN_SIZES, EVEN_NUMBERS};
    for (size_t i = 0; i < PPI_COUNT(ways) && *found == 0; i++) {
        bool placed;
        PP_TRY(ppi_balance_greedy(balance, ways[i], assignment, &placed, mem, err));
        *found = placed ? PPI_POLICY_LPT : 0;
    }
    return PP_OK;
}

/* Polishes with so many steps; *found becomes AUTO where that helped. */
static pp_status polish(struct balance *balance, struct assignment *assignment, int64_t n_steps,
                        int32_t *found, struct ppi_mem *mem, pp_error *err)
{
    double before = assignment->max_cost;
    balance->n_steps = n_steps;
    PP_TRY(ppi_balance_polish(balance, assignment, mem, err));
    if (assignment->max_cost < before)
        *found = PP_POLICY_AUTO;
    return PP_OK;
}

/* KK and LPT, each polished; the assignment holds what LPT found. */
static pp_status solve_auto(struct balance *balance, struct assignment *assignment, int32_t *found,
                            struct ppi_mem *mem, pp_error *err)
{
    int64_t n_steps = balance->n_steps / 2;
    if (*found != 0)
        PP_TRY(polish(balance, assignment, n_steps, found, mem, err));
    if ((*found != 0 && assignment->max_cost <= balance->bound) ||
        balance->n > MOST_DIFFERENCES / balance->n_bins)
        return PP_OK;
    struct assignment other;
    PP_TRY(ppi_assignment_create(&other, balance, mem, err));
    bool kept;
    int32_t other_found = PPI_POLICY_KK;
    pp_status status = ppi_balance_differencing(balance, &other, &kept, mem, err);
    if (status >= 0 && kept)
        status = polish(balance, &other, n_steps, &other_found, mem, err);
    if (status >= 0 && kept && (*found == 0 || other.max_cost < assignment->max_cost)) {
        struct assignment better = other;
        other = *assignment;
        *assignment = better;
        *found = other_found;
    }
    ppi_assignment_destroy(&other, mem);
    return status;
}

pp_status ppi_balance_solve(struct balance *balance, int32_t policy, struct assignment *assignment,
                            int32_t *found, struct ppi_mem *mem, pp_error *err)
{
    *found = 0;
    if (policy == PPI_POLICY_KK) {
        bool kept;
        PP_TRY(ppi_balance_differencing(balance, assignment, &kept, mem, err));
        *found = kept ? PPI_POLICY_KK : 0;
    }
    PP_TRY(place_greedily(balance, assignment, found, mem, err));
    return policy == PP_POLICY_AUTO ? solve_auto(balance, assignment, found, mem, err) : PP_OK;
}

/* A packing into as few bins as possible: the last resort where bins have little room, and what the
 * message names. */
struct fewest {
    struct bins bins;
    int32_t *bin_of; /* [n] of each item */
    int64_t bound;   /* no packing has fewer bins */
    bool fits;       /* into the bins there are */
};

static pp_status pack_fewest(struct fewest *fewest, const struct packing *packing,
                             struct ppi_mem *mem, pp_error *err)
{
    struct packing sub = *packing;
    sub.policy = PP_POLICY_AUTO;
    struct bins *bins = &fewest->bins;
    bins->policy = sub.policy;
    PP_TRY(ppi_pack(PP_OBJECTIVE_FEWEST_BINS, &sub, bins, mem, err));
    int64_t bounds[] = {bins->bound_l1,     bins->bound_l2,
                        bins->bound_dff,    bins->bound_lp,
                        bins->bound_limits, ppi_bound_l1(packing->n, packing->max_prompts)};
    for (size_t i = 0; i < PPI_COUNT(bounds); i++)
        fewest->bound = bounds[i] > fewest->bound ? bounds[i] : fewest->bound;
    fewest->fits = bins->n <= packing->n_bins;
    for (int64_t bin = 0; bin < bins->n; bin++) {
        int64_t n_prompts = 0;
        for (int64_t i = bins->starts[bin]; i < bins->starts[bin + 1]; i++) {
            int32_t item = bins->items[i];
            n_prompts += packing->n_prompts ? packing->n_prompts[item] : 1;
            fewest->bin_of[item] = (int32_t)bin;
        }
        fewest->fits = fewest->fits && n_prompts <= packing->max_prompts;
    }
    return PP_OK;
}

static pp_status refuse(const struct packing *packing, const struct fewest *fewest, pp_error *err)
{
    char prompts[64] = "";
    if (packing->max_prompts < INT64_MAX)
        snprintf(prompts, sizeof prompts, " and at most %lld prompts each",
                 (long long)packing->max_prompts);
    return ppi_error(err, PP_ERR_TOO_LONG,
                     "%lld tokens find no place in %lld bins of %lld tokens%s: they need at least "
                     "%lld bins, and the planner knows a way with %lld",
                     (long long)packing->total, (long long)packing->n_bins,
                     (long long)packing->capacity, prompts, (long long)fewest->bound,
                     (long long)fewest->bins.n);
}

/* The items as a packing into as few bins as possible has them; *found is its policy. Errors:
 * PP_ERR_TOO_LONG where these are too many. */
static pp_status start_from_fewest(const struct balance *balance, const struct packing *packing,
                                   struct assignment *assignment, int32_t *found,
                                   struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)packing->n;
    struct fewest fewest = {0};
    fewest.bins.items = ppi_alloc(mem, n, sizeof *fewest.bins.items);
    fewest.bins.starts = ppi_alloc(mem, n + 1, sizeof *fewest.bins.starts);
    fewest.bins.sizes = ppi_alloc(mem, n, sizeof *fewest.bins.sizes);
    fewest.bin_of = ppi_alloc(mem, n, sizeof *fewest.bin_of);
    pp_status status;
    if (!fewest.bins.items || !fewest.bins.starts || !fewest.bins.sizes || !fewest.bin_of)
        status = ppi_error_nomem(err, "a packing into few bins",
                                 n * 2 * (sizeof(int64_t) + sizeof(int32_t)));
    else
        status = pack_fewest(&fewest, packing, mem, err);
    if (status >= 0 && !fewest.fits)
        status = refuse(packing, &fewest, err);
    if (status >= 0) {
        for (size_t i = 0; i < n; i++)
            assignment->bins[i] = fewest.bin_of[balance->jobs[i].item];
        ppi_assignment_weigh(assignment, balance);
        *found = fewest.bins.policy;
    }
    ppi_free(mem, fewest.bins.items);
    ppi_free(mem, fewest.bins.starts);
    ppi_free(mem, fewest.bins.sizes);
    ppi_free(mem, fewest.bin_of);
    return status;
}

/* Numbers the bins by their dearest jobs, those without any last, and writes their items, dearest
 * first. Uses the loads up. */
static void write_bins(const struct balance *balance, const struct packing *packing,
                       struct assignment *assignment, struct bins *bins)
{
    /* a load's n_prompts becomes 1 + its bin's new number */
    for (int64_t bin = 0; bin < balance->n_bins; bin++)
        assignment->loads[bin].n_prompts = 0;
    int64_t n_bins = 0;
    for (int64_t i = 0; i < balance->n; i++) {
        int64_t *number = &assignment->loads[assignment->bins[i]].n_prompts;
        if (*number == 0) {
            *number = ++n_bins;
            bins->starts[n_bins] = 0;
            bins->sizes[n_bins - 1] = 0;
        }
        assignment->bins[i] = (int32_t)(*number - 1);
        bins->starts[*number]++;
        bins->sizes[*number - 1] += balance->jobs[i].size;
    }
    /* counts become ends, then, from the last item on, beginnings */
    bins->starts[0] = 0;
    for (int64_t bin = 0; bin < n_bins; bin++)
        bins->starts[bin + 1] += bins->starts[bin];
    for (int64_t i = balance->n - 1; i >= 0; i--)
        bins->items[--bins->starts[assignment->bins[i] + 1]] = balance->jobs[i].item;
    for (int64_t bin = 0; bin < n_bins; bin++)
        bins->starts[bin] = bins->starts[bin + 1];
    for (int64_t bin = n_bins; bin < packing->n_bins; bin++) {
        bins->starts[bin] = balance->n;
        bins->sizes[bin] = 0;
    }
    bins->starts[packing->n_bins] = balance->n;
    bins->n = packing->n_bins;
}

static void set_limits(struct balance *balance, const struct packing *packing)
{
    balance->n_steps = packing->max_steps > 0    ? packing->max_steps
                       : packing->max_steps == 0 ? ppi_balance_steps(packing->n)
                                                 : INT64_MAX;
    if (packing->max_seconds > 0)
        balance->deadline = ppi_seconds() + packing->max_seconds;
}

pp_status ppi_pack_balanced(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                            pp_error *err)
{
    struct balance balance;
    struct assignment assignment = {0};
    PP_TRY(ppi_balance_create(&balance, packing, mem, err));
    set_limits(&balance, packing);
    pp_status status = ppi_assignment_create(&assignment, &balance, mem, err);
    if (status < 0)
        goto done;
    status = ppi_balance_solve(&balance, packing->policy, &assignment, &bins->policy, mem, err);
    if (status >= 0 && bins->policy == 0) {
        status = start_from_fewest(&balance, packing, &assignment, &bins->policy, mem, err);
        if (status >= 0 && packing->policy == PP_POLICY_AUTO)
            status = polish(&balance, &assignment, balance.n_steps, &bins->policy, mem, err);
    }
    if (status < 0)
        goto done;
    write_bins(&balance, packing, &assignment, bins);
    bins->cost_bound = balance.bound;
    bins->limit_reached = balance.limit_reached;
done:
    ppi_assignment_destroy(&assignment, mem);
    ppi_balance_destroy(&balance, mem);
    return status;
}
