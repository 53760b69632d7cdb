/*
 * bench_prompts.c: see bench_prompts.h.
 */
#include "bench_prompts.h"

#include "support/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void *bench_alloc(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        bench_fail("malloc", "no memory");
    return memory;
}

double bench_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return values[n / 2];
}

void bench_drop(pp_kvcache **caches, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pp_kvcache_destroy(caches[i]);
}

/* ---- prompts ---- */

static void add(struct prompts *prompts, const int32_t *tokens, int64_t n)
{
    if ((prompts->n & (prompts->n - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
        size_t room = prompts->n ? 2 * prompts->n : 1;
        prompts->prompts = realloc(prompts->prompts, room * sizeof *prompts->prompts);
        if (!prompts->prompts)
            bench_fail("realloc", "no memory");
    }
    int32_t *copy = bench_alloc((size_t)n * sizeof *copy);
    memcpy(copy, tokens, (size_t)n * sizeof *copy);
    prompts->prompts[prompts->n++] = (pp_prompt){copy, n};
    prompts->n_tokens += n;
}

void prompts_free(struct prompts *prompts)
{
    for (size_t i = 0; i < prompts->n; i++)
        free((void *)(uintptr_t)prompts->prompts[i].tokens);
    free(prompts->prompts);
    *prompts = (struct prompts){0};
}

/* Calls `line` with the numbers of each line that has some. */
static void each_line(const char *path, void (*line)(void *user, const int32_t *numbers, int64_t n),
                      void *user)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;
    if (!file)
        bench_fail("cannot read", path);
    while (getline(&text, &room, file) > 0) {
        int32_t *numbers = bench_alloc((strlen(text) + 1) * sizeof *numbers);
        int64_t n = 0;
        char *at = text, *end;
        for (long number = strtol(at, &end, 10); end != at; number = strtol(at, &end, 10)) {
            numbers[n++] = (int32_t)number;
            at = end;
        }
        if (n > 0)
            line(user, numbers, n);
        free(numbers);
    }
    free(text);
    fclose(file);
}

static void add_line(void *user, const int32_t *numbers, int64_t n)
{
    add(user, numbers, n);
}

struct prompts prompts_read(const char *path)
{
    struct prompts prompts = {0};
    each_line(path, add_line, &prompts);
    if (prompts.n == 0)
        bench_fail("no prompt in", path);
    return prompts;
}

struct source {
    struct prompts prompts;
    struct rng rng;
    int32_t vocab_size;
};

static void add_random(void *user, const int32_t *numbers, int64_t n)
{
    struct source *source = user;
    (void)n;
    if (numbers[0] < 1)
        bench_fail("lengths", "there is one below 1");
    int32_t *tokens = bench_alloc((size_t)numbers[0] * sizeof *tokens);
    for (int32_t i = 0; i < numbers[0]; i++)
        tokens[i] = (int32_t)rng_between(&source->rng, 0, source->vocab_size - 1);
    add(&source->prompts, tokens, numbers[0]);
    free(tokens);
}

struct prompts prompts_random(const char *lengths_path, int32_t vocab_size)
{
    struct source source = {.rng = {20260311}, .vocab_size = vocab_size};
    each_line(lengths_path, add_random, &source);
    if (source.prompts.n == 0)
        bench_fail("no length in", lengths_path);
    return source.prompts;
}

struct prompts prompts_padded(const pp_prompt *prompts, size_t n)
{
    struct prompts padded = {0};
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = prompts[i].n_tokens > longest ? prompts[i].n_tokens : longest;
    int32_t *row = bench_alloc((size_t)longest * sizeof *row);
    for (size_t i = 0; i < n; i++) {
        memset(row, 0, (size_t)longest * sizeof *row);
        memcpy(row, prompts[i].tokens, (size_t)prompts[i].n_tokens * sizeof *row);
        add(&padded, row, longest);
    }
    free(row);
    return padded;
}

struct prompts prompts_of_total(const struct prompts *prompts, int64_t n_tokens)
{
    struct prompts filled = {0};
    while (filled.n_tokens < n_tokens) {
        const pp_prompt *next = &prompts->prompts[filled.n % prompts->n];
        int64_t left = n_tokens - filled.n_tokens;
        add(&filled, next->tokens, next->n_tokens < left ? next->n_tokens : left);
    }
    return filled;
}

static int compare_lengths(const void *left, const void *right)
{
    int64_t a = ((const pp_prompt *)left)->n_tokens, b = ((const pp_prompt *)right)->n_tokens;
    return (a > b) - (a < b);
}

struct prompts prompts_sorted(const struct prompts *prompts)
{
    struct prompts sorted = *prompts;
    sorted.prompts = bench_alloc(prompts->n * sizeof *sorted.prompts);
    memcpy(sorted.prompts, prompts->prompts, prompts->n * sizeof *sorted.prompts);
    qsort(sorted.prompts, sorted.n, sizeof *sorted.prompts, compare_lengths);
    return sorted;
}
