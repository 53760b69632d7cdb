/*
 * balance.h: items spread over a given number of bins so that the dearest bin is as cheap as
 * possible (multiprocessor scheduling, P||Cmax), as its algorithms see it.
 *
 * An item's *weight* is what it adds to a bin's cost where nothing is rounded: per_token,
 * per_square and per_prompt. Heuristics steer by weights, which add up; what a bin costs, tiles and
 * per_pass included, is asked of ppi_load_cost.
 */
#ifndef PPI_BALANCE_H
#define PPI_BALANCE_H

#include "plan/cost/cost_impl.h"
#include "plan/packing.h"

/* One item. */
struct job {
    double weight;
    double squares;
    int64_t size;
    int64_t tokens;
    int32_t n_prompts;
    int32_t item; /* its index in the packing */
};

/* What a bin holds. */
struct load {
    double weight;
    double squares;
    int64_t size;
    int64_t tokens;
    int64_t n_prompts;
};

struct balance {
    const pp_cost_model *cost;
    int64_t n;
    int64_t n_bins; /* that get items: at most n */
    int64_t capacity;
    int64_t max_prompts;
    struct job *jobs; /* [n] dearest first, equal ones by index */
    double bound;     /* no assignment's dearest bin is cheaper */
    int64_t n_steps;  /* left to searches */
    double deadline;  /* of ppi_seconds; INFINITY: none */
    int32_t limit_reached;
};

/* Where the jobs are. */
struct assignment {
    int32_t *bins;      /* [n] of each job */
    struct load *loads; /* [n_bins] */
    double max_cost;
};

struct job ppi_job(const struct packing *packing, int64_t item);
/* PP_ERR_ARG unless all items together have a cost that is finite. */
pp_status ppi_check_costs(const struct packing *packing, pp_error *err);

static inline void ppi_load_add(struct load *load, const struct job *job)
{
    load->weight += job->weight;
    load->squares += job->squares;
    load->size += job->size;
    load->tokens += job->tokens;
    load->n_prompts += job->n_prompts;
}
static inline void ppi_load_remove(struct load *load, const struct job *job)
{
    load->weight -= job->weight;
    load->squares -= job->squares;
    load->size -= job->size;
    load->tokens -= job->tokens;
    load->n_prompts -= job->n_prompts;
}
static inline double ppi_load_cost(const pp_cost_model *cost, const struct load *load)
{
    return load->n_prompts > 0 ? ppi_cost(cost, load->tokens, load->squares, load->n_prompts) : 0;
}
static inline bool ppi_load_fits(const struct balance *balance, const struct load *load,
                                 const struct job *job)
{
    return job->size <= balance->capacity - load->size &&
           job->n_prompts <= balance->max_prompts - load->n_prompts;
}

/* Sorts the items of a packing and bounds its cost; search limits are none. Destroyed by
 * ppi_balance_destroy, which accepts a zeroed one. Errors: PP_ERR_NOMEM, PP_ERR_ARG (costs that are
 * not finite). */
pp_status ppi_balance_create(struct balance *balance, const struct packing *packing,
                             struct ppi_mem *mem, pp_error *err);
void ppi_balance_destroy(struct balance *balance, struct ppi_mem *mem);
/* Lower bound of the dearest bin's cost. */
double ppi_balance_bound(const struct balance *balance);

/* The indices of values that are not negative, the largest value first, equal ones as they stand.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_sort_down(const double *values, int64_t n, int32_t *order, struct ppi_mem *mem,
                        pp_error *err);

/* Room for an assignment; ppi_assignment_destroy accepts a zeroed one. */
pp_status ppi_assignment_create(struct assignment *assignment, const struct balance *balance,
                                struct ppi_mem *mem, pp_error *err);
void ppi_assignment_destroy(struct assignment *assignment, struct ppi_mem *mem);
/* Sets loads and max_cost from the jobs' bins; false when a bin holds more than it may. */
bool ppi_assignment_weigh(struct assignment *assignment, const struct balance *balance);

/* What greedy placing makes even. */
enum even {
    EVEN_WEIGHTS, /* each job into the bin of the smallest weight: LPT, Graham 1969 */
    EVEN_SIZES,   /* into the emptiest bin: where the capacity is tight */
    EVEN_NUMBERS, /* into the emptiest of the bins with the fewest jobs: where max_prompts is */
};

/* Places the jobs, dearest first, within capacity and max_prompts. *found: all had room. */
pp_status ppi_balance_greedy(const struct balance *balance, enum even even,
                             struct assignment *assignment, bool *found, struct ppi_mem *mem,
                             pp_error *err);
/* The largest differencing method (Karmarkar, Karp 1982) for n_bins bins. It knows no limits:
 * *found says whether they are kept. */
pp_status ppi_balance_differencing(const struct balance *balance, struct assignment *assignment,
                                   bool *found, struct ppi_mem *mem, pp_error *err);
/* Moves and exchanges of jobs that make the dearest bin cheaper, until there are none, the bound is
 * met or the steps are used up; uses the balance's steps. */
pp_status ppi_balance_polish(struct balance *balance, struct assignment *assignment,
                             struct ppi_mem *mem, pp_error *err);
/* The most jobs that ppi_balance_resplit divides. */
#define PPI_MOST_SPLIT 64
/* Divides n jobs, dearest first, between two bins so that the dearer costs less than `limit`, as
 * little as n_nodes find; a cost of `enough` ends the search. Returns that cost and sets sides [n]
 * to 0 or 1; or returns `limit`. */
double ppi_balance_resplit(const struct balance *balance, const int32_t *jobs, int64_t n,
                           double limit, double enough, int64_t n_nodes, unsigned char *sides);
/* Steps that AUTO takes by default: a millisecond for few items. */
static inline int64_t ppi_balance_steps(int64_t n)
{
    return 20000 + 8 * n;
}
/* LPT, KK or, for AUTO, the best of both, polished. *found: the policy that did, or AUTO where the
 * polish changed its bins; 0: no assignment within capacity and max_prompts was found. */
pp_status ppi_balance_solve(struct balance *balance, int32_t policy, struct assignment *assignment,
                            int32_t *found, struct ppi_mem *mem, pp_error *err);

#endif
