/*
 * queue_impl.h: the queue as its files and its tests see it: prompts that wait, one lock, and the
 * sleep of those who wait for a step.
 */
#ifndef PPI_QUEUE_IMPL_H
#define PPI_QUEUE_IMPL_H

#include "ages.h"
#include "step.h"

#include <prepack/queue.h>

#include <pthread.h>

#define PPI_QUEUE_MOST_TOKENS (INT64_MAX / 4) /* of a step and of a prompt */

/* Nanoseconds that never go back, and sleeping until such a time. Tests bring their own. */
struct queue_clock {
    int64_t (*now)(void *user);
    /* Waits with `mutex` held, as pthread_cond_timedwait; may return at any time. */
    void (*wait)(void *user, pthread_cond_t *wake, pthread_mutex_t *mutex, int64_t until);
    void *user;
};

struct pp_queue {
    struct ppi_mem mem;
    struct queue_clock clock;
    pp_cost_model cost;
    struct step_limits limits;
    int32_t oversize;
    int64_t prompt_alignment, bin_alignment;
    int64_t chunk; /* tokens of a prompt that is split in one step */
    double max_age;
    double priority_age;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* The rest is guarded by the mutex. */
    struct waiting waiting;
    struct step_scratch scratch;
    bool closed;
    int64_t n_sleepers;
    int64_t least_room; /* of the steps that the sleepers want to fill */
    int64_t due;        /* the earliest of the prompts that wait, unless nobody watches it */
    int64_t added, handed_out, cancelled, refused, steps, tokens, used;
    double total_capacity; /* of all steps */
    struct ages ages;
};

/* pp_queue_create with another clock; NULL: CLOCK_MONOTONIC. */
pp_status ppi_queue_create(const pp_queue_params *params, const struct queue_clock *clock,
                           pp_queue **queue, pp_error *err);

#endif
