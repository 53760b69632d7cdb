/*
 * bounds.c: how few and how many bins a packing can have.
 */
#include "policies.h"

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
