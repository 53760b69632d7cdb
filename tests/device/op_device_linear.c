/*
 * op_device_linear.c: linear layers of both rules against double precision, token by token from the
 * formulas of libprepack/linear.h; and their bits: the same however a prompt is cut, whatever runs
 * beside it and whether or not anybody wants its state.
 */
#include "under_test.h"

#include <prepack/common.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NORM_EPS     1e-6f

/* A layer. Weights are on the host. */
struct layer {
    bool is_mamba2, has_bias;
    int32_t n_k_heads, n_v_heads, k_dim, v_dim, conv_kernel, norm_groups;
    float dt_min, dt_max;
    float *conv, *conv_bias, *a_log, *dt_bias, *d, *norm;
};

static int32_t k_size(const struct layer *l)
{
    return l->n_k_heads * l->k_dim;
}

static int32_t v_size(const struct layer *l)
{
    return l->n_v_heads * l->v_dim;
}

static int32_t n_channels(const struct layer *l)
{
    return 2 * k_size(l) + v_size(l);
}

static int32_t row_size(const struct layer *l)
{
    return n_channels(l) + v_size(l) + (l->is_mamba2 ? 1 : 2) * l->n_v_heads;
}

/* Of a state, in elements: S, then what the convolution sees. */
static int32_t s_size(const struct layer *l)
{
    return l->n_v_heads * l->k_dim * l->v_dim;
}

static int32_t state_size(const struct layer *l)
{
    return s_size(l) + (l->conv_kernel - 1) * n_channels(l);
}

static struct layer layer_make(struct rng *rng, struct layer shape)
{
    struct layer l = shape;
    size_t channels = (size_t)n_channels(&l), heads = (size_t)l.n_v_heads;
    l.conv = device_random(rng, PP_DTYPE_F32, channels * (size_t)l.conv_kernel, 0.6);
    l.conv_bias = l.has_bias ? device_random(rng, PP_DTYPE_F32, channels, 0.5) : NULL;
    l.a_log = device_random(rng, PP_DTYPE_F32, heads, 1);
    l.dt_bias = device_random(rng, PP_DTYPE_F32, heads, 2);
    l.d = l.is_mamba2 ? device_random(rng, PP_DTYPE_F32, heads, 1) : NULL;
    l.norm = device_random(rng, PP_DTYPE_F32, (size_t)v_size(&l), 1);
    return l;
}

static void layer_free(struct layer *l)
{
    free(l->conv);
    free(l->conv_bias);
    free(l->a_log);
    free(l->dt_bias);
    free(l->d);
    free(l->norm);
}

/* ---- what it should give ---- */

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* What the convolution makes of a channel of token t of rows. */
static double convolve(const struct layer *l, const float *rows, int32_t t, int32_t c)
{
    double sum = l->conv_bias ? l->conv_bias[c] : 0;
    for (int32_t i = 0; i < l->conv_kernel; i++) {
        int32_t from = t - l->conv_kernel + 1 + i;
        if (from >= 0)
            sum += (double)l->conv[c * l->conv_kernel + i] * rows[from * row_size(l) + c];
    }
    return silu(sum);
}

