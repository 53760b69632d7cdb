/*
 * queue.h: the queue behind a packer's stream: prompts that wait, one lock, and the sleep of those
 * who wait for a step. Every function may be called from any thread.
 */
#ifndef PPI_QUEUE_H
#define PPI_QUEUE_H

#include "internal.h"

#include <prepack/stream.h>

#include <pthread.h>

/* Nanoseconds that never go back, and sleeping until such a time. Tests bring their own. */
struct queue_clock {
    int64_t (*now)(void *user);
    /* Waits with `mutex` held, as pthread_cond_timedwait; may return at any time. */
    void (*wait)(void *user, pthread_cond_t *wake, pthread_mutex_t *mutex, int64_t until);
    void *user;
};

struct queue;

/* A queue by a packer's params, max_waiting positive; cost is read while it lives. clock NULL:
 * CLOCK_MONOTONIC. Errors: PP_ERR_ARG (settings that a queue cannot serve), PP_ERR_NOMEM. */
pp_status ppi_queue_create(const pp_packer_params *params, const pp_cost_model *cost,
                           const struct queue_clock *clock, struct ppi_mem *mem,
                           struct queue **queue, pp_error *err);
/* NULL is allowed. Nobody may be using it. */
void ppi_queue_destroy(struct queue *queue, struct ppi_mem *mem);

/* What stream.h promises of pp_packer_add, next, ..., with structs of this version. */
pp_status ppi_queue_add(struct queue *queue, const pp_waiting_prompt *prompt, pp_error *err);
pp_status ppi_queue_next(struct queue *queue, double max_wait, pp_step *step, pp_error *err);
pp_status ppi_queue_cancel(struct queue *queue, int64_t id);
void ppi_queue_close(struct queue *queue);
void ppi_queue_get_stats(struct queue *queue, pp_packer_stats *stats);

#endif
