/* stopwatch.c: the monotonic clock. */
#include "stopwatch.h"

#include <time.h>

double seconds_now(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
