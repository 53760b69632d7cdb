/*
 * bitset.h: a set of integers in [0, size) that finds the nearest member below or above a value in
 * a few steps: level 0 has one bit an integer, and a bit of level k + 1 says that a 64-bit word of
 * level k is not zero.
 */
#ifndef PPI_BITSET_H
#define PPI_BITSET_H

#include "internal.h"

#define PPI_BITSET_LEVELS 7 /* 64^7 = 2^42 integers */

struct bitset {
    uint64_t *levels[PPI_BITSET_LEVELS];
    int32_t n_levels;
    int64_t size;
};

/* An empty set of integers in [0, size), size at least 1 and at most 2^42. Destroyed by
 * ppi_bitset_destroy, which accepts a zeroed set. */
pp_status ppi_bitset_create(struct bitset *set, int64_t size, struct ppi_mem *mem, pp_error *err);
void ppi_bitset_destroy(struct bitset *set, struct ppi_mem *mem);

static inline void ppi_bitset_add(struct bitset *set, int64_t i)
{
    for (int32_t level = 0; level < set->n_levels; level++) {
        uint64_t *word = &set->levels[level][i >> 6];
        bool was_empty = *word == 0;
        *word |= (uint64_t)1 << (i & 63);
        if (!was_empty)
            return;
        i >>= 6;
    }
}

static inline void ppi_bitset_remove(struct bitset *set, int64_t i)
{
    for (int32_t level = 0; level < set->n_levels; level++) {
        uint64_t *word = &set->levels[level][i >> 6];
        *word &= ~((uint64_t)1 << (i & 63));
        if (*word != 0)
            return;
        i >>= 6;
    }
}

/* The largest member that is at most i, or -1. i < size; a negative i has none. */
static inline int64_t ppi_bitset_at_most(const struct bitset *set, int64_t i)
{
    for (int32_t level = 0; level < set->n_levels && i >= 0; level++) {
        uint64_t word = set->levels[level][i >> 6] & (~(uint64_t)0 >> (63 - (i & 63)));
        if (word != 0) {
            i = (i & ~(int64_t)63) | (63 - __builtin_clzll(word));
            while (level-- > 0)
                i = i << 6 | (63 - __builtin_clzll(set->levels[level][i]));
            return i;
        }
        i = (i >> 6) - 1;
    }
    return -1;
}

/* The smallest member that is at least i, or -1. i >= 0; an i of size or more has none. */
static inline int64_t ppi_bitset_at_least(const struct bitset *set, int64_t i)
{
    int64_t n_bits = set->size;
    for (int32_t level = 0; level < set->n_levels && i < n_bits; level++) {
        uint64_t word = set->levels[level][i >> 6] & (~(uint64_t)0 << (i & 63));
        if (word != 0) {
            i = (i & ~(int64_t)63) | __builtin_ctzll(word);
            while (level-- > 0)
                i = i << 6 | __builtin_ctzll(set->levels[level][i]);
            return i;
        }
        i = (i >> 6) + 1;
        n_bits = ppi_div_up(n_bits, 64);
    }
    return -1;
}

#endif
