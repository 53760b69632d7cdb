/*
 * linear_world.h: a linear layer of random weights, for the tests of its values and of its bits.
 */
#ifndef TEST_LINEAR_WORLD_H
#define TEST_LINEAR_WORLD_H

#include "checkop.h"

#define LINEAR_SHAPES     7
#define LINEAR_NORM_EPS   1e-5
#define LINEAR_INDEX      1 /* of the layer whose states are used, of three */
#define LINEAR_ODD_DELTA  (&linear_shapes[1])
#define LINEAR_ODD_MAMBA2 (&linear_shapes[5])

extern const struct ppi_linear_shape linear_shapes[LINEAR_SHAPES];

/* A layer in one backend, its weights also as they were given. */
struct linear_world {
    const struct ppi_linear_shape *shape;
    struct ppi_backend *backend;
    struct ppi_linear linear;
    float *conv, *conv_bias, *a_log, *dt_bias, *d, *norm;
};

/* The same weights for the same shape. */
struct linear_world linear_make(const char *variant, int32_t dtype, int32_t n_threads,
                                const struct ppi_linear_shape *shape);
void linear_destroy(struct linear_world *w);

/* A state of garbage: what is not written shows. */
char *linear_make_state(const struct linear_world *w);
size_t linear_state_size(const struct linear_world *w);

/* Projected rows. */
float *linear_random_rows(struct rng *rng, const struct ppi_linear_shape *shape, int32_t n);

/* Runs segments, rows ascending from 0, over a copy of their rows. */
void linear_run(const struct linear_world *w, const float *rows, const struct ppi_segment *segments,
                int32_t n_segments, void *out);
/* Rows [first, end) of a prompt in one call; what is before them is in `state`, too. */
void linear_run_part(const struct linear_world *w, const float *rows, int32_t first, int32_t end,
                     char *state, char *out);

#endif
