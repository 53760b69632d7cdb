/*
 * queue.c: one lock around the waiting prompts, and one condition variable for those who wait for a
 * step.
 *
 * Whoever sleeps in pp_queue_next does so until `due`, the earliest time at which a prompt wants
 * to leave. An add wakes one sleeper only when that time moves forward or when there may be enough
 * for a good step. Whoever leaves pp_queue_next wakes another sleeper while there is something
 * left to do, so a wake-up is never lost with its receiver.
 */

#include "plan/cost/cost_impl.h"
#include "queue_impl.h"

#include <math.h>

#define FOREVER ((int64_t)1 << 60) /* nanoseconds: 36 years */

/* So long after `now`; seconds of any size, not NaN. */
static int64_t later(int64_t now, double seconds)
{
    double ns = seconds * 1e9;
    return now + (ns < (double)FOREVER ? (int64_t)ns : FOREVER);
}

static pp_status check_queue(const pp_queue *queue, const char *function, pp_error *err)
{
    return queue ? PP_OK : ppi_error(err, PP_ERR_ARG, "%s: queue is NULL", function);
}

/* ---- adding ---- */

/* What a prompt takes of a step. n_tokens and alignment at most INT64_MAX / 4. */
static int64_t size_of(const pp_queue *queue, int64_t n_tokens)
{
    return ppi_round_up(n_tokens, queue->prompt_alignment);
}

static pp_status check_prompt(const pp_queue *queue, const pp_waiting_prompt *prompt, pp_error *err)
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
                            "prompt %lld has priority %d, but this queue keeps the order", id,
                            prompt->priority);
    bool whole = prompt->n_tokens <= queue->limits.capacity &&
                 size_of(queue, prompt->n_tokens) <= queue->limits.capacity;
    if (!whole &&
        (queue->oversize == PP_OVERSIZE_ERROR || prompt->n_tokens > PPI_QUEUE_MOST_TOKENS ||
         (queue->oversize == PP_OVERSIZE_SPLIT && queue->chunk == 0)))
        return ppi_error_at(err, PP_ERR_TOO_LONG, prompt->id,
                            "prompt %lld has %lld tokens, but a step holds %lld", id, n_tokens,
                            (long long)queue->limits.capacity);
    return PP_OK;
}

/* true when an add may have made a step possible, for somebody who sleeps, that was not before. */
static bool may_be_good(const pp_queue *queue)
{
    const struct waiting *waiting = &queue->waiting;
    struct step_limits limits = queue->limits;
    limits.max_prompts = queue->least_room;
    return waiting->n == waiting->max || ppi_step_is_good(&limits, waiting->n, waiting->sizes) ||
           ppi_step_is_window(&limits, waiting->n, waiting->sizes);
}

