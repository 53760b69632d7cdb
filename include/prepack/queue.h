/*
 * prepack/queue.h: the planner for prompts that arrive one by one. Threads that receive requests
 * add them to a queue; the thread that runs the model takes step after step from it.
 *
 *     pp_queue_params params;
 *     pp_queue_params_init(&params, sizeof params);
 *     params.capacity = 2048;        token budget of a step
 *     pp_queue_create(&params, &queue, &err);
 *
 *     pp_waiting_prompt prompt = {.struct_size = sizeof prompt, .id = 7, .n_tokens = 312};
 *     status = pp_queue_add(queue, &prompt, &err);                 any thread; PP_AGAIN: full
 *
 *     pp_step_prompt prompts[256];
 *     pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = 256};
 *     while ((status = pp_queue_next(queue, 1.0, &step, &err)) == PP_OK || status == PP_AGAIN)
 *         if (status == PP_OK)
 *             run(step.prompts, step.n_prompts);
 *
 * A *step* is a bin: at most `capacity` tokens, alignment included, of at most `max_prompts`
 * prompts. Which prompts go into the next one:
 *
 *  - Every prompt has a time by which it is *due*: max_age seconds after it came, or its deadline.
 *    Its *rank* is that time less priority * priority_age, so a prompt overtakes those of a level
 *    below that came up to priority_age earlier, and nobody else: whoever waits long enough comes
 *    first (dynamic priorities, Jackson 1960).
 *  - A step holds the prompt that is first by rank and, of those that follow it in a window of some
 *    steps' worth, those that fill it best: so the k-th prompt leaves with the k-th step at the
 *    latest, whatever its length.
 *  - What is not filled well is carried over, in the hope of company, until a prompt in it is due;
 *    meanwhile another step may leave if it is filled well and passes over no higher priority. The
 *    wait also ends when the window or the queue is full, and after pp_queue_close.
 *
 * With keep_order a step is the run of oldest prompts that fits. Prompts longer than the capacity:
 * with PP_OVERSIZE_OWN_BIN each is a step of its own, with PP_OVERSIZE_SPLIT a step takes as many
 * tokens of it as it holds and later ones take the rest.
 *
 * Thread-safety: any thread may call any of these functions at any time but while the queue is
 * destroyed; only pp_queue_next waits for longer than another call takes. All memory is reserved by
 * pp_queue_create, about 200 bytes for each prompt that may wait. No thread is started.
 */
#ifndef PREPACK_QUEUE_H
#define PREPACK_QUEUE_H

#include "packer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prompts that wait, and the rules by which they leave. */
typedef struct pp_queue pp_queue;

typedef struct pp_queue_params {
    uint32_t struct_size;
    int32_t oversize;          /* PP_OVERSIZE_*; default PP_OVERSIZE_ERROR */
    int32_t keep_order;        /* 1: prompts leave in the order in which they came; default 0 */
    int64_t capacity;          /* tokens of a step, at least 1; there is no default */
    int64_t max_waiting;       /* prompts that may wait, at most 2^30; default 4096 */
    int64_t max_prompts;       /* prompts of a step; default 0: no limit */
    int64_t bin_alignment;     /* a step's tokens are rounded up to a multiple of this; default 1 */
    int64_t prompt_alignment;  /* each prompt's room is a multiple of this; default 1 */
    const pp_cost_model *cost; /* what a step costs; copied. Default NULL: its tokens */
    double max_age;            /* seconds a prompt may wait for company; default 0.010 */
    double priority_age;       /* seconds of waiting that a level of priority is worth; default 1 */
    const pp_allocator *allocator; /* memory of the queue; default NULL: malloc */
} pp_queue_params;

/* Fills *params with defaults; `struct_size` is the caller's sizeof. */
PP_API void pp_queue_params_init(pp_queue_params *params, size_t struct_size);

/* Creates a queue, which the caller destroys. Errors: PP_ERR_ARG (params or queue are NULL, no
 * capacity, a value out of its range), PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM. */
PP_API pp_status pp_queue_create(const pp_queue_params *params, pp_queue **queue, pp_error *err);
/* Forgets what waits. Nobody may be using the queue, not even waiting in pp_queue_next. */
PP_API void pp_queue_destroy(pp_queue *queue);

