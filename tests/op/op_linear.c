/*
 * op_linear.c: values of linear layers against double precision.
 *
 * Tolerance: a sum of k_dim products and what tokens before have left round, then the norm makes
 * numbers of about 1 of them; 2e-5 of a token's largest. A state is not normed: 5e-6 of its
 * largest. Narrowing to bf16 adds half a unit of 2^-8.
 */
#include "linear_world.h"

#include <math.h>
#include <string.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Channel c of token t behind the convolution. */
static double convolved(const struct linear_world *w, const float *rows, int32_t t, int64_t c)
{
    int32_t kernel = w->shape->conv_kernel;
    double sum = w->conv_bias ? w->conv_bias[c] : 0;
    for (int32_t tap = 0; tap < kernel; tap++) {
        int32_t from = t + tap - (kernel - 1);
        if (from >= 0)
            sum += (double)w->conv[c * kernel + tap] * rows[from * ppi_linear_row(w->shape) + c];
    }
    return sum * sigmoid(sum);
}

/* x [k_dim] of q or k of a key head; the delta rule divides by its length, and by `other`. */
static void key_vector(const struct linear_world *w, const float *rows, int32_t t, int64_t first,
                       double other, double *x)
{
    double squares = 1e-6;
    for (int32_t i = 0; i < w->shape->k_dim; i++) {
        x[i] = convolved(w, rows, t, first + i);
        squares += x[i] * x[i];
    }
    for (int32_t i = 0; w->shape->rule == PPI_LINEAR_DELTA && i < w->shape->k_dim; i++)
        x[i] /= sqrt(squares) * other;
}

/* One token of one value head: s [k_dim, v_dim], out [v_dim]. */
static void step_head(const struct linear_world *w, const float *rows, int32_t t, int32_t head,
                      double *s, double *out)
{
    const struct ppi_linear_shape *shape = w->shape;
    int32_t k_dim = shape->k_dim, v_dim = shape->v_dim;
    int64_t key = head / (shape->n_v_heads / shape->n_k_heads), k_size = ppi_linear_k_size(shape);
    const float *gates = rows + t * ppi_linear_row(shape) + ppi_linear_channels(shape) +
                         ppi_linear_v_size(shape) + head;
    bool delta = shape->rule == PPI_LINEAR_DELTA;
    double q[128], k[128];
    key_vector(w, rows, t, key * k_dim, sqrt(k_dim), q);
    key_vector(w, rows, t, k_size + key * k_dim, 1, k);
    double dt = log1p(exp((double)gates[delta ? shape->n_v_heads : 0] + w->dt_bias[head]));
    if (!delta)
        dt = fmin(fmax(dt, shape->dt_min), shape->dt_max);
    double decay = exp(-exp(w->a_log[head]) * dt);
    for (int32_t c = 0; c < v_dim; c++) {
        double v = convolved(w, rows, t, 2 * k_size + (int64_t)head * v_dim + c), seen = 0;
        for (int32_t i = 0; i < k_dim; i++)
            seen += decay * s[i * v_dim + c] * k[i];
        double added = delta ? sigmoid(gates[0]) * (v - seen) : dt * v;
        out[c] = delta ? 0 : w->d[head] * v;
        for (int32_t i = 0; i < k_dim; i++) {
            s[i * v_dim + c] = decay * s[i * v_dim + c] + k[i] * added;
            out[c] += s[i * v_dim + c] * q[i];
        }
    }
}

/* out [v size] of a token, by what the heads gave. */
static void norm_token(const struct linear_world *w, const float *row, double *out)
{
    const struct ppi_linear_shape *shape = w->shape;
    const float *z = row + ppi_linear_channels(shape);
    int64_t v_size = ppi_linear_v_size(shape);
    bool delta = shape->rule == PPI_LINEAR_DELTA;
    int64_t dim = delta ? shape->v_dim : v_size / shape->norm_groups;
    for (int64_t first = 0; first < v_size; first += dim) {
        double squares = 0;
        for (int64_t i = first; i < first + dim; i++) {
            out[i] *= delta ? 1 : z[i] * sigmoid(z[i]);
            squares += out[i] * out[i];
        }
        for (int64_t i = first; i < first + dim; i++) {
            out[i] *= (double)w->norm[delta ? i - first : i] /
                      sqrt(squares / (double)dim + LINEAR_NORM_EPS);
            out[i] *= delta ? z[i] * sigmoid(z[i]) : 1;
        }
    }
}

