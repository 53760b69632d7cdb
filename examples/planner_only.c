/*
 * planner_only.c: an inference server's batching loop that uses the planner and nothing else. Four
 * threads receive requests, one runs the model: here it sleeps as long as a forward pass would
 * take. It prints each step as it leaves, then what the queue has to say about itself.
 *
 *     planner_only                         the server, 160 requests
 *     planner_only 2048 700 1200 90 ...    one plan: capacity, then the lengths of the prompts
 */
#define _POSIX_C_SOURCE 200809L
#include <prepack/prepack.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_CLIENTS   4
#define N_REQUESTS  40 /* of each client */
#define CAPACITY    2048
#define MAX_PROMPTS 64
#define TOKEN_COST  2e-6 /* seconds of a forward pass for each token */
#define STEP_COST   1e-3 /* and for starting one */
#define WIDTH       48   /* characters of a full bin */

static void sleep_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

static int fail(const pp_error *err)
{
    fprintf(stderr, "planner_only: %s\n", err->message);
    return EXIT_FAILURE;
}

/* A line as wide as a bin: a letter for each prompt, as wide as its share; dots are unused. */
static int64_t draw_prompt(int64_t column, char letter, int64_t filled, int64_t capacity)
{
    for (; column < (int64_t)((double)filled / (double)capacity * WIDTH); column++)
        putchar(letter);
    return column;
}

static void draw_rest(int64_t column)
{
    for (; column < WIDTH; column++)
        putchar('.');
}

/* ---- the server ---- */

struct client {
    pp_queue *queue;
    int64_t index;
    pthread_t thread;
};

/* A request now and then; every eighth is in a hurry, the last client's can wait. */
static void *send_requests(void *arg)
{
    const struct client *client = arg;
    uint64_t random = 41 + (uint64_t)client->index;
    for (int64_t i = 0; i < N_REQUESTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t draw = random >> 33;
        pp_waiting_prompt prompt = {.struct_size = sizeof prompt,
                                    .id = client->index * N_REQUESTS + i,
                                    .n_tokens = 20 + (int64_t)(draw % 31 * (draw % 29)),
                                    .priority = i % 8 == 0,
                                    .deadline = client->index == N_CLIENTS - 1 ? 0.050 : 0};
        /* A full queue: a server would answer "try later" here, or stop reading its sockets. */
        while (pp_queue_add(client->queue, &prompt, NULL) == PP_AGAIN)
            sleep_for(0.001);
        sleep_for(1e-4 * (double)(draw % 16));
    }
    return NULL;
}

/* Where a server would run the model. */
static void run_step(const pp_step *step)
{
    int64_t column = 0, filled = 0;
    double oldest = 0;
    for (int64_t i = 0; i < step->n_prompts; i++) {
        const pp_step_prompt *prompt = &step->prompts[i];
        filled += prompt->n_tokens;
        column = draw_prompt(column, (char)('a' + prompt->id % 26), filled, step->capacity);
        oldest = prompt->age > oldest ? prompt->age : oldest;
    }
    draw_rest(column);
    printf(" %3" PRId64 " prompts %5" PRId64 " tokens, waited up to %5.1f ms, %3" PRId64
           " wait on\n",
           step->n_prompts, step->tokens, 1e3 * oldest, step->n_waiting);
    sleep_for(step->cost);
}

static void *run_model(void *arg)
{
    pp_queue *queue = arg;
    pp_step_prompt prompts[MAX_PROMPTS];
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = MAX_PROMPTS};
    pp_status status; /* PP_AGAIN: a second went by without work */
    while ((status = pp_queue_next(queue, 1.0, &step, NULL)) == PP_OK || status == PP_AGAIN)
        if (status == PP_OK)
            run_step(&step);
    return NULL;
}

static int serve(void)
{
    pp_error err = {.struct_size = sizeof err};
    pp_cost_model cost;
    pp_queue_params params;
    pp_queue *queue = NULL;
    pp_cost_init(&cost, sizeof cost);
    cost.per_pass = STEP_COST;
    cost.per_token = TOKEN_COST;
    pp_queue_params_init(&params, sizeof params);
    params.capacity = CAPACITY;
    params.cost = &cost;
    params.max_waiting = 128;
    params.max_age = 0.005; /* seconds that a prompt waits for company */
    if (pp_queue_create(&params, &queue, &err) < 0)
        return fail(&err);

    struct client clients[N_CLIENTS];
    pthread_t engine;
    int64_t n_clients = 0;
    int code = pthread_create(&engine, NULL, run_model, queue);
    int engine_runs = code == 0;
    for (; n_clients < N_CLIENTS && code == 0; n_clients += code == 0) {
        clients[n_clients] = (struct client){.queue = queue, .index = n_clients};
        code = pthread_create(&clients[n_clients].thread, NULL, send_requests, &clients[n_clients]);
    }
    for (int64_t i = 0; i < n_clients; i++)
        pthread_join(clients[i].thread, NULL);
    pp_queue_close(queue, NULL); /* what waits is still handed out */
    if (engine_runs)
        pthread_join(engine, NULL);

    pp_queue_stats stats = {.struct_size = sizeof stats};
    pp_queue_get_stats(queue, &stats, NULL);
    printf("%" PRId64 " prompts of %" PRId64 " tokens in %" PRId64 " steps, %.1f %% waste\n",
           stats.handed_out, stats.tokens, stats.steps, 100 * stats.waste);
    printf("waited: half up to %.1f ms, 99 of 100 up to %.1f ms; refused %" PRId64 " times\n",
           1e3 * stats.p50_age, 1e3 * stats.p99_age, stats.refused);
    pp_queue_destroy(queue);
    return code || stats.handed_out != N_CLIENTS * N_REQUESTS;
}

/* ---- one plan ---- */

static int plan_once(int64_t capacity, const int64_t *lengths, size_t n)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    pp_packer_params params;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_packer_params_init(&params, sizeof params);
    params.capacity = capacity;
    pp_status status = pp_packer_create(&params, &packer, &err);
    if (status >= 0)
        status = pp_packer_plan(packer, lengths, n, &plan, &err);
    pp_packer_destroy(packer);
    if (status < 0)
        return fail(&err);
    pp_plan_get_info(plan, &info, NULL);
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts, tokens, column = 0, filled = 0;
        pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL);
        for (int64_t i = 0; i < n_prompts; i++) {
            filled += lengths[prompts[i]];
            column = draw_prompt(column, (char)('a' + prompts[i] % 26), filled, info.capacity);
        }
        draw_rest(column);
        printf(" %3" PRId64 " prompts %5" PRId64 " tokens\n", n_prompts, tokens);
    }
    printf("%" PRId64 " prompts of %" PRId64 " tokens in %" PRId64 " bins of %" PRId64
           ": %.1f %% waste, at least %" PRId64 " bins needed%s\n",
           info.n_prompts, info.tokens, info.n_bins, info.capacity, 100 * info.waste,
           info.lower_bound, info.proven_optimal ? ", so this is optimal" : "");
    pp_plan_destroy(plan);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return serve();
    int64_t *lengths = malloc((size_t)argc * sizeof *lengths);
    if (!lengths)
        return EXIT_FAILURE;
    for (int i = 2; i < argc; i++)
        lengths[i - 2] = strtoll(argv[i], NULL, 10);
    int code = plan_once(strtoll(argv[1], NULL, 10), lengths, (size_t)(argc - 2));
    free(lengths);
    return code;
}