/* A prompt to wait for its step. */
typedef struct pp_waiting_prompt {
    uint32_t struct_size;
    int32_t priority; /* higher goes first; 0 where order is kept */
    int64_t id;       /* the host's name for it; no two that wait share one */
    int64_t n_tokens; /* at least 1 */
    double deadline;  /* seconds from now until it is due; 0: the queue's max_age */
} pp_waiting_prompt;

/*
 * Lets a prompt wait. Never waits itself.
 * PP_AGAIN: max_waiting prompts wait already; this one does not, try again after the next step.
 * Errors: PP_ERR_TOO_LONG (it does not fit into a step), PP_ERR_CANCELLED (after pp_queue_close),
 * PP_ERR_ARG (no tokens, a negative deadline, an id that waits already; err->index is the id),
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_queue_add(pp_queue *queue, const pp_waiting_prompt *prompt, pp_error *err);

/* Tokens [first_token, first_token + n_tokens) of a prompt in a step. A plain record: it will never
 * grow. */
typedef struct pp_step_prompt {
    int64_t id;
    int64_t first_token; /* 0 unless the prompt is split */
    int64_t n_tokens;
    int64_t start;     /* place in the step, alignment included */
    double age;        /* seconds since it was added */
    int32_t continues; /* 1: later steps hold the rest of the prompt */
} pp_step_prompt;

typedef struct pp_step {
    uint32_t struct_size;
    pp_step_prompt *prompts; /* [room] the caller's, to be filled */
    int64_t room;            /* at least 1; a step has no more prompts than this */
    int64_t n_prompts;       /* from here on: results */
    int64_t tokens;
    int64_t used;      /* tokens and what alignment adds */
    int64_t capacity;  /* tokens it could hold: the queue's, or those of a prompt of its own */
    int64_t n_waiting; /* prompts that wait on */
    double cost;       /* of the step, by the queue's cost model */
} pp_step;

/*
 * Takes the next step, waiting at most max_wait seconds for one (0: not at all; INFINITY: for as
 * long as it takes). Several threads may take steps from one queue, each gets its own.
 * PP_AGAIN: nothing waits, or what waits is not due and would not fill a step well.
 * PP_GONE: the queue is closed and nothing waits any more: this was the last step.
 * Errors: PP_ERR_ARG (no room; a negative max_wait), PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_queue_next(pp_queue *queue, double max_wait, pp_step *step, pp_error *err);

/* Removes a prompt that waits, or what still waits of one that is split. PP_GONE: it does not wait:
 * a step holds it, it was cancelled before, or it was never added. */
PP_API pp_status pp_queue_cancel(pp_queue *queue, int64_t id, pp_error *err);

/* No prompt can be added any more; pp_queue_next hands out what waits, without further waiting,
 * and answers PP_GONE then. May be called again. */
PP_API pp_status pp_queue_close(pp_queue *queue, pp_error *err);

/* What the queue has done so far: added = handed_out + cancelled + waiting at any time. */
typedef struct pp_queue_stats {
    uint32_t struct_size;
    int32_t closed;         /* 1 after pp_queue_close */
    int64_t waiting;        /* prompts */
    int64_t waiting_tokens; /* theirs */
    int64_t added;          /* prompts */
    int64_t handed_out;     /* prompts; one that is split counts with its last part */
    int64_t cancelled;      /* prompts */
    int64_t refused;        /* adds that were answered PP_AGAIN */
    int64_t steps;
    int64_t tokens;    /* in all steps */
    int64_t used;      /* and what alignment adds to them */
    double waste;      /* 1 - tokens / capacity of all steps; 0 without steps */
    double oldest_age; /* seconds that the oldest prompt waits; 0 when none does */
    double mean_age;   /* seconds from add to step, of the prompts handed out */
    double p50_age;    /* half of them waited at most this long; up to an eighth too high */
    double p99_age;    /* 99 of 100 */
    double longest_age;
} pp_queue_stats;

/* Fills *stats; the caller sets stats->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_queue_get_stats(const pp_queue *queue, pp_queue_stats *stats, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
