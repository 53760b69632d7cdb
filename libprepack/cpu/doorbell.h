/*
 * doorbell.h: a number that threads sleep on until it changes: a futex on Linux, elsewhere (or with
 * PPI_DOORBELL_PORTABLE) a mutex and a condition.
 *
 * Who rings changes the number first. A sleeper names the number that it saw; when that is gone it
 * does not fall asleep, so no change is missed. Sleepers may wake up for nothing and look again.
 */
#ifndef PPI_CPU_DOORBELL_H
#define PPI_CPU_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__linux__) && !defined(PPI_DOORBELL_PORTABLE)
#define PPI_DOORBELL_FUTEX 1
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define PPI_DOORBELL_FUTEX 0
#include <pthread.h>
#endif

struct ppi_doorbell {
    _Atomic uint32_t number;
#if !PPI_DOORBELL_FUTEX
    pthread_mutex_t mutex;
    pthread_cond_t rung;
#endif
};

static inline void ppi_doorbell_init(struct ppi_doorbell *bell)
{
    atomic_init(&bell->number, 0);
#if !PPI_DOORBELL_FUTEX
    pthread_mutex_init(&bell->mutex, NULL);
    pthread_cond_init(&bell->rung, NULL);
#endif
}

static inline void ppi_doorbell_destroy(struct ppi_doorbell *bell)
{
#if PPI_DOORBELL_FUTEX
    (void)bell;
#else
    pthread_cond_destroy(&bell->rung);
    pthread_mutex_destroy(&bell->mutex);
#endif
}

/* Sleeps while the number is `seen`. */
static inline void ppi_doorbell_sleep(struct ppi_doorbell *bell, uint32_t seen)
{
#if PPI_DOORBELL_FUTEX
    syscall(SYS_futex, &bell->number, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
    pthread_mutex_lock(&bell->mutex);
    if (atomic_load(&bell->number) == seen)
        pthread_cond_wait(&bell->rung, &bell->mutex);
    pthread_mutex_unlock(&bell->mutex);
#endif
}

/* Wakes at least n sleepers, or all. */
static inline void ppi_doorbell_ring(struct ppi_doorbell *bell, int32_t n)
{
#if PPI_DOORBELL_FUTEX
    syscall(SYS_futex, &bell->number, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
#else
    (void)n;
    pthread_mutex_lock(&bell->mutex);
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->mutex);
#endif
}

#endif
