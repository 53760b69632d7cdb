/*
 * step.c: which of the prompts that wait make the next step: the first by rank, and of a window of
 * those that follow it the ones that fill the step best.
 *
 * Filling one bin as well as possible is a subset-sum problem. Taking the largest prompt that fits,
 * again and again, is first-fit decreasing seen bin by bin. It is tried several times, each time
 * from a smaller first prompt on, and the fullest bin wins (after minimum bin slack: Gupta, Ho
 * 1999; Fleszar, Hindi 2002). docs/lab/benchmarks.md has what that leaves empty.
 */
#include "step.h"

#include <string.h>

#define N_TRIALS 16 /* fillings for one prompt that the step shall hold */
#define N_SEEDS  8  /* prompts tried, by rank, for a step that is filled well while nobody is due */

pp_status ppi_step_scratch_create(struct step_scratch *scratch, int64_t max, struct ppi_mem *mem,
                                  pp_error *err)
{
    size_t n = (size_t)max;
    scratch->frontier = ppi_alloc(mem, n + 1, sizeof *scratch->frontier);
    scratch->window = ppi_alloc(mem, n, sizeof *scratch->window);
    scratch->other = ppi_alloc(mem, n, sizeof *scratch->other);
    scratch->ranked = ppi_alloc(mem, n, sizeof *scratch->ranked);
    scratch->trial = ppi_alloc(mem, n, sizeof *scratch->trial);
    scratch->best = ppi_alloc(mem, n, sizeof *scratch->best);
    if (scratch->frontier && scratch->window && scratch->other && scratch->ranked &&
        scratch->trial && scratch->best)
        return PP_OK;
    ppi_step_scratch_destroy(scratch, mem);
    return ppi_error_nomem(err, "the choice of steps", n * sizeof *scratch->window);
}

void ppi_step_scratch_destroy(struct step_scratch *scratch, struct ppi_mem *mem)
{
    ppi_free(mem, scratch->best);
    ppi_free(mem, scratch->trial);
    ppi_free(mem, scratch->ranked);
    ppi_free(mem, scratch->other);
    ppi_free(mem, scratch->window);
    ppi_free(mem, scratch->frontier);
    *scratch = (struct step_scratch){0};
}

/* ---- the window ---- */

/* Walks the waiting prompts by rank without changing their heap: the next one is among the children
 * of those seen, which lie in a heap of their own. */
struct walk {
    const struct waiting *waiting;
    int32_t *frontier; /* [n] places in waiting->heap */
    int32_t n;
};

static bool place_before(const struct walk *walk, int32_t a, int32_t b)
{
    const int32_t *heap = walk->waiting->heap;
    return ppi_waiting_before(walk->waiting, heap[a], heap[b]);
}

static void walk_push(struct walk *walk, int64_t place)
{
    if (place >= walk->waiting->n)
        return;
    int32_t hole = walk->n++;
    while (hole > 0 && place_before(walk, (int32_t)place, walk->frontier[(hole - 1) / 2])) {
        walk->frontier[hole] = walk->frontier[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    walk->frontier[hole] = (int32_t)place;
}

static int32_t walk_pop(struct walk *walk)
{
    int32_t top = walk->frontier[0];
    int32_t last = walk->frontier[--walk->n];
    int32_t hole = 0;
    for (int64_t child; (child = 2 * (int64_t)hole + 1) < walk->n; hole = (int32_t)child) {
        if (child + 1 < walk->n &&
            place_before(walk, walk->frontier[child + 1], walk->frontier[child]))
            child++;
        if (!place_before(walk, walk->frontier[child], last))
            break;
        walk->frontier[hole] = walk->frontier[child];
    }
    walk->frontier[hole] = last;
    return top;
}

struct window {
    int32_t n;
    int64_t size; /* sum */
    int64_t due;  /* the earliest */
    bool ended;   /* it holds as many prompts as it may */
};

/* The first prompts by rank, in scratch->ranked. */
static struct window look(const struct waiting *waiting, const struct step_limits *limits,
                          struct step_scratch *scratch)
{
    struct walk walk = {.waiting = waiting, .frontier = scratch->frontier};
    struct window window = {.due = INT64_MAX};
    walk_push(&walk, 0);
    while (walk.n > 0 && !window.ended) {
        int64_t place = walk_pop(&walk);
        walk_push(&walk, 2 * place + 1);
        walk_push(&walk, 2 * place + 2);
        int32_t index = waiting->heap[place];
        const struct waiting_prompt *prompt = &waiting->prompts[index];
        scratch->ranked[window.n++] = index;
        window.size += prompt->size;
        window.due = prompt->due < window.due ? prompt->due : window.due;
        window.ended = ppi_step_is_window(limits, window.n, window.size);
    }
    return window;
}

/* Merges [low, middle) and [middle, high) of `from` into `to`: the largest first, equal sizes by
 * rank. */
static void merge(const struct window_item *from, struct window_item *to, int64_t low,
                  int64_t middle, int64_t high)
{
    int64_t a = low;
    int64_t b = middle;
    for (int64_t i = low; i < high; i++)
        to[i] = b >= high || (a < middle && from[a].size >= from[b].size) ? from[a++] : from[b++];
}

/* Merge sort, bottom up: it needs no memory but the scratch, and keeps equal sizes in order. */
static void sort_window(const struct waiting *waiting, int32_t n, struct step_scratch *scratch)
{
    for (int32_t i = 0; i < n; i++)
        scratch->window[i] =
            (struct window_item){waiting->prompts[scratch->ranked[i]].size, scratch->ranked[i], i};
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = low + width < n ? low + width : n;
            int64_t high = low + 2 * width < n ? low + 2 * width : n;
            merge(scratch->window, scratch->other, low, middle, high);
        }
        struct window_item *sorted = scratch->other;
        scratch->other = scratch->window;
        scratch->window = sorted;
    }
}

