/*
 * threads.c: the pool. Runs of units are large at first and small at the end, so that all threads
 * end at about the same time whatever else the machine does. A job waits for no thread that has
 * not come: each job has as many places as it has use for workers, a worker that wakes up takes one
 * before it looks at the job, and when no unit is left the caller closes the places that are free.
 * A worker that comes later finds no place and touches nothing of a job that may be gone.
 *
 * Who waits spins for some microseconds, because the next job of a forward pass, or the end of this
 * one, follows at once, and then sleeps. Sleeping leaves the processor to others, and the caller's
 * to that of its own workers which another process has just put off theirs. A worker that was
 * woken on the caller's processor goes to another.
 *
 * Workers block every signal: signals belong to the host's threads. No global state.
 */
#define _GNU_SOURCE
#include "cpu/threads.h"
#include "cpu/aside.h"
#include "cpu/doorbell.h"

#include <pthread.h>
#include <signal.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Measured on a machine with two processors (docs/lab/benchmarks.md). */
#define SHARE_NS       20000 /* least work of a thread, several times what waking it takes */
#define RUN_NS         20000 /* least work of a run */
#define RUNS           2     /* a run is one of so many, for each thread, of what is left */
#define SPIN_CALLER_NS 10000
#define SPIN_WORKER_NS 20000
#define STACK_BYTES    ((size_t)512 << 10)

/* The number of `places`: free places, and workers inside. */
#define INSIDE_MASK 0xfffu
#define WAITING     0x1000u /* the caller sleeps, or is about to, until nobody is inside */
#define ONE_PLACE   0x10000u

struct worker {
    struct ppi_cpu_pool *pool;
    pthread_t thread;
    int32_t index;
};

struct ppi_cpu_pool {
    struct ppi_mem *mem;
    int32_t n_threads; /* with the caller */
    int32_t n_started;
    ppi_parallel_for_fn parallel_for; /* the host's threads, or NULL */
    void *parallel_user;

    /* The job; written while no worker is inside. */
    ppi_cpu_job job;
    void *arg;
    int64_t n_units, least_run;
    int32_t n_active; /* threads that are worth it */
    int processor;    /* the caller's */

    _Alignas(64) _Atomic int64_t next; /* the first unit that nobody has taken */
    _Alignas(64) struct ppi_doorbell places;
    _Alignas(64) struct ppi_doorbell turn; /* one more for each job */
    _Atomic int32_t sleepers;              /* workers that sleep, or are about to, on `turn` */
    _Atomic bool stop;
    struct worker workers[];
};

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- taking units ---- */

static void take_runs(struct ppi_cpu_pool *pool, int32_t i_thread)
{
    int64_t first = atomic_load(&pool->next);
    while (first < pool->n_units) {
        int64_t left = pool->n_units - first;
        int64_t run = left / (RUNS * pool->n_active);
        if (run < pool->least_run)
            run = pool->least_run < left ? pool->least_run : left;
        if (!atomic_compare_exchange_weak(&pool->next, &first, first + run))
            continue;
        pool->job(pool->arg, first, first + run, i_thread);
        first = atomic_load(&pool->next);
    }
}

static void run_task(void *arg, int32_t i)
{
    take_runs(arg, i);
}

/* ---- workers ---- */

/* Waits until `turn` is no longer `seen`. Sleeping is announced before the last look and jobs look
 * for sleepers after moving `turn`, both sequentially consistent, so no wake-up is lost. */
static void await_turn(struct ppi_cpu_pool *pool, uint32_t seen)
{
    int64_t end = ppi_nanoseconds() + SPIN_WORKER_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->turn.number) != seen)
                return;
            relax();
        }
    } while (ppi_nanoseconds() < end);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->turn.number) == seen)
        ppi_doorbell_sleep(&pool->turn, seen);
    atomic_fetch_sub(&pool->sleepers, 1);
}

/* Takes a place of whatever job is there, if it has one, and then units. */
static void join_job(struct ppi_cpu_pool *pool, int32_t index)
{
    uint32_t places = atomic_load(&pool->places.number);
    do {
        if (places < ONE_PLACE)
            return;
    } while (!atomic_compare_exchange_weak(&pool->places.number, &places, places - ONE_PLACE + 1));
    ppi_step_aside(pool->processor);
    take_runs(pool, index);
    places = atomic_fetch_sub(&pool->places.number, 1);
    if ((places & WAITING) && (places & INSIDE_MASK) == 1)
        ppi_doorbell_ring(&pool->places, 1);
}

static void *work(void *arg)
{
    struct worker *self = arg;
    struct ppi_cpu_pool *pool = self->pool;
    for (uint32_t seen = 0;;) {
        await_turn(pool, seen);
        seen = atomic_load(&pool->turn.number);
        if (atomic_load(&pool->stop))
            return NULL;
        join_job(pool, self->index);
    }
}

