/*
 * shape_rows.c: what rows of the allowed lengths cost, how little any rows can cost, and the
 * cheapest rows in order of arrival.
 */
#include "shapes.h"
#include "plan/cost/cost_impl.h"

#include <math.h>

pp_status ppi_shapes_create(struct shapes *shapes, const struct packing *packing,
                            struct ppi_mem *mem, pp_error *err)
{
    int64_t n = packing->n_capacities, n_prompts = 0;
    for (int64_t i = 0; i < packing->n; i++)
        n_prompts += packing->n_prompts ? packing->n_prompts[i] : 1;
    *shapes = (struct shapes){.packing = packing,
                              .n = n,
                              .capacities = packing->capacities,
                              .row_costs = ppi_alloc(mem, (size_t)n, sizeof(double)),
                              .prompts_cost = packing->cost->per_prompt * (double)n_prompts};
    if (!shapes->row_costs)
        return ppi_error_nomem(err, "the costs of rows", (size_t)n * sizeof(double));
    shapes->has_whole_costs = floor(packing->cost->per_prompt) == packing->cost->per_prompt;
    for (int64_t i = 0; i < n; i++) {
        double cost = ppi_row_cost(packing->cost, packing->capacities[i], 0);
        shapes->row_costs[i] = cost;
        shapes->has_whole_costs = shapes->has_whole_costs && floor(cost) == cost;
    }
    double most = shapes->row_costs[n - 1] * (double)packing->n + shapes->prompts_cost;
    shapes->has_whole_costs = shapes->has_whole_costs && most < 0x1p52;
    if (!isfinite(most)) {
        ppi_shapes_destroy(shapes, mem);
        return ppi_error(
            err, PP_ERR_ARG,
            "by the cost model, %lld rows of %lld tokens cost more than a double holds",
            (long long)packing->n, (long long)packing->capacities[n - 1]);
    }
    return PP_OK;
}

void ppi_shapes_destroy(struct shapes *shapes, struct ppi_mem *mem)
{
    ppi_free(mem, shapes->row_costs);
    shapes->row_costs = NULL;
}

