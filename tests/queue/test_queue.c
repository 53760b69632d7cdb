/*
 * test_queue.c: the queue of a queue through its public functions: what is refused and how, room,
 * cancelling, closing, structs of other versions, memory that runs out. No test depends on time.
 */
#include "unit/test_plan_support.h"

#include <math.h>

#define UNTOUCHED ((void *)0x5a5a)
#define ROOM      64

static pp_error new_error(void)
{
    return (pp_error){.struct_size = sizeof(pp_error), .index = -77};
}

static pp_queue_params queue_params(int64_t capacity, int64_t max_waiting, double max_age)
{
    pp_queue_params params;
    pp_queue_params_init(&params, sizeof params);
    params.capacity = capacity;
    params.max_waiting = max_waiting;
    params.max_age = max_age;
    return params;
}

static pp_queue *make_queue(int64_t capacity, int64_t max_waiting, double max_age)
{
    pp_queue_params params = queue_params(capacity, max_waiting, max_age);
    pp_queue *queue = NULL;
    pp_error err = new_error();
    if (pp_queue_create(&params, &queue, &err) != PP_OK)
        ck_abort_msg("%s", err.message);
    return queue;
}

static pp_status add(pp_queue *queue, int64_t id, int64_t n_tokens)
{
    pp_waiting_prompt prompt = {.struct_size = sizeof prompt, .id = id, .n_tokens = n_tokens};
    return pp_queue_add(queue, &prompt, NULL);
}

/* A step and the room for its prompts. */
struct taken {
    pp_step step;
    pp_step_prompt prompts[ROOM];
};

static pp_status next(pp_queue *queue, struct taken *taken)
{
    *taken = (struct taken){.step = {.struct_size = sizeof taken->step, .room = ROOM}};
    taken->step.prompts = taken->prompts;
    return pp_queue_next(queue, 0, &taken->step, NULL);
}

static pp_queue_stats stats_of(const pp_queue *queue)
{
    pp_queue_stats stats = {.struct_size = sizeof stats};
    assert_that(pp_queue_get_stats(queue, &stats, NULL) == PP_OK);
    assert_that(stats.added == stats.handed_out + stats.cancelled + stats.waiting);
    return stats;
}

/* ---- creating ---- */

static void assert_create_fails(const pp_queue_params *params, const char *part)
{
    pp_error err = new_error();
    pp_queue *queue = UNTOUCHED;
    assert_error(pp_queue_create(params, &queue, &err), &err, PP_ERR_ARG, -1, part);
    ck_assert_ptr_eq(queue, UNTOUCHED);
}

