/*
 * steps.c: parts of prompts in bins that run one after another: no part before, or beside, the one
 * whose keys and values it continues.
 */
#include "parts.h"
#include "plan/bitset.h"
#include "plan/fewest/bounds.h"
#include "plan/histogram.h"

#include <string.h>

#define NONE (-1)

/*
 * Parts stand in two orders. By size: the best of those that fit is the last one that is ready, up
 * to a place that the histogram knows. By chain: the last one that is ready has the most to come.
 */
struct steps {
    const struct parts *parts;
    const struct step_limits *limits;
    int64_t *sizes;             /* [n] room of each part */
    int32_t *chains;            /* [n] steps from a part to the last of those that need it, itself
                                   included */
    int32_t *first_next;        /* [n] the first part that continues it, or NONE */
    int32_t *next_sibling;      /* [n] another part that continues the same, or NONE */
    int32_t *by_chain;          /* [n] parts: shorter chains first, of equal ones higher indices */
    int32_t *chain_places;      /* [n] place of each part in by_chain */
    int32_t *size_places;       /* [n] place of each part in the histogram's order */
    struct histogram histogram; /* of the sizes of by_chain: its order holds places there */
    struct bitset ready_inner;  /* size places of parts that others continue */
    struct bitset ready_last;   /* size places of the others */
    struct bitset ready_chains; /* chain places of ready_inner */
    int64_t total;              /* size of the parts that wait */
    struct schedule *schedule;
    int64_t n_placed;
};

static bool allocate(struct steps *steps, struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)steps->parts->n;
    int32_t **arrays[] = {&steps->chains,   &steps->first_next,   &steps->next_sibling,
                          &steps->by_chain, &steps->chain_places, &steps->size_places};
    bool done = (steps->sizes = ppi_alloc(mem, n, sizeof *steps->sizes)) != NULL;
    for (size_t i = 0; i < PPI_COUNT(arrays); i++)
        done = (*arrays[i] = ppi_alloc(mem, n, sizeof **arrays[i])) && done;
    if (!done)
        ppi_error_nomem(err, "the parts of the prompts",
                        n * (sizeof *steps->sizes + PPI_COUNT(arrays) * sizeof(int32_t)));
    return done;
}

/* ---- orders ---- */

static void link_parts(struct steps *steps)
{
    const struct parts *parts = steps->parts;
    for (int64_t i = 0; i < parts->n; i++) {
        steps->sizes[i] = ppi_part_room(parts->n_tokens[i], steps->limits->alignment);
        if (__builtin_add_overflow(steps->total, steps->sizes[i], &steps->total))
            steps->total = INT64_MAX; /* only fewer chains count as critical */
        steps->chains[i] = 1;
        steps->first_next[i] = NONE;
    }
    for (int64_t i = parts->n - 1; i >= 0; i--) { /* those that continue it are done */
        int32_t before = parts->after[i];
        if (before == NONE)
            continue;
        if (steps->chains[before] <= steps->chains[i])
            steps->chains[before] = steps->chains[i] + 1;
        steps->next_sibling[i] = steps->first_next[before];
        steps->first_next[before] = (int32_t)i;
    }
}

/* A counting sort by chain; `size_places` serves as the counters: no chain is longer than n. */
static void sort_by_chain(struct steps *steps)
{
    int64_t n = steps->parts->n;
    int32_t *starts = steps->size_places; /* of chain c at c - 1 */
    memset(starts, 0, (size_t)n * sizeof *starts);
    for (int64_t i = 0; i < n; i++)
        starts[steps->chains[i] - 1]++;
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t count = starts[i];
        starts[i] = sum;
        sum += count;
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        int32_t place = starts[steps->chains[i] - 1]++;
        steps->by_chain[place] = (int32_t)i;
        steps->chain_places[i] = place;
    }
}