/* Divides x by the root of its squares' sum, and multiplies it. */
static void normalize(double *x, int32_t n, double factor)
{
    double sum = 1e-6;
    for (int32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (int32_t i = 0; i < n; i++)
        x[i] *= factor / sqrt(sum);
}

/* One head of one token moves its S on; out [v_dim]. */
static void step(const struct layer *l, int32_t head, const double *q, const double *k,
                 const double *v, const float *gates, double *s, double *out)
{
    double dt = softplus((l->is_mamba2 ? gates[head] : gates[l->n_v_heads + head]) +
                         (double)l->dt_bias[head]);
    if (l->is_mamba2)
        dt = fmin(fmax(dt, l->dt_min), l->dt_max);
    double decay = exp(-exp(l->a_log[head]) * dt);
    double beta = l->is_mamba2 ? dt : 1 / (1 + exp(-(double)gates[head]));
    for (int32_t c = 0; c < l->v_dim; c++) {
        double seen = 0;
        for (int32_t i = 0; i < l->k_dim; i++) {
            s[i * l->v_dim + c] *= decay;
            seen += s[i * l->v_dim + c] * k[i];
        }
        double u = beta * (l->is_mamba2 ? v[c] : v[c] - seen);
        out[c] = l->is_mamba2 ? l->d[head] * v[c] : 0;
        for (int32_t i = 0; i < l->k_dim; i++) {
            s[i * l->v_dim + c] += k[i] * u;
            out[c] += s[i * l->v_dim + c] * q[i];
        }
    }
}

/* x [v size] becomes the token's output. */
static void finish(const struct layer *l, const float *z, double *x)
{
    int32_t n = l->is_mamba2 ? v_size(l) / l->norm_groups : l->v_dim;
    for (int32_t i = 0; i < v_size(l) && l->is_mamba2; i++)
        x[i] *= silu(z[i]);
    for (int32_t first = 0; first < v_size(l); first += n) {
        double sum = 0;
        for (int32_t i = 0; i < n; i++)
            sum += x[first + i] * x[first + i];
        for (int32_t i = 0; i < n; i++)
            x[first + i] *=
                l->norm[l->is_mamba2 ? first + i : i] / sqrt(sum / n + (double)NORM_EPS);
    }
    for (int32_t i = 0; i < v_size(l) && !l->is_mamba2; i++)
        x[i] *= silu(z[i]);
}

/* A prompt from its start: out [n, v size], s: S behind it. */
static void solve(const struct layer *l, const float *rows, int32_t n, double *out, double *s)
{
    double *mixed = device_host((size_t)n_channels(l) * sizeof *mixed);
    for (int32_t i = 0; i < s_size(l); i++)
        s[i] = 0;
    for (int32_t t = 0; t < n; t++) {
        const float *row = rows + t * row_size(l), *z = row + n_channels(l);
        for (int32_t c = 0; c < n_channels(l); c++)
            mixed[c] = convolve(l, rows, t, c);
        for (int32_t h = 0; h < l->n_k_heads && !l->is_mamba2; h++) {
            normalize(mixed + h * l->k_dim, l->k_dim, 1 / sqrt(l->k_dim));
            normalize(mixed + k_size(l) + h * l->k_dim, l->k_dim, 1);
        }
        for (int32_t h = 0; h < l->n_v_heads; h++) {
            const double *q = mixed + h / (l->n_v_heads / l->n_k_heads) * l->k_dim;
            step(l, h, q, q + k_size(l), mixed + 2 * k_size(l) + h * l->v_dim, z + v_size(l),
                 s + h * l->k_dim * l->v_dim, out + t * v_size(l) + h * l->v_dim);
        }
        finish(l, z, out + t * v_size(l));
    }
    free(mixed);
}

/* ---- on the device ---- */

static void *upload(const float *x, int32_t n)
{
    return x ? device_upload(x, (size_t)n * sizeof *x) : NULL;
}

static void release(const void *device)
{
    if (device)
        device_free((void *)(uintptr_t)device);
}

/* One pass over rows [n_rows, row size]; states are device memory. out: act, malloc'ed. */
static uint16_t *run(const struct layer *l, int32_t act, const float *rows, int32_t n_rows,
                     const struct ppi_cuda_linear_segment *segments, int32_t n_segments)
{
    int32_t *row_segments = device_host((size_t)n_rows * sizeof *row_segments);
    for (int32_t s = 0; s < n_segments; s++)
        for (int32_t i = 0; i < segments[s].n_rows; i++)
            row_segments[segments[s].row + i] = s;
    size_t out_bytes = (size_t)(n_rows * v_size(l)) * 2;
    int32_t stride = n_channels(l) + 4 * l->n_v_heads;
    struct ppi_cuda_linear_args args = {
        .segments = device_upload(segments, (size_t)n_segments * sizeof *segments),
        .row_segments = device_upload(row_segments, (size_t)n_rows * sizeof *row_segments),
        .rows = upload(rows, n_rows * row_size(l)),
        .mixed = device_alloc((size_t)(n_rows * stride) * sizeof(float)),
        .conv = upload(l->conv, n_channels(l) * l->conv_kernel),
        .conv_bias = upload(l->conv_bias, n_channels(l)),
        .a_log = upload(l->a_log, l->n_v_heads),
        .dt_bias = upload(l->dt_bias, l->n_v_heads),
        .d = upload(l->d, l->n_v_heads),
        .norm = upload(l->norm, l->is_mamba2 ? v_size(l) : l->v_dim),
        .out = device_alloc(out_bytes),
        .s_offset = 64, /* of another layer's state before it */
        .seen_offset = 64 + s_size(l) * (int64_t)sizeof(float),
        .row_stride = row_size(l),
        .mixed_stride = stride,
        .n_rows = n_rows,
        .n_segments = n_segments,
        .n_k_heads = l->n_k_heads,
        .n_v_heads = l->n_v_heads,
        .k_dim = l->k_dim,
        .v_dim = l->v_dim,
        .conv_kernel = l->conv_kernel,
        .norm_dim = l->is_mamba2 ? v_size(l) / l->norm_groups : l->v_dim,
        .is_mamba2 = l->is_mamba2,
        .dt_min = l->dt_min,
        .dt_max = l->dt_max,
        .head_eps = 1e-6f,
        .norm_eps = NORM_EPS};
    int64_t n_norms = n_rows * (v_size(l) / args.norm_dim);
    device_launch(&ppi_cuda_linear_mix[0], n_rows, &args);
    device_launch(&ppi_cuda_linear_scan[ppi_cuda_linear_k_index(l->k_dim)],
                  ppi_cuda_linear_scan_blocks(n_segments, l->n_v_heads, l->v_dim), &args);
    device_launch(&ppi_cuda_linear_seen[0], n_segments * ((n_channels(l) + 255) / 256), &args);
    device_launch(&ppi_cuda_linear_norm[act], ppi_cuda_row_blocks(n_norms, args.norm_dim), &args);
    uint16_t *out = device_host(out_bytes);
    device_download(out, args.out, out_bytes);
    const void *const blocks[] = {args.segments, args.row_segments, args.rows,  args.mixed,
                                  args.conv,     args.conv_bias,    args.a_log, args.dt_bias,
                                  args.d,        args.norm,         args.out};
    for (size_t i = 0; i < COUNT(blocks); i++)
        release(blocks[i]);
    free(row_segments);
    return out;
}

static size_t state_bytes(const struct layer *l)
{
    return 64 + (size_t)state_size(l) * sizeof(float);
}

/* The state's floats, behind the other layer's. Ends the memory. */
static float *take_state(const struct layer *l, void *device)
{
    char *bytes = device_host(state_bytes(l));
    device_download(bytes, device, state_bytes(l));
    device_free(device);
    memmove(bytes, bytes + 64, state_bytes(l) - 64);
    return (float *)(void *)bytes;
}

/* ---- tests ---- */

static const struct layer shapes[] = {
    {.n_k_heads = 2, .n_v_heads = 4, .k_dim = 16, .v_dim = 24, .conv_kernel = 4},
    {.n_k_heads = 1, .n_v_heads = 1, .k_dim = 128, .v_dim = 40, .conv_kernel = 4, .has_bias = true},
    {.n_k_heads = 3, .n_v_heads = 3, .k_dim = 68, .v_dim = 12, .conv_kernel = 2},
    {.n_k_heads = 1, .n_v_heads = 2, .k_dim = 256, .v_dim = 8, .conv_kernel = 1},
    {.is_mamba2 = true,
     .n_k_heads = 1,
     .n_v_heads = 3,
     .k_dim = 64,
     .v_dim = 16,
     .conv_kernel = 4,
     .norm_groups = 1,
     .dt_max = INFINITY,
     .has_bias = true},
    {.is_mamba2 = true,
     .n_k_heads = 2,
     .n_v_heads = 4,
     .k_dim = 16,
     .v_dim = 72,
     .conv_kernel = 3,
     .norm_groups = 2,
     .dt_min = 0.1f,
     .dt_max = 1.5f},
    {.is_mamba2 = true,
     .n_k_heads = 1,
     .n_v_heads = 33,
     .k_dim = 8,
     .v_dim = 32,
     .conv_kernel = 4,
     .norm_groups = 1,
     .dt_max = INFINITY},
};

/* Prompts of one pass, each from its start. */
static void values(void)
{
    static const int32_t lengths[] = {1, 3, 21, 8};
    struct rng rng = rng_seeded(1);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct layer l = layer_make(&rng, shapes[i]);
        struct ppi_cuda_linear_segment segments[COUNT(lengths)];
        int32_t act = (int32_t)i % 2, n_rows = 0;
        for (size_t s = 0; s < COUNT(lengths); s++) {
            segments[s] = (struct ppi_cuda_linear_segment){
                .state = device_alloc(state_bytes(&l)), .row = n_rows, .n_rows = lengths[s]};
            n_rows += lengths[s];
        }
        float *rows = device_random(&rng, PP_DTYPE_F32, (size_t)(n_rows * row_size(&l)), 1);
        uint16_t *out = run(&l, act, rows, n_rows, segments, COUNT(lengths));
        double unit = act == 0 ? 0x1p-8 : 0x1p-11;
        for (size_t s = 0; s < COUNT(lengths); s++) {
            const float *of = rows + segments[s].row * row_size(&l);
            double *expected = device_host((size_t)(lengths[s] * v_size(&l)) * sizeof *expected);
            double *state = device_host((size_t)s_size(&l) * sizeof *state);
            float *got = take_state(&l, segments[s].state);
            solve(&l, of, lengths[s], expected, state);
            for (int32_t e = 0; e < lengths[s] * v_size(&l); e++) {
                double x =
                    device_value(device_act(act), out, (size_t)(segments[s].row * v_size(&l) + e));
                EXPECT(fabs(x - expected[e]) <= unit * fabs(expected[e]) + 1e-4,
                       "shape %zu, prompt of %d, element %d: %g, expected %g", i, lengths[s], e, x,
                       expected[e]);
            }
            for (int32_t e = 0; e < s_size(&l); e++)
                EXPECT(fabs(got[e] - state[e]) <= 2e-5 * (1 + fabs(state[e])),
                       "shape %zu, prompt of %d, element %d of S: %g, expected %g", i, lengths[s],
                       e, (double)got[e], state[e]);
            for (int32_t e = 0; e < (l.conv_kernel - 1) * n_channels(&l); e++) {
                int32_t t = lengths[s] - l.conv_kernel + 1 + e / n_channels(&l);
                float seen = t < 0 ? 0 : of[t * row_size(&l) + e % n_channels(&l)];
                EXPECT(got[s_size(&l) + e] == seen, "shape %zu, prompt of %d, input %d: %g", i,
                       lengths[s], e, (double)got[s_size(&l) + e]);
            }
            free(expected);
            free(state);
            free(got);
        }
        free(out);
        free(rows);
        layer_free(&l);
    }
}

