/*
 * aside.h: which processor a thread runs on, and leaving one that it shares with its caller.
 *
 * Linux wakes a thread where it thinks best for one thread; beside a process that never sleeps that
 * is often the processor of the very thread that wakes it, and as none of the three is ever without
 * work the two stay together there while the other process has a processor for itself. Elsewhere
 * nothing is known and nothing is done.
 */
#ifndef PPI_CPU_ASIDE_H
#define PPI_CPU_ASIDE_H

#ifndef _GNU_SOURCE
#error "aside.h needs _GNU_SOURCE"
#endif
#include <sched.h>

/* -1: unknown. */
static inline int ppi_this_processor(void)
{
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Moves the calling thread elsewhere if it is on this processor and may run on others, by an
 * affinity without it for a moment. */
static inline void ppi_step_aside(int processor)
{
#if defined(__linux__)
    cpu_set_t all, others;
    if (processor < 0 || sched_getcpu() != processor || sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    others = all;
    CPU_CLR(processor, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0)
        return;
    sched_setaffinity(0, sizeof all, &all);
#else
    (void)processor;
#endif
}

#endif
