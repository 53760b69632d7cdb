/*
 * queue_world.h: a queue in a time of its own. Nobody sleeps: waiting runs the test's script.
 */
#ifndef TEST_QUEUE_WORLD_H
#define TEST_QUEUE_WORLD_H

#include "unit/test_plan_support.h"

#include "queue/queue_impl.h"

#include <math.h>

#define MS   INT64_C(1000000)
#define ROOM 256

/* A queue in a time of its own. */
struct world {
    pp_queue *queue;
    int64_t now; /* nanoseconds */
    /* What happens while pp_queue_next waits; NULL: time passes until it need not. */
    void (*script)(struct world *world, int64_t until);
    int32_t n_waits;
    pp_step step; /* the last one taken */
    pp_step_prompt prompts[ROOM];
};

static inline int64_t world_now(void *user)
{
    return ((struct world *)user)->now;
}

static inline void world_wait(void *user, pthread_cond_t *wake, pthread_mutex_t *mutex,
                              int64_t until)
{
    struct world *world = user;
    (void)wake;
    assert_that(until > world->now);
    assert_that(world->n_waits++ < 100);
    pthread_mutex_unlock(mutex);
    if (world->script)
        world->script(world, until);
    else
        world->now = until;
    pthread_mutex_lock(mutex);
}

static inline pp_queue_params rules(int64_t capacity)
{
    pp_queue_params params;
    pp_queue_params_init(&params, sizeof params);
    params.capacity = capacity;
    params.max_waiting = 200;
    return params;
}

static inline struct world *new_world(const pp_queue_params *params)
{
    struct world *world = calloc(1, sizeof *world);
    assert_that(world != NULL);
    struct queue_clock clock = {.now = world_now, .wait = world_wait, .user = world};
    assert_that(ppi_queue_create(params, &clock, &world->queue, NULL) == PP_OK);
    world->now = 77 * MS;
    return world;
}

static inline void end_world(struct world *world)
{
    pp_queue_destroy(world->queue);
    free(world);
}

static inline void add(struct world *world, int64_t id, int64_t n_tokens, int32_t priority,
                       double deadline)
{
    pp_waiting_prompt prompt = {.struct_size = sizeof prompt,
                                .id = id,
                                .n_tokens = n_tokens,
                                .priority = priority,
                                .deadline = deadline};
    pp_error err = {.struct_size = sizeof err};
    if (pp_queue_add(world->queue, &prompt, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
}

static inline pp_status next(struct world *world, double max_wait)
{
    world->step =
        (pp_step){.struct_size = sizeof world->step, .prompts = world->prompts, .room = ROOM};
    world->n_waits = 0;
    return pp_queue_next(world->queue, max_wait, &world->step, NULL);
}

static inline bool in_step(const struct world *world, int64_t id)
{
    for (int64_t i = 0; i < world->step.n_prompts; i++)
        if (world->prompts[i].id == id)
            return true;
    return false;
}

static inline pp_queue_stats stats_of(struct world *world)
{
    pp_queue_stats stats = {.struct_size = sizeof stats};
    assert_that(pp_queue_get_stats(world->queue, &stats, NULL) == PP_OK);
    return stats;
}

#endif
