/* plan_workers.c: partitions of plans: made, summed, printed. */
#include "plan_workers.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>

int plan_workers_add(struct plan_workers *workers, const pp_plan *plan, int64_t n_workers)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info plan_info = {.struct_size = sizeof plan_info};
    pp_partition_info info = {.struct_size = sizeof info};
    if (pp_plan_get_info(plan, &plan_info, &err) < 0)
        return fail_library(&err);
    const size_t n = (size_t)plan_info.n_bins;
    int32_t *worker_of_bin = calloc(n + 1, sizeof *worker_of_bin);
    if (!worker_of_bin)
        return fail_memory();
    const pp_status status = pp_plan_partition(plan, n_workers, worker_of_bin, n, &info, &err);
    free(worker_of_bin);
    if (status < 0)
        return fail_library(&err);
    workers->n_workers = n_workers;
    workers->max_cost += info.max_cost;
    workers->mean_cost += info.mean_cost;
    workers->bound += info.cost_bound;
    workers->n_batches++;
    workers->n_proven += info.proven_optimal;
    return STATUS_OK;
}

static double gap_of(const struct plan_workers *workers)
{
    if (workers->bound <= 0 || workers->n_proven == workers->n_batches)
        return 0;
    return workers->max_cost / workers->bound - 1;
}

void plan_workers_print(const struct plan_workers *workers, const char *cost_unit, FILE *out)
{
    fprintf(out,
            "workers        %" PRId64 ": the dearest %.6g %s, mean %.6g; %.2f %% above the lower "
            "bound",
            workers->n_workers, workers->max_cost, cost_unit, workers->mean_cost,
            100 * gap_of(workers));
    if (workers->n_proven == workers->n_batches)
        fputs(", proven optimal", out);
    fputc('\n', out);
}

json_t *plan_workers_json(const struct plan_workers *workers)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:b}", "n", (json_int_t)workers->n_workers,
                     "max_cost", workers->max_cost, "mean_cost", workers->mean_cost, "cost_bound",
                     workers->bound, "gap", gap_of(workers), "proven_optimal",
                     workers->n_proven == workers->n_batches);
}
