/*
 * shapes.c: the objective CHEAPEST: rows of the lengths that are allowed, each computed in full.
 * Candidates are
 *
 *  - for each shape: longer prompts alone, the others first-fit decreasing into rows of that shape;
 *  - greedily: for the longest prompt that waits, the shape whose row, filled, costs least a token;
 *  - one prompt a row (length-ordered batching);
 *  - the fewest rows of the best shape, by the policies of FEWEST_BINS;
 *
 * every row then shrunk to the smallest shape that holds it. The cheapest wins.
 */
#include "shapes.h"
#include "plan/bitset.h"
#include "plan/fewest/bounds.h"
#include "plan/policies.h"

#include <math.h>

/* Of more shapes than this, so many are tried as the one to pack into, the largest among them. */
#define MOST_TRIED 64

struct filler {
    const struct shapes *shapes;
    struct histogram sorted;
    struct bitset waiting; /* slots with items that are not placed */
    int32_t *firsts;       /* [n_slots] where each slot's items begin */
};

/* What a row holds. */
struct row {
    int64_t size;
    int64_t n_prompts;
};

/* How many of the items of a slot, from `next` on, go into the room left. */
static int32_t count_fitting(const struct packing *packing, const struct histogram *sorted,
                             int64_t slot, struct row *left)
{
    const struct bucket *bucket = &sorted->buckets[slot];
    int64_t size = ppi_histogram_length(sorted, slot);
    int64_t most = bucket->end - bucket->next;
    most = most < left->size / size ? most : left->size / size;
    int64_t count = most < left->n_prompts ? most : left->n_prompts;
    if (packing->n_prompts) {
        int64_t n_prompts = 0;
        for (count = 0; count < most; count++) {
            int32_t more = packing->n_prompts[sorted->order[bucket->next + count]];
            if (more > left->n_prompts - n_prompts)
                break;
            n_prompts += more;
        }
        left->n_prompts -= n_prompts;
    } else {
        left->n_prompts -= count;
    }
    left->size -= count * size;
    return (int32_t)count;
}

/* Fills a row of a capacity, first with the items of `slot`, then each time with the longest that
 * fit. items NULL: nothing is placed, only measured. Returns what the row holds; *n_items counts.
 */
static struct row fill_row(struct filler *filler, int64_t slot, int64_t capacity, int32_t *items,
                           int64_t *n_items)
{
    const struct packing *packing = filler->shapes->packing;
    struct histogram *sorted = &filler->sorted;
    struct row left = {.size = capacity, .n_prompts = packing->max_prompts};
    *n_items = 0;
    while (slot >= 0 && left.n_prompts > 0) {
        int32_t count = count_fitting(packing, sorted, slot, &left);
        if (items && count > 0) {
            struct bucket *bucket = &sorted->buckets[slot];
            for (int32_t i = 0; i < count; i++)
                items[*n_items + i] = sorted->order[bucket->next + i];
            bucket->next += count;
            if (bucket->next == bucket->end)
                ppi_bitset_remove(&filler->waiting, slot);
        }
        *n_items += count;
        slot =
            ppi_bitset_at_most(&filler->waiting, ppi_histogram_floor(sorted, left.size, slot - 1));
    }
    return (struct row){.size = capacity - left.size,
                        .n_prompts = packing->max_prompts - left.n_prompts};
}

/* All items wait again. */
static void start_over(struct filler *filler)
{
    for (int64_t slot = 0; slot < filler->sorted.n_slots; slot++) {
        struct bucket *bucket = &filler->sorted.buckets[slot];
        bucket->next = filler->firsts[slot];
        if (bucket->next < bucket->end)
            ppi_bitset_add(&filler->waiting, slot);
    }
}

/* A candidate: into which shape items are packed, or one of these. */
enum { GREEDY = -1, ALONE = -2, FEWEST = -3 };

