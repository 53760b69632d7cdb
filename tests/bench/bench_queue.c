/*
 * bench_queue.c: the queue. How much of its steps stays empty when prompts come one by
 * one, against the usual rules for that; and how many prompts pass through it a second.
 *
 *     bench_queue [FILE ...]     FILE: lengths to draw from, one a line
 */
#include "length_list.h"

#include <prepack/prepack.h>

#include <pthread.h>
#include <sched.h>

#define CAPACITY 2048
#define N        20000
#define N_ADDS   1000000

static struct rng rng;

static void check(pp_status status, const pp_error *err)
{
    if (status >= 0)
        return;
    fprintf(stderr, "bench_queue: %s\n", err->message);
    exit(1);
}

/* ---- lengths ---- */

/* Fills lengths with draws from the file's, or from a log-normal distribution. */
static void draw(const char *path, int64_t *lengths, size_t n)
{
    struct length_list list = {.median = 140, .sigma = 0.7};
    if (path)
        list = read_lengths(path);
    for (size_t i = 0; i < n; i++) {
        int64_t length = draw_length(&rng, &list);
        lengths[i] = length > CAPACITY ? CAPACITY : length;
    }
    free(list.lengths);
}

/* ---- rivals: bins that they make of the stream ---- */

/* Each prompt into the fullest of k open bins with room; without one the fullest bin is closed.
 * k = 1 is next fit. */
static int64_t best_fit(const int64_t *lengths, size_t n, int64_t k)
{
    int64_t rooms[64];
    int64_t n_open = 0;
    int64_t n_bins = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t chosen = -1;
        int64_t fullest = 0;
        for (int64_t j = 0; j < n_open; j++) {
            if (rooms[j] >= lengths[i] && (chosen < 0 || rooms[j] < rooms[chosen]))
                chosen = j;
            fullest = rooms[j] < rooms[fullest] ? j : fullest;
        }
        if (chosen < 0) {
            chosen = n_open < k ? n_open++ : fullest;
            rooms[chosen] = CAPACITY;
            n_bins++;
        }
        rooms[chosen] -= lengths[i];
    }
    return n_bins;
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* First-fit decreasing of `window` prompts and what was carried over; all bins are closed but the
 * emptiest, which is carried over. */
static int64_t window_carry(const int64_t *lengths, size_t n, size_t window)
{
    int64_t *items = malloc(2 * n * sizeof *items);
    int64_t *rooms = malloc(n * sizeof *rooms);
    size_t *bins = malloc(2 * n * sizeof *bins);
    if (!items || !rooms || !bins)
        exit(1);
    size_t n_items = 0;
    int64_t n_closed = 0;
    for (size_t i = 0; i < n;) {
        for (size_t j = 0; j < window && i < n; j++)
            items[n_items++] = lengths[i++];
        qsort(items, n_items, sizeof *items, descending);
        size_t n_bins = 0;
        for (size_t j = 0; j < n_items; j++) {
            size_t bin = 0;
            while (bin < n_bins && rooms[bin] < items[j])
                bin++;
            if (bin == n_bins)
                rooms[n_bins++] = CAPACITY;
            rooms[bin] -= items[j];
            bins[j] = bin;
        }
        size_t emptiest = 0;
        for (size_t bin = 0; bin < n_bins; bin++)
            emptiest = rooms[bin] >= rooms[emptiest] ? bin : emptiest;
        n_closed += (int64_t)n_bins - (i < n);
        size_t n_carried = 0;
        for (size_t j = 0; j < n_items; j++)
            if (bins[j] == emptiest)
                items[n_carried++] = items[j];
        n_items = n_carried;
    }
    free(bins);
    free(rooms);
    free(items);
    return n_closed;
}

/* ---- the queue ---- */

static pp_queue *make_queue(int64_t max_waiting, double max_age)
{
    pp_queue_params params;
    pp_queue_params_init(&params, sizeof params);
    params.capacity = CAPACITY;
    params.max_waiting = max_waiting;
    params.max_age = max_age;
    pp_queue *queue = NULL;
    pp_error err = {.struct_size = sizeof err};
    check(pp_queue_create(&params, &queue, &err), &err);
    return queue;
}

/* Steps that a queue of max_waiting makes when it is kept full. *latest: the most steps that left
 * between a prompt's add and its own. */
static int64_t queue_steps(const int64_t *lengths, size_t n, int64_t max_waiting, int64_t *latest)
{
    static pp_step_prompt prompts[CAPACITY];
    static int64_t came[N];
    pp_queue *queue = make_queue(max_waiting, INFINITY);
    pp_error err = {.struct_size = sizeof err};
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = CAPACITY};
    int64_t n_steps = 0;
    *latest = 0;
    for (size_t i = 0;;) {
        pp_waiting_prompt prompt = {.struct_size = sizeof prompt, .id = (int64_t)i};
        while (i < n) {
            prompt.id = (int64_t)i;
            prompt.n_tokens = lengths[i];
            pp_status status = pp_queue_add(queue, &prompt, &err);
            check(status, &err);
            if (status == PP_AGAIN)
                break;
            came[i++] = n_steps;
        }
        if (i == n)
            pp_queue_close(queue, NULL);
        pp_status status = pp_queue_next(queue, 0, &step, &err);
        check(status, &err);
        if (status == PP_GONE)
            break;
        for (int64_t j = 0; j < step.n_prompts; j++) {
            int64_t skipped = n_steps - came[prompts[j].id];
            *latest = skipped > *latest ? skipped : *latest;
        }
        n_steps += status == PP_OK;
    }
    pp_queue_destroy(queue);
    return n_steps;
}

