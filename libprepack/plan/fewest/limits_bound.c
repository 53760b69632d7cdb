/*
 * limits_bound.c: what constraints besides one capacity ask of the number of bins, and whether bins
 * that were packed without them keep them.
 */
#include "apart.h"
#include "constrained.h"
#include "plan/histogram.h"

static int64_t prompts_of(const struct packing *packing, int64_t item)
{
    return packing->n_prompts ? packing->n_prompts[item] : 1;
}

static int64_t count_prompts(const struct packing *packing)
{
    int64_t n = 0;
    for (int64_t i = 0; packing->n_prompts && i < packing->n; i++)
        n += packing->n_prompts[i];
    return packing->n_prompts ? n : packing->n;
}

bool ppi_is_constrained(const struct packing *packing)
{
    return packing->apart || packing->n_capacities > 0 ||
           (packing->max_prompts < INT64_MAX && packing->max_prompts < count_prompts(packing));
}

/* The largest class of items that are apart: each needs a bin of its own. */
static pp_status largest_class(const struct packing *packing, int64_t *largest, struct ppi_mem *mem,
                               pp_error *err)
{
    *largest = 0;
    if (!packing->apart)
        return PP_OK;
    int64_t n = packing->apart_starts ? packing->apart_starts[packing->n] : packing->n;
    int32_t *counts = ppi_zalloc(mem, (size_t)n, sizeof *counts);
    if (!counts)
        return ppi_error_nomem(err, "what is apart", (size_t)n * sizeof *counts);
    for (int64_t i = 0; i < n; i++)
        if (packing->apart[i] >= 0 && ++counts[packing->apart[i]] > *largest)
            *largest = counts[packing->apart[i]];
    ppi_free(mem, counts);
    return PP_OK;
}

/* So many of the largest of the given bins hold everything, by tokens alone. */
static pp_status bound_capacities(const struct packing *packing, int64_t *bound,
                                  struct ppi_mem *mem, pp_error *err)
{
    const int64_t *capacities = packing->capacities;
    int64_t n = packing->n_capacities;
    int64_t least = capacities[0], most = capacities[0];
    for (int64_t i = 0; i < n; i++) {
        least = capacities[i] < least ? capacities[i] : least;
        most = capacities[i] > most ? capacities[i] : most;
    }
    struct histogram histogram;
    PP_TRY(ppi_histogram_create(&histogram, capacities, n, least, most, mem, err));
    int64_t left = packing->total;
    *bound = 0;
    while (left > 0 && *bound < n)
        left -= capacities[histogram.order[n - ++*bound]];
    ppi_histogram_destroy(&histogram, mem);
    if (left > 0)
        return ppi_error(
            err, PP_ERR_TOO_LONG, "the prompts take %lld tokens, but the %lld bins hold %lld",
            (long long)packing->total, (long long)n, (long long)(packing->total - left));
    return PP_OK;
}

pp_status ppi_bound_limits(const struct packing *packing, int64_t *bound, struct ppi_mem *mem,
                           pp_error *err)
{
    int64_t n_prompts = count_prompts(packing);
    *bound = 0;
    PP_TRY(largest_class(packing, bound, mem, err));
    if (packing->n_capacities > 0 && *bound > packing->n_capacities)
        return ppi_error(err, PP_ERR_TOO_LONG,
                         "%lld prompts shall be apart, but there are %lld bins", (long long)*bound,
                         (long long)packing->n_capacities);
    if (packing->max_prompts < INT64_MAX) {
        int64_t by_number = ppi_div_up(n_prompts, packing->max_prompts);
        *bound = by_number > *bound ? by_number : *bound;
        if (packing->n_capacities > 0 && by_number > packing->n_capacities)
            return ppi_error(err, PP_ERR_TOO_LONG,
                             "there are %lld prompts, but %lld bins of at most %lld prompts",
                             (long long)n_prompts, (long long)packing->n_capacities,
                             (long long)packing->max_prompts);
    }
    if (packing->n_capacities > 0) {
        int64_t by_tokens;
        PP_TRY(bound_capacities(packing, &by_tokens, mem, err));
        *bound = by_tokens > *bound ? by_tokens : *bound;
    }
    return PP_OK;
}

/* Each item counts 1 / c, with c the most items that a bin with it can hold: itself and the
 * smallest. Items of one bin of m have c >= m, so they count 1 at most. */
static int64_t bound_shares(const struct packing *packing, const int32_t *order)
{
    double sum = 0;
    int64_t n_small = 0; /* smallest items that fit beside the one at hand */
    int64_t small = 0;   /* their sizes */
    for (int64_t i = 0; i < packing->n; i++) {
        int64_t left = packing->capacity - packing->sizes[order[i]] - small;
        while (n_small < packing->n - 1 && n_small < packing->max_prompts - 1 &&
               packing->sizes[order[packing->n - 1 - n_small]] <= left) {
            int64_t size = packing->sizes[order[packing->n - 1 - n_small++]];
            small += size;
            left -= size;
        }
        sum += 1.0 / (double)(n_small + 1);
    }
    /* a sum that rounding has lifted over an integer does not count */
    sum -= 1e-9 * (double)packing->n;
    int64_t bound = (int64_t)sum;
    return bound + ((double)bound < sum);
}

/* Items of at least L > capacity / 2 have a bin each, in which only those of at most capacity - L
 * can join them; the others, and those for which there are no places left, need more. The best over
 * all L. As L2 (Martello, Toth 1990), counting places instead of tokens. */
static int64_t bound_halves(const struct packing *packing, const int32_t *order)
{
    int64_t most = 0;
    int64_t n_small = 0; /* at most capacity - L */
    for (int64_t i = 0; i < packing->n; i++) {
        int64_t large = packing->sizes[order[i]];
        if (large <= packing->capacity - large)
            break;
        while (n_small < packing->n - 1 - i &&
               packing->sizes[order[packing->n - 1 - n_small]] <= packing->capacity - large)
            n_small++;
        int64_t n_large = i + 1;
        int64_t others = packing->n - n_large - n_small;
        if (n_small / n_large >= packing->max_prompts - 1)
            others += n_small - (packing->max_prompts - 1) * n_large;
        int64_t bound = n_large + ppi_div_up(others, packing->max_prompts);
        most = bound > most ? bound : most;
    }
    return most;
}

int64_t ppi_bound_places(const struct packing *packing, const int32_t *order)
{
    if (packing->n_prompts || packing->max_prompts == INT64_MAX)
        return 0;
    int64_t shares = bound_shares(packing, order);
    int64_t halves = bound_halves(packing, order);
    return shares > halves ? shares : halves;
}

pp_status ppi_bins_keep_limits(const struct packing *packing, const struct bins *bins, bool *keep,
                               struct ppi_mem *mem, pp_error *err)
{
    struct apart_set apart;
    PP_TRY(ppi_apart_create(&apart, packing, mem, err));
    *keep = true;
    for (int64_t bin = 0; bin < bins->n && *keep; bin++) {
        int64_t n_prompts = 0;
        for (int64_t i = bins->starts[bin]; i < bins->starts[bin + 1] && *keep; i++) {
            int32_t item = bins->items[i];
            n_prompts += prompts_of(packing, item);
            *keep =
                n_prompts <= packing->max_prompts && ppi_apart_allows(&apart, packing, item, bin);
            ppi_apart_add(&apart, packing, item, bin);
        }
    }
    ppi_apart_destroy(&apart, mem);
    return PP_OK;
}