/* A prompt of N tokens whole; in pieces in passes of their own, each beside a prompt of NaN; and
 * the states of pieces in one place or in two. */
static void bits_do_not_depend_on_cuts(void)
{
    enum { N = 19, OTHER = 5 };
    static const int32_t cuts[][4] = {{1, 1, 17}, {9, 10}, {2, 8, 3, 6}};
    struct rng rng = rng_seeded(2);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct layer l = layer_make(&rng, shapes[i]);
        size_t row_bytes = (size_t)row_size(&l) * sizeof(float), out_row = (size_t)v_size(&l) * 2;
        float *rows = device_random(&rng, PP_DTYPE_F32, (size_t)(N * row_size(&l)), 1);
        float *pass = device_host((N + OTHER) * row_bytes);
        struct ppi_cuda_linear_segment whole = {.state = device_alloc(state_bytes(&l)),
                                                .n_rows = N};
        uint16_t *expected = run(&l, 0, rows, N, &whole, 1);
        float *state = take_state(&l, whole.state);
        for (size_t c = 0; c < COUNT(cuts); c++) {
            void *states[2] = {device_alloc(state_bytes(&l)), device_alloc(state_bytes(&l))};
            void *other = device_alloc(state_bytes(&l));
            int32_t done = 0, last = 0;
            for (size_t piece = 0; piece < COUNT(cuts[c]) && done < N; piece++) {
                int32_t n = cuts[c][piece], next = c == 1 ? 0 : 1 - last;
                bool is_first = piece % 2 == 0;
                struct ppi_cuda_linear_segment own = {.state = states[next],
                                                      .state_before = done ? states[last] : NULL,
                                                      .row = is_first ? 0 : OTHER,
                                                      .n_rows = n,
                                                      .position = done};
                struct ppi_cuda_linear_segment beside = {
                    .state = other, .row = is_first ? n : 0, .n_rows = OTHER};
                memset(pass, 0xff, (N + OTHER) * row_bytes);
                memcpy(pass + own.row * row_size(&l), rows + done * row_size(&l),
                       (size_t)n * row_bytes);
                const struct ppi_cuda_linear_segment both[2] = {is_first ? own : beside,
                                                                is_first ? beside : own};
                uint16_t *got = run(&l, 0, pass, n + OTHER, both, 2);
                EXPECT(memcmp(got + own.row * v_size(&l), expected + done * v_size(&l),
                              (size_t)n * out_row) == 0,
                       "shape %zu, cut %zu, tokens %d to %d: other bits", i, c, done, done + n);
                free(got);
                done += n;
                last = next;
            }
            device_free(states[1 - last]);
            device_free(other);
            float *got = take_state(&l, states[last]);
            EXPECT(memcmp(got, state, (size_t)state_size(&l) * sizeof *got) == 0,
                   "shape %zu, cut %zu: another state", i, c);
            free(got);
        }
        free(state);
        free(expected);
        free(pass);
        free(rows);
        layer_free(&l);
    }
}

