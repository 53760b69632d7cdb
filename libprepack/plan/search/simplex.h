/*
 * simplex.h: the master program of column generation, solved by a revised simplex method with an
 * explicit inverse. For each size a row: the patterns, each as often as its variable says, have
 * room for all items of the size.
 *
 *     minimise sum x_p   so that   sum a_ip x_p + e_(i-1) - e_i >= d_i,   x, e >= 0
 *
 * The exchange e_i lets a shorter item, of size i + 1, take the place of one of size i (dual
 * inequalities of Valerio de Carvalho, 2005): the duals do not fall with the size. What comes out
 * is in floating point: good enough to choose patterns by, no proof of anything.
 */
#ifndef PPI_SIMPLEX_H
#define PPI_SIMPLEX_H

#include "patterns.h"

struct master {
    int32_t n;               /* rows */
    double *demands;         /* [n] slightly shifted, so that ties are rare */
    double *inverse;         /* [n, n] of the basis: element (row i, column k) at k * n + i */
    double *values;          /* [n] of the basic variables */
    double *duals;           /* [n] */
    double *direction;       /* [n] scratch: the entering column in terms of the basis */
    int32_t *basis;          /* [n] a pattern, or -1 - i for exchange i */
    struct patterns columns; /* every pattern there is; times is not used */
    int64_t n_pivots;
    bool broken; /* numerically: of no more use */
};

/* A master with a pattern of equal items for each size, and the solution that uses only those.
 * Destroyed by ppi_master_destroy, which accepts a zeroed one. Errors: PP_ERR_NOMEM. */
pp_status ppi_master_create(struct master *master, const struct size_counts *counts,
                            struct ppi_mem *mem, pp_error *err);
void ppi_master_destroy(struct master *master, struct ppi_mem *mem);

/* Demands become these; the basis stays, its values may become negative: ppi_master_repair. */
void ppi_master_set_demands(struct master *master, const int32_t *demands);
/* Makes the values of a basis whose duals are feasible positive again (dual simplex). Returns the
 * steps taken; `broken` is set where it fails. */
int64_t ppi_master_repair(struct master *master);
/* Improves until no column would (primal simplex), or max_pivots are done. Returns the steps
 * taken. */
int64_t ppi_master_improve(struct master *master, int64_t max_pivots);

#endif