/* ---- one step ---- */

/* The first item of [from, n) with at most this size. */
static int32_t first_at_most(const struct window_item *items, int32_t from, int32_t n, int64_t size)
{
    while (from < n) {
        int32_t middle = from + (n - from) / 2;
        if (items[middle].size > size)
            from = middle + 1;
        else
            n = middle;
    }
    return from;
}

/* What a selection is measured by. */
struct aim {
    int64_t capacity;
    int64_t max_prompts;
    bool limited;   /* there are more prompts in the window than a step may have */
    bool few_slots; /* their number, more than their tokens, tells how many steps they need */
};

static bool is_better(const struct aim *aim, const struct step_choice *a,
                      const struct step_choice *b)
{
    if (aim->few_slots && a->n != b->n)
        return a->n > b->n;
    if (a->size != b->size)
        return a->size > b->size;
    return aim->limited && a->n > b->n;
}

static bool is_perfect(const struct aim *aim, const struct step_choice *choice)
{
    return choice->size == aim->capacity && (!aim->few_slots || choice->n == aim->max_prompts);
}

/* Adds to a selection the largest items of [from, n) that fit, but for the one at place `seed`. */
static void fill(const struct aim *aim, const struct window_item *items, int32_t n, int32_t from,
                 int32_t seed, struct step_choice *choice)
{
    while (choice->n < aim->max_prompts) {
        from = first_at_most(items, from, n, aim->capacity - choice->size);
        if (from >= n)
            return;
        if (items[from].place != seed) {
            choice->prompts[choice->n++] = items[from].index;
            choice->size += items[from].size;
        }
        from++;
    }
}

/* The fullest step found that holds the window's prompt at place `seed` by rank; in scratch->best,
 * which *choice points to. */
static void fill_around(const struct aim *aim, const struct waiting *waiting, int32_t n,
                        int32_t seed, struct step_scratch *scratch, struct step_choice *choice)
{
    const struct window_item *items = scratch->window;
    int64_t seed_size = waiting->prompts[scratch->ranked[seed]].size;
    int32_t low = first_at_most(items, 0, n, aim->capacity - seed_size);
    int32_t start = low;
    for (int32_t i = 0; i < N_TRIALS && (i == 0 || start < n); i++) {
        struct step_choice trial = {.prompts = scratch->trial, .n = 1, .size = seed_size};
        trial.prompts[0] = scratch->ranked[seed];
        fill(aim, items, n, start, seed, &trial);
        if (i == 0 || is_better(aim, &trial, choice)) {
            scratch->trial = scratch->best;
            scratch->best = trial.prompts;
            *choice = trial;
        }
        if (is_perfect(aim, choice))
            return;
        /* Where the number of prompts binds, the largest ones do not belong together: start all
         * over the window. Otherwise from the next smaller size. */
        if (aim->limited)
            start = low + (int32_t)((int64_t)(n - low) * (i + 1) / N_TRIALS);
        else if (start < n)
            start = first_at_most(items, start, n, items[start].size - 1);
    }
}

/* The run of first prompts that fits; true when the next one does not. */
static bool take_run(const struct aim *aim, const struct waiting *waiting, int32_t n,
                     struct step_scratch *scratch, struct step_choice *choice)
{
    *choice = (struct step_choice){.prompts = scratch->ranked};
    for (int32_t i = 0; i < n; i++) {
        int64_t size = waiting->prompts[scratch->ranked[i]].size;
        if (i > 0 && (i >= aim->max_prompts || size > aim->capacity - choice->size))
            return true;
        choice->n++;
        choice->size += size;
    }
    return false;
}

bool ppi_step_choose(const struct waiting *waiting, const struct step_limits *limits, int64_t now,
                     bool urgent, struct step_scratch *scratch, struct step_choice *choice,
                     int64_t *due)
{
    struct window window = look(waiting, limits, scratch);
    *due = window.due;
    if (window.n == 0)
        return false;
    urgent = urgent || window.ended || window.due <= now;
    struct aim aim = {
        .capacity = limits->capacity,
        .max_prompts = limits->max_prompts,
        .limited =
            limits
                ->max_prompts<window.n, .few_slots = (double)window.n * (double)limits->capacity>(
                    double) window.size *
            (double)limits->max_prompts};
    bool cut = take_run(&aim, waiting, window.n, scratch, choice);
    if (limits->keep_order || !cut)
        return urgent || cut || ppi_step_is_good(limits, choice->n, choice->size);

    sort_window(waiting, window.n, scratch);
    int32_t highest = INT32_MIN; /* priority that a step would pass over */
    for (int32_t seed = 0; seed < window.n && seed < N_SEEDS; seed++) {
        int32_t priority = waiting->prompts[scratch->ranked[seed]].priority;
        if (priority < highest)
            continue;
        highest = priority;
        fill_around(&aim, waiting, window.n, seed, scratch, choice);
        if (urgent || ppi_step_is_good(limits, choice->n, choice->size))
            return true;
    }
    return false;
}
