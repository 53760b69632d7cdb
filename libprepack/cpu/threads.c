/*
 * threads.c: the pool. Workers spin for some tens of microseconds after a job, because the next one
 * of a forward pass follows at once, then sleep. They block every signal: signals belong to the
 * host's threads. No global state.
 */
#define _GNU_SOURCE
#include "cpu/threads.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define SPIN_NS     50000
#define STACK_BYTES ((size_t)512 << 10)

struct worker {
    struct ppi_cpu_pool *pool;
    pthread_t thread;
    int32_t index;
};

struct ppi_cpu_pool {
    struct ppi_mem *mem;
    int32_t n_threads; /* with the caller */
    int32_t n_started;

    /* The job; written by the caller before `turn` moves, read by workers after. */
    ppi_cpu_job job;
    void *arg;
    int32_t n_active;

    _Atomic uint32_t turn;    /* one more for each job */
    _Atomic int32_t n_left;   /* workers that have not finished the job */
    _Atomic int32_t sleepers; /* workers that wait, or are about to, on `wake` */
    _Atomic int32_t waiting;  /* the caller waits, or is about to, on `done` */
    _Atomic bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    struct worker workers[];
};

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* Waits until `turn` is no longer `seen`. Sleeping is announced before the last look and jobs look
 * for sleepers after moving `turn`, both sequentially consistent, so no wake-up is lost. */
static void await_turn(struct ppi_cpu_pool *pool, uint32_t seen)
{
    int64_t end = ppi_nanoseconds() + SPIN_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->turn) != seen)
                return;
            relax();
        }
    } while (ppi_nanoseconds() < end);
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->turn) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void await_workers(struct ppi_cpu_pool *pool)
{
    int64_t end = ppi_nanoseconds() + SPIN_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->n_left) == 0)
                return;
            relax();
        }
    } while (ppi_nanoseconds() < end);
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->n_left) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *arg)
{
    struct worker *self = arg;
    struct ppi_cpu_pool *pool = self->pool;
    for (uint32_t seen = 0;; seen++) {
        await_turn(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (self->index < pool->n_active)
            pool->job(pool->arg, self->index, pool->n_active);
        if (atomic_fetch_sub(&pool->n_left, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void next_turn(struct ppi_cpu_pool *pool)
{
    atomic_fetch_add(&pool->turn, 1);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void ppi_cpu_run(struct ppi_cpu_pool *pool, int64_t n_parts, ppi_cpu_job job, void *arg)
{
    int32_t n_active = n_parts < pool->n_threads ? (int32_t)n_parts : pool->n_threads;
    if (n_active <= 1) {
        job(arg, 0, 1);
        return;
    }
    pool->job = job;
    pool->arg = arg;
    pool->n_active = n_active;
    atomic_store(&pool->n_left, pool->n_threads - 1);
    next_turn(pool);
    job(arg, 0, n_active);
    await_workers(pool);
}

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

pp_status ppi_cpu_pool_create(struct ppi_mem *mem, int32_t n_threads, struct ppi_cpu_pool **pool,
                              pp_error *err)
{
    size_t bytes = sizeof(struct ppi_cpu_pool) + (size_t)n_threads * sizeof(struct worker);
    struct ppi_cpu_pool *p = ppi_zalloc(mem, 1, bytes);
    if (!p)
        return ppi_error_nomem(err, "a thread pool", bytes);
    p->mem = mem;
    p->n_threads = n_threads;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);

    /* A new thread inherits the mask: block everything while starting. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = 0;
    for (int32_t i = 1; i < n_threads && !code; i++) {
        struct worker *worker = &p->workers[p->n_started];
        *worker = (struct worker){.pool = p, .index = i};
        code = start_worker(worker);
        p->n_started += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
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
    next_turn(pool);
    for (int32_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    ppi_free(pool->mem, pool);
}
