/*
 * clock.c: the clock of everything that measures or waits: it never goes back.
 */
#include "internal.h"

#include <time.h>

int64_t ppi_nanoseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

double ppi_seconds(void)
{
    return 1e-9 * (double)ppi_nanoseconds();
}
