/*
 * bounds.c: how few and how many bins a packing can have.
 */
#include "bounds.h"

#include "dual_feasible.h"

/* Steps that the bounds of a plan may take for each of its items, besides one pass. */
#define STEPS_PER_ITEM 16
#define MAX_K          20

int64_t ppi_bound_l1(int64_t total, int64_t capacity)
{
    return total == 0 ? 0 : total / capacity + (total % capacity != 0);
}

/*
 * Whichever policy opens a bin, its first prompt did not fit into the bin before. So each pair of
 * neighbours holds more than one capacity: with m bins, floor(m / 2) * capacity < tokens, which
 * gives floor(m / 2) < L1 and m <= 2 L1 - 1.
 */
int64_t ppi_bound_bins(int64_t l1, int64_t n_items)
{
    return l1 <= n_items / 2 ? (l1 == 0 ? 0 : 2 * l1 - 1) : n_items;
}

int64_t ppi_bound_l2(const struct size_counts *counts)
{
    return ppi_dual_bound(counts, counts->sizes, counts->capacity);
}

pp_status ppi_bounds_set(struct bins *bins, const struct packing *packing,
                         const struct histogram *histogram, struct ppi_mem *mem, pp_error *err)
{
    if (bins->n <= bins->bound_l1) { /* L2 lies between L1 and the optimum */
        bins->bound_l2 = bins->bound_l1;
        return PP_OK;
    }
    struct size_counts counts;
    pp_status status = histogram ? ppi_size_counts_create(&counts, packing, histogram, mem, err)
                                 : ppi_size_counts_count(&counts, packing, mem, err);
    if (status < 0)
        return status;
    bins->bound_l2 = ppi_bound_l2(&counts);
    int64_t max_k = STEPS_PER_ITEM * packing->n / counts.n;
    max_k = max_k < MAX_K ? max_k : MAX_K;
    if (bins->bound_l2 < bins->n && max_k > 0)
        status = ppi_bound_dff(&counts, max_k, bins->n, &bins->bound_dff, mem, err);
    ppi_size_counts_destroy(&counts, mem);
    return status;
}
