/*
 * processors.c: how many processors there are for this process.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <sched.h>

int32_t ppi_count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set) < 1 ? 1 : CPU_COUNT(&set);
}

int32_t ppi_usable_threads(void)
{
    int32_t n = ppi_count_processors(), quota = ppi_quota_processors("");
    return quota > 0 && quota < n ? quota : n;
}
