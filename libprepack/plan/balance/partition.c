/*
 * partition.c: the bins of a plan spread over workers: BALANCED once more, with bins for prompts.
 */
#include "balance.h"
#include "plan/plan.h"

#include <prepack/partition.h>

#include <math.h>
#include <string.h>

/* The bins as items: what one costs stands for its tokens where all costs are whole numbers, so
 * that the bound is one, too; otherwise for its squares. */
struct bin_items {
    double *costs;  /* [n] */
    int64_t *whole; /* [n] costs, or 0 */
    pp_cost_model model;
    struct packing packing;
};

static pp_status check_arguments(const pp_plan *plan, int64_t n_workers,
                                 const int32_t *worker_of_bin, int64_t n, pp_error *err)
{
    if (!plan || (!worker_of_bin && n != 0))
        return ppi_error(err, PP_ERR_ARG, "pp_plan_partition: %s is NULL",
                         plan ? "worker_of_bin" : "plan");
    if (n_workers < 1 || n_workers > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "n_workers is %lld; it must be in [1, %d]",
                         (long long)n_workers, INT32_MAX);
    if (n != plan->info.n_bins || n > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG,
                         "room for the workers of %lld bins, but the plan has %lld; at most %d",
                         (long long)n, (long long)plan->info.n_bins, INT32_MAX);
    if (ppi_plan_has_parts(plan))
        for (int64_t i = 0; i < plan->info.n_segments; i++)
            if (plan->segments.after[i] >= 0)
                return ppi_error_at(err, PP_ERR_UNSUPPORTED, plan->prompts[i],
                                    "prompt %d is continued from another bin; bins that depend on "
                                    "others cannot be spread over workers",
                                    plan->prompts[i]);
    return PP_OK;
}

static pp_status list_bins(struct bin_items *items, const pp_plan *plan, int64_t n_workers,
                           struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)plan->info.n_bins;
    items->costs = ppi_alloc(mem, n, sizeof *items->costs);
    items->whole = ppi_zalloc(mem, n, sizeof *items->whole);
    if (!items->costs || !items->whole)
        return ppi_error_nomem(err, "the costs of bins",
                               n * (sizeof *items->costs + sizeof *items->whole));
    double sum = 0;
    bool are_whole = true;
    for (size_t i = 0; i < n; i++) {
        items->costs[i] = ppi_plan_bin_cost(plan, (int64_t)i);
        are_whole = are_whole && floor(items->costs[i]) == items->costs[i];
        sum += items->costs[i];
    }
    are_whole = are_whole && sum < 0x1p52;
    for (size_t i = 0; i < n && are_whole; i++) {
        items->whole[i] = (int64_t)items->costs[i];
        items->costs[i] = 0;
    }
    items->model = (pp_cost_model){.per_token = 1, .per_square = are_whole ? 0 : 1, .tile = 1};
    items->packing = (struct packing){.n = plan->info.n_bins,
                                      .sizes = items->whole,
                                      .tokens = items->whole,
                                      .squares = items->costs,
                                      .capacity = INT64_MAX,
                                      .max_prompts = INT64_MAX,
                                      .n_bins = n_workers,
                                      .cost = &items->model};
    return PP_OK;
}

static void describe(pp_partition_info *info, const struct balance *balance,
                     const struct assignment *assignment)
{
    double sum = 0;
    for (int64_t worker = 0; worker < balance->n_bins; worker++) {
        const struct load *load = &assignment->loads[worker];
        sum += ppi_load_cost(balance->cost, load);
        info->max_bins = load->n_prompts > info->max_bins ? load->n_prompts : info->max_bins;
    }
    info->max_cost = assignment->max_cost;
    info->mean_cost = sum / (double)info->n_workers;
    info->cost_bound = balance->bound;
    info->limit_reached = balance->limit_reached;
    double rounding = 0x1p-52 * (double)(balance->n + 64);
    info->proven_optimal = info->max_cost <= info->cost_bound * (1 + rounding);
    info->gap = info->proven_optimal ? 0 : info->max_cost / info->cost_bound - 1;
}

/* The bins' workers, numbered by their dearest bins. numbers: [n_bins of the balance]. */
static void write_workers(const struct balance *balance, const struct assignment *assignment,
                          int32_t *numbers, int32_t *worker_of_bin)
{
    memset(numbers, 0xff, (size_t)balance->n_bins * sizeof *numbers); /* -1 */
    int32_t n_workers = 0;
    for (int64_t i = 0; i < balance->n; i++) {
        int32_t *number = &numbers[assignment->bins[i]];
        if (*number < 0)
            *number = n_workers++;
        worker_of_bin[balance->jobs[i].item] = *number;
    }
}

/* *found is completed; *info, the caller's, is the last thing that can be refused. */
static pp_status spread(const struct packing *packing, int32_t *worker_of_bin,
                        pp_partition_info *found, pp_partition_info *info, struct ppi_mem *mem,
                        pp_error *err)
{
    struct balance balance;
    struct assignment assignment = {0};
    int32_t policy;
    PP_TRY(ppi_balance_create(&balance, packing, mem, err));
    balance.n_steps = ppi_balance_steps(packing->n);
    int32_t *numbers = ppi_alloc(mem, (size_t)balance.n_bins, sizeof *numbers);
    pp_status status = numbers ? ppi_assignment_create(&assignment, &balance, mem, err)
                               : ppi_error_nomem(err, "the numbers of workers",
                                                 (size_t)balance.n_bins * sizeof *numbers);
    if (status >= 0)
        status = ppi_balance_solve(&balance, PP_POLICY_AUTO, &assignment, &policy, mem, err);
    if (status >= 0)
        describe(found, &balance, &assignment);
    if (status >= 0 && info)
        status = ppi_struct_write(info, found, sizeof *found, "pp_partition_info", err);
    if (status >= 0)
        write_workers(&balance, &assignment, numbers, worker_of_bin);
    ppi_free(mem, numbers);
    ppi_assignment_destroy(&assignment, mem);
    ppi_balance_destroy(&balance, mem);
    return status;
}

pp_status pp_plan_partition(const pp_plan *plan, int64_t n_workers, int32_t *worker_of_bin,
                            int64_t n, pp_partition_info *info, pp_error *err)
{
    PP_TRY(check_arguments(plan, n_workers, worker_of_bin, n, err));
    pp_partition_info found = {
        .struct_size = sizeof found, .n_workers = n_workers, .proven_optimal = 1};
    if (n == 0)
        return info ? ppi_struct_write(info, &found, sizeof found, "pp_partition_info", err)
                    : PP_OK;
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, &plan->mem.allocator, 0, err));
    struct bin_items items = {0};
    pp_status status = list_bins(&items, plan, n_workers, &mem, err);
    if (status >= 0)
        status = spread(&items.packing, worker_of_bin, &found, info, &mem, err);
    ppi_free(&mem, items.costs);
    ppi_free(&mem, items.whole);
    return status;
}
