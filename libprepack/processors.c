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
