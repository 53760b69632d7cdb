/*
 * columns.h: column generation for what waits: a linear program whose columns are patterns
 * (Gilmore, Gomory 1961), made as they are needed, and the bound that it proves.
 */
#ifndef PPI_COLUMNS_H
#define PPI_COLUMNS_H

#include "knapsack.h"
#include "search.h"
#include "simplex.h"

struct generation {
    struct search *search;
    struct master master;
    struct knapsack knapsack;
    int32_t *left;   /* [n] items of each size that are not placed */
    int32_t *prices; /* [n] duals as integers */
    int64_t bound;   /* proven: what is left needs so many bins */
};

/* Everything is left. Errors: PP_ERR_NOMEM; destroyed by ppi_generation_destroy in any case. */
pp_status ppi_generation_create(struct generation *generation, struct search *search);
void ppi_generation_destroy(struct generation *generation);

/*
 * Adds columns until the linear program for what is left is solved, or its bound reaches `enough`
 * or cannot grow to another integer, or the search's limits or the master's numbers end it. Sets
 * `bound`. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_generate(struct generation *generation, int64_t enough);

#endif