static pp_status sort_by_size(struct steps *steps, struct ppi_mem *mem, pp_error *err)
{
    int64_t n = steps->parts->n;
    int64_t *sizes = ppi_alloc(mem, (size_t)n, sizeof *sizes);
    if (!sizes)
        return ppi_error_nomem(err, "the sizes of the parts", (size_t)n * sizeof *sizes);
    int64_t smallest = INT64_MAX, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        sizes[i] = steps->sizes[steps->by_chain[i]];
        smallest = sizes[i] < smallest ? sizes[i] : smallest;
        largest = sizes[i] > largest ? sizes[i] : largest;
    }
    pp_status status =
        ppi_histogram_create(&steps->histogram, sizes, n, smallest, largest, mem, err);
    ppi_free(mem, sizes);
    if (status < 0)
        return status;
    for (int64_t place = 0; place < n; place++)
        steps->size_places[steps->by_chain[steps->histogram.order[place]]] = (int32_t)place;
    return PP_OK;
}

/* ---- bins ---- */

/* From now on a part may be placed. */
static void make_ready(struct steps *steps, int32_t part)
{
    if (steps->chains[part] == 1) {
        ppi_bitset_add(&steps->ready_last, steps->size_places[part]);
        return;
    }
    ppi_bitset_add(&steps->ready_inner, steps->size_places[part]);
    ppi_bitset_add(&steps->ready_chains, steps->chain_places[part]);
}

static void place_part(struct steps *steps, int32_t part, int64_t *room)
{
    if (steps->chains[part] == 1) {
        ppi_bitset_remove(&steps->ready_last, steps->size_places[part]);
    } else {
        ppi_bitset_remove(&steps->ready_inner, steps->size_places[part]);
        ppi_bitset_remove(&steps->ready_chains, steps->chain_places[part]);
    }
    steps->schedule->items[steps->n_placed++] = part;
    *room -= steps->sizes[part];
}

/* The part that goes into `room` next, or NONE. critical: chains that cannot wait. */
static int32_t choose_part(const struct steps *steps, int64_t room, int64_t critical)
{
    int64_t n = steps->parts->n;
    int64_t place = ppi_bitset_at_most(&steps->ready_chains, n - 1);
    if (place >= 0) {
        int32_t part = steps->by_chain[place];
        if (steps->chains[part] >= critical && steps->sizes[part] <= room)
            return part;
    }
    const struct histogram *histogram = &steps->histogram;
    int64_t slot = ppi_histogram_floor(histogram, room, histogram->n_slots - 1);
    if (slot < 0)
        return NONE;
    int64_t limit = histogram->buckets[slot].end - 1;
    int64_t inner = ppi_bitset_at_most(&steps->ready_inner, limit);
    place = inner;
    if (inner < 0 || !steps->limits->inner_first) {
        int64_t last = ppi_bitset_at_most(&steps->ready_last, limit);
        place = last > inner ? last : inner;
    }
    return place < 0 ? NONE : steps->by_chain[histogram->order[place]];
}

static void fill_bins(struct steps *steps)
{
    const struct parts *parts = steps->parts;
    const struct step_limits *limits = steps->limits;
    struct schedule *schedule = steps->schedule;
    for (int32_t i = 0; i < parts->n; i++)
        if (parts->after[i] == NONE)
            make_ready(steps, i);
    while (steps->n_placed < parts->n) {
        int64_t begin = steps->n_placed;
        schedule->starts[schedule->n_bins++] = begin;
        int64_t by_size = ppi_bound_l1(steps->total, limits->capacity);
        int64_t by_number = (parts->n - begin - 1) / limits->max_prompts + 1;
        int64_t room = limits->capacity;
        int32_t part;
        while (steps->n_placed - begin < limits->max_prompts &&
               (part = choose_part(steps, room, by_size > by_number ? by_size : by_number)) != NONE)
            place_part(steps, part, &room);
        steps->total -= limits->capacity - room;
        for (int64_t i = begin; i < steps->n_placed; i++)
            for (int32_t next = steps->first_next[schedule->items[i]]; next != NONE;
                 next = steps->next_sibling[next])
                make_ready(steps, next);
    }
    schedule->starts[schedule->n_bins] = steps->n_placed;
}