int64_t ppi_shapes_find(const struct shapes *shapes, int64_t size)
{
    int64_t low = 0, high = shapes->n - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (shapes->capacities[middle] < size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- bound ---- */

/*
 * A bound by shares: where each row's items have shares of the row that sum up to at most 1,
 * whatever the row's shape, every item costs at least its share of the cheapest shape for it, and
 * the bound is their sum. Shares may differ by shape. These are used:
 *
 *     size / C                                    rows have C tokens
 *     the same, but 1 above C - t, 0 below t      a dual feasible function (Fekete, Schepers
 *                                                 2001), t at most C / 2
 *     prompts / max_prompts                       rows have max_prompts prompts
 *
 * and means of the first and the last.
 */
static double share_of(int64_t size, int64_t capacity, int64_t threshold)
{
    if (threshold > capacity - threshold) /* t is half of it */
        return size > capacity - size ? 1 : size == capacity - size ? 0.5 : 0;
    return size > capacity - threshold ? 1 : size < threshold ? 0 : (double)size / (double)capacity;
}

struct shares {
    int64_t threshold;
    double by_tokens; /* what part of the share goes by tokens, the others by prompts */
};

static double bound_by_shares(const struct shapes *shapes, const struct histogram *sorted,
                              const int64_t *n_prompts, struct shares shares)
{
    double per_prompt = (1 - shares.by_tokens) / (double)shapes->packing->max_prompts;
    double bound = 0;
    for (int64_t slot = 0; slot < sorted->n_slots; slot++) {
        int32_t n_items = sorted->buckets[slot].end - sorted->buckets[slot].next;
        if (n_items == 0)
            continue;
        int64_t size = ppi_histogram_length(sorted, slot);
        double cheapest = INFINITY;
        for (int64_t shape = ppi_shapes_find(shapes, size); shape < shapes->n; shape++) {
            double share = shares.by_tokens * (double)n_items *
                               share_of(size, shapes->capacities[shape], shares.threshold) +
                           per_prompt * (double)(n_prompts ? n_prompts[slot] : n_items);
            double cost = shapes->row_costs[shape] * share;
            cheapest = cost < cheapest ? cost : cheapest;
        }
        bound += cheapest;
    }
    return bound;
}

/* Every packing's rows cost a multiple of this: what one row costs where there is one shape, the
 * greatest common divisor where costs are whole numbers; 0: not known. */
static double unit_of_cost(const struct shapes *shapes)
{
    if (shapes->n == 1)
        return shapes->row_costs[0];
    double unit = 0;
    for (int64_t shape = 0; shape < shapes->n && shapes->has_whole_costs; shape++) {
        double cost = shapes->row_costs[shape];
        while (cost > 0) { /* Euclid */
            double rest = fmod(unit, cost);
            unit = cost;
            cost = rest;
        }
    }
    return unit;
}

/* Prompts in the items of each slot; NULL: as many as items. */
static pp_status count_prompts(const struct packing *packing, const struct histogram *sorted,
                               int64_t **n_prompts, struct ppi_mem *mem, pp_error *err)
{
    *n_prompts = NULL;
    if (!packing->n_prompts)
        return PP_OK;
    *n_prompts = ppi_zalloc(mem, (size_t)sorted->n_slots, sizeof **n_prompts);
    if (!*n_prompts)
        return ppi_error_nomem(err, "prompts by length",
                               (size_t)sorted->n_slots * sizeof **n_prompts);
    for (int64_t slot = 0; slot < sorted->n_slots; slot++)
        for (int32_t i = sorted->buckets[slot].next; i < sorted->buckets[slot].end; i++)
            (*n_prompts)[slot] += packing->n_prompts[sorted->order[i]];
    return PP_OK;
}

pp_status ppi_shapes_bound(const struct shapes *shapes, const struct histogram *sorted,
                           double *bound, struct ppi_mem *mem, pp_error *err)
{
    const struct packing *packing = shapes->packing;
    int64_t *n_prompts;
    PP_TRY(count_prompts(packing, sorted, &n_prompts, mem, err));
    /* the row of the longest item */
    double best = shapes->row_costs[ppi_shapes_find(shapes, packing->longest)];
    for (int i = packing->max_prompts < INT64_MAX ? 0 : 4; i <= 4; i++) {
        struct shares shares = {.by_tokens = 0.25 * i};
        double found = bound_by_shares(shapes, sorted, n_prompts, shares);
        best = found > best ? found : best;
    }
    /* thresholds: sizes that occur, spread evenly over the items, and one above every half */
    int64_t room = (INT64_C(1) << 20) / (sorted->n_slots * shapes->n);
    int64_t n_thresholds = room < 2 ? 2 : room > 32 ? 32 : room;
    for (int64_t i = 1; i <= n_thresholds; i++) {
        int32_t item = sorted->order[(packing->n - 1) * i / n_thresholds];
        struct shares shares = {.by_tokens = 1,
                                .threshold =
                                    i < n_thresholds ? packing->sizes[item] : packing->capacity};
        double found = bound_by_shares(shapes, sorted, n_prompts, shares);
        best = found > best ? found : best;
    }
    ppi_free(mem, n_prompts);
    double unit = unit_of_cost(shapes);
    *bound = unit > 0 ? ceil(best / unit * (1 - 1e-9)) * unit : best;
    return PP_OK;
}

/* ---- order of arrival ---- */

/* The longest run from an item on that a shape holds. */
struct window {
    int64_t end;
    int64_t size;
    int64_t n_prompts;
};

static int64_t prompts_of(const struct packing *packing, int64_t item)
{
    return packing->n_prompts ? packing->n_prompts[item] : 1;
}

/* An item in front joins the window; those that find no room any more leave it. */
static void extend(struct window *window, const struct packing *packing, int64_t item,
                   int64_t capacity)
{
    window->size += packing->sizes[item];
    window->n_prompts += prompts_of(packing, item);
    while (window->size > capacity || window->n_prompts > packing->max_prompts) {
        window->end--;
        window->size -= packing->sizes[window->end];
        window->n_prompts -= prompts_of(packing, window->end);
    }
}

/* From the last item to the first: what the items from there on cost at least. What follows a
 * longer run is never dearer, so that for each shape only the longest run is looked at. */
static void solve_runs(const struct shapes *shapes, struct window *windows, double *costs,
                       int32_t *chosen, int64_t *ends)
{
    const struct packing *packing = shapes->packing;
    int64_t n = packing->n;
    for (int64_t shape = 0; shape < shapes->n; shape++)
        windows[shape] = (struct window){.end = n};
    costs[n] = 0;
    for (int64_t item = n - 1; item >= 0; item--) {
        costs[item] = INFINITY;
        for (int64_t shape = 0; shape < shapes->n; shape++) {
            struct window *window = &windows[shape];
            extend(window, packing, item, shapes->capacities[shape]);
            if (window->end == item)
                continue; /* longer than the shape */
            double cost = shapes->row_costs[shape] + costs[window->end];
            if (cost < costs[item]) {
                costs[item] = cost;
                chosen[item] = (int32_t)shape;
                ends[item] = window->end;
            }
        }
    }
}

pp_status ppi_shapes_runs(const struct shapes *shapes, struct bins *bins, struct ppi_mem *mem,
                          pp_error *err)
{
    size_t n = (size_t)shapes->packing->n, n_shapes = (size_t)shapes->n;
    pp_status status = PP_OK;
    struct window *windows = ppi_alloc(mem, n_shapes, sizeof *windows);
    double *costs = ppi_alloc(mem, n + 1, sizeof *costs);
    int32_t *chosen = ppi_alloc(mem, n, sizeof *chosen);
    int64_t *ends = ppi_alloc(mem, n, sizeof *ends);
    if (!windows || !costs || !chosen || !ends) {
        status =
            ppi_error_nomem(err, "rows in order of arrival", n_shapes * sizeof *windows + n * 20);
        goto done;
    }
    solve_runs(shapes, windows, costs, chosen, ends);
    bins->n = 0;
    for (int64_t item = 0; item < (int64_t)n; item = ends[item]) {
        bins->starts[bins->n] = item;
        bins->capacities[bins->n] = shapes->capacities[chosen[item]];
        bins->sizes[bins->n] = 0;
        for (int64_t i = item; i < ends[item]; i++) {
            bins->items[i] = (int32_t)i;
            bins->sizes[bins->n] += shapes->packing->sizes[i];
        }
        bins->n++;
    }
    bins->starts[bins->n] = (int64_t)n;
    bins->policy = PP_POLICY_ARRIVAL;
    bins->cost_bound = costs[0] + shapes->prompts_cost;
done:
    ppi_free(mem, windows);
    ppi_free(mem, costs);
    ppi_free(mem, chosen);
    ppi_free(mem, ends);
    return status;
}