START_TEST(params_of_queues_are_checked)
{
    pp_queue_params defaults;
    pp_queue_params_init(&defaults, sizeof defaults);
    ck_assert_int_eq(defaults.max_waiting, 4096);
    ck_assert(defaults.max_age == 0.010 && defaults.priority_age == 1);

    pp_queue_params params = queue_params(0, 8, 1);
    assert_create_fails(&params, "pp_queue_params.capacity is 0; allowed: 1 to");
    params = queue_params(10, -1, 1);
    assert_create_fails(&params, "max_waiting is -1; allowed");
    params = queue_params(10, ((int64_t)1 << 30) + 1, 1);
    assert_create_fails(&params, "max_waiting is 1073741825; allowed: 1 to 1073741824");
    params = queue_params(10, 8, -1);
    assert_create_fails(&params, "max_age is -1 seconds");
    params = queue_params(10, 8, NAN);
    assert_create_fails(&params, "max_age is nan seconds");
    params = queue_params(10, 8, 1);
    params.priority_age = -0.5;
    assert_create_fails(&params, "priority_age is -0.5 seconds");
    params = queue_params(10, 8, 1);
    params.oversize = 4;
    assert_create_fails(&params, "oversize is 4; allowed: 1 (ERROR) to 3 (SPLIT)");
    params = queue_params(10, 8, 1);
    params.max_prompts = -1;
    assert_create_fails(&params, "max_prompts is -1; allowed: 0 to");
    params = queue_params(10, 8, 1);
    params.prompt_alignment = 0;
    assert_create_fails(&params, "prompt_alignment is 0; allowed: 1 to");
    params.prompt_alignment = 11;
    assert_create_fails(&params, "a step of 10 tokens holds nothing with a bin_alignment of 1 and "
                                 "a prompt_alignment of 11");
    params = queue_params(10, 8, 1);
    params.bin_alignment = 11;
    assert_create_fails(&params, "a bin_alignment of 11");
    assert_create_fails(NULL, "pp_queue_params.capacity is 0");
    pp_error err = new_error();
    params = queue_params(10, 8, 1);
    assert_error(pp_queue_create(&params, NULL, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
    pp_cost_model cost = {.struct_size = sizeof cost, .per_token = -1, .tile = 1};
    params.cost = &cost;
    assert_create_fails(&params, "per_token");
    pp_queue_destroy(NULL);
}
END_TEST

START_TEST(no_queue)
{
    pp_waiting_prompt prompt = {.struct_size = sizeof prompt, .n_tokens = 1};
    pp_step_prompt prompts[1];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = 1};
    pp_queue_stats stats = {.struct_size = sizeof stats};
    pp_error err = new_error();
    assert_error(pp_queue_add(NULL, &prompt, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
    assert_error(pp_queue_next(NULL, 0, &step, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
    assert_error(pp_queue_cancel(NULL, 1, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
    assert_error(pp_queue_close(NULL, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
    assert_error(pp_queue_get_stats(NULL, &stats, &err), &err, PP_ERR_ARG, -1, "queue is NULL");
}
END_TEST

static size_t create_with_failure(int64_t fail_at, bool persistent)
{
    struct meter meter = {.fail_at = fail_at, .persistent = persistent};
    pp_allocator allocator = meter_allocator(&meter);
    pp_queue_params params = queue_params(100, 1000, 1);
    params.allocator = &allocator;
    pp_queue *queue = UNTOUCHED;
    pp_error err = new_error();
    pp_status status = pp_queue_create(&params, &queue, &err);
    if (fail_at > 0 && fail_at <= meter.n_allocations) {
        assert_error(status, &err, PP_ERR_NOMEM, -1, "no memory for");
        ck_assert_ptr_eq(queue, UNTOUCHED);
    } else {
        ck_assert_int_eq(status, PP_OK);
        int64_t n_allocations = meter.n_allocations;
        meter.persistent = true; /* from here on nothing may be allocated */
        meter.fail_at = n_allocations + 1;
        struct taken taken;
        for (int64_t i = 0; i < 1000; i++)
            ck_assert_int_eq(add(queue, i, 1 + i % 100), PP_OK);
        while (next(queue, &taken) == PP_OK && stats_of(queue).waiting > 100)
            ;
        ck_assert_int_eq(meter.n_allocations, n_allocations);
        pp_queue_destroy(queue);
    }
    ck_assert_uint_eq(meter.n_blocks, 0);
    return (size_t)meter.n_allocations;
}

START_TEST(memory_is_reserved_at_create)
{
    size_t n = create_with_failure(0, false);
    ck_assert_uint_gt(n, 5);
    for (size_t fail_at = 1; fail_at <= n; fail_at++) {
        create_with_failure((int64_t)fail_at, false);
        create_with_failure((int64_t)fail_at, true);
    }
}
END_TEST

/* ---- adding ---- */

static void assert_add_fails(pp_queue *queue, pp_waiting_prompt prompt, pp_status status,
                             int64_t index, const char *part)
{
    pp_queue_stats before = stats_of(queue);
    pp_error err = new_error();
    assert_error(pp_queue_add(queue, &prompt, &err), &err, status, index, part);
    ck_assert_int_eq(pp_queue_add(queue, &prompt, NULL), status);
    pp_queue_stats after = stats_of(queue);
    ck_assert_int_eq(after.added, before.added);
    ck_assert_int_eq(after.refused, before.refused);
    ck_assert_int_eq(after.waiting_tokens, before.waiting_tokens);
}

START_TEST(prompts_are_checked)
{
    pp_queue *queue = make_queue(100, 8, 1);
    const pp_waiting_prompt good = {
        .struct_size = sizeof good, .id = 7, .n_tokens = 100, .priority = -3, .deadline = 2};
    pp_waiting_prompt prompt = good;
    prompt.n_tokens = 0;
    assert_add_fails(queue, prompt, PP_ERR_ARG, 7, "prompt 7 has 0 tokens");
    prompt.n_tokens = INT64_MIN;
    assert_add_fails(queue, prompt, PP_ERR_ARG, 7, "at least 1");
    prompt.n_tokens = 101;
    assert_add_fails(queue, prompt, PP_ERR_TOO_LONG, 7,
                     "prompt 7 has 101 tokens, but a step holds 100");
    prompt.n_tokens = INT64_MAX;
    assert_add_fails(queue, prompt, PP_ERR_TOO_LONG, 7, "a step holds 100");
    prompt = good;
    prompt.deadline = -1;
    assert_add_fails(queue, prompt, PP_ERR_ARG, 7, "the deadline of prompt 7 is -1 seconds");
    prompt.deadline = NAN;
    assert_add_fails(queue, prompt, PP_ERR_ARG, 7, "the deadline of prompt 7 is nan");
    prompt = good;
    prompt.struct_size = 2;
    assert_add_fails(queue, prompt, PP_ERR_STRUCT_SIZE, -1, "pp_waiting_prompt.struct_size is 2");
    pp_error err = new_error();
    assert_error(pp_queue_add(queue, NULL, &err), &err, PP_ERR_ARG, -1, "prompt is NULL");

    ck_assert_int_eq(pp_queue_add(queue, &good, &err), PP_OK);
    assert_add_fails(queue, good, PP_ERR_ARG, 7, "the id 7 waits already");
    ck_assert_int_eq(add(queue, INT64_MIN, 1), PP_OK);
    ck_assert_int_eq(add(queue, INT64_MAX, 1), PP_OK);
    pp_queue_destroy(queue); /* with prompts that wait */
}
END_TEST

START_TEST(full_queues_push_back)
{
    pp_queue *queue = make_queue(1000, 3, INFINITY);
    for (int64_t id = 1; id <= 3; id++)
        ck_assert_int_eq(add(queue, id, 10 * id), PP_OK);
    pp_error err = new_error();
    pp_waiting_prompt prompt = {.struct_size = sizeof prompt, .id = 4, .n_tokens = 40};
    ck_assert_int_eq(pp_queue_add(queue, &prompt, &err), PP_AGAIN);
    ck_assert_int_eq(err.index, -77); /* no error */
    ck_assert_int_eq(add(queue, 4, 40), PP_AGAIN);
    ck_assert_int_eq(add(queue, 3, 30), PP_ERR_ARG); /* this one waits */
    pp_queue_stats stats = stats_of(queue);
    ck_assert_int_eq(stats.refused, 2);
    ck_assert_int_eq(stats.waiting, 3);
    ck_assert_int_eq(stats.waiting_tokens, 60);

    struct taken taken; /* 6 % full, but nobody else can come */
    ck_assert_int_eq(next(queue, &taken), PP_OK);
    ck_assert_int_eq(taken.step.n_prompts, 3);
    ck_assert_int_eq(taken.step.tokens, 60);
    ck_assert_int_eq(taken.step.used, 60);
    ck_assert_int_eq(taken.step.capacity, 1000);
    ck_assert_int_eq(taken.step.n_waiting, 0);
    ck_assert(taken.step.cost == 60);
    ck_assert_int_eq(add(queue, 4, 40), PP_OK);
    ck_assert_int_eq(next(queue, &taken), PP_AGAIN);
    pp_queue_destroy(queue);
}
END_TEST

/* ---- taking steps ---- */

START_TEST(steps_are_checked)
{
    pp_queue *queue = make_queue(10, 8, 0);
    ck_assert_int_eq(add(queue, 1, 10), PP_OK);
    pp_step_prompt prompts[2];
    const pp_step good = {.struct_size = sizeof good, .prompts = prompts, .room = 2, .tokens = -9};
    pp_step step = good;
    pp_error err = new_error();
    step.prompts = NULL;
    assert_error(pp_queue_next(queue, 0, &step, &err), &err, PP_ERR_ARG, -1,
                 "a step has room for 0 prompts");
    step = good;
    step.room = 0;
    assert_error(pp_queue_next(queue, 0, &step, &err), &err, PP_ERR_ARG, -1, "at least 1");
    step = good;
    assert_error(pp_queue_next(queue, -1, &step, &err), &err, PP_ERR_ARG, -1, "max_wait is -1");
    assert_error(pp_queue_next(queue, NAN, &step, &err), &err, PP_ERR_ARG, -1, "max_wait is nan");
    assert_error(pp_queue_next(queue, 0, NULL, &err), &err, PP_ERR_ARG, -1, "step is NULL");
    step.struct_size = 1;
    assert_error(pp_queue_next(queue, 0, &step, &err), &err, PP_ERR_STRUCT_SIZE, -1,
                 "pp_step.struct_size is 1");
    ck_assert_int_eq(step.tokens, -9);
    step = good;
    ck_assert_int_eq(pp_queue_next(queue, 0, &step, &err), PP_OK);
    ck_assert_int_eq(step.tokens, 10);
    ck_assert_int_eq(step.n_prompts, 1);
    ck_assert_ptr_eq(step.prompts, prompts);
    ck_assert_int_eq(step.room, 2);
    ck_assert_int_eq(prompts[0].id, 1);
    ck_assert_int_eq(prompts[0].first_token, 0);
    ck_assert_int_eq(prompts[0].n_tokens, 10);
    ck_assert_int_eq(prompts[0].continues, 0);
    step.tokens = -9;
    ck_assert_int_eq(pp_queue_next(queue, 0, &step, &err), PP_AGAIN);
    ck_assert_int_eq(step.tokens, -9); /* no step, no results */
    pp_queue_destroy(queue);
}
END_TEST

START_TEST(structs_of_other_versions)
{
    pp_queue *queue = make_queue(10, 8, 0);
    ck_assert_int_eq(add(queue, 1, 4), PP_OK);
    ck_assert_int_eq(add(queue, 2, 5), PP_OK);
    pp_step_prompt prompts[2];
    struct {
        pp_step step;
        int64_t later_field;
    } newer = {.step = {.struct_size = sizeof newer, .prompts = prompts, .room = 1}};
    ck_assert_int_eq(pp_queue_next(queue, 0, &newer.step, NULL), PP_OK);
    ck_assert_uint_eq(newer.step.struct_size, sizeof newer);
    newer.later_field = 1;
    ck_assert_int_eq(pp_queue_next(queue, 0, &newer.step, NULL), PP_ERR_STRUCT_SIZE);

    pp_step older;
    memset(&older, 0x11, sizeof older);
    older.struct_size = offsetof(pp_step, capacity);
    older.prompts = prompts;
    older.room = 1;
    ck_assert_int_eq(pp_queue_next(queue, 0, &older, NULL), PP_OK);
    ck_assert_int_eq(older.n_prompts, 1);
    ck_assert_int_eq(older.capacity, 0x1111111111111111); /* beyond the caller's struct */

    pp_queue_stats stats;
    memset(&stats, 0x11, sizeof stats);
    stats.struct_size = offsetof(pp_queue_stats, steps);
    ck_assert_int_eq(pp_queue_get_stats(queue, &stats, NULL), PP_OK);
    ck_assert_int_eq(stats.handed_out, 2);
    ck_assert_int_eq(stats.steps, 0x1111111111111111);
    pp_error err = new_error();
    stats.struct_size = 0;
    assert_error(pp_queue_get_stats(queue, &stats, &err), &err, PP_ERR_STRUCT_SIZE, -1,
                 "pp_queue_stats.struct_size is 0");
    assert_error(pp_queue_get_stats(queue, NULL, &err), &err, PP_ERR_ARG, -1, "pp_queue_stats");
    pp_queue_destroy(queue);
}
END_TEST

START_TEST(room_limits_a_step)
{
    pp_queue *queue = make_queue(100, 8, INFINITY);
    for (int64_t id = 0; id < 5; id++)
        ck_assert_int_eq(add(queue, id, 3), PP_OK);
    pp_step_prompt prompts[2];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = 2};
    for (int i = 0; i < 2; i++) { /* two prompts fill such a step */
        ck_assert_int_eq(pp_queue_next(queue, 0, &step, NULL), PP_OK);
        ck_assert_int_eq(step.n_prompts, 2);
    }
    ck_assert_int_eq(pp_queue_next(queue, 0, &step, NULL), PP_AGAIN);
    pp_queue_destroy(queue);
}
END_TEST

/* ---- cancelling and closing ---- */

START_TEST(prompts_are_cancelled)
{
    pp_queue *queue = make_queue(100, 8, INFINITY);
    for (int64_t id = 0; id < 4; id++)
        ck_assert_int_eq(add(queue, id << 40, 10), PP_OK);
    ck_assert_int_eq(pp_queue_cancel(queue, (int64_t)2 << 40, NULL), PP_OK);
    ck_assert_int_eq(pp_queue_cancel(queue, (int64_t)2 << 40, NULL), PP_GONE);
    ck_assert_int_eq(pp_queue_cancel(queue, 77, NULL), PP_GONE);
    ck_assert_int_eq(add(queue, (int64_t)2 << 40, 20), PP_OK); /* the id is free again */
    ck_assert_int_eq(pp_queue_cancel(queue, 0, NULL), PP_OK);  /* the oldest */
    pp_queue_stats stats = stats_of(queue);
    ck_assert_int_eq(stats.cancelled, 2);
    ck_assert_int_eq(stats.waiting, 3);
    ck_assert_int_eq(stats.waiting_tokens, 40);
    ck_assert_int_eq(pp_queue_close(queue, NULL), PP_OK);
    struct taken taken;
    ck_assert_int_eq(next(queue, &taken), PP_OK);
    ck_assert_int_eq(taken.step.n_prompts, 3);
    ck_assert_int_eq(pp_queue_cancel(queue, (int64_t)1 << 40, NULL), PP_GONE);
    ck_assert_int_eq(next(queue, &taken), PP_GONE);
    pp_queue_destroy(queue);
}
END_TEST

START_TEST(closed_queues_drain)
{
    pp_queue *queue = make_queue(100, 8, INFINITY);
    for (int64_t id = 0; id < 3; id++)
        ck_assert_int_eq(add(queue, id, 60), PP_OK);
    ck_assert_int_eq(stats_of(queue).closed, 0);
    struct taken taken; /* none is due, and 60 of 100 is not filled well */
    ck_assert_int_eq(next(queue, &taken), PP_AGAIN);
    ck_assert_int_eq(pp_queue_close(queue, NULL), PP_OK);
    ck_assert_int_eq(pp_queue_close(queue, NULL), PP_OK);
    ck_assert_int_eq(stats_of(queue).closed, 1);
    const pp_waiting_prompt late = {.struct_size = sizeof late, .id = 9, .n_tokens = 1};
    assert_add_fails(queue, late, PP_ERR_CANCELLED, 9, "after the queue was closed");
    for (int64_t id = 0; id < 3; id++) {
        ck_assert_int_eq(next(queue, &taken), PP_OK);
        ck_assert_int_eq(taken.step.n_prompts, 1);
        ck_assert_int_eq(taken.prompts[0].id, id);
        ck_assert_int_eq(taken.step.n_waiting, 2 - id);
    }
    pp_step_prompt prompts[1];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = 1};
    ck_assert_int_eq(pp_queue_next(queue, INFINITY, &step, NULL), PP_GONE); /* at once */
    pp_queue_stats stats = stats_of(queue);
    ck_assert_int_eq(stats.steps, 3);
    ck_assert_int_eq(stats.tokens, 180);
    ck_assert(fabs(stats.waste - 0.4) < 1e-12);
    pp_queue_destroy(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tcase = tcase_create("queue");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, params_of_queues_are_checked);
    tcase_add_test(tcase, no_queue);
    tcase_add_test(tcase, memory_is_reserved_at_create);
    tcase_add_test(tcase, prompts_are_checked);
    tcase_add_test(tcase, full_queues_push_back);
    tcase_add_test(tcase, steps_are_checked);
    tcase_add_test(tcase, structs_of_other_versions);
    tcase_add_test(tcase, room_limits_a_step);
    tcase_add_test(tcase, prompts_are_cancelled);
    tcase_add_test(tcase, closed_queues_drain);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
