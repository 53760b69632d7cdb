/*
 * test_queue_threads.c: a queue under many threads: eight add and cancel, one or two take steps,
 * two watch and plan with one packer. Each prompt is handed out once, or cancelled once, or was
 * refused. It is also built with ThreadSanitizer where there is one; then any data race fails it,
 * too.
 */
#include "support/plain_tap.h"
#include "support/rng.h"

#include <prepack/prepack.h>

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CAPACITY    2048
#define MAX_PROMPTS 24
#define N_ADDERS    8
#define N_PER_ADDER 20000
#define N_IDS       (N_ADDERS * N_PER_ADDER)
#define ROUNDS      2000

/* What became of each prompt, counted. Its length follows from its id. */
struct fate {
    _Atomic int32_t handed_out, cancelled;
    bool refused; /* only its adder looks */
};

struct world {
    pp_queue *queue;
    pp_packer *packer;  /* of the watchers */
    struct fate *fates; /* [N_IDS] */
    uint64_t seed;
    _Atomic int64_t n_wrong; /* broken promises */
    _Atomic bool done;       /* adding is */
};

struct actor {
    struct world *world;
    int32_t index;
    pthread_t thread;
};

/* longjmp must not leave a thread: what is wrong is counted, and told at the end. */
static void expect(struct world *world, bool condition, const char *what)
{
    if (condition)
        return;
    if (atomic_fetch_add(&world->n_wrong, 1) < 10)
        printf("# %s\n", what);
}

static int64_t length_of(int64_t id)
{
    return 1 + (int64_t)((uint64_t)id * 2654435761u % 700);
}

static void cancel(struct world *world, int64_t id)
{
    pp_status status = pp_queue_cancel(world->queue, id, NULL);
    expect(world, status == PP_OK || status == PP_GONE, "cancel failed");
    if (status == PP_OK)
        atomic_fetch_add(&world->fates[id].cancelled, 1);
}

/* Adds its prompts; some again and again until there is room, some once; cancels now and then one
 * of anybody's. */
static void *add(void *arg)
{
    const struct actor *self = arg;
    struct world *world = self->world;
    struct rng rng = {world->seed + (uint64_t)self->index};
    int64_t first = (int64_t)self->index * N_PER_ADDER;
    for (int64_t id = first; id < first + N_PER_ADDER; id++) {
        pp_waiting_prompt prompt = {.struct_size = sizeof prompt,
                                    .id = id,
                                    .n_tokens = length_of(id),
                                    .priority = (int32_t)rng_between(&rng, -2, 2),
                                    .deadline = 1e-4 * (double)rng_between(&rng, 0, 30)};
        bool patient = rng_between(&rng, 0, 3) > 0;
        pp_status status;
        while ((status = pp_queue_add(world->queue, &prompt, NULL)) == PP_AGAIN && patient)
            sched_yield();
        expect(world, status == PP_OK || status == PP_AGAIN, "add failed");
        world->fates[id].refused = status != PP_OK;
        if (rng_between(&rng, 0, 9) == 0)
            cancel(world, rng_between(&rng, 0, N_IDS - 1));
        if (rng_between(&rng, 0, 9) == 0)
            cancel(world, id);
    }
    return NULL;
}

static void take(struct world *world, const pp_step *step)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < step->n_prompts; i++) {
        const pp_step_prompt *prompt = &step->prompts[i];
        expect(world, prompt->id >= 0 && prompt->id < N_IDS, "an id that nobody added");
        expect(world, prompt->n_tokens == length_of(prompt->id), "another length");
        expect(world, prompt->start == tokens && prompt->age >= 0, "another place or age");
        atomic_fetch_add(&world->fates[prompt->id].handed_out, 1);
        tokens += prompt->n_tokens;
    }
    expect(world, tokens == step->tokens && tokens <= CAPACITY, "too many tokens");
    expect(world, step->n_prompts >= 1 && step->n_prompts <= step->room, "too many prompts");
}

