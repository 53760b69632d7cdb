/* plan_workers.h: the bins of plans spread over workers: `plan --workers`. */
#ifndef PREPACK_PLAN_WORKERS_H
#define PREPACK_PLAN_WORKERS_H

#include <jansson.h>
#include <prepack/prepack.h>
#include <stdbool.h>
#include <stdio.h>

/* Summed over the batches, which run one after another. */
struct plan_workers {
    int64_t n_workers;
    double max_cost;  /* of each batch's dearest worker, for which the others wait */
    double mean_cost; /* of a worker */
    double bound;     /* no partition is better */
    int64_t n_batches, n_proven;
};

int plan_workers_add(struct plan_workers *workers, const pp_plan *plan, int64_t n_workers);
void plan_workers_print(const struct plan_workers *workers, const char *cost_unit, FILE *out);
/* NULL without memory. */
json_t *plan_workers_json(const struct plan_workers *workers);

#endif