/* Of a prompt: out [n, v size], s [n_v_heads, k_dim, v_dim]. */
static void expect_prompt(const struct linear_world *w, const float *rows, int32_t n, double *out,
                          double *s)
{
    const struct ppi_linear_shape *shape = w->shape;
    int64_t v_size = ppi_linear_v_size(shape), head_size = (int64_t)shape->k_dim * shape->v_dim;
    memset(s, 0, (size_t)(shape->n_v_heads * head_size) * sizeof *s);
    for (int32_t t = 0; t < n; t++, out += v_size) {
        for (int32_t head = 0; head < shape->n_v_heads; head++)
            step_head(w, rows, t, head, s + head * head_size, out + head * shape->v_dim);
        norm_token(w, rows + t * ppi_linear_row(shape), out);
    }
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static void check_prompt(const struct linear_world *w, const char *variant, int32_t dtype,
                         const float *rows, int32_t n, const char *out, const char *state)
{
    const struct ppi_linear_shape *shape = w->shape;
    int64_t v_size = ppi_linear_v_size(shape), channels = ppi_linear_channels(shape);
    int64_t s_size = v_size * shape->k_dim, n_seen = shape->conv_kernel - 1;
    double *expected = checkop_alloc((size_t)(n * v_size), sizeof *expected);
    double *s = checkop_alloc((size_t)s_size, sizeof *s);
    const float *got =
        (const float *)(const void *)(state + LINEAR_INDEX * ppi_linear_state_bytes(shape));
    double token = 0; /* what it may be off by */
    expect_prompt(w, rows, n, expected, s);
    for (int64_t i = 0; i < n * v_size; i++) {
        if (i % v_size == 0)
            token = 2e-5 * largest(expected + i, v_size);
        double allowed = token;
        double is = checkop_get(dtype, out, (size_t)i);
        if (dtype == PP_DTYPE_BF16)
            allowed += fabs(expected[i]) * 0x1p-8;
        EXPECT(fabs(is - expected[i]) <= allowed, "%s dtype %d shape %d: token %ld: %.9g, not %.9g",
               variant, dtype, (int)(shape - linear_shapes), (long)(i / v_size), is, expected[i]);
    }
    double most = largest(s, s_size);
    for (int64_t i = 0; i < s_size; i++)
        EXPECT(fabs(got[i] - s[i]) <= 5e-6 * most, "%s shape %d: state %ld: %.9g, not %.9g",
               variant, (int)(shape - linear_shapes), (long)i, got[i], s[i]);
    for (int64_t i = 0; i < n_seen * channels; i++) {
        int64_t row = n - n_seen + i / channels;
        float is = row >= 0 ? rows[row * ppi_linear_row(shape) + i % channels] : 0;
        EXPECT(got[s_size + i] == is, "%s shape %d: seen %ld", variant,
               (int)(shape - linear_shapes), (long)i);
    }
    free(s);
    free(expected);
}

/* A pass of several prompts, each from its beginning: what it says of state_before is not read. */
START_TEST(linear_values)
{
    static const int32_t lengths[] = {1, 2, 9, 70};
    enum { N = PPI_COUNT(lengths) };
    struct rng rng = rng_seeded(61);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < LINEAR_SHAPES; i++) {
        struct linear_world w = linear_make(variant, dtype, 2, &linear_shapes[i]);
        struct ppi_segment segments[N] = {{0}};
        int64_t row = ppi_linear_row(w.shape), v_size = ppi_linear_v_size(w.shape);
        int32_t n_rows = 0;
        for (int p = 0; p < N; p++) {
            segments[p] = (struct ppi_segment){
                .row = n_rows, .n_rows = lengths[p], .state = linear_make_state(&w)};
            n_rows += lengths[p];
        }
        float *rows = linear_random_rows(&rng, w.shape, n_rows);
        char *out = checkop_alloc((size_t)(n_rows * v_size), sizeof(float));
        linear_run(&w, rows, segments, N, out);
        for (int p = 0; p < N; p++) {
            check_prompt(&w, variant, dtype, rows + segments[p].row * row, lengths[p],
                         out + (size_t)(segments[p].row * v_size) * w.backend->act_bytes,
                         segments[p].state);
            free(segments[p].state);
        }
        free(out);
        free(rows);
        linear_destroy(&w);
    }
}
END_TEST

Suite *checkop_linear_suite(void)
{
    Suite *suite = suite_create("linear");
    TCase *tcase = tcase_create("values");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, linear_values);
    suite_add_tcase(suite, tcase);
    return suite;
}