static void *take_steps(void *arg)
{
    const struct actor *self = arg;
    pp_step_prompt prompts[MAX_PROMPTS];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = MAX_PROMPTS};
    pp_status status;
    for (int i = 0;
         (status = pp_queue_next(self->world->queue, i % 3 ? INFINITY : 1e-4, &step, NULL)) >= 0 &&
         status != PP_GONE;
         i++)
        if (status == PP_OK)
            take(self->world, &step);
    expect(self->world, status == PP_GONE, "next failed");
    return NULL;
}

/* Plans with the packer that the other watcher plans with, too, and reads the figures. */
static void *watch(void *arg)
{
    const struct actor *self = arg;
    struct world *world = self->world;
    static const int64_t lengths[] = {1500, 700, 500, 300, 60};
    int64_t n_steps = 0;
    while (!atomic_load(&world->done)) {
        pp_queue_stats stats = {.struct_size = sizeof stats};
        expect(world, pp_queue_get_stats(world->queue, &stats, NULL) == PP_OK, "stats failed");
        expect(world, stats.added == stats.handed_out + stats.cancelled + stats.waiting,
               "figures that do not add up");
        expect(world, stats.steps >= n_steps, "steps were taken back");
        n_steps = stats.steps;
        pp_plan *plan = NULL;
        pp_plan_info info = {.struct_size = sizeof info};
        expect(world,
               pp_packer_plan(world->packer, lengths, 5, &plan, NULL) == PP_OK &&
                   pp_plan_get_info(plan, &info, NULL) == PP_OK && info.n_bins == 2,
               "another plan");
        pp_plan_destroy(plan);
        sched_yield();
    }
    return NULL;
}

static pp_queue *make_queue(int64_t max_waiting, double max_age)
{
    pp_queue_params params;
    pp_queue *queue = NULL;
    pp_queue_params_init(&params, sizeof params);
    params.capacity = CAPACITY;
    params.max_waiting = max_waiting;
    params.max_age = max_age;
    params.priority_age = 0.001;
    CALL(pp_queue_create(&params, &queue, perr));
    return queue;
}

static pp_packer *make_packer(void)
{
    pp_packer_params params;
    pp_packer *packer = NULL;
    pp_packer_params_init(&params, sizeof params);
    params.capacity = CAPACITY;
    CALL(pp_packer_create(&params, &packer, perr));
    return packer;
}

static void start(struct actor *actor, struct world *world, int32_t index, void *(*run)(void *))
{
    actor->world = world;
    actor->index = index;
    EXPECT(pthread_create(&actor->thread, NULL, run, actor) == 0, "no thread");
}