static void bench_waste(const char *name, const int64_t *lengths)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < N; i++)
        tokens += lengths[i];
    int64_t latest_small, latest;
    const int64_t n_bins[] = {best_fit(lengths, N, 1),
                              best_fit(lengths, N, 2),
                              best_fit(lengths, N, 8),
                              window_carry(lengths, N, 64),
                              window_carry(lengths, N, 256),
                              window_carry(lengths, N, N),
                              queue_steps(lengths, N, 64, &latest_small),
                              queue_steps(lengths, N, 1024, &latest)};
    printf("%-22s", name);
    for (size_t i = 0; i < sizeof n_bins / sizeof *n_bins; i++)
        printf(" %8.2f", 100 * (1 - (double)tokens / (double)(n_bins[i] * CAPACITY)));
    printf(" %8" PRId64 " %8" PRId64 "\n", latest_small, latest);
}

/* ---- speed ---- */

struct adder {
    pp_queue *queue;
    const int64_t *lengths;
    int64_t first, n;
};

static void *add_all(void *arg)
{
    const struct adder *adder = arg;
    for (int64_t i = adder->first; i < adder->first + adder->n; i++) {
        pp_waiting_prompt prompt = {
            .struct_size = sizeof prompt, .id = i, .n_tokens = adder->lengths[i % N]};
        while (pp_queue_add(adder->queue, &prompt, NULL) == PP_AGAIN)
            sched_yield();
    }
    return NULL;
}

/* Prompts a second through the queue, n_threads adding and this one taking steps. */
static void bench_speed(const int64_t *lengths, int n_threads)
{
    static pp_step_prompt prompts[CAPACITY];
    pp_queue *queue = make_queue(4096, 0.001);
    pp_error err = {.struct_size = sizeof err};
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = CAPACITY};
    struct adder adders[8];
    pthread_t threads[8];
    int64_t n_taken = 0;
    int64_t n_steps = 0;
    double started = seconds_of(CLOCK_MONOTONIC);
    for (int i = 0; i < n_threads; i++) {
        int64_t n = N_ADDS / n_threads;
        adders[i] = (struct adder){queue, lengths, i * n, n};
        if (pthread_create(&threads[i], NULL, add_all, &adders[i]))
            exit(1);
    }
    while (n_taken < N_ADDS) {
        pp_status status = pp_queue_next(queue, 1.0, &step, &err);
        check(status, &err);
        if (status == PP_OK) {
            n_taken += step.n_prompts;
            n_steps++;
        }
    }
    double seconds = seconds_of(CLOCK_MONOTONIC) - started;
    for (int i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    printf("%d adding, 1 taking: %9.0f prompts/s, %8.0f steps/s, %5.2f us a step and its prompts\n",
           n_threads, (double)N_ADDS / seconds, (double)n_steps / seconds,
           1e6 * seconds / (double)n_steps);
    pp_queue_destroy(queue);
}

/* One thread: the cost of an add and of a step, without anybody to wait for. */
static void bench_calls(const int64_t *lengths)
{
    static pp_step_prompt prompts[CAPACITY];
    pp_queue *queue = make_queue(4096, INFINITY);
    pp_error err = {.struct_size = sizeof err};
    pp_step step = {.struct_size = sizeof step, .prompts = prompts, .room = CAPACITY};
    double adding = 0, taking = 0;
    int64_t n_adds = 0, n_steps = 0;
    while (n_adds < N_ADDS) {
        double started = seconds_of(CLOCK_MONOTONIC);
        pp_status status = PP_OK;
        while (status == PP_OK) {
            pp_waiting_prompt prompt = {
                .struct_size = sizeof prompt, .id = n_adds, .n_tokens = lengths[n_adds % N]};
            status = pp_queue_add(queue, &prompt, &err);
            n_adds += status == PP_OK;
        }
        double added = seconds_of(CLOCK_MONOTONIC);
        for (int i = 0; i < 64; i++)
            n_steps += pp_queue_next(queue, 0, &step, &err) == PP_OK;
        adding += added - started;
        taking += seconds_of(CLOCK_MONOTONIC) - added;
    }
    printf("an add: %.0f ns; a step: %.2f us\n", 1e9 * adding / (double)n_adds,
           1e6 * taking / (double)n_steps);
    pp_queue_destroy(queue);
}

int main(int argc, char **argv)
{
    static int64_t lengths[N];
    printf("%% of the capacity left empty; %d prompts, steps of %d tokens\n", N, CAPACITY);
    printf("%-22s %8s %8s %8s %8s %8s %8s %8s %8s %17s\n", "lengths", "next fit", "best 2",
           "best 8", "w64+c", "w256+c", "FFD all", "queue64", "q1024", "latest step");
    for (int i = argc > 1 ? argc - 1 : 1; i > 0; i--) { /* the first one's lengths stay */
        const char *path = i < argc ? argv[i] : NULL;
        const char *name = path ? strrchr(path, '/') ? strrchr(path, '/') + 1 : path : "log-normal";
        rng.state = 41;
        draw(path, lengths, N);
        bench_waste(name, lengths);
    }
    bench_calls(lengths);
    bench_speed(lengths, 1);
    bench_speed(lengths, 8);
    return 0;
}
