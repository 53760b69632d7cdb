/*
 * test_queue_model.c: random calls of a queue against a list of what must wait in it. Every step
 * is held against the promises of queue.h; the list knows nothing of how steps are chosen.
 */
#include "queue_world.h"

#include "support/rng.h"

#define CAPACITY 100
#define MAX      12 /* prompts that may wait: fewer than a window has */
#define N_CALLS  4000

struct entry {
    int64_t id, n_tokens, arrived, due, number;
    int32_t priority;
};

struct model {
    struct world *world;
    struct rng rng;
    struct entry entries[MAX]; /* in order of arrival */
    int64_t n;
    int64_t n_added, n_handed_out, n_cancelled, n_refused, n_steps, n_tokens;
    int64_t n_again, n_passed; /* how often the rarer things happened */
    int64_t max_prompts;
    bool keep_order, closed;
};

/* a is before b by rank: a level of priority is worth 5 ms here. */
static bool is_before(const struct model *model, const struct entry *a, const struct entry *b)
{
    int64_t x = a->due - 5 * MS * a->priority;
    int64_t y = b->due - 5 * MS * b->priority;
    if (model->keep_order || x == y)
        return a->number < b->number;
    return x < y;
}

static int64_t find(const struct model *model, int64_t id)
{
    for (int64_t i = 0; i < model->n; i++)
        if (model->entries[i].id == id)
            return i;
    return -1;
}

static void drop(struct model *model, int64_t i)
{
    memmove(&model->entries[i], &model->entries[i + 1],
            (size_t)(--model->n - i) * sizeof *model->entries);
}

static int64_t first_by_rank(const struct model *model)
{
    int64_t first = 0;
    for (int64_t i = 1; i < model->n; i++)
        if (is_before(model, &model->entries[i], &model->entries[first]))
            first = i;
    return first;
}

static bool is_urgent(const struct model *model)
{
    bool urgent = model->closed || model->n == MAX;
    for (int64_t i = 0; i < model->n; i++)
        urgent |= model->entries[i].due <= model->world->now;
    return urgent;
}

static void add_some(struct model *model)
{
    struct world *world = model->world;
    pp_waiting_prompt prompt = {.struct_size = sizeof prompt,
                                .id = rng_between(&model->rng, 0, 40),
                                .n_tokens = rng_between(&model->rng, 0, 9) == 0
                                                ? rng_between(&model->rng, 0, CAPACITY + 1)
                                                : rng_between(&model->rng, 1, 60)};
    if (!model->keep_order)
        prompt.priority = (int32_t)rng_between(&model->rng, -1, 1);
    if (rng_between(&model->rng, 0, 2) == 0)
        prompt.deadline = 1e-3 * (double)rng_between(&model->rng, 1, 20);
    pp_status expected = prompt.n_tokens < 1           ? PP_ERR_ARG
                         : prompt.n_tokens > CAPACITY  ? PP_ERR_TOO_LONG
                         : model->closed               ? PP_ERR_CANCELLED
                         : find(model, prompt.id) >= 0 ? PP_ERR_ARG
                         : model->n == MAX             ? PP_AGAIN
                                                       : PP_OK;
    assert_that(pp_queue_add(world->queue, &prompt, NULL) == expected);
    model->n_refused += expected == PP_AGAIN;
    if (expected != PP_OK)
        return;
    int64_t patience = prompt.deadline > 0 ? (int64_t)(prompt.deadline * 1e9) : 10 * MS;
    model->entries[model->n++] = (struct entry){.id = prompt.id,
                                                .n_tokens = prompt.n_tokens,
                                                .arrived = world->now,
                                                .due = world->now + patience,
                                                .number = model->n_added++,
                                                .priority = prompt.priority};
}

/* The promises about a step that was taken. */
static void check_step(struct model *model, int64_t room, bool urgent)
{
    struct world *world = model->world;
    struct entry first = model->entries[first_by_rank(model)];
    int64_t tokens = 0;
    int32_t highest = INT32_MIN;
    for (int64_t i = 0; i < world->step.n_prompts; i++) {
        const pp_step_prompt *prompt = &world->prompts[i];
        int64_t place = find(model, prompt->id);
        assert_that(place >= 0);
        const struct entry *entry = &model->entries[place];
        assert_that(prompt->n_tokens == entry->n_tokens && prompt->first_token == 0);
        assert_that(prompt->start == tokens && !prompt->continues);
        assert_that(prompt->age == 1e-9 * (double)(world->now - entry->arrived));
        assert_that(!model->keep_order || first_by_rank(model) == place);
        tokens += entry->n_tokens;
        highest = entry->priority > highest ? entry->priority : highest;
        drop(model, place);
    }
    assert_that(world->step.n_prompts >= 1 && world->step.n_prompts <= room);
    assert_that(tokens <= CAPACITY && tokens == world->step.tokens && tokens == world->step.used);
    assert_that(world->step.n_waiting == model->n);
    bool good = tokens >= CAPACITY - CAPACITY / 16 || world->step.n_prompts == room;
    if (!in_step(world, first.id)) {
        assert_that(!urgent && good && highest >= first.priority);
        model->n_passed++;
    }
    if (world->step.n_prompts < room && model->n + world->step.n_prompts <= room)
        for (int64_t i = 0; i < model->n && !model->keep_order; i++)
            assert_that(tokens + model->entries[i].n_tokens > CAPACITY);
    if (model->keep_order && model->n > 0 && !urgent && !good)
        assert_that(tokens + model->entries[0].n_tokens > CAPACITY);
    model->n_handed_out += world->step.n_prompts;
    model->n_tokens += tokens;
    model->n_steps++;
}

