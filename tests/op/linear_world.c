/*
 * linear_world.c: see linear_world.h.
 */
#include "linear_world.h"

#include <math.h>
#include <string.h>

const struct ppi_linear_shape linear_shapes[LINEAR_SHAPES] = {
    {PPI_LINEAR_DELTA, 1, 2, 128, 128, 4, 0, 0, 0},
    {PPI_LINEAR_DELTA, 2, 4, 12, 20, 4, 0, 0, 0},
    {PPI_LINEAR_DELTA, 2, 2, 33, 48, 2, 0, 0, 0},
    {PPI_LINEAR_DELTA, 1, 3, 5, 7, 8, 0, 0, 0},
    {PPI_LINEAR_MAMBA2, 1, 4, 32, 64, 4, 1, 0, INFINITY},
    {PPI_LINEAR_MAMBA2, 2, 4, 12, 20, 3, 2, 0.2f, 0.6f},
    {PPI_LINEAR_MAMBA2, 2, 2, 9, 3, 8, 1, 0, 0.4f},
};

static const struct ppi_matrix *make_vector(struct linear_world *w, struct rng *rng, int64_t n,
                                            float mean, double deviation, float **values)
{
    struct ppi_matrix *vector;
    *values = checkop_random(rng, PP_DTYPE_F32, (size_t)n, deviation);
    for (int64_t i = 0; i < n; i++)
        (*values)[i] += mean;
    const struct ppi_matrix_spec spec = {.kind = PPI_MATRIX_VECTOR, .n = 1, .k = n};
    ppi_cpu_ops.matrix_create(w->backend, &checkop_mem, &spec, &vector, NULL);
    ppi_cpu_ops.matrix_fill(w->backend, vector, 0, 1, *values, PP_DTYPE_F32, NULL);
    return vector;
}

struct linear_world linear_make(const char *variant, int32_t dtype, int32_t n_threads,
                                const struct ppi_linear_shape *shape)
{
    struct rng rng = {4711};
    struct linear_world w = {.shape = shape};
    int64_t channels = ppi_linear_channels(shape), heads = shape->n_v_heads;
    bool delta = shape->rule == PPI_LINEAR_DELTA;
    w.backend = checkop_open_linear(variant, dtype, n_threads, shape);
    w.linear =
        (struct ppi_linear){.shape = shape, .index = LINEAR_INDEX, .norm_eps = LINEAR_NORM_EPS};
    w.linear.conv = make_vector(&w, &rng, channels * shape->conv_kernel, 0, 0.5, &w.conv);
    if (shape->conv_kernel % 2 == 0)
        w.linear.conv_bias = make_vector(&w, &rng, channels, 0, 0.3, &w.conv_bias);
    w.linear.a_log = make_vector(&w, &rng, heads, 0, 1, &w.a_log);
    w.linear.dt_bias = make_vector(&w, &rng, heads, -1, 1, &w.dt_bias);
    if (!delta)
        w.linear.d = make_vector(&w, &rng, heads, 0, 1, &w.d);
    w.linear.norm =
        make_vector(&w, &rng, delta ? shape->v_dim : ppi_linear_v_size(shape), 1, 0.2, &w.norm);
    return w;
}

void linear_destroy(struct linear_world *w)
{
    const struct ppi_matrix *vectors[] = {w->linear.conv,    w->linear.conv_bias, w->linear.a_log,
                                          w->linear.dt_bias, w->linear.d,         w->linear.norm};
    float *values[] = {w->conv, w->conv_bias, w->a_log, w->dt_bias, w->d, w->norm};
    for (size_t i = 0; i < PPI_COUNT(vectors); i++) {
        if (vectors[i])
            ppi_cpu_ops.matrix_destroy((struct ppi_matrix *)vectors[i]);
        free(values[i]);
    }
    ppi_cpu_ops.close(w->backend);
}

size_t linear_state_size(const struct linear_world *w)
{
    return 3 * (size_t)ppi_linear_state_bytes(w->shape);
}

char *linear_make_state(const struct linear_world *w)
{
    char *state = checkop_alloc(1, linear_state_size(w));
    memset(state, 0x55, linear_state_size(w));
    return state;
}

void linear_run(const struct linear_world *w, const float *rows, const struct ppi_segment *segments,
                int32_t n_segments, void *out)
{
    int32_t n_rows = segments[n_segments - 1].row + segments[n_segments - 1].n_rows;
    struct ppi_pass pass = {.n_rows = n_rows, .n_segments = n_segments, .segments = segments};
    size_t n = (size_t)(n_rows * ppi_linear_row(w->shape));
    float *copy = checkop_alloc(n, sizeof *copy);
    memcpy(copy, rows, n * sizeof *copy);
    ck_assert_int_eq(ppi_cpu_ops.linear(w->backend, &pass, &w->linear, copy, out, NULL), PP_OK);
    free(copy);
}

void linear_run_part(const struct linear_world *w, const float *rows, int32_t first, int32_t end,
                     char *state, char *out)
{
    const struct ppi_segment segment = {
        .n_rows = end - first, .position = first, .state = state, .state_before = state};
    linear_run(w, rows + first * ppi_linear_row(w->shape), &segment, 1,
               out + (size_t)(first * ppi_linear_v_size(w->shape)) * w->backend->act_bytes);
}

float *linear_random_rows(struct rng *rng, const struct ppi_linear_shape *shape, int32_t n)
{
    return checkop_random(rng, PP_DTYPE_F32, (size_t)(n * ppi_linear_row(shape)), 1);
}
