/*
 * figure.h: the one format in which benchmarks and rivals hand their figures to run.sh.
 */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include <stdio.h>

/* "figure KEY VALUE"; the key has no blanks. */
static inline void figure(const char *key, double value)
{
    printf("figure %s %.6g\n", key, value);
}

#endif
