/*
 * queue_create.c: what a caller asks of a queue, checked, and the queue with all its memory.
 */
#include "plan/cost/cost_impl.h"
#include "queue_impl.h"

#include <time.h>

#define MOST_WAITING (1 << 30)

static const pp_queue_params default_params = {.struct_size = sizeof(pp_queue_params),
                                               .oversize = PP_OVERSIZE_ERROR,
                                               .max_waiting = 4096,
                                               .bin_alignment = 1,
                                               .prompt_alignment = 1,
                                               .max_age = 0.010,
                                               .priority_age = 1};

void pp_queue_params_init(pp_queue_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

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

/* ---- params ---- */

static pp_status check_params(const pp_queue_params *params, pp_error *err)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } limits[] = {
        {"capacity", params->capacity, 1, INT64_MAX},
        {"max_waiting", params->max_waiting, 1, MOST_WAITING},
        {"max_prompts", params->max_prompts, 0, INT64_MAX},
        {"bin_alignment", params->bin_alignment, 1, PPI_QUEUE_MOST_TOKENS},
        {"prompt_alignment", params->prompt_alignment, 1, PPI_QUEUE_MOST_TOKENS},
    };
    for (size_t i = 0; i < PPI_COUNT(limits); i++)
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
            return ppi_error(err, PP_ERR_ARG, "pp_queue_params.%s is %lld; allowed: %lld to %lld",
                             limits[i].name, (long long)limits[i].value, (long long)limits[i].least,
                             (long long)limits[i].most);
    const struct {
        const char *name;
        double value;
    } times[] = {{"max_age", params->max_age}, {"priority_age", params->priority_age}};
    for (size_t i = 0; i < PPI_COUNT(times); i++)
        if (!(times[i].value >= 0))
            return ppi_error(err, PP_ERR_ARG,
                             "pp_queue_params.%s is %g seconds; it must be at least 0",
                             times[i].name, times[i].value);
    if (params->oversize < PP_OVERSIZE_ERROR || params->oversize > PP_OVERSIZE_SPLIT)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_queue_params.oversize is %d; allowed: %d (ERROR) to %d (SPLIT)",
                         params->oversize, PP_OVERSIZE_ERROR, PP_OVERSIZE_SPLIT);
    int64_t room = params->capacity - params->capacity % params->bin_alignment;
    if (params->prompt_alignment > room)
        return ppi_error(err, PP_ERR_ARG,
                         "a step of %lld tokens holds nothing with a bin_alignment of %lld and a "
                         "prompt_alignment of %lld",
                         (long long)params->capacity, (long long)params->bin_alignment,
                         (long long)params->prompt_alignment);
    return PP_OK;
}

/* params: checked. */
static void set_rules(pp_queue *queue, const pp_queue_params *params)
{
    int64_t capacity = params->capacity - params->capacity % params->bin_alignment;
    queue->limits = (struct step_limits){
        .capacity = capacity < PPI_QUEUE_MOST_TOKENS ? capacity : PPI_QUEUE_MOST_TOKENS,
        .max_prompts = params->max_prompts > 0 ? params->max_prompts : INT64_MAX,
        .keep_order = params->keep_order != 0};
    queue->oversize = params->oversize;
    queue->prompt_alignment = params->prompt_alignment;
    queue->bin_alignment = params->bin_alignment;
    queue->chunk = queue->limits.capacity - queue->limits.capacity % params->prompt_alignment;
    queue->max_age = params->max_age;
    queue->priority_age = params->priority_age;
    queue->due = INT64_MAX;
}

/* ---- the queue ---- */

static pp_status start_lock(pp_queue *queue, pp_error *err)
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

static void free_queue(pp_queue *queue)
{
    struct ppi_mem mem = queue->mem;
    ppi_step_scratch_destroy(&queue->scratch, &mem);
    ppi_waiting_destroy(&queue->waiting, &mem);
    ppi_free(&mem, queue);
}

pp_status ppi_queue_create(const pp_queue_params *params, const struct queue_clock *clock,
                           pp_queue **queue, pp_error *err)
{
    static const struct queue_clock monotonic = {.now = monotonic_now, .wait = monotonic_wait};
    if (!queue)
        return ppi_error(err, PP_ERR_ARG, "pp_queue_create: queue is NULL");
    pp_queue_params chosen = default_params;
    pp_cost_model cost;
    struct ppi_mem mem;
    PP_TRY(ppi_struct_read(&chosen, sizeof chosen, params, "pp_queue_params", err));
    PP_TRY(check_params(&chosen, err));
    PP_TRY(ppi_cost_read(&cost, chosen.cost, err));
    PP_TRY(ppi_mem_init(&mem, chosen.allocator, 0, err));
    pp_queue *new_queue = ppi_zalloc(&mem, 1, sizeof *new_queue);
    if (!new_queue)
        return ppi_error_nomem(err, "a queue", sizeof *new_queue);
    new_queue->mem = mem;
    new_queue->cost = cost;
    new_queue->clock = clock ? *clock : monotonic;
    set_rules(new_queue, &chosen);
    pp_status status =
        ppi_waiting_create(&new_queue->waiting, chosen.max_waiting, &new_queue->mem, err);
    if (status >= 0)
        status =
            ppi_step_scratch_create(&new_queue->scratch, chosen.max_waiting, &new_queue->mem, err);
    if (status >= 0)
        status = start_lock(new_queue, err);
    if (status < 0) {
        free_queue(new_queue);
        return status;
    }
    *queue = new_queue;
    return PP_OK;
}

pp_status pp_queue_create(const pp_queue_params *params, pp_queue **queue, pp_error *err)
{
    return ppi_queue_create(params, NULL, queue, err);
}

void pp_queue_destroy(pp_queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->wake);
    pthread_mutex_destroy(&queue->mutex);
    free_queue(queue);
}
