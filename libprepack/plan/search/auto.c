/*
 * auto.c: the policies that search. FFD first; then, while more bins are open than a bound allows,
 * minimum bin slack; then, for EXACT and AUTO, column generation with rounding, which also gives
 * the bound that closes most gaps. The best packing is kept; a method that finds one with as many
 * bins as the bound ends the search.
 */
#include "search.h"
#include "plan/fewest/bounds.h"
#include "plan/settings.h"
#include "plan/policies.h"

#include <string.h>

#define MAX_ROWS       2000 /* of the linear program */
#define DEAR           0.1  /* share of the steps that makes the linear program dear */
#define FIRST_DIVES    8
#define MORE_DIVES     5000
#define CLOCK_INTERVAL 4096 /* steps between looks at the clock */

bool ppi_search_spend(struct search *search, int64_t steps)
{
    search->steps_left -= steps;
    if (search->steps_left < 0 && search->limit_reached == 0)
        search->limit_reached = 1;
    if (search->deadline > 0 && search->steps_left < search->clock_at) {
        search->clock_at = search->steps_left - CLOCK_INTERVAL;
        if (ppi_seconds() > search->deadline && search->limit_reached == 0)
            search->limit_reached = 2;
    }
    return search->limit_reached == 0;
}

/* The steps that suit a policy, where the caller names none. */
static int64_t default_steps(const struct packing *packing)
{
    const int64_t per_item = 2000;
    if (packing->policy == PP_POLICY_EXACT || packing->max_seconds > 0)
        return INT64_C(1) << 31;
    return per_item * (packing->n < 1000 ? packing->n : 1000);
}

/* One way of minimum bin slack over all items; kept if it needs fewer bins than are known. */
static pp_status try_slack(struct search *search, struct slack_rule rule, int32_t *left)
{
    struct patterns patterns = {0};
    memcpy(left, search->counts->counts, (size_t)search->counts->n * sizeof *left);
    pp_status status = ppi_pack_by_slack(search, rule, left, search->n_bins, &patterns);
    int64_t n_packed = 0;
    if (status == PP_OK && patterns.n_bins < search->n_bins) {
        for (int32_t i = 0; i < search->counts->n; i++)
            n_packed += left[i] == 0;
        if (n_packed == search->counts->n) {
            struct patterns old = search->best;
            search->best = patterns;
            search->n_bins = patterns.n_bins;
            patterns = old;
        }
    }
    ppi_patterns_destroy(&patterns, search->mem);
    return status;
}

static pp_status search_by_slack(struct search *search, bool quick)
{
    static const struct slack_rule rules[] = {{500, 1}, {500, 0}, {20000, 1}, {20000, 0}};
    size_t n = (size_t)search->counts->n;
    int32_t *left = ppi_alloc(search->mem, n, sizeof *left);
    if (!left)
        return ppi_error_nomem(search->err, "the items that wait", n * sizeof *left);
    pp_status status = PP_OK;
    for (size_t i = quick ? 0 : 2; i < (quick ? 2 : 4) && status == PP_OK; i++)
        if (!ppi_search_done(search))
            status = try_slack(search, rules[i], left);
    ppi_free(search->mem, left);
    return status;
}

/* The share of the steps left that the linear program may need: its pivots are a few times as many
 * as its rows. At least 1 where it is too large. */
static double columns_share(const struct search *search)
{
    double n = search->counts->n;
    return n > MAX_ROWS ? 1 : n * n * n / 32 / ((double)search->steps_left + 1);
}

/* For a first complete search: it finishes soon or never. */
static int64_t completion_steps(const struct search *search)
{
    return search->steps_left / 4 < 1000000 ? search->steps_left / 4 : 1000000;
}

/* The methods in turn; each knows when it has nothing to do. *found_by: the policy whose method
 * found the best packing. */
static pp_status run_search(struct search *search, int32_t policy, int32_t *found_by)
{
    int64_t n_bins = search->n_bins;
    PP_TRY(search_by_slack(search, true));
    if (policy == PPI_POLICY_MBS && !ppi_search_done(search))
        PP_TRY(search_by_slack(search, false));
    *found_by = search->n_bins < n_bins ? PPI_POLICY_MBS : *found_by;
    n_bins = search->n_bins;
    if (policy == PPI_POLICY_MBS || ppi_search_done(search))
        return PP_OK;
    double share = columns_share(search);
    if (share > DEAR) /* slack is cheap beside that */
        PP_TRY(search_by_slack(search, false));
    *found_by = search->n_bins < n_bins ? PPI_POLICY_MBS : *found_by;
    n_bins = search->n_bins;
    if (!ppi_search_done(search) && share < 1)
        PP_TRY(ppi_pack_by_columns(search, 0, FIRST_DIVES));
    if (!ppi_search_done(search))
        PP_TRY(ppi_pack_by_completion(search, completion_steps(search)));
    *found_by = search->n_bins < n_bins ? PP_POLICY_EXACT : *found_by;
    n_bins = search->n_bins;
    if (!ppi_search_done(search) && share <= DEAR)
        PP_TRY(search_by_slack(search, false));
    *found_by = search->n_bins < n_bins ? PPI_POLICY_MBS : *found_by;
    n_bins = search->n_bins;
    if (!ppi_search_done(search) && share < 1)
        PP_TRY(ppi_pack_by_columns(search, FIRST_DIVES, MORE_DIVES));
    if (!ppi_search_done(search))
        PP_TRY(ppi_pack_by_completion(search, INT64_MAX));
    *found_by = search->n_bins < n_bins ? PP_POLICY_EXACT : *found_by;
    return PP_OK;
}

pp_status ppi_pack_auto(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                        pp_error *err)
{
    struct histogram histogram;
    PP_TRY(ppi_histogram_create(&histogram, packing->sizes, packing->n, packing->shortest,
                                packing->longest, mem, err));
    struct size_counts counts = {0};
    struct search search = {.counts = &counts, .mem = mem, .err = err};
    pp_status status = ppi_fill_ffd(packing, &histogram, bins, mem, err);
    if (status < 0)
        goto done;
    bins->policy = PP_POLICY_FFD;
    status = ppi_bounds_set(bins, packing, &histogram, mem, err);
    search.n_bins = bins->n;
    search.lower_bound = bins->bound_l2 > bins->bound_dff ? bins->bound_l2 : bins->bound_dff;
    if (status < 0 || search.n_bins == search.lower_bound)
        goto done;
    search.steps_left = packing->max_steps > 0    ? packing->max_steps
                        : packing->max_steps == 0 ? default_steps(packing)
                                                  : INT64_MAX;
    search.clock_at = search.steps_left;
    search.deadline = packing->max_seconds > 0 ? ppi_seconds() + packing->max_seconds : 0;
    status = ppi_size_counts_create(&counts, packing, &histogram, mem, err);
    if (status == PP_OK)
        status = run_search(&search, packing->policy, &bins->policy);
    if (status == PP_OK && search.n_bins < bins->n)
        status = ppi_patterns_write(&search.best, &counts, &histogram, bins, mem, err);
    bins->limit_reached = search.limit_reached;
    bins->bound_lp = search.bound_lp;
    bins->bound_search = search.bound_search;
done:
    ppi_patterns_destroy(&search.best, mem);
    ppi_size_counts_destroy(&counts, mem);
    ppi_histogram_destroy(&histogram, mem);
    return status;
}
