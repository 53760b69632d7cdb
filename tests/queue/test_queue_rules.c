/*
 * test_queue_rules.c: which prompts make the next step, and when. Time is the test's own: nobody
 * sleeps, and waiting runs the test's script.
 */
#include "queue_world.h"

/* The next step is at hand and holds the n prompts with these ids and no others. */
static void assert_step(struct world *world, const int64_t *ids, int64_t n)
{
    ck_assert_int_eq(next(world, 0), PP_OK);
    ck_assert_int_eq(world->step.n_prompts, n);
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(in_step(world, ids[i]), "prompt %lld is not in the step", (long long)ids[i]);
}
#define IDS(...) (const int64_t[]){__VA_ARGS__}, sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)

static void assert_nothing_yet(struct world *world)
{
    ck_assert_int_eq(next(world, 0), PP_AGAIN);
}

/* ---- when ---- */

START_TEST(prompts_wait_for_company_until_they_are_due)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    add(world, 1, 30, 0, 0);
    world->now += 4 * MS;
    add(world, 2, 30, 0, 0);
    assert_nothing_yet(world);
    world->now += 6 * MS - 1;
    assert_nothing_yet(world);
    ck_assert(fabs(stats_of(world).oldest_age - 0.009999999) < 1e-12);
    world->now += 1; /* the first one's 10 ms are up; the second goes with it */
    assert_step(world, IDS(1, 2));
    ck_assert(fabs(world->prompts[0].age - 0.010) < 1e-12);
    ck_assert(fabs(world->prompts[1].age - 0.006) < 1e-12);
    ck_assert(stats_of(world).oldest_age == 0);
    ck_assert_int_eq(next(world, 0), PP_AGAIN);
    end_world(world);
}
END_TEST

START_TEST(well_filled_steps_leave_at_once)
{
    pp_queue_params params = rules(160);
    struct world *world = new_world(&params);
    add(world, 1, 100, 0, 0);
    add(world, 2, 49, 0, 0); /* 149 of 160: more than a sixteenth is empty */
    assert_nothing_yet(world);
    add(world, 3, 1, 0, 0);
    assert_step(world, IDS(1, 2, 3));

    params.max_prompts = 2; /* full by number */
    struct world *few = new_world(&params);
    add(few, 1, 1, 0, 0);
    assert_nothing_yet(few);
    add(few, 2, 1, 0, 0);
    assert_step(few, IDS(1, 2));
    end_world(few);
    end_world(world);
}
END_TEST

static void company_comes(struct world *world, int64_t until)
{
    ck_assert_int_eq(until, 87 * MS); /* when prompt 1 is due */
    if (world->n_waits <= 3)
        return; /* woken for nothing */
    world->now += 4 * MS;
    add(world, 2, 40, 0, 0);
}

START_TEST(waiting_ends_with_company)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    add(world, 1, 60, 0, 0);
    world->script = company_comes;
    ck_assert_int_eq(next(world, INFINITY), PP_OK);
    ck_assert_int_eq(world->n_waits, 4);
    ck_assert_int_eq(world->step.n_prompts, 2);
    ck_assert_int_eq(world->now, 81 * MS);
    end_world(world);
}
END_TEST

START_TEST(waiting_ends_in_time)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    ck_assert_int_eq(next(world, 0.003), PP_AGAIN);
    ck_assert_int_eq(world->now, 80 * MS);
    add(world, 1, 60, 0, 0);
    ck_assert_int_eq(next(world, 0.003), PP_AGAIN);
    ck_assert_int_eq(world->now, 83 * MS);
    ck_assert_int_eq(next(world, 60), PP_OK); /* due at 90 ms */
    ck_assert_int_eq(world->now, 90 * MS);
    end_world(world);
}
END_TEST

static void queue_closes(struct world *world, int64_t until)
{
    (void)until;
    assert_that(pp_queue_close(world->queue, NULL) == PP_OK);
}