static void run_world(int n_takers, int64_t max_waiting, double max_age)
{
    struct world world = {.queue = make_queue(max_waiting, max_age),
                          .packer = make_packer(),
                          .fates = plain_alloc(N_IDS * sizeof *world.fates),
                          .seed = rng_seeded(77).state};
    struct actor adders[N_ADDERS], takers[2], watchers[2];
    memset(world.fates, 0, N_IDS * sizeof *world.fates);
    for (int i = 0; i < n_takers; i++)
        start(&takers[i], &world, i, take_steps);
    for (int i = 0; i < 2; i++)
        start(&watchers[i], &world, i, watch);
    for (int i = 0; i < N_ADDERS; i++)
        start(&adders[i], &world, i, add);
    for (int i = 0; i < N_ADDERS; i++)
        pthread_join(adders[i].thread, NULL);
    CALL(pp_queue_close(world.queue, perr));
    for (int i = 0; i < n_takers; i++)
        pthread_join(takers[i].thread, NULL);
    atomic_store(&world.done, true);
    for (int i = 0; i < 2; i++)
        pthread_join(watchers[i].thread, NULL);

    int64_t n_out = 0, n_cancelled = 0;
    for (int64_t id = 0; id < N_IDS; id++) {
        const struct fate *fate = &world.fates[id];
        int32_t ends = fate->handed_out + fate->cancelled;
        EXPECT(ends == !fate->refused, "prompt %lld: refused %d, handed out %d, cancelled %d",
               (long long)id, fate->refused, fate->handed_out, fate->cancelled);
        n_out += fate->handed_out;
        n_cancelled += fate->cancelled;
    }
    pp_queue_stats stats = {.struct_size = sizeof stats};
    CALL(pp_queue_get_stats(world.queue, &stats, perr));
    EXPECT(stats.waiting == 0 && stats.handed_out == n_out && stats.cancelled == n_cancelled,
           "the figures say something else");
    EXPECT(n_out > N_IDS / 4 && n_cancelled > 0, "%lld handed out, %lld cancelled",
           (long long)n_out, (long long)n_cancelled);
    EXPECT(atomic_load(&world.n_wrong) == 0, "see above");
    printf("# %lld handed out in %lld steps, %lld cancelled, %lld refused, %.1f %% waste\n",
           (long long)n_out, (long long)stats.steps, (long long)n_cancelled,
           (long long)stats.refused, 100 * stats.waste);
    pp_queue_destroy(world.queue);
    pp_packer_destroy(world.packer);
    free(world.fates);
}

static void one_takes(void)
{
    run_world(1, 256, 0.002);
}

static void two_take(void)
{
    run_world(2, 64, 0.0002);
}

/* One prompt at a time, the takers asleep: a wake-up that is lost is seen as a test that hangs. */
static void wake(double max_age)
{
    struct world world = {.queue = make_queue(4, max_age)};
    struct actor takers[2];
    world.fates = plain_alloc(N_IDS * sizeof *world.fates);
    memset(world.fates, 0, N_IDS * sizeof *world.fates);
    for (int i = 0; i < 2; i++)
        start(&takers[i], &world, i, take_steps);
    for (int64_t id = 0; id < ROUNDS; id++) {
        pp_waiting_prompt prompt = {
            .struct_size = sizeof prompt, .id = id, .n_tokens = length_of(id)};
        CALL(pp_queue_add(world.queue, &prompt, perr));
        while (atomic_load(&world.fates[id].handed_out) == 0)
            sched_yield();
    }
    CALL(pp_queue_close(world.queue, perr));
    for (int i = 0; i < 2; i++)
        pthread_join(takers[i].thread, NULL);
    EXPECT(atomic_load(&world.n_wrong) == 0, "see above");
    pp_queue_destroy(world.queue);
    pp_packer_destroy(world.packer);
    free(world.fates);
}

static void each_prompt_wakes_somebody(void)
{
    wake(0);
}

static void each_age_wakes_somebody(void)
{
    wake(0.0002);
}

/* ---- wake-ups among sleepers ---- */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Takes one step, waiting for at most this long. */
struct taker {
    pp_queue *queue;
    double max_wait;
    pthread_t thread;
    _Atomic int32_t status; /* of its one call; -100: not back yet */
};

static void *take_one(void *arg)
{
    struct taker *taker = arg;
    pp_step_prompt prompts[4];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = 4};
    atomic_store(&taker->status, pp_queue_next(taker->queue, taker->max_wait, &step, NULL));
    return NULL;
}

static void start_taker(struct taker *taker, pp_queue *queue, double max_wait)
{
    taker->queue = queue;
    taker->max_wait = max_wait;
    atomic_store(&taker->status, -100);
    EXPECT(pthread_create(&taker->thread, NULL, take_one, taker) == 0, "no thread");
    nap(); /* until it sleeps */
}

static void add_one(pp_queue *queue, int64_t id, double deadline)
{
    pp_waiting_prompt prompt = {
        .struct_size = sizeof prompt, .id = id, .n_tokens = 1, .deadline = deadline};
    CALL(pp_queue_add(queue, &prompt, perr));
}

