/*
 * dual_feasible.c: the functions of Fekete and Schepers (New classes of fast lower bounds for bin
 * packing problems, 2001). With x = size / capacity:
 *
 *     U^eps(x) = 1 above 1 - eps, 0 below eps, x between
 *     u^(k)(x) = x where (k + 1) x is an integer, otherwise floor((k + 1) x) / k
 *
 * The identity o U^eps, over all eps, is Martello and Toth's L2.
 */
#include "bounds.h"

#include "dual_feasible.h"

/*
 * eps falls from above 1/2, where the items longer than half a bin count 1 each and the others
 * nothing, through the sizes of at most half a bin. On the way an item joins with its value, and
 * the longest partner it could still have, capacity - eps, goes from 1 to its own value.
 */
int64_t ppi_dual_bound(const struct size_counts *counts, const int64_t *values, int64_t full)
{
    int64_t n_long = 0;
    int32_t first = 0; /* of the sizes of at most half a bin */
    while (first < counts->n && counts->sizes[first] > counts->capacity - counts->sizes[first])
        n_long += counts->counts[first++];
    int64_t change = 0; /* to n_long * full */
    int64_t best = 0;
    int32_t partner = first; /* sizes in [partner, first) have their own value */
    for (int32_t i = first; i < counts->n; i++) {
        while (partner > 0 && counts->sizes[partner - 1] <= counts->capacity - counts->sizes[i]) {
            partner--;
            change -= counts->counts[partner] * (full - values[partner]);
        }
        change += counts->counts[i] * values[i];
        best = change > best ? change : best;
    }
    return n_long + best / full + (best % full != 0);
}

/* u^(k) of a size in units of 1 / (k * capacity), from (k + 1) * size = whole * capacity + rest. */
static int64_t stair_value(int64_t size, int64_t whole, int64_t rest, int64_t k, int64_t capacity)
{
    return rest == 0 ? k * size : whole * capacity;
}

pp_status ppi_bound_dff(const struct size_counts *counts, int64_t max_k, int64_t enough,
                        int64_t *bound, struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)counts->n;
    int64_t capacity = counts->capacity;
    *bound = ppi_bound_l2(counts);
    /* sums of values stay below (k + 1) * total and n_long * k * capacity < 2 k * total */
    int64_t most = INT64_MAX / 4 / (counts->total > capacity ? counts->total : capacity);
    max_k = max_k < most ? max_k : most;
    if (*bound >= enough || max_k < 1)
        return PP_OK;
    int64_t *values = ppi_alloc(mem, n, 3 * sizeof *values);
    if (!values)
        return ppi_error_nomem(err, "a bound of the bins", n * 3 * sizeof *values);
    int64_t *whole = values + n;
    int64_t *rests = whole + n;
    for (size_t i = 0; i < n; i++) {
        whole[i] = counts->sizes[i] == capacity;
        rests[i] = whole[i] ? 0 : counts->sizes[i];
    }
    for (int64_t k = 1; k <= max_k && *bound < enough; k++) {
        for (size_t i = 0; i < n; i++) { /* (k + 1) * size by one more addition */
            int64_t below = capacity - counts->sizes[i];
            bool carries = rests[i] >= below;
            rests[i] += carries ? -below : counts->sizes[i];
            whole[i] += carries;
            values[i] = stair_value(counts->sizes[i], whole[i], rests[i], k, capacity);
        }
        int64_t found = ppi_dual_bound(counts, values, k * capacity);
        *bound = found > *bound ? found : *bound;
    }
    ppi_free(mem, values);
    return PP_OK;
}