START_TEST(waiting_ends_with_the_queue)
{
    pp_queue_params params = rules(100);
    params.max_age = INFINITY;
    struct world *world = new_world(&params);
    world->script = queue_closes;
    ck_assert_int_eq(next(world, INFINITY), PP_GONE);
    end_world(world);
    world = new_world(&params);
    world->script = queue_closes;
    add(world, 1, 60, 0, 0);
    ck_assert_int_eq(next(world, INFINITY), PP_OK);
    ck_assert_int_eq(next(world, INFINITY), PP_GONE);
    end_world(world);
}
END_TEST

START_TEST(a_full_window_waits_for_nobody)
{
    pp_queue_params params = rules(100);
    params.max_age = INFINITY;
    struct world *world = new_world(&params);
    for (int64_t id = 0; id < 127; id++) /* each fills 60 %, none goes with another */
        add(world, id, 60, 0, 0);
    assert_nothing_yet(world);
    add(world, 127, 60, 0, 0);
    assert_step(world, IDS(0));
    assert_nothing_yet(world);
    end_world(world);
}
END_TEST

/* ---- which ---- */

START_TEST(priorities_and_ages)
{
    pp_queue_params params = rules(10);
    params.priority_age = 0.5;
    struct world *world = new_world(&params);
    add(world, 1, 10, 0, 0);
    world->now += 400 * MS;
    add(world, 2, 10, 1, 0); /* less than a level's half second later */
    add(world, 3, 10, -1, 0);
    world->now += 200 * MS;
    add(world, 4, 10, 1, 0); /* more than that after prompt 1 */
    add(world, 5, 10, 2, 0);
    add(world, 6, 10, 0, 0);
    assert_step(world, IDS(5));
    assert_step(world, IDS(2));
    assert_step(world, IDS(1));
    assert_step(world, IDS(4));
    assert_step(world, IDS(6));
    assert_step(world, IDS(3));
    for (int32_t i = 0; i < 100; i++) /* equals leave in order of arrival */
        add(world, i, 10, INT32_MIN, 0);
    for (int32_t i = 0; i < 100; i++)
        assert_step(world, IDS(i));
    end_world(world);
}
END_TEST

START_TEST(extreme_priorities_and_ages)
{
    pp_queue_params params = rules(10);
    params.priority_age = INFINITY;
    params.max_age = INFINITY;
    struct world *world = new_world(&params);
    add(world, 1, 10, 0, 0);
    add(world, 2, 10, INT32_MIN, 0);
    add(world, 3, 10, INT32_MAX, 0);
    add(world, 4, 10, 0, INFINITY);
    add(world, 5, 10, 0, 1e-300);
    assert_step(world, IDS(3));
    assert_step(world, IDS(5));
    assert_step(world, IDS(1));
    assert_step(world, IDS(4));
    assert_step(world, IDS(2));
    end_world(world);
}
END_TEST

START_TEST(deadlines)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    add(world, 1, 20, 0, 0.040); /* has time */
    world->now += 20 * MS;
    assert_nothing_yet(world);
    add(world, 2, 90, 0, 0.005); /* is in a hurry, and they do not fit together */
    world->now += 5 * MS;
    assert_step(world, IDS(2));
    assert_nothing_yet(world);
    world->now += 15 * MS;
    assert_step(world, IDS(1));
    end_world(world);
}
END_TEST

/* 60 goes with neither 50; these fill a step. */
START_TEST(what_is_not_filled_well_is_carried_over)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    add(world, 1, 60, 0, 0);
    add(world, 2, 50, 0, 0);
    add(world, 3, 50, 0, 0);
    assert_step(world, IDS(2, 3));
    assert_nothing_yet(world);
    add(world, 4, 50, 0, 0);
    add(world, 5, 50, 0, 0);
    world->now += 10 * MS; /* its time is up */
    assert_step(world, IDS(1));
    assert_step(world, IDS(4, 5));

    add(world, 1, 60, 1, 0); /* nobody passes over a higher priority */
    add(world, 2, 50, 0, 0);
    add(world, 3, 50, 0, 0);
    assert_nothing_yet(world);
    world->now += 10 * MS;
    assert_step(world, IDS(1));
    assert_step(world, IDS(2, 3));
    end_world(world);
}
END_TEST

