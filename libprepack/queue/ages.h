/*
 * ages.h: how long prompts waited: a histogram whose columns are an eighth of a power of two wide,
 * so that percentiles are at most an eighth too high, from nanoseconds to centuries.
 */
#ifndef PPI_AGES_H
#define PPI_AGES_H

#include "internal.h"

#define PPI_AGE_COLUMNS (62 * 8)

struct ages {
    int64_t counts[PPI_AGE_COLUMNS];
    int64_t n;
    int64_t longest; /* nanoseconds */
    double sum;
};

/* Ages below 8 have a column each; above, the leading bit and the three that follow it choose. */
static inline int32_t ppi_age_column(int64_t age)
{
    if (age < 8)
        return (int32_t)age;
    int32_t exponent = 63 - __builtin_clzll((unsigned long long)age);
    return (exponent - 2) * 8 + (int32_t)(age >> (exponent - 3) & 7);
}

/* The first age behind a column. */
static inline double ppi_age_column_end(int32_t column)
{
    if (column < 8)
        return column + 1;
    return (double)(column % 8 + 9) * (double)((int64_t)1 << (column / 8 - 1));
}

static inline void ppi_age_add(struct ages *ages, int64_t age)
{
    age = age < 0 ? 0 : age;
    ages->counts[ppi_age_column(age)]++;
    ages->n++;
    ages->sum += (double)age;
    ages->longest = age > ages->longest ? age : ages->longest;
}

/* Nanoseconds that the given share of the prompts did not exceed; 0 without prompts. */
static inline double ppi_age_percentile(const struct ages *ages, double share)
{
    int64_t below = 0;
    for (int32_t i = 0; i < PPI_AGE_COLUMNS; i++) {
        below += ages->counts[i];
        if (below > 0 && (double)below >= share * (double)ages->n) {
            double end = ppi_age_column_end(i);
            return end < (double)ages->longest ? end : (double)ages->longest;
        }
    }
    return 0;
}

#endif