static void take_some(struct model *model)
{
    struct world *world = model->world;
    world->step =
        (pp_step){.struct_size = sizeof world->step,
                  .prompts = world->prompts,
                  .room = rng_between(&model->rng, 0, 3) ? ROOM : rng_between(&model->rng, 1, 6)};
    int64_t room = world->step.room < model->max_prompts ? world->step.room : model->max_prompts;
    bool urgent = is_urgent(model);
    int64_t tokens = 0;
    for (int64_t i = 0; i < model->n; i++)
        tokens += model->entries[i].n_tokens;
    pp_status status = pp_queue_next(world->queue, 0, &world->step, NULL);
    if (model->n == 0) {
        assert_that(status == (model->closed ? PP_GONE : PP_AGAIN));
    } else if (urgent) {
        assert_that(status == PP_OK);
    } else if (model->n <= room && tokens <= CAPACITY) { /* one step takes all */
        bool good = tokens >= CAPACITY - CAPACITY / 16 || model->n == room;
        assert_that(status == (good ? PP_OK : PP_AGAIN));
    } else {
        assert_that(status == PP_OK || status == PP_AGAIN);
        assert_that(status == PP_OK || !model->keep_order);
        model->n_again += status == PP_AGAIN;
    }
    if (status == PP_OK)
        check_step(model, room, urgent);
}

static void check_stats(const struct model *model)
{
    pp_queue_stats stats = stats_of(model->world);
    int64_t tokens = 0;
    for (int64_t i = 0; i < model->n; i++)
        tokens += model->entries[i].n_tokens;
    assert_that(stats.waiting == model->n && stats.waiting_tokens == tokens);
    assert_that(stats.added == model->n_added && stats.handed_out == model->n_handed_out);
    assert_that(stats.cancelled == model->n_cancelled && stats.refused == model->n_refused);
    assert_that(stats.steps == model->n_steps && stats.tokens == model->n_tokens);
    double oldest = model->n ? (double)(model->world->now - model->entries[0].arrived) : 0;
    assert_that(stats.oldest_age == 1e-9 * oldest);
}

static void run_model(struct model *model)
{
    for (int64_t call = 0; call < N_CALLS || model->n > 0; call++) {
        if (call == N_CALLS) {
            assert_that(pp_queue_close(model->world->queue, NULL) == PP_OK);
            model->closed = true;
        }
        int64_t kind = rng_between(&model->rng, 0, 9);
        if (kind < 5) {
            add_some(model);
        } else if (kind < 8) {
            take_some(model);
        } else if (kind == 8) {
            model->world->now += rng_between(&model->rng, 0, 4 * MS);
        } else {
            int64_t id = rng_between(&model->rng, 0, 40);
            int64_t place = find(model, id);
            assert_that(pp_queue_cancel(model->world->queue, id, NULL) ==
                        (place >= 0 ? PP_OK : PP_GONE));
            model->n_cancelled += place >= 0;
            if (place >= 0)
                drop(model, place);
        }
        check_stats(model);
    }
    take_some(model);
}

START_TEST(queue_is_like_the_model)
{
    struct model model = {.rng = rng_seeded(500 + (uint64_t)_i),
                          .keep_order = _i % 4 == 3,
                          .max_prompts = _i % 2 ? INT64_MAX : 4};
    pp_queue_params params = rules(CAPACITY);
    params.max_waiting = MAX;
    params.keep_order = model.keep_order;
    params.max_prompts = model.max_prompts < INT64_MAX ? model.max_prompts : 0;
    params.priority_age = 0.005;
    model.world = new_world(&params);
    run_model(&model);
    assert_that(model.n_steps > 100 && model.n_refused > 10 && model.n_cancelled > 10);
    assert_that(model.keep_order || (model.n_again > 3 && model.n_passed > 3));
    end_world(model.world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue model");
    TCase *tcase = tcase_create("model");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, queue_is_like_the_model, 0, 16);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