START_TEST(the_best_company_is_chosen)
{
    pp_queue_params params = rules(100);
    struct world *world = new_world(&params);
    add(world, 1, 40, 0, 0);
    add(world, 2, 59, 0, 0); /* largest that fits, but 1 stays empty */
    add(world, 3, 35, 0, 0);
    add(world, 4, 25, 0, 0);
    assert_step(world, IDS(1, 3, 4));
    ck_assert_int_eq(world->step.tokens, 100);
    end_world(world);
}
END_TEST

START_TEST(order_is_kept)
{
    pp_queue_params params = rules(100);
    params.keep_order = 1;
    struct world *world = new_world(&params);
    pp_waiting_prompt urgent = {
        .struct_size = sizeof urgent, .id = 9, .n_tokens = 1, .priority = 1};
    ck_assert_int_eq(pp_queue_add(world->queue, &urgent, NULL), PP_ERR_ARG);
    add(world, 1, 30, 0, 0);
    add(world, 2, 40, 0, 0.001);
    assert_nothing_yet(world);
    add(world, 3, 50, 0, 0); /* does not fit: those before it wait for nobody */
    add(world, 4, 30, 0, 0);
    assert_step(world, IDS(1, 2));
    assert_nothing_yet(world);
    add(world, 5, 90, 0, 0);
    assert_step(world, IDS(3, 4));
    world->now += 10 * MS;
    assert_step(world, IDS(5));
    end_world(world);
}
END_TEST

/* ---- sizes ---- */

START_TEST(alignment_is_counted)
{
    pp_queue_params params = rules(100);
    params.prompt_alignment = 8;
    params.bin_alignment = 32; /* a step holds 96 */
    struct world *world = new_world(&params);
    pp_waiting_prompt large = {.struct_size = sizeof large, .id = 9, .n_tokens = 97};
    ck_assert_int_eq(pp_queue_add(world->queue, &large, NULL), PP_ERR_TOO_LONG);
    for (int64_t id = 0; id < 5; id++)
        add(world, id, 17, 0, 0); /* 24 each */
    assert_step(world, IDS(0, 1, 2, 3));
    ck_assert_int_eq(world->step.tokens, 68);
    ck_assert_int_eq(world->step.used, 96);
    ck_assert_int_eq(world->step.capacity, 96);
    for (int64_t i = 0; i < 4; i++)
        ck_assert_int_eq(world->prompts[i].start, 24 * i);
    world->now += 10 * MS;
    assert_step(world, IDS(4));
    ck_assert_int_eq(world->step.used, 32);
    end_world(world);
}
END_TEST

START_TEST(long_prompts_have_steps_of_their_own)
{
    pp_queue_params params = rules(100);
    params.oversize = PP_OVERSIZE_OWN_BIN;
    params.bin_alignment = 10;
    struct world *world = new_world(&params);
    add(world, 1, 5, 0, 0);
    add(world, 2, 123, 0, 0);
    assert_step(world, IDS(2)); /* it waits for nobody */
    ck_assert_int_eq(world->step.tokens, 123);
    ck_assert_int_eq(world->step.used, 130);
    ck_assert_int_eq(world->step.capacity, 130);
    ck_assert_int_eq(world->prompts[0].continues, 0);
    assert_nothing_yet(world);
    ck_assert_int_eq(pp_queue_cancel(world->queue, 1, NULL), PP_OK);
    add(world, 3, INT64_MAX / 4, 0, 0);
    add(world, 4, INT64_MAX / 4, 0, 0);
    add(world, 5, INT64_MAX / 4, 0, 0);
    pp_waiting_prompt more = {.struct_size = sizeof more, .id = 6, .n_tokens = INT64_MAX / 4};
    ck_assert_int_eq(pp_queue_add(world->queue, &more, NULL), PP_OK);
    more.id = 7; /* no more than 2^63 - 1 tokens together */
    ck_assert_int_eq(pp_queue_add(world->queue, &more, NULL), PP_AGAIN);
    more.n_tokens = INT64_MAX;
    ck_assert_int_eq(pp_queue_add(world->queue, &more, NULL), PP_ERR_TOO_LONG);
    assert_step(world, IDS(3));
    end_world(world);
}
END_TEST

