/*
 * runs.c: BALANCED in order of arrival: at most k runs of neighbours, the dearest as cheap as
 * possible. A run that takes one more item is never cheaper and never roomier, so that closing a
 * run only when the next item would pass a threshold gives the fewest runs under that threshold;
 * the least threshold that k runs keep is searched for. Each probe moves a side of the search to a
 * cost that a run has, so that the end is exact.
 */
#include "balance.h"
#include "plan/policies.h"

#include <math.h>

struct runs {
    int64_t n;
    double dearest; /* cost of the dearest run */
    double next;    /* below this threshold no run would be longer, and the runs as many */
};

/* Runs under a threshold that no single item passes, at most max_runs and one more. Written to
 * `bins` unless that is NULL. */
static struct runs form_runs(const struct packing *packing, double threshold, int64_t max_runs,
                             struct bins *bins)
{
    struct runs runs = {.next = INFINITY};
    struct load run = {0};
    double cost = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        struct job job = ppi_job(packing, i);
        bool fits = job.size <= packing->capacity - run.size &&
                    job.n_prompts <= packing->max_prompts - run.n_prompts;
        struct load longer = run;
        ppi_load_add(&longer, &job);
        double longer_cost = ppi_load_cost(packing->cost, &longer);
        if (i == 0 || !fits || longer_cost > threshold) {
            if (i > 0 && fits)
                runs.next = longer_cost < runs.next ? longer_cost : runs.next;
            if (runs.n++ == max_runs)
                return runs;
            longer = (struct load){0};
            ppi_load_add(&longer, &job);
            longer_cost = ppi_load_cost(packing->cost, &longer);
            if (bins)
                bins->starts[runs.n - 1] = i;
        }
        run = longer;
        cost = longer_cost;
        runs.dearest = cost > runs.dearest ? cost : runs.dearest;
        if (bins) {
            bins->items[i] = (int32_t)i;
            bins->sizes[runs.n - 1] = run.size;
        }
    }
    return runs;
}

/* The least cost of a dearest run, or -1 when the limits leave too few. */
static double search(const struct packing *packing)
{
    struct runs widest = form_runs(packing, INFINITY, packing->n_bins, NULL);
    if (widest.n > packing->n_bins)
        return -1;
    double low = 0; /* no dearest run is cheaper */
    for (int64_t i = 0; i < packing->n; i++) {
        struct job job = ppi_job(packing, i);
        struct load alone = {0};
        ppi_load_add(&alone, &job);
        double cost = ppi_load_cost(packing->cost, &alone);
        low = cost > low ? cost : low;
    }
    double high = widest.dearest; /* there are such runs */
    double threshold = low;       /* often met: the dearest item alone */
    while (low < high) {
        struct runs runs = form_runs(packing, threshold, packing->n_bins, NULL);
        if (runs.n <= packing->n_bins)
            high = runs.dearest;
        else
            low = runs.next;
        threshold = low + (high - low) / 2;
        if (!(threshold < high))
            threshold = low;
    }
    return high;
}

static pp_status refuse(const struct packing *packing, pp_error *err)
{
    int64_t needed = form_runs(packing, INFINITY, INT64_MAX - 1, NULL).n;
    return ppi_error(err, PP_ERR_TOO_LONG,
                     "%lld tokens in order of arrival need %lld bins of %lld tokens, but n_bins is "
                     "%lld",
                     (long long)packing->total, (long long)needed, (long long)packing->capacity,
                     (long long)packing->n_bins);
}

pp_status ppi_pack_runs(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                        pp_error *err)
{
    (void)mem;
    PP_TRY(ppi_check_costs(packing, err));
    double cost = search(packing);
    if (cost < 0)
        return refuse(packing, err);
    bins->n = form_runs(packing, cost, packing->n_bins, bins).n;
    for (; bins->n < packing->n_bins; bins->n++) {
        bins->starts[bins->n] = packing->n;
        bins->sizes[bins->n] = 0;
    }
    bins->starts[bins->n] = packing->n;
    bins->policy = PP_POLICY_ARRIVAL;
    bins->cost_bound = cost;
    return PP_OK;
}