/* Of a prompt in one pass: its end with and without a state behind it, and the whole without. */
static void unwanted_states_are_not_written(void)
{
    enum { N = 13, CUT = 5, REST = N - CUT };
    struct rng rng = rng_seeded(3);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct layer l = layer_make(&rng, shapes[i]);
        float *rows = device_random(&rng, PP_DTYPE_F32, (size_t)(N * row_size(&l)), 1);
        float *pass = device_host((size_t)((N + 2 * REST) * row_size(&l)) * sizeof *pass);
        struct ppi_cuda_linear_segment whole = {.state = device_alloc(state_bytes(&l)),
                                                .n_rows = N};
        struct ppi_cuda_linear_segment begin = {.state = device_alloc(state_bytes(&l)),
                                                .n_rows = CUT};
        struct ppi_cuda_linear_segment segments[] = {
            {.state_before = begin.state, .row = 0, .n_rows = REST, .position = CUT},
            {.row = REST, .n_rows = N},
            {.state = device_alloc(state_bytes(&l)),
             .state_before = begin.state,
             .row = REST + N,
             .n_rows = REST,
             .position = CUT}};
        uint16_t *expected = run(&l, 0, rows, N, &whole, 1);
        free(run(&l, 0, rows, CUT, &begin, 1));
        char *before = device_host(state_bytes(&l)), *after = device_host(state_bytes(&l));
        device_download(before, begin.state, state_bytes(&l));
        for (size_t s = 0; s < COUNT(segments); s++)
            memcpy(pass + segments[s].row * row_size(&l),
                   rows + segments[s].position * row_size(&l),
                   (size_t)(segments[s].n_rows * row_size(&l)) * sizeof *pass);
        uint16_t *got = run(&l, 0, pass, N + 2 * REST, segments, COUNT(segments));
        for (size_t s = 0; s < COUNT(segments); s++)
            EXPECT(memcmp(got + segments[s].row * v_size(&l),
                          expected + segments[s].position * v_size(&l),
                          (size_t)(segments[s].n_rows * v_size(&l)) * sizeof *got) == 0,
                   "shape %zu, segment %zu: other bits", i, s);
        device_download(after, begin.state, state_bytes(&l));
        EXPECT(memcmp(before, after, state_bytes(&l)) == 0,
               "shape %zu: what was before has changed", i);
        device_free(begin.state);
        float *state = take_state(&l, whole.state), *beside = take_state(&l, segments[2].state);
        EXPECT(memcmp(state, beside, (size_t)state_size(&l) * sizeof *state) == 0,
               "shape %zu: the state that is wanted is another", i);
        void *const host[] = {state, beside, before, after, expected, got, pass, rows};
        for (size_t b = 0; b < COUNT(host); b++)
            free(host[b]);
        layer_free(&l);
    }
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"values", values},
        {"bits_do_not_depend_on_cuts", bits_do_not_depend_on_cuts},
        {"unwanted_states_are_not_written", unwanted_states_are_not_written},
    };
    return device_main(tests, COUNT(tests), argc, argv);
}
