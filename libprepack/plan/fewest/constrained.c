/*
 * constrained.c: FEWEST_BINS under constraints. Where the number of prompts of a bin is limited,
 * first-fit decreasing is poor: the long prompts share bins that still have places, and the short
 * ones fill theirs with far less than the capacity. Long and short must mix. So, besides decreasing
 * fits, numbers of bins are tried: m bins are opened, and prompts go longest first into the
 * emptiest bin that has a place (LPT, Graham 1969; with a limit on numbers: Dell'Amico, Martello
 * 2001), which keeps the mean prompt of every bin alike. Where that leaves every bin a little too
 * little room for the last prompts, the shorter prompts go into the fullest bin that fits instead.
 */
#include "constrained.h"

#include "bounds.h"
#include "placement.h"
#include "plan/histogram.h"
#include "plan/settings.h"
#include "plan/policies.h"

#include <string.h>

/* Placements that the numbers of bins are tried with, where the caller sets no limit: about a
 * second. */
#define DEFAULT_STEPS (INT64_C(1) << 21)

struct search {
    const struct packing *packing;
    struct placement placement;
    int32_t *order;     /* [n] items, largest first */
    int32_t *best_of;   /* [n] bin of each item in the best solution */
    int64_t n_best;     /* its bins; INT64_MAX: there is none */
    int32_t policy;     /* that found it */
    int64_t at_least;   /* bins of any solution */
    int64_t steps_left; /* placements */
    double ends;        /* seconds; 0: never */
    int32_t limit_reached;
    int64_t unplaced; /* of the last try that failed: how many items were left */
};

/* Items by size, largest first, then by index. */
static pp_status sort_items(const struct packing *packing, int32_t *order, struct ppi_mem *mem,
                            pp_error *err)
{
    int64_t n = packing->n;
    struct histogram sizes;
    PP_TRY(ppi_histogram_create(&sizes, packing->sizes, n, packing->shortest, packing->longest, mem,
                                err));
    int32_t *next = order;
    for (int64_t slot = sizes.n_slots - 1; slot >= 0; slot--)
        for (int32_t i = sizes.buckets[slot].next; i < sizes.buckets[slot].end; i++)
            *next++ = sizes.order[i];
    ppi_histogram_destroy(&sizes, mem);
    return PP_OK;
}

/* Places order[first .. end); false: one did not fit. order NULL: by index. */
static bool place(struct search *search, const int32_t *order, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++)
        if (!ppi_placement_put(&search->placement, order ? order[i] : (int32_t)i)) {
            search->unplaced = search->packing->n - i;
            return false;
        }
    return true;
}

static void keep(struct search *search, int32_t policy)
{
    memcpy(search->best_of, search->placement.bin_of,
           (size_t)search->packing->n * sizeof *search->best_of);
    search->n_best = search->placement.n_open;
    search->policy = policy;
}

static void try_decreasing(struct search *search, int32_t policy)
{
    if (search->n_best <= search->at_least)
        return;
    ppi_placement_restart(&search->placement,
                          policy == PP_POLICY_FFD ? CHOOSE_FIRST : CHOOSE_FULLEST, true,
                          search->placement.max_possible);
    if (place(search, search->order, 0, search->packing->n) &&
        search->placement.n_open < search->n_best)
        keep(search, policy);
}

/* May the search go on with a try of n steps? */
static bool may_try(struct search *search)
{
    if (search->limit_reached)
        return false;
    if (search->steps_left < search->packing->n)
        search->limit_reached = 1;
    else if (search->ends > 0 && ppi_seconds() >= search->ends)
        search->limit_reached = 2;
    else
        search->steps_left -= search->packing->n;
    return !search->limit_reached;
}