/* The shape in which the longest items that wait cost least a token. */
static int64_t choose_shape(struct filler *filler, int64_t slot)
{
    const struct shapes *shapes = filler->shapes;
    int64_t first = ppi_shapes_find(shapes, ppi_histogram_length(&filler->sorted, slot));
    int64_t step = 1 + (shapes->n - 1 - first) / MOST_TRIED;
    int64_t best = first;
    double best_cost = INFINITY;
    int64_t before = 0; /* what the shape before held */
    for (int64_t shape = first; shape < shapes->n; shape += step) {
        int64_t n_items;
        struct row row = fill_row(filler, slot, shapes->capacities[shape], NULL, &n_items);
        if (row.size == before)
            continue; /* dearer and no fuller */
        before = row.size;
        double cost = shapes->row_costs[shape] / (double)row.size;
        if (cost < best_cost) {
            best_cost = cost;
            best = shape;
        }
    }
    return best;
}

/* Rows by one candidate; returns their cost, per_prompt apart. */
static double form_rows(struct filler *filler, int64_t candidate, struct bins *bins)
{
    const struct shapes *shapes = filler->shapes;
    double cost = 0;
    int64_t n_items = 0, slot = filler->sorted.n_slots - 1;
    start_over(filler);
    bins->n = 0;
    while ((slot = ppi_bitset_at_most(&filler->waiting, slot)) >= 0) {
        int64_t size = ppi_histogram_length(&filler->sorted, slot);
        int64_t shape = candidate == GREEDY  ? choose_shape(filler, slot)
                        : candidate == ALONE ? -1
                                             : candidate;
        int64_t capacity = shape < 0 ? size : shapes->capacities[shape];
        int64_t added;
        struct row row;
        if (shape < 0 || capacity < size) { /* alone */
            struct bucket *bucket = &filler->sorted.buckets[slot];
            bins->items[n_items] = filler->sorted.order[bucket->next++];
            if (bucket->next == bucket->end)
                ppi_bitset_remove(&filler->waiting, slot);
            added = 1;
            row = (struct row){.size = size};
        } else {
            row = fill_row(filler, slot, capacity, bins->items + n_items, &added);
        }
        int64_t shrunk = ppi_shapes_find(shapes, row.size);
        bins->starts[bins->n] = n_items;
        bins->sizes[bins->n] = row.size;
        bins->capacities[bins->n++] = shapes->capacities[shrunk];
        cost += shapes->row_costs[shrunk];
        n_items += added;
    }
    bins->starts[bins->n] = n_items;
    return cost;
}

/* The fewest rows of one shape, shrunk. INFINITY where they are not allowed. */
static pp_status form_fewest(const struct shapes *shapes, int64_t shape, struct bins *bins,
                             double *cost, struct ppi_mem *mem, pp_error *err)
{
    const struct packing *packing = shapes->packing;
    struct packing sub = *packing;
    sub.capacity = shapes->capacities[shape];
    sub.capacities = NULL;
    sub.n_capacities = 0;
    sub.policy = PP_POLICY_AUTO;
    struct bins fewest = {
        .items = bins->items, .starts = bins->starts, .sizes = bins->sizes, .policy = sub.policy};
    PP_TRY(ppi_pack(PP_OBJECTIVE_FEWEST_BINS, &sub, &fewest, mem, err));
    if (sub.capacity == packing->capacity) { /* what holds for the largest shape holds for all */
        bins->bound_l2 = fewest.bound_l2;
        bins->bound_dff = fewest.bound_dff;
        bins->bound_lp = fewest.bound_lp;
    }
    bins->n = fewest.n;
    bins->policy = fewest.policy;
    bins->limit_reached = fewest.limit_reached;
    *cost = 0;
    for (int64_t bin = 0; bin < bins->n; bin++) {
        int64_t n_prompts = bins->starts[bin + 1] - bins->starts[bin];
        if (packing->n_prompts)
            for (int64_t i = bins->starts[bin], end = i + n_prompts; i < end; i++)
                n_prompts += packing->n_prompts[bins->items[i]] - 1;
        int64_t shrunk = ppi_shapes_find(shapes, bins->sizes[bin]);
        bins->capacities[bin] = shapes->capacities[shrunk];
        *cost += n_prompts <= packing->max_prompts ? shapes->row_costs[shrunk] : INFINITY;
    }
    return PP_OK;
}

struct choice {
    int64_t candidate;
    double cost;
    int32_t policy;
};

static void consider(struct filler *filler, int64_t candidate, int32_t policy, struct bins *bins,
                     struct choice *best)
{
    double cost = form_rows(filler, candidate, bins);
    if (cost < best->cost)
        *best = (struct choice){.candidate = candidate, .cost = cost, .policy = policy};
}