/* ---- in order of arrival ---- */

/* Next fit in the order of the prompts: a part's prompt has the lowest index of those that share
 * it, so that the part that it continues comes earlier. */
static pp_status keep_order(const struct parts *parts, const struct step_limits *limits,
                            struct schedule *schedule, struct ppi_mem *mem, pp_error *err)
{
    int32_t n_prompts = 0;
    for (int64_t i = 0; i < parts->n; i++)
        n_prompts = parts->prompts[i] >= n_prompts ? parts->prompts[i] + 1 : n_prompts;
    int64_t *places = ppi_zalloc(mem, (size_t)n_prompts + 1, sizeof *places);
    int64_t *bin_of = ppi_alloc(mem, (size_t)parts->n, sizeof *bin_of);
    if (!places || !bin_of) {
        ppi_free(mem, places);
        ppi_free(mem, bin_of);
        return ppi_error_nomem(err, "the parts of the prompts in order",
                               ((size_t)n_prompts + 1 + (size_t)parts->n) * sizeof *places);
    }
    for (int64_t i = 0; i < parts->n; i++)
        places[parts->prompts[i] + 1]++;
    for (int32_t i = 0; i < n_prompts; i++)
        places[i + 1] += places[i];
    for (int32_t i = 0; i < parts->n; i++)
        schedule->items[places[parts->prompts[i]]++] = i;
    int64_t room = 0;
    schedule->n_bins = 0;
    for (int64_t i = 0; i < parts->n; i++) {
        int32_t part = schedule->items[i];
        int64_t size = ppi_part_room(parts->n_tokens[part], limits->alignment);
        int64_t bin = schedule->n_bins - 1;
        if (bin < 0 || size > room || i - schedule->starts[bin] >= limits->max_prompts ||
            (parts->after[part] != NONE && bin_of[parts->after[part]] == bin)) {
            bin = schedule->n_bins++;
            schedule->starts[bin] = i;
            room = limits->capacity;
        }
        bin_of[part] = bin;
        room -= size;
    }
    schedule->starts[schedule->n_bins] = parts->n;
    ppi_free(mem, places);
    ppi_free(mem, bin_of);
    return PP_OK;
}

pp_status ppi_schedule_parts(const struct parts *parts, const struct step_limits *limits,
                             struct schedule *schedule, struct ppi_mem *mem, pp_error *err)
{
    if (limits->keep_order)
        return keep_order(parts, limits, schedule, mem, err);
    struct steps steps = {.parts = parts, .limits = limits, .schedule = schedule};
    pp_status status = PP_ERR_NOMEM;
    if (!allocate(&steps, mem, err))
        goto done;
    link_parts(&steps);
    sort_by_chain(&steps);
    if ((status = sort_by_size(&steps, mem, err)) < 0)
        goto done;
    struct bitset *sets[] = {&steps.ready_inner, &steps.ready_last, &steps.ready_chains};
    for (size_t i = 0; i < PPI_COUNT(sets) && status >= 0; i++)
        status = ppi_bitset_create(sets[i], parts->n, mem, err);
    if (status < 0)
        goto done;
    schedule->n_bins = 0;
    fill_bins(&steps);
done:
    ppi_bitset_destroy(&steps.ready_inner, mem);
    ppi_bitset_destroy(&steps.ready_last, mem);
    ppi_bitset_destroy(&steps.ready_chains, mem);
    ppi_histogram_destroy(&steps.histogram, mem);
    ppi_free(mem, steps.sizes);
    ppi_free(mem, steps.chains);
    ppi_free(mem, steps.first_next);
    ppi_free(mem, steps.next_sibling);
    ppi_free(mem, steps.by_chain);
    ppi_free(mem, steps.chain_places);
    ppi_free(mem, steps.size_places);
    return status;
}