/* m bins; the first n_mixed items go into the emptiest, the rest into the fullest that fits. */
static bool try_bins(struct search *search, int64_t m, int64_t n_mixed)
{
    if (!may_try(search))
        return false;
    ppi_placement_restart(&search->placement, CHOOSE_EMPTIEST, true, m);
    ppi_placement_open_all(&search->placement);
    if (!place(search, search->order, 0, n_mixed))
        return false;
    if (n_mixed < search->packing->n) {
        ppi_placement_change(&search->placement, CHOOSE_FULLEST);
        if (!place(search, search->order, n_mixed, search->packing->n))
            return false;
    }
    keep(search, PPI_POLICY_LPT);
    return true;
}

/* The fewest bins that mixing manages, found by steps that double and then halve; the first is
 * small next to the gap, since few bins more than the bound are likely to do. */
static void mix(struct search *search)
{
    int64_t n = search->packing->n;
    int64_t most = search->n_best < search->placement.max_possible + 1
                       ? search->n_best
                       : search->placement.max_possible + 1;
    int64_t failed = search->at_least - 1;
    int64_t next = (most - failed) / 16;
    for (int64_t step = 1; failed + step<most; step = next> 2 * step ? next : 2 * step) {
        if (try_bins(search, failed + step, n)) {
            most = failed + step;
            break;
        }
        failed += step;
    }
    while (failed + 1 < most && !search->limit_reached) {
        int64_t middle = failed + (most - failed) / 2;
        if (try_bins(search, middle, n))
            most = middle;
        else
            failed = middle;
    }
}

/* One bin less by placing the shorter items tightly, as long as that works. */
static void tighten(struct search *search)
{
    int64_t n = search->packing->n;
    bool found = true;
    while (found && search->n_best > search->at_least && !search->limit_reached) {
        int64_t m = search->n_best - 1;
        if (m > search->placement.max_possible)
            m = search->placement.max_possible;
        found = false;
        for (int64_t tenths = 9; tenths >= 3 && !found; tenths--)
            found = try_bins(search, m, n * tenths / 10);
    }
}

/* All ways to put the items into the given bins, largest first, until one is found or the steps
 * are used up: for the case that every quicker way has failed. */
static void search_all(struct search *search, int64_t n_steps)
{
    const struct packing *packing = search->packing;
    struct placement *placement = &search->placement;
    ppi_placement_restart(placement, CHOOSE_FULLEST, true, placement->max_possible);
    ppi_placement_open_all(placement);
    int64_t i = 0; /* the item at hand is order[i]; those before it are placed */
    int32_t after = PPI_NO_BIN;
    for (; i < packing->n && n_steps > 0; n_steps--) {
        int32_t bin = ppi_placement_next(placement, search->order[i], after);
        if (bin != PPI_NO_BIN) {
            ppi_placement_put_into(placement, search->order[i++], bin);
            after = PPI_NO_BIN;
        } else if (i == 0) {
            return;
        } else {
            int32_t last = search->order[--i];
            after = placement->bin_of[last];
            ppi_placement_take_back(placement, last, after);
        }
    }
    if (i == packing->n)
        keep(search, PP_POLICY_EXACT);
}

static pp_status explain_failure(const struct search *search, pp_error *err)
{
    const struct packing *packing = search->packing;
    return ppi_error(err, PP_ERR_TOO_LONG,
                     "no way was found to put %lld items of %lld tokens into the %lld bins; the "
                     "last try left %lld of them",
                     (long long)packing->n, (long long)packing->total,
                     (long long)packing->n_capacities, (long long)search->unplaced);
}