/* Candidates that the policy allows; the best is left in `bins`. */
static pp_status choose(struct filler *filler, struct bins *bins, struct ppi_mem *mem,
                        pp_error *err)
{
    const struct shapes *shapes = filler->shapes;
    int32_t policy = shapes->packing->policy;
    struct choice best = {.cost = INFINITY};
    if (policy != PPI_POLICY_ORDERED) {
        int64_t step = 1 + (shapes->n - 1) / MOST_TRIED;
        for (int64_t shape = shapes->n - 1; shape >= 0; shape -= step)
            consider(filler, shape, PP_POLICY_FFD, bins, &best);
    }
    int64_t shape = best.candidate;
    if (policy != PP_POLICY_FFD)
        consider(filler, ALONE, PPI_POLICY_ORDERED, bins, &best);
    if (policy == PP_POLICY_AUTO)
        consider(filler, GREEDY, PP_POLICY_AUTO, bins, &best);
    bins->policy = best.policy;
    if (policy == PP_POLICY_AUTO && best.cost > bins->cost_bound &&
        shapes->capacities[shape] >= shapes->packing->longest) {
        double cost;
        int32_t before = bins->policy;
        PP_TRY(form_fewest(shapes, shape, bins, &cost, mem, err));
        if (cost < best.cost)
            return PP_OK;
        bins->policy = before;
    }
    form_rows(filler, best.candidate, bins);
    if (policy == PP_POLICY_AUTO && bins->n == shapes->packing->n)
        bins->policy = PPI_POLICY_ORDERED; /* whoever found it */
    return PP_OK;
}

/* The bounds on rows that a packing into few of them left, where all rows have one shape. */
static double bound_by_rows(const struct shapes *shapes, const struct bins *bins)
{
    int64_t rows = bins->bound_l1;
    const int64_t bounds[] = {bins->bound_l2, bins->bound_dff, bins->bound_lp};
    for (size_t i = 0; i < PPI_COUNT(bounds); i++)
        rows = bounds[i] > rows ? bounds[i] : rows;
    return (double)rows * shapes->row_costs[0];
}

static pp_status fill_and_bound(struct filler *filler, struct bins *bins, struct ppi_mem *mem,
                                pp_error *err)
{
    const struct shapes *shapes = filler->shapes;
    filler->firsts = ppi_alloc(mem, (size_t)filler->sorted.n_slots, sizeof *filler->firsts);
    if (!filler->firsts)
        return ppi_error_nomem(err, "where lengths begin",
                               (size_t)filler->sorted.n_slots * sizeof *filler->firsts);
    for (int64_t slot = 0; slot < filler->sorted.n_slots; slot++)
        filler->firsts[slot] = filler->sorted.buckets[slot].next;
    PP_TRY(ppi_shapes_bound(shapes, &filler->sorted, &bins->cost_bound, mem, err));
    PP_TRY(ppi_bitset_create(&filler->waiting, filler->sorted.n_slots, mem, err));
    PP_TRY(choose(filler, bins, mem, err));
    double by_rows = shapes->n == 1 ? bound_by_rows(shapes, bins) : 0;
    bins->cost_bound = by_rows > bins->cost_bound ? by_rows : bins->cost_bound;
    bins->cost_bound += shapes->prompts_cost;
    if (!shapes->has_whole_costs) /* what sums of doubles may have been rounded up by */
        bins->cost_bound *= 1 - 0x1p-53 * (double)(shapes->packing->n + 64);
    return PP_OK;
}

pp_status ppi_pack_shapes(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                          pp_error *err)
{
    struct shapes shapes;
    PP_TRY(ppi_shapes_create(&shapes, packing, mem, err));
    struct filler filler = {.shapes = &shapes};
    pp_status status;
    if (packing->keep_order) {
        status = ppi_shapes_runs(&shapes, bins, mem, err);
    } else {
        status = ppi_histogram_create(&filler.sorted, packing->sizes, packing->n, packing->shortest,
                                      packing->longest, mem, err);
        if (status >= 0)
            status = fill_and_bound(&filler, bins, mem, err);
    }
    ppi_bitset_destroy(&filler.waiting, mem);
    ppi_free(mem, filler.firsts);
    ppi_histogram_destroy(&filler.sorted, mem);
    ppi_shapes_destroy(&shapes, mem);
    return status;
}