START_TEST(long_prompts_are_split)
{
    pp_queue_params params = rules(100);
    params.oversize = PP_OVERSIZE_SPLIT;
    params.prompt_alignment = 8; /* chunks of 96 */
    pp_cost_model cost = {.struct_size = sizeof cost, .per_square = 1, .tile = 1};
    params.cost = &cost;
    struct world *world = new_world(&params);
    add(world, 1, 200, 0, 0);
    add(world, 2, 80, 0, 0);
    for (int64_t i = 0; i < 2; i++) {
        assert_step(world, IDS(1));
        ck_assert_int_eq(world->step.tokens, 96);
        ck_assert_int_eq(world->prompts[0].first_token, 96 * i);
        ck_assert_int_eq(world->prompts[0].n_tokens, 96);
        ck_assert_int_eq(world->prompts[0].continues, 1);
        ck_assert_int_eq(world->step.n_waiting, 2);
        /* a chunk sees what came before it */
        ck_assert(world->step.cost == (i ? 192 * 192 - 96 * 96 : 96 * 96));
    }
    ck_assert_int_eq(stats_of(world).handed_out, 0);
    ck_assert_int_eq(stats_of(world).waiting_tokens, 88);
    assert_nothing_yet(world); /* 8 and 80 are left */
    add(world, 3, 12, 0, 0);
    world->now += 10 * MS;
    assert_step(world, IDS(1, 2));
    ck_assert_int_eq(world->prompts[0].first_token, 192);
    ck_assert_int_eq(world->prompts[0].n_tokens, 8);
    ck_assert_int_eq(world->prompts[0].continues, 0);

    add(world, 4, 300, 0, 0);
    world->now += 10 * MS;
    assert_step(world, IDS(3));
    assert_step(world, IDS(4));
    ck_assert_int_eq(pp_queue_cancel(world->queue, 4, NULL), PP_OK); /* the rest */
    assert_nothing_yet(world);
    pp_queue_stats stats = stats_of(world);
    ck_assert_int_eq(stats.handed_out, 3);
    ck_assert_int_eq(stats.cancelled, 1);
    ck_assert_int_eq(stats.waiting_tokens, 0);
    end_world(world);
}
END_TEST

START_TEST(ages_are_counted)
{
    pp_queue_params params = rules(10);
    struct world *world = new_world(&params);
    for (int64_t id = 1; id <= 100; id++)
        add(world, id, 10, 0, 0);
    for (int64_t id = 1; id <= 100; id++) {
        world->now += MS;
        assert_step(world, IDS(id));
    }
    pp_queue_stats stats = stats_of(world);
    ck_assert(fabs(stats.mean_age - 0.0505) < 1e-9);
    ck_assert(stats.p50_age >= 0.050 && stats.p50_age <= 0.050 * 1.125);
    ck_assert(stats.p99_age >= 0.099 && stats.p99_age <= 0.100);
    ck_assert(fabs(stats.longest_age - 0.100) < 1e-12);
    ck_assert(stats.waste == 0);
    ck_assert_int_eq(stats.used, 1000);
    end_world(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue rules");
    TCase *tcase = tcase_create("rules");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, prompts_wait_for_company_until_they_are_due);
    tcase_add_test(tcase, well_filled_steps_leave_at_once);
    tcase_add_test(tcase, waiting_ends_with_company);
    tcase_add_test(tcase, waiting_ends_in_time);
    tcase_add_test(tcase, waiting_ends_with_the_queue);
    tcase_add_test(tcase, a_full_window_waits_for_nobody);
    tcase_add_test(tcase, priorities_and_ages);
    tcase_add_test(tcase, extreme_priorities_and_ages);
    tcase_add_test(tcase, deadlines);
    tcase_add_test(tcase, what_is_not_filled_well_is_carried_over);
    tcase_add_test(tcase, the_best_company_is_chosen);
    tcase_add_test(tcase, order_is_kept);
    tcase_add_test(tcase, alignment_is_counted);
    tcase_add_test(tcase, long_prompts_have_steps_of_their_own);
    tcase_add_test(tcase, long_prompts_are_split);
    tcase_add_test(tcase, ages_are_counted);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
