/*
 * cost_fit.h: the coefficients of a cost model from passes that were timed. Knows no device.
 */
#ifndef PPI_COST_FIT_H
#define PPI_COST_FIT_H

#include "plan/cost/cost_impl.h"

/* A pass, and how long it took. */
struct ppi_cost_sample {
    int64_t tokens, n_prompts;
    double squares; /* sum of the squares of the prompts' lengths */
    double seconds; /* above 0 */
};

/*
 * Sets the four coefficients and the tile: none negative, the sum over the samples of the squared
 * relative errors least, so that short passes count as much as long ones. A term that the samples
 * cannot tell from others is 0. A tile above 1 is chosen only where it explains the times clearly
 * better. samples: [n], n at least 1.
 */
void ppi_cost_fit(const struct ppi_cost_sample *samples, size_t n, pp_cost_model *cost);

/* Mean of |predicted / measured - 1|; without samples 0. */
double ppi_cost_error(const pp_cost_model *cost, const struct ppi_cost_sample *samples, size_t n);

#endif