static bool all_out(const pp_queue *queue)
{
    pp_queue_stats stats = {.struct_size = sizeof stats};
    for (int i = 0; i < 1000; i++, nap()) { /* 5 s */
        CALL(pp_queue_get_stats(queue, &stats, perr));
        if (stats.waiting == 0)
            return true;
    }
    return false;
}

/* Of two sleepers an add wakes one, which then watches the prompt's age and leaves with it. The
 * next prompt is due later than that one was, and yet it must wake the other. */
static void the_second_sleeper_wakes_too(void)
{
    pp_queue *queue = make_queue(4, 10);
    struct taker takers[2];
    for (int i = 0; i < 2; i++)
        start_taker(&takers[i], queue, INFINITY);
    for (int64_t id = 0; id < 2; id++) {
        add_one(queue, id, 0.01);
        EXPECT(all_out(queue), "nobody woke for prompt %lld", (long long)id);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(takers[i].thread, NULL);
        EXPECT(takers[i].status == PP_OK, "taker %d: %d", i, takers[i].status);
    }
    pp_queue_destroy(queue);
}

/* The sleeper that watches a prompt gives up: another one has to watch. */
static void who_gives_up_wakes_another(void)
{
    for (int impatient = 0; impatient < 2; impatient++) {
        pp_queue *queue = make_queue(4, 10);
        struct taker takers[2];
        for (int i = 0; i < 2; i++)
            start_taker(&takers[i], queue, i == impatient ? 0.03 : INFINITY);
        add_one(queue, 1, 0.06);
        EXPECT(all_out(queue), "nobody woke");
        CALL(pp_queue_close(queue, perr)); /* on a slow machine the impatient one took it */
        for (int i = 0; i < 2; i++)
            pthread_join(takers[i].thread, NULL);
        pp_queue_destroy(queue);
    }
}

/* A step of few prompts is full sooner than the queue's: the add that fills it wakes its taker. */
static void a_small_room_is_filled_soon(void)
{
    pp_queue *queue = make_queue(64, INFINITY);
    struct taker taker;
    start_taker(&taker, queue, INFINITY);
    for (int64_t id = 0; id < 4; id++) {
        add_one(queue, id, 0);
        nap(); /* each time it may look, and sleep again */
    }
    EXPECT(all_out(queue), "four prompts did not fill a step of four");
    pthread_join(taker.thread, NULL);
    pp_queue_destroy(queue);
}

/* Closing wakes those who sleep without end. */
static void the_end_wakes_everybody(void)
{
    for (int round = 0; round < 100; round++) {
        struct world world = {.queue = make_queue(4, INFINITY),
                              .packer = make_packer(),
                              .fates = plain_alloc(sizeof(struct fate))};
        struct actor takers[2];
        for (int i = 0; i < 2; i++)
            start(&takers[i], &world, i, take_steps);
        if (round % 2)
            sched_yield();
        CALL(pp_queue_close(world.queue, perr));
        for (int i = 0; i < 2; i++)
            pthread_join(takers[i].thread, NULL);
        EXPECT(atomic_load(&world.n_wrong) == 0, "see above");
        pp_queue_destroy(world.queue);
        pp_packer_destroy(world.packer);
        free(world.fates);
    }
}

int main(int argc, char **argv)
{
    static const struct plain_test tests[] = {
        {"one_takes", one_takes},
        {"two_take", two_take},
        {"each_prompt_wakes_somebody", each_prompt_wakes_somebody},
        {"each_age_wakes_somebody", each_age_wakes_somebody},
        {"the_second_sleeper_wakes_too", the_second_sleeper_wakes_too},
        {"who_gives_up_wakes_another", who_gives_up_wakes_another},
        {"a_small_room_is_filled_soon", a_small_room_is_filled_soon},
        {"the_end_wakes_everybody", the_end_wakes_everybody}};
    return plain_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