/* A prompt as it waits: when it is due, and its rank. */
static struct waiting_prompt new_prompt(const pp_queue *queue, const pp_waiting_prompt *given,
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
static pp_status add_locked(pp_queue *queue, const pp_waiting_prompt *prompt)
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

pp_status pp_queue_add(pp_queue *queue, const pp_waiting_prompt *prompt, pp_error *err)
{
    PP_TRY(check_queue(queue, "pp_queue_add", err));
    if (!prompt)
        return ppi_error(err, PP_ERR_ARG, "pp_queue_add: prompt is NULL");
    pp_waiting_prompt given = {.struct_size = sizeof given};
    PP_TRY(ppi_struct_read(&given, sizeof given, prompt, "pp_waiting_prompt", err));
    PP_TRY(check_prompt(queue, &given, err));
    pthread_mutex_lock(&queue->mutex);
    pp_status status = add_locked(queue, &given);
    pthread_mutex_unlock(&queue->mutex);
    if (status == PP_ERR_CANCELLED)
        return ppi_error_at(err, status, given.id, "prompt %lld came after the queue was closed",
                            (long long)given.id);
    if (status < 0)
        return ppi_error_at(err, status, given.id, "a prompt with the id %lld waits already",
                            (long long)given.id);
    return status;
}

/* ---- taking steps ---- */

/* One prompt, or as much of it as a step holds, from the waiting ones into the step. */
static void hand_out_prompt(pp_queue *queue, int32_t index, int64_t now, pp_step *step,
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

static void hand_out(pp_queue *queue, const struct step_choice *choice, int64_t now, pp_step *step)
{
    double squares = 0;
    step->n_prompts = step->tokens = step->used = 0;
    for (int32_t i = 0; i < choice->n; i++)
        hand_out_prompt(queue, choice->prompts[i], now, step, &squares);
    step->used = ppi_round_up(step->used, queue->bin_alignment);
    step->capacity = step->used > queue->limits.capacity ? step->used : queue->limits.capacity;
    step->n_waiting = queue->waiting.n;
    step->cost = ppi_cost(&queue->cost, step->tokens, squares, step->n_prompts);
    queue->steps++;
    count(&queue->tokens, step->tokens);
    count(&queue->used, step->used);
    queue->total_capacity += (double)step->capacity;
}

static int64_t step_room(const pp_queue *queue, const pp_step *step)
{
    return step->room < queue->limits.max_prompts ? step->room : queue->limits.max_prompts;
}

/* Sleeps until the earliest prompt is due, `end`, or a wake-up. */
static void sleep_in_queue(pp_queue *queue, const pp_step *step, int64_t end)
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
static pp_status take_step(pp_queue *queue, int64_t now, pp_step *step)
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

static pp_status wait_for_step(pp_queue *queue, double max_wait, pp_step *step)
{
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

pp_status pp_queue_next(pp_queue *queue, double max_wait, pp_step *step, pp_error *err)
{
    PP_TRY(check_queue(queue, "pp_queue_next", err));
    if (!step)
        return ppi_error(err, PP_ERR_ARG, "pp_queue_next: step is NULL");
    pp_step taken = {.struct_size = sizeof taken};
    PP_TRY(ppi_struct_read(&taken, sizeof taken, step, "pp_step", err));
    if (!taken.prompts || taken.room < 1)
        return ppi_error(err, PP_ERR_ARG, "a step has room for %lld prompts; it needs at least 1",
                         taken.prompts ? (long long)taken.room : 0);
    if (!(max_wait >= 0))
        return ppi_error(err, PP_ERR_ARG, "max_wait is %g seconds; it must be at least 0",
                         max_wait);
    pp_status status = wait_for_step(queue, max_wait, &taken);
    return status == PP_OK ? ppi_struct_write(step, &taken, sizeof taken, "pp_step", err) : status;
}

/* ---- the rest ---- */

pp_status pp_queue_cancel(pp_queue *queue, int64_t id, pp_error *err)
{
    PP_TRY(check_queue(queue, "pp_queue_cancel", err));
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

pp_status pp_queue_close(pp_queue *queue, pp_error *err)
{
    PP_TRY(check_queue(queue, "pp_queue_close", err));
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
    return PP_OK;
}

pp_status pp_queue_get_stats(const pp_queue *queue, pp_queue_stats *stats, pp_error *err)
{
    PP_TRY(check_queue(queue, "pp_queue_get_stats", err));
    pthread_mutex_t *mutex = &((pp_queue *)queue)->mutex; /* locked; the rest is only read */
    pthread_mutex_lock(mutex);
    const struct waiting *waiting = &queue->waiting;
    const struct ages *ages = &queue->ages;
    int64_t now = queue->clock.now(queue->clock.user);
    int64_t oldest =
        waiting->oldest != PPI_NOBODY ? now - waiting->prompts[waiting->oldest].arrived : 0;
    pp_queue_stats counted = {
        .struct_size = sizeof counted,
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
    pthread_mutex_unlock(mutex);
    return ppi_struct_write(stats, &counted, sizeof counted, "pp_queue_stats", err);
}
