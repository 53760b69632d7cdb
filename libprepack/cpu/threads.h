/*
 * threads.h: a small pool of threads that share one job at a time. The caller is one of them.
 */
#ifndef PPI_CPU_THREADS_H
#define PPI_CPU_THREADS_H

#include "internal.h"

struct ppi_cpu_pool;

/* The part of a job that thread i_thread of n_threads has. */
typedef void (*ppi_cpu_job)(void *arg, int32_t i_thread, int32_t n_threads);

/* n_threads counts the caller; 1 starts none. Errors: PP_ERR_NOMEM. */
pp_status ppi_cpu_pool_create(struct ppi_mem *mem, int32_t n_threads, struct ppi_cpu_pool **pool,
                              pp_error *err);
void ppi_cpu_pool_destroy(struct ppi_cpu_pool *pool);

/* Runs the job on min(n_parts, threads of the pool) threads, at least one, and waits for all. */
void ppi_cpu_run(struct ppi_cpu_pool *pool, int64_t n_parts, ppi_cpu_job job, void *arg);

/* The border before part i of `total` things shared evenly by n. */
static inline int64_t ppi_cpu_share(int64_t total, int32_t i, int32_t n)
{
    return total / n * i + (total % n * i) / n;
}

#endif
