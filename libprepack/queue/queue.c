/*
 * queue.c: one lock around the waiting prompts, and one condition variable for those who wait for a
 * step.
 *
 * Whoever sleeps in ppi_queue_next does so until `due`, the earliest time at which a prompt wants
 * to leave. An add wakes one sleeper only when that time moves forward or when there may be enough
 * for a good step. Whoever leaves ppi_queue_next wakes another sleeper while there is something
 * left to do, so a wake-up is never lost with its receiver.
 */
#include "queue.h"

#include "ages.h"
#include "plan/cost/cost_impl.h"
#include "step.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#define MOST_WAITING (1 << 30)
#define MOST_TOKENS  (INT64_MAX / 4)
#define FOREVER      ((int64_t)1 << 60) /* nanoseconds: 36 years */

struct queue {
    struct queue_clock clock;
    const pp_cost_model *cost;
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

/* ---- time ---- */

static int64_t monotonic_now(void *user)
{
    (void)user;
    return ppi_nanoseconds();
}

static void monotonic_wait(void *user, pthread_cond_t *wake, pthread_mutex_t *mutex, int64_t until)
{
    (void)user;
    struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    pthread_cond_timedwait(wake, mutex, &time);
}

/* So long after `now`; seconds of any size, not NaN. */
static int64_t later(int64_t now, double seconds)
{
    double ns = seconds * 1e9;
    return now + (ns < (double)FOREVER ? (int64_t)ns : FOREVER);
}

/* ---- creating ---- */

/* The steps of a queue are bins of one capacity, of prompts of which only the lengths are known. */
static pp_status check_params(const pp_packer_params *params, pp_error *err)
{
    long long max_waiting = (long long)params->max_waiting;
    if (params->max_waiting > MOST_WAITING)
        return ppi_error(err, PP_ERR_ARG, "max_waiting is %lld; it must be at most %d", max_waiting,
                         MOST_WAITING);
    if (params->objective != PP_OBJECTIVE_FEWEST_BINS || params->n_capacities > 0 ||
        params->share_prefixes)
        return ppi_error(err, PP_ERR_ARG, "max_waiting is %lld, but a queue cannot do %s",
                         max_waiting,
                         params->share_prefixes     ? "share_prefixes"
                         : params->n_capacities > 0 ? "capacities"
                                                    : "this objective");
    if (params->capacity == 0)
        return ppi_error(err, PP_ERR_ARG,
                         "max_waiting is %lld, but the steps of a queue need a capacity",
                         max_waiting);
    return PP_OK;
}

static pp_status start_lock(struct queue *queue, pp_error *err)
{
    int code = pthread_mutex_init(&queue->mutex, NULL);
    if (code)
        return ppi_error_errno(err, PP_ERR_NOMEM, code, "the lock of a queue");
    pthread_condattr_t attributes;
    code = pthread_condattr_init(&attributes);
    if (!code) {
        code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (!code)
            code = pthread_cond_init(&queue->wake, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    if (!code)
        return PP_OK;
    pthread_mutex_destroy(&queue->mutex);
    return ppi_error_errno(err, PP_ERR_NOMEM, code, "the condition variable of a queue");
}

pp_status ppi_queue_create(const pp_packer_params *params, const pp_cost_model *cost,
                           const struct queue_clock *clock, struct ppi_mem *mem,
                           struct queue **queue, pp_error *err)
{
    PP_TRY(check_params(params, err));
    struct queue *new_queue = ppi_zalloc(mem, 1, sizeof *new_queue);
    if (!new_queue)
        return ppi_error_nomem(err, "a queue", sizeof *new_queue);
    static const struct queue_clock monotonic = {.now = monotonic_now, .wait = monotonic_wait};
    int64_t capacity = params->capacity - params->capacity % params->bin_alignment;
    new_queue->clock = clock ? *clock : monotonic;
    new_queue->cost = cost;
    new_queue->limits = (struct step_limits){
        .capacity = capacity < MOST_TOKENS ? capacity : MOST_TOKENS,
        .max_prompts = params->max_prompts > 0 ? params->max_prompts : INT64_MAX,
        .keep_order = params->keep_order || params->policy == PP_POLICY_ARRIVAL};
    new_queue->oversize = params->oversize;
    new_queue->prompt_alignment = params->prompt_alignment;
    new_queue->bin_alignment = params->bin_alignment;
    new_queue->chunk =
        new_queue->limits.capacity - new_queue->limits.capacity % params->prompt_alignment;
    new_queue->max_age = params->max_age;
    new_queue->priority_age = params->priority_age;
    new_queue->due = INT64_MAX;
    pp_status status = ppi_waiting_create(&new_queue->waiting, params->max_waiting, mem, err);
    if (status >= 0)
        status = ppi_step_scratch_create(&new_queue->scratch, params->max_waiting, mem, err);
    if (status >= 0)
        status = start_lock(new_queue, err);
    if (status < 0) {
        ppi_step_scratch_destroy(&new_queue->scratch, mem);
        ppi_waiting_destroy(&new_queue->waiting, mem);
        ppi_free(mem, new_queue);
        return status;
    }
    *queue = new_queue;
    return PP_OK;
}

void ppi_queue_destroy(struct queue *queue, struct ppi_mem *mem)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->wake);
    pthread_mutex_destroy(&queue->mutex);
    ppi_step_scratch_destroy(&queue->scratch, mem);
    ppi_waiting_destroy(&queue->waiting, mem);
    ppi_free(mem, queue);
}

/* ---- adding ---- */

/* What a prompt takes of a step. n_tokens and alignment at most INT64_MAX / 4. */
static int64_t size_of(const struct queue *queue, int64_t n_tokens)
{
    return ppi_round_up(n_tokens, queue->prompt_alignment);
}

static pp_status check_prompt(const struct queue *queue, const pp_waiting_prompt *prompt,
                              pp_error *err)
{
    long long id = (long long)prompt->id;
    long long n_tokens = (long long)prompt->n_tokens;
    if (prompt->n_tokens < 1)
        return ppi_error_at(err, PP_ERR_ARG, prompt->id,
                            "prompt %lld has %lld tokens; it must have at least 1", id, n_tokens);
    if (!(prompt->deadline >= 0))
        return ppi_error_at(err, PP_ERR_ARG, prompt->id,
                            "the deadline of prompt %lld is %g seconds; it must be at least 0", id,
                            prompt->deadline);
    if (queue->limits.keep_order && prompt->priority != 0)
        return ppi_error_at(err, PP_ERR_ARG, prompt->id,
                            "prompt %lld has priority %d, but this packer keeps the order", id,
                            prompt->priority);
    bool whole = prompt->n_tokens <= queue->limits.capacity &&
                 size_of(queue, prompt->n_tokens) <= queue->limits.capacity;
    if (!whole && (queue->oversize == PP_OVERSIZE_ERROR || prompt->n_tokens > MOST_TOKENS ||
                   (queue->oversize == PP_OVERSIZE_SPLIT && queue->chunk == 0)))
        return ppi_error_at(err, PP_ERR_TOO_LONG, prompt->id,
                            "prompt %lld has %lld tokens, but a step holds %lld", id, n_tokens,
                            (long long)queue->limits.capacity);
    return PP_OK;
}

/* true when an add may have made a step possible, for somebody who sleeps, that was not before. */
static bool may_be_good(const struct queue *queue)
{
    const struct waiting *waiting = &queue->waiting;
    struct step_limits limits = queue->limits;
    limits.max_prompts = queue->least_room;
    return waiting->n == waiting->max || ppi_step_is_good(&limits, waiting->n, waiting->sizes) ||
           ppi_step_is_window(&limits, waiting->n, waiting->sizes);
}

/* A prompt as it waits: when it is due, and its rank. */
static struct waiting_prompt new_prompt(const struct queue *queue, const pp_waiting_prompt *given,
                                        int64_t now)
{
    struct waiting_prompt prompt = {
        .id = given->id,
        .n_tokens = given->n_tokens,
        .size = size_of(queue, given->n_tokens),
        .arrived = now,
        .due = later(now, given->deadline > 0 ? given->deadline : queue->max_age),
        .priority = given->priority};
    if (!queue->limits.keep_order) {
        double ahead = given->priority ? queue->priority_age * fabs((double)given->priority) : 0;
        prompt.rank = given->priority < 0 ? later(prompt.due, ahead) : prompt.due - later(0, ahead);
    }
    return prompt;
}

/* With the lock held. */
static pp_status add_locked(struct queue *queue, const pp_waiting_prompt *prompt)
{
    struct waiting *waiting = &queue->waiting;
    if (queue->closed)
        return PP_ERR_CANCELLED;
    if (ppi_waiting_find(waiting, prompt->id) != PPI_NOBODY)
        return PP_ERR_ARG;
    struct waiting_prompt added = new_prompt(queue, prompt, queue->clock.now(queue->clock.user));
    int64_t sizes;
    if (waiting->n == waiting->max || __builtin_add_overflow(waiting->sizes, added.size, &sizes)) {
        queue->refused++;
        return PP_AGAIN;
    }
    ppi_waiting_add(waiting, &added);
    queue->added++;
    bool sooner = added.due < queue->due;
    queue->due = sooner ? added.due : queue->due;
    if (queue->n_sleepers > 0 && (sooner || may_be_good(queue)))
        pthread_cond_signal(&queue->wake);
    return PP_OK;
}

pp_status ppi_queue_add(struct queue *queue, const pp_waiting_prompt *prompt, pp_error *err)
{
    PP_TRY(check_prompt(queue, prompt, err));
    pthread_mutex_lock(&queue->mutex);
    pp_status status = add_locked(queue, prompt);
    pthread_mutex_unlock(&queue->mutex);
    if (status == PP_ERR_CANCELLED)
        return ppi_error_at(err, status, prompt->id, "prompt %lld came after the packer was closed",
                            (long long)prompt->id);
    if (status < 0)
        return ppi_error_at(err, status, prompt->id, "a prompt with the id %lld waits already",
                            (long long)prompt->id);
    return status;
}

/* ---- taking steps ---- */

/* One prompt, or as much of it as a step holds, from the waiting ones into the step. */
static void hand_out_prompt(struct queue *queue, int32_t index, int64_t now, pp_step *step,
                            double *squares)
{
    const struct waiting_prompt *prompt = &queue->waiting.prompts[index];
    int64_t n_tokens = prompt->n_tokens;
    bool split = queue->oversize == PP_OVERSIZE_SPLIT && prompt->size > queue->limits.capacity;
    if (split && n_tokens > queue->chunk)
        n_tokens = queue->chunk;
    double n = (double)n_tokens;
    step->prompts[step->n_prompts++] =
        (pp_step_prompt){.id = prompt->id,
                         .first_token = prompt->first_token,
                         .n_tokens = n_tokens,
                         .start = step->used,
                         .age = 1e-9 * (double)(now - prompt->arrived),
                         .continues = n_tokens < prompt->n_tokens};
    *squares += n * (n + 2 * (double)prompt->first_token);
    step->tokens += n_tokens;
    step->used += size_of(queue, n_tokens);
    if (n_tokens < prompt->n_tokens) {
        ppi_waiting_shorten(&queue->waiting, index, n_tokens,
                            size_of(queue, prompt->n_tokens - n_tokens));
    } else {
        ppi_age_add(&queue->ages, now - prompt->arrived);
        ppi_waiting_remove(&queue->waiting, index);
        queue->handed_out++;
    }
}

/* A sum of absurd sizes stays at the largest number. */
static void count(int64_t *sum, int64_t n)
{
    if (__builtin_add_overflow(*sum, n, sum))
        *sum = INT64_MAX;
}

static void hand_out(struct queue *queue, const struct step_choice *choice, int64_t now,
                     pp_step *step)
{
    double squares = 0;
    step->n_prompts = step->tokens = step->used = 0;
    for (int32_t i = 0; i < choice->n; i++)
        hand_out_prompt(queue, choice->prompts[i], now, step, &squares);
    step->used = ppi_round_up(step->used, queue->bin_alignment);
    step->capacity = step->used > queue->limits.capacity ? step->used : queue->limits.capacity;
    step->n_waiting = queue->waiting.n;
    step->cost = ppi_cost(queue->cost, step->tokens, squares, step->n_prompts);
    queue->steps++;
    count(&queue->tokens, step->tokens);
    count(&queue->used, step->used);
    queue->total_capacity += (double)step->capacity;
}

static int64_t step_room(const struct queue *queue, const pp_step *step)
{
    return step->room < queue->limits.max_prompts ? step->room : queue->limits.max_prompts;
}

/* Sleeps until the earliest prompt is due, `end`, or a wake-up. */
static void sleep_in_queue(struct queue *queue, const pp_step *step, int64_t end)
{
    int64_t room = step_room(queue, step);
    if (queue->n_sleepers++ == 0 || room < queue->least_room)
        queue->least_room = room;
    queue->clock.wait(queue->clock.user, &queue->wake, &queue->mutex,
                      queue->due < end ? queue->due : end);
    queue->n_sleepers--;
}

/* One look at the queue: PP_OK and the step; PP_GONE; or PP_AGAIN, and queue->due is the time of
 * the next look. After a step nobody has looked at what is left: the next add wakes a sleeper. */
static pp_status take_step(struct queue *queue, int64_t now, pp_step *step)
{
    struct step_limits limits = queue->limits;
    limits.max_prompts = step_room(queue, step);
    bool urgent = queue->closed || queue->waiting.n == queue->waiting.max;
    struct step_choice choice;
    if (ppi_step_choose(&queue->waiting, &limits, now, urgent, &queue->scratch, &choice,
                        &queue->due)) {
        hand_out(queue, &choice, now, step);
        queue->due = INT64_MAX;
        return PP_OK;
    }
    return queue->closed ? PP_GONE : PP_AGAIN;
}

pp_status ppi_queue_next(struct queue *queue, double max_wait, pp_step *step, pp_error *err)
{
    if (!step->prompts || step->room < 1)
        return ppi_error(err, PP_ERR_ARG, "a step has room for %lld prompts; it needs at least 1",
                         step->prompts ? (long long)step->room : 0);
    if (!(max_wait >= 0))
        return ppi_error(err, PP_ERR_ARG, "max_wait is %g seconds; it must be at least 0",
                         max_wait);
    pthread_mutex_lock(&queue->mutex);
    int64_t now = queue->clock.now(queue->clock.user);
    int64_t end = later(now, max_wait);
    pp_status status;
    while ((status = take_step(queue, now, step)) == PP_AGAIN && now < end) {
        sleep_in_queue(queue, step, end);
        now = queue->clock.now(queue->clock.user);
    }
    if (queue->n_sleepers > 0 && (queue->waiting.n > 0 || queue->closed))
        pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
    return status;
}

/* ---- the rest ---- */

pp_status ppi_queue_cancel(struct queue *queue, int64_t id)
{
    pthread_mutex_lock(&queue->mutex);
    int32_t index = ppi_waiting_find(&queue->waiting, id);
    if (index != PPI_NOBODY) {
        ppi_waiting_remove(&queue->waiting, index);
        queue->cancelled++;
        if (queue->closed && queue->waiting.n == 0)
            pthread_cond_broadcast(&queue->wake);
    }
    pthread_mutex_unlock(&queue->mutex);
    return index != PPI_NOBODY ? PP_OK : PP_GONE;
}

void ppi_queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
}

