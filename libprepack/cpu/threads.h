/*
 * threads.h: a small pool of threads that share one job at a time. The caller is one of them.
 *
 * A job is a list of units. Threads take runs of neighbouring units from a counter until none is
 * left: a thread that has lost its processor to another process leaves the rest to the others.
 */
#ifndef PPI_CPU_THREADS_H
#define PPI_CPU_THREADS_H

#include "internal.h"

struct ppi_cpu_pool;

/* Does units [first, end) of a job. i_thread, below the pool's number of threads, belongs to one
 * thread at a time: it indexes scratch. */
typedef void (*ppi_cpu_job)(void *arg, int64_t first, int64_t end, int32_t i_thread);

/* n_threads counts the caller; 1 starts none. With parallel_for (of session.h) none is started
 * either, and the jobs' tasks are run by it. Errors: PP_ERR_NOMEM. */
pp_status ppi_cpu_pool_create(struct ppi_mem *mem, int32_t n_threads,
                              ppi_parallel_for_fn parallel_for, void *parallel_user,
                              struct ppi_cpu_pool **pool, pp_error *err);
void ppi_cpu_pool_destroy(struct ppi_cpu_pool *pool);

/* Does every unit of the job once and returns when all are done. unit_ns, about what a unit takes
 * one thread, decides how many threads are worth waking and how few units one takes at a time; a
 * small job is done by the caller alone, in one run. */
void ppi_cpu_run(struct ppi_cpu_pool *pool, int64_t n_units, double unit_ns, ppi_cpu_job job,
                 void *arg);

#endif
