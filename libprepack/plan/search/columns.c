/*
 * columns.c: prices, patterns and the bound.
 *
 * The bound does not trust the simplex method. Whatever its duals are, they are rounded to
 * integers; the most valuable pattern under them, worth z, is found exactly; then no bin can be
 * worth more than z, and the worth of all items over z is a bound on the bins (Farley 1990),
 * computed in integers.
 */
#include "columns.h"

#include <math.h>

#define PRICE_BITS  30 /* of the most that a pattern can be worth */
#define MAX_ROUNDS  4000
#define MAX_COLUMNS 60000
#define TOLERANCE   1e-6

pp_status ppi_generation_create(struct generation *generation, struct search *search)
{
    const struct size_counts *counts = search->counts;
    size_t n = (size_t)counts->n;
    *generation = (struct generation){.search = search};
    generation->left = ppi_alloc(search->mem, n, 2 * sizeof *generation->left);
    if (!generation->left)
        return ppi_error_nomem(search->err, "column generation", n * 2 * sizeof(int32_t));
    generation->prices = generation->left + n;
    for (size_t i = 0; i < n; i++)
        generation->left[i] = counts->counts[i];
    PP_TRY(ppi_master_create(&generation->master, counts, search->mem, search->err));
    return ppi_knapsack_create(&generation->knapsack, counts, search->mem, search->err);
}

void ppi_generation_destroy(struct generation *generation)
{
    struct ppi_mem *mem = generation->search->mem;
    ppi_knapsack_destroy(&generation->knapsack, mem);
    ppi_master_destroy(&generation->master, mem);
    ppi_free(mem, generation->left);
    generation->left = NULL;
}

/* Duals times the scale that is returned: no pattern is worth 2^PRICE_BITS. */
static double set_prices(struct generation *generation)
{
    const struct size_counts *counts = generation->search->counts;
    const double *duals = generation->master.duals;
    double most = 0; /* of the value of a token */
    for (int32_t i = 0; i < counts->n; i++) {
        double value = duals[i] / (double)counts->sizes[i];
        most = value > most ? value : most;
    }
    double worth = most * (double)counts->capacity; /* no pattern is worth more */
    double scale = worth > 0 ? (double)((int64_t)1 << PRICE_BITS) / (worth * 1.01 + 0.01) : 0;
    for (int32_t i = 0; i < counts->n; i++)
        generation->prices[i] = duals[i] > 0 ? (int32_t)(duals[i] * scale) : 0;
    return scale;
}

/* What is left needs so many bins if no pattern is worth more than z. 0 where that cannot be said.
 */
static int64_t bound_from_prices(const struct generation *generation, int64_t z)
{
    int64_t worth = 0;
    for (int32_t i = 0; i < generation->master.n; i++) {
        int64_t value = (int64_t)generation->left[i] * generation->prices[i];
        if (__builtin_add_overflow(worth, value, &worth))
            return 0;
    }
    return z > 0 ? worth / z + (worth % z != 0) : 0;
}

static double objective(const struct generation *generation)
{
    double sum = 0;
    for (int32_t i = 0; i < generation->master.n; i++)
        sum += generation->left[i] * generation->master.duals[i];
    return sum;
}

pp_status ppi_generate(struct generation *generation, int64_t enough)
{
    struct search *search = generation->search;
    struct master *master = &generation->master;
    int64_t max_new = master->n / 4 + 8;
    generation->bound = 0;
    for (int round = 0; round < MAX_ROUNDS && search->limit_reached == 0; round++) {
        int64_t n_pivots = master->n_pivots;
        int64_t steps = ppi_master_improve(master, 50 + master->n);
        if (!ppi_search_spend(search, steps) || master->broken)
            break;
        if (round > 0 && master->n_pivots == n_pivots) /* rounding's noise */
            break;
        double scale = set_prices(generation);
        if (!(scale > 0))
            break;
        int64_t most = -1;
        int64_t n_columns = master->columns.n;
        PP_TRY(ppi_knapsack_solve(&generation->knapsack, generation->prices, generation->left,
                                  (int64_t)(scale * (1 + TOLERANCE)), max_new, &master->columns,
                                  &most, &steps, search->mem, search->err));
        ppi_search_spend(search, steps);
        if (most >= 0) {
            int64_t bound = bound_from_prices(generation, most);
            generation->bound = bound > generation->bound ? bound : generation->bound;
        }
        if (master->columns.n == n_columns || master->columns.n > MAX_COLUMNS ||
            generation->bound >= enough ||
            (double)generation->bound >= objective(generation) - TOLERANCE)
            break;
    }
    return PP_OK;
}
