/*
 * jobs.c: the items of a packing sorted by what they add to a bin's cost, and assignments of them
 * to bins.
 */
#include "balance.h"
#include "plan/histogram.h"

#include <math.h>
#include <string.h>

struct job ppi_job(const struct packing *packing, int64_t item)
{
    const pp_cost_model *cost = packing->cost;
    int64_t size = packing->sizes[item];
    int64_t tokens = packing->tokens ? packing->tokens[item] : size;
    int32_t n_prompts = packing->n_prompts ? packing->n_prompts[item] : 1;
    double squares = packing->squares ? packing->squares[item] : (double)tokens * (double)tokens;
    return (struct job){.weight = cost->per_token * (double)tokens + cost->per_square * squares +
                                  cost->per_prompt * (double)n_prompts,
                        .squares = squares,
                        .size = size,
                        .tokens = tokens,
                        .n_prompts = n_prompts,
                        .item = (int32_t)item};
}

/* Groups values that are not negative by their bits, which, read as integers, are in the same
 * order. */
static pp_status group_values(struct histogram *sorted, const double *values, int64_t n,
                              struct ppi_mem *mem, pp_error *err)
{
    int64_t *keys = ppi_alloc(mem, (size_t)n, sizeof *keys);
    if (!keys)
        return ppi_error_nomem(err, "sorting by cost", (size_t)n * sizeof *keys);
    memcpy(keys, values, (size_t)n * sizeof *keys);
    int64_t least = INT64_MAX, most = 0;
    for (int64_t i = 0; i < n; i++) {
        least = keys[i] < least ? keys[i] : least;
        most = keys[i] > most ? keys[i] : most;
    }
    pp_status status = ppi_histogram_create(sorted, keys, n, least, most, mem, err);
    ppi_free(mem, keys);
    return status;
}

/* The order of a histogram, from its last slot to its first. */
static void order_down(const struct histogram *sorted, int32_t *order)
{
    for (int64_t slot = sorted->n_slots - 1; slot >= 0; slot--)
        for (int32_t i = sorted->buckets[slot].next; i < sorted->buckets[slot].end; i++)
            *order++ = sorted->order[i];
}

pp_status ppi_sort_down(const double *values, int64_t n, int32_t *order, struct ppi_mem *mem,
                        pp_error *err)
{
    struct histogram sorted = {0};
    PP_TRY(group_values(&sorted, values, n, mem, err));
    order_down(&sorted, order);
    ppi_histogram_destroy(&sorted, mem);
    return PP_OK;
}

/* The items' order, dearest first. A longer prompt is never cheaper, so that whole prompts are
 * sorted by length, which is faster; other items by weight. */
static pp_status order_items(int32_t *order, const struct packing *packing, struct ppi_mem *mem,
                             pp_error *err)
{
    if (!packing->n_prompts && !packing->tokens && !packing->squares) {
        struct histogram sorted = {0};
        PP_TRY(ppi_histogram_create(&sorted, packing->sizes, packing->n, packing->shortest,
                                    packing->longest, mem, err));
        order_down(&sorted, order);
        ppi_histogram_destroy(&sorted, mem);
        return PP_OK;
    }
    double *weights = ppi_alloc(mem, (size_t)packing->n, sizeof *weights);
    if (!weights)
        return ppi_error_nomem(err, "the weights of prompts", (size_t)packing->n * sizeof *weights);
    for (int64_t i = 0; i < packing->n; i++)
        weights[i] = ppi_job(packing, i).weight;
    pp_status status = ppi_sort_down(weights, packing->n, order, mem, err);
    ppi_free(mem, weights);
    return status;
}

static pp_status sort_jobs(struct balance *balance, const struct packing *packing,
                           struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)balance->n;
    int32_t *order = ppi_alloc(mem, n, sizeof *order);
    if (!order)
        return ppi_error_nomem(err, "the order of prompts", n * sizeof *order);
    pp_status status = order_items(order, packing, mem, err);
    for (size_t i = 0; i < n && status >= 0; i++)
        balance->jobs[i] = ppi_job(packing, order[i]);
    ppi_free(mem, order);
    return status;
}

pp_status ppi_check_costs(const struct packing *packing, pp_error *err)
{
    struct load all = {0};
    for (int64_t i = 0; i < packing->n; i++) {
        struct job job = ppi_job(packing, i);
        ppi_load_add(&all, &job);
    }
    if (!isfinite(ppi_load_cost(packing->cost, &all)))
        return ppi_error(err, PP_ERR_ARG,
                         "by the cost model, %lld prompts together cost more than a double holds",
                         (long long)packing->n);
    return PP_OK;
}

pp_status ppi_balance_create(struct balance *balance, const struct packing *packing,
                             struct ppi_mem *mem, pp_error *err)
{
    int64_t n = packing->n;
    *balance = (struct balance){.cost = packing->cost,
                                .n = n,
                                .n_bins = packing->n_bins < n ? packing->n_bins : n,
                                .capacity = packing->capacity,
                                .max_prompts = packing->max_prompts,
                                .n_steps = INT64_MAX,
                                .deadline = INFINITY};
    balance->jobs = ppi_alloc(mem, (size_t)n, sizeof *balance->jobs);
    if (!balance->jobs)
        return ppi_error_nomem(err, "prompts sorted by cost", (size_t)n * sizeof *balance->jobs);
    pp_status status = ppi_check_costs(packing, err);
    if (status >= 0)
        status = sort_jobs(balance, packing, mem, err);
    if (status < 0) {
        ppi_balance_destroy(balance, mem);
        return status;
    }
    balance->bound = ppi_balance_bound(balance);
    return PP_OK;
}

void ppi_balance_destroy(struct balance *balance, struct ppi_mem *mem)
{
    ppi_free(mem, balance->jobs);
    balance->jobs = NULL;
}

pp_status ppi_assignment_create(struct assignment *assignment, const struct balance *balance,
                                struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)balance->n, n_bins = (size_t)balance->n_bins;
    *assignment = (struct assignment){.bins = ppi_alloc(mem, n, sizeof *assignment->bins),
                                      .loads = ppi_alloc(mem, n_bins, sizeof *assignment->loads)};
    if (!assignment->bins || !assignment->loads) {
        ppi_assignment_destroy(assignment, mem);
        return ppi_error_nomem(err, "an assignment of prompts to bins",
                               n * sizeof(int32_t) + n_bins * sizeof(struct load));
    }
    return PP_OK;
}

void ppi_assignment_destroy(struct assignment *assignment, struct ppi_mem *mem)
{
    ppi_free(mem, assignment->bins);
    ppi_free(mem, assignment->loads);
    *assignment = (struct assignment){0};
}

bool ppi_assignment_weigh(struct assignment *assignment, const struct balance *balance)
{
    memset(assignment->loads, 0, (size_t)balance->n_bins * sizeof *assignment->loads);
    for (int64_t i = 0; i < balance->n; i++)
        ppi_load_add(&assignment->loads[assignment->bins[i]], &balance->jobs[i]);
    bool kept = true;
    assignment->max_cost = 0;
    for (int64_t bin = 0; bin < balance->n_bins; bin++) {
        const struct load *load = &assignment->loads[bin];
        double cost = ppi_load_cost(balance->cost, load);
        assignment->max_cost = cost > assignment->max_cost ? cost : assignment->max_cost;
        kept = kept && load->size <= balance->capacity && load->n_prompts <= balance->max_prompts;
    }
    return kept;
}