void ppi_queue_get_stats(struct queue *queue, pp_packer_stats *stats)
{
    pthread_mutex_lock(&queue->mutex);
    const struct waiting *waiting = &queue->waiting;
    const struct ages *ages = &queue->ages;
    int64_t now = queue->clock.now(queue->clock.user);
    int64_t oldest =
        waiting->oldest != PPI_NOBODY ? now - waiting->prompts[waiting->oldest].arrived : 0;
    *stats = (pp_packer_stats){
        .struct_size = sizeof *stats,
        .closed = queue->closed,
        .waiting = waiting->n,
        .waiting_tokens = waiting->tokens,
        .added = queue->added,
        .handed_out = queue->handed_out,
        .cancelled = queue->cancelled,
        .refused = queue->refused,
        .steps = queue->steps,
        .tokens = queue->tokens,
        .used = queue->used,
        .waste = queue->steps > 0 ? 1 - (double)queue->tokens / queue->total_capacity : 0,
        .oldest_age = 1e-9 * (double)oldest,
        .mean_age = ages->n > 0 ? 1e-9 * ages->sum / (double)ages->n : 0,
        .p50_age = 1e-9 * ppi_age_percentile(ages, 0.5),
        .p99_age = 1e-9 * ppi_age_percentile(ages, 0.99),
        .longest_age = 1e-9 * (double)ages->longest};
    pthread_mutex_unlock(&queue->mutex);
}