/* ---- the caller ---- */

/* Workers that do not sleep look at `turn` by themselves. */
static void next_turn(struct ppi_cpu_pool *pool, int32_t n_wanted)
{
    atomic_fetch_add(&pool->turn.number, 1);
    int32_t n_asleep = atomic_load(&pool->sleepers);
    int32_t n_missing = n_wanted - (pool->n_started - n_asleep);
    if (n_asleep > 0 && n_missing > 0)
        ppi_doorbell_ring(&pool->turn, n_missing);
}

/* Closes free places and waits until the last worker is out. */
static void await_workers(struct ppi_cpu_pool *pool)
{
    if ((atomic_fetch_and(&pool->places.number, INSIDE_MASK) & INSIDE_MASK) == 0)
        return;
    int64_t end = ppi_nanoseconds() + SPIN_CALLER_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->places.number) == 0)
                return;
            relax();
        }
    } while (ppi_nanoseconds() < end);
    uint32_t places = atomic_fetch_or(&pool->places.number, WAITING) | WAITING;
    while (places & INSIDE_MASK) {
        ppi_doorbell_sleep(&pool->places, places);
        places = atomic_load(&pool->places.number);
    }
}

/* Threads among which the work is worth sharing. */
static int32_t useful_threads(const struct ppi_cpu_pool *pool, int64_t n_units, double unit_ns)
{
    double n = (double)n_units * unit_ns / SHARE_NS;
    if (n > (double)n_units)
        n = (double)n_units;
    return n < pool->n_threads ? (int32_t)n : pool->n_threads;
}

void ppi_cpu_run(struct ppi_cpu_pool *pool, int64_t n_units, double unit_ns, ppi_cpu_job job,
                 void *arg)
{
    if (n_units <= 0)
        return;
    int32_t n_active = useful_threads(pool, n_units, unit_ns);
    if (n_active <= 1) {
        job(arg, 0, n_units, 0);
        return;
    }
    pool->job = job;
    pool->arg = arg;
    pool->n_units = n_units;
    pool->least_run = (int64_t)(RUN_NS / unit_ns) + 1;
    pool->n_active = n_active;
    pool->processor = ppi_this_processor();
    atomic_store(&pool->next, 0);
    if (pool->parallel_for) {
        pool->parallel_for(pool->parallel_user, n_active, run_task, pool);
        return;
    }
    atomic_store(&pool->places.number, (uint32_t)(n_active - 1) * ONE_PLACE);
    next_turn(pool, n_active - 1);
    take_runs(pool, 0);
    await_workers(pool);
}

/* ---- its life ---- */

static int start_worker(struct worker *worker)
{
    pthread_attr_t attributes;
    int code = pthread_attr_init(&attributes);
    if (code)
        return code;
    pthread_attr_setstacksize(&attributes, STACK_BYTES); /* on failure: the default size */
    code = pthread_create(&worker->thread, &attributes, work, worker);
    pthread_attr_destroy(&attributes);
    return code;
}

/* An error of errno.h, or 0. A new thread inherits the mask: block everything while starting. */
static int start_workers(struct ppi_cpu_pool *pool, int32_t n)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = 0;
    for (int32_t i = 0; i < n && !code; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i + 1};
        code = start_worker(worker);
        pool->n_started += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

pp_status ppi_cpu_pool_create(struct ppi_mem *mem, int32_t n_threads,
                              ppi_parallel_for_fn parallel_for, void *parallel_user,
                              struct ppi_cpu_pool **pool, pp_error *err)
{
    size_t bytes = sizeof(struct ppi_cpu_pool) + (size_t)n_threads * sizeof(struct worker);
    struct ppi_cpu_pool *p = ppi_zalloc(mem, 1, bytes);
    if (!p)
        return ppi_error_nomem(err, "a thread pool", bytes);
    p->mem = mem;
    p->n_threads = n_threads;
    p->parallel_for = parallel_for;
    p->parallel_user = parallel_user;
    ppi_doorbell_init(&p->places);
    ppi_doorbell_init(&p->turn);
    int code = parallel_for ? 0 : start_workers(p, n_threads - 1);
    if (code) {
        int32_t n_started = p->n_started;
        ppi_cpu_pool_destroy(p);
        return ppi_error_errno(err, PP_ERR_NOMEM, code, "thread %d of %d could not be started",
                               n_started + 2, n_threads);
    }
    *pool = p;
    return PP_OK;
}

void ppi_cpu_pool_destroy(struct ppi_cpu_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    next_turn(pool, pool->n_started);
    for (int32_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    ppi_doorbell_destroy(&pool->turn);
    ppi_doorbell_destroy(&pool->places);
    ppi_free(pool->mem, pool);
}