/* Writes the best solution; bins that nothing is in are left out. */
static pp_status write_bins(const struct search *search, struct bins *bins, struct ppi_mem *mem,
                            pp_error *err)
{
    const struct packing *packing = search->packing;
    int32_t *bin_of = search->best_of;
    size_t n_bins = (size_t)search->placement.max_possible;
    int32_t *numbers = ppi_zalloc(mem, n_bins, sizeof *numbers); /* 1: used; then its number */
    if (!numbers)
        return ppi_error_nomem(err, "the bins in use", n_bins * sizeof *numbers);
    for (int64_t i = 0; i < packing->n; i++)
        numbers[bin_of[i]] = 1;
    bins->n = 0;
    for (size_t bin = 0; bin < n_bins; bin++)
        if (numbers[bin]) {
            if (bins->choices)
                bins->choices[bins->n] = (int32_t)bin;
            bins->sizes[bins->n] = 0;
            numbers[bin] = (int32_t)bins->n++;
        }
    for (int64_t i = 0; i < packing->n; i++) {
        bin_of[i] = numbers[bin_of[i]];
        bins->sizes[bin_of[i]] += packing->sizes[i];
    }
    ppi_free(mem, numbers);
    ppi_group_by_bin(bin_of, packing->n, bins);
    bins->policy = search->policy;
    if (search->limit_reached) /* otherwise what the search without constraints says */
        bins->limit_reached = search->limit_reached;
    return PP_OK;
}

static void run(struct search *search)
{
    int32_t policy = search->packing->policy;
    if (policy == PP_POLICY_FIRST_FIT || policy == PP_POLICY_BEST_FIT) {
        ppi_placement_restart(&search->placement,
                              policy == PP_POLICY_FIRST_FIT ? CHOOSE_FIRST : CHOOSE_FULLEST, false,
                              search->placement.max_possible);
        if (place(search, NULL, 0, search->packing->n))
            keep(search, policy);
        return;
    }
    if (policy != PP_POLICY_BFD)
        try_decreasing(search, PP_POLICY_FFD);
    if (policy != PP_POLICY_FFD || search->n_best == INT64_MAX)
        try_decreasing(search, PP_POLICY_BFD);
    if (search->n_best <= search->at_least)
        return;
    mix(search);
    tighten(search);
}

static int64_t largest_bound(const struct bins *bins)
{
    const int64_t bounds[] = {bins->bound_l1, bins->bound_l2,     bins->bound_dff,
                              bins->bound_lp, bins->bound_limits, bins->bound_search};
    int64_t largest = 0;
    for (size_t i = 0; i < PPI_COUNT(bounds); i++)
        largest = bounds[i] > largest ? bounds[i] : largest;
    return largest;
}

pp_status ppi_pack_constrained(const struct packing *packing, struct bins *bins,
                               struct ppi_mem *mem, pp_error *err)
{
    struct search search = {.packing = packing, .n_best = INT64_MAX};
    search.steps_left = packing->max_steps > 0   ? packing->max_steps
                        : packing->max_steps < 0 ? INT64_MAX
                                                 : DEFAULT_STEPS;
    search.ends = packing->max_seconds > 0 ? ppi_seconds() + packing->max_seconds : 0;
    size_t n = (size_t)packing->n;
    pp_status status = ppi_placement_create(&search.placement, packing, mem, err);
    if (status < 0)
        goto done;
    search.order = ppi_alloc(mem, n, sizeof *search.order);
    search.best_of = ppi_alloc(mem, n, sizeof *search.best_of);
    if (!search.order || !search.best_of) {
        status = ppi_error_nomem(err, "packing under constraints", 2 * n * sizeof(int32_t));
        goto done;
    }
    status = sort_items(packing, search.order, mem, err);
    if (status < 0)
        goto done;
    int64_t places = ppi_bound_places(packing, search.order);
    bins->bound_limits = places > bins->bound_limits ? places : bins->bound_limits;
    search.at_least = largest_bound(bins);
    int64_t n_steps = search.steps_left;
    run(&search);
    bool online = packing->policy == PP_POLICY_FIRST_FIT || packing->policy == PP_POLICY_BEST_FIT;
    if (search.n_best == INT64_MAX && !online)
        search_all(&search, n_steps);
    status = search.n_best == INT64_MAX ? explain_failure(&search, err)
                                        : write_bins(&search, bins, mem, err);
done:
    ppi_free(mem, search.best_of);
    ppi_free(mem, search.order);
    ppi_placement_destroy(&search.placement, mem);
    return status;
}
