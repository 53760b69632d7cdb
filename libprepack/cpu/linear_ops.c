/*
 * linear_ops.c: linear layers: shares the work of a pass among threads, and brings states to the
 * kernels and back. Three jobs, each over all segments: the convolution by heads, the recurrence by
 * value heads and columns of their states, the gated norm by rows. Nothing that a thread does reads
 * what another writes, so the bits do not depend on how many there are.
 */
#include "cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define CONV_NS 1.0  /* of one channel of a row on one thread */
#define SCAN_NS 0.08 /* of one element of a state */
#define GATE_NS 1.0  /* of one element of a row */

struct linear_job {
    struct ppi_backend *backend;
    const struct ppi_pass *pass;
    const struct ppi_linear *linear;
    const struct ppi_linear_shape *shape;
    int64_t row_stride, n_blocks; /* blocks of columns of a value head */
    float *rows;
    char *out;
};

/* ---- states ---- */

/* NULL: nobody wants it. */
static float *state_of(const struct linear_job *job, const struct ppi_segment *segment)
{
    if (!segment->state)
        return NULL;
    return (float *)(void *)((char *)segment->state +
                             job->linear->index * ppi_linear_state_bytes(job->shape));
}

/* NULL: nothing was before. */
static const float *state_before(const struct linear_job *job, const struct ppi_segment *segment)
{
    if (segment->position == 0)
        return NULL;
    return (const float *)(const void *)((const char *)segment->state_before +
                                         job->linear->index * ppi_linear_state_bytes(job->shape));
}

/* Where in a state begins what the convolution still sees. */
static int64_t seen_at(const struct ppi_linear_shape *shape)
{
    return (int64_t)shape->n_v_heads * shape->k_dim * shape->v_dim;
}

size_t ppi_cpu_linear_scratch(const struct ppi_linear_shape *shape)
{
    if (!shape)
        return 0;
    size_t dim = (size_t)(shape->k_dim > shape->v_dim ? shape->k_dim : shape->v_dim);
    size_t conv = dim * (size_t)(2 * shape->conv_kernel);
    size_t scan = (size_t)shape->k_dim * PPI_CPU_SCAN_COLUMNS;
    return (conv > scan ? conv : scan) * sizeof(float);
}

static float *scratch_of(const struct linear_job *job, int32_t i_thread)
{
    struct ppi_backend *backend = job->backend;
    return (float *)(void *)(backend->scratch + (size_t)i_thread * backend->scratch_bytes);
}

/* ---- the convolution ---- */

/* Channels of a head of q, k or v. */
struct channels {
    int64_t first;
    int32_t dim;
    float scale; /* of the norm; 0: none */
};

static struct channels channels_of(const struct ppi_linear_shape *shape, int32_t i)
{
    int32_t n_keys = 2 * shape->n_k_heads;
    if (i >= n_keys)
        return (struct channels){
            (int64_t)n_keys * shape->k_dim + (int64_t)(i - n_keys) * shape->v_dim, shape->v_dim, 0};
    float scale = i < shape->n_k_heads ? (float)(1 / sqrt((double)shape->k_dim)) : 1;
    return (struct channels){(int64_t)i * shape->k_dim, shape->k_dim,
                             shape->rule == PPI_LINEAR_DELTA ? scale : 0};
}

/* seen [kernel - 1, dim]: the inputs before the segment. */
static void load_seen(const struct linear_job *job, const struct ppi_segment *segment,
                      struct channels of, float *seen)
{
    int64_t n_seen = job->shape->conv_kernel - 1, stride = ppi_linear_channels(job->shape);
    const float *before = state_before(job, segment);
    for (int64_t i = 0; i < n_seen; i++) {
        if (before)
            memcpy(seen + i * of.dim, before + seen_at(job->shape) + i * stride + of.first,
                   (size_t)of.dim * sizeof *seen);
        else
            memset(seen + i * of.dim, 0, (size_t)of.dim * sizeof *seen);
    }
}

/* The inputs that the tokens behind the segment will see, while they are in its rows. */
static void store_seen(const struct linear_job *job, const struct ppi_segment *segment,
                       struct channels of, const float *seen, const float *x)
{
    int64_t n_seen = job->shape->conv_kernel - 1, stride = ppi_linear_channels(job->shape);
    float *after = state_of(job, segment);
    for (int64_t i = 0; after && i < n_seen; i++) {
        int64_t row = segment->n_rows - n_seen + i;
        memcpy(after + seen_at(job->shape) + i * stride + of.first,
               row >= 0 ? x + row * job->row_stride : seen + (row + n_seen) * of.dim,
               (size_t)of.dim * sizeof *seen);
    }
}

static void convolve(const struct linear_job *job, const struct ppi_segment *segment,
                     struct channels of, float *scratch)
{
    int32_t kernel = job->shape->conv_kernel;
    float *seen = scratch, *taps = scratch + (kernel - 1) * (int64_t)of.dim;
    const float *weight = ppi_cpu_vector(job->linear->conv) + of.first * kernel;
    const float *bias = ppi_cpu_vector(job->linear->conv_bias);
    float *x = job->rows + segment->row * job->row_stride + of.first;
    load_seen(job, segment, of, seen);
    store_seen(job, segment, of, seen, x);
    for (int32_t tap = 0; tap < kernel; tap++)
        for (int32_t i = 0; i < of.dim; i++)
            taps[tap * of.dim + i] = weight[i * kernel + tap];
    const struct ppi_cpu_conv conv = {.x = x,
                                      .n_rows = segment->n_rows,
                                      .row_stride = job->row_stride,
                                      .dim = of.dim,
                                      .kernel = kernel,
                                      .seen = seen,
                                      .weight = taps,
                                      .bias = bias ? bias + of.first : NULL,
                                      .scale = of.scale};
    job->backend->kernels->convolve(&conv);
}

/* Units: segment slowest, heads of q, k, v. */
static void run_convolve(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct linear_job *job = arg;
    int64_t n_heads = 2 * (int64_t)job->shape->n_k_heads + job->shape->n_v_heads;
    for (int64_t i = first; i < end; i++)
        convolve(job, &job->pass->segments[i / n_heads],
                 channels_of(job->shape, (int32_t)(i % n_heads)), scratch_of(job, i_thread));
}

/* ---- the recurrence ---- */

static struct ppi_cpu_scan make_scan(const struct linear_job *job,
                                     const struct ppi_segment *segment, int32_t head,
                                     int32_t column)
{
    const struct ppi_linear_shape *shape = job->shape;
    const struct ppi_linear *linear = job->linear;
    bool delta = shape->rule == PPI_LINEAR_DELTA;
    int32_t k_head = head / (shape->n_v_heads / shape->n_k_heads);
    int32_t left = shape->v_dim - column, most = job->backend->kernels->scan_columns;
    float *row = job->rows + segment->row * job->row_stride;
    const float *q = row + (int64_t)k_head * shape->k_dim;
    float *v = row + 2 * ppi_linear_k_size(shape) + (int64_t)head * shape->v_dim + column;
    const float *gates = row + ppi_linear_channels(shape) + ppi_linear_v_size(shape) + head;
    return (struct ppi_cpu_scan){.delta = delta,
                                 .q = q,
                                 .k = q + ppi_linear_k_size(shape),
                                 .v = v,
                                 .time = delta ? gates + shape->n_v_heads : gates,
                                 .beta = gates,
                                 .n_rows = segment->n_rows,
                                 .row_stride = job->row_stride,
                                 .k_dim = shape->k_dim,
                                 .n_columns = left < most ? left : most,
                                 .rate = expf(ppi_cpu_vector(linear->a_log)[head]),
                                 .dt_bias = ppi_cpu_vector(linear->dt_bias)[head],
                                 .dt_min = shape->dt_min,
                                 .dt_max = shape->dt_max,
                                 .d = delta ? 0 : ppi_cpu_vector(linear->d)[head]};
}

/* The columns of the state are read once and written once, however many rows there are; at a
 * prompt's beginning they are not read, and where nobody wants them not written. */
static void scan_columns(const struct linear_job *job, const struct ppi_segment *segment,
                         int32_t head, int32_t column, float *scratch)
{
    struct ppi_cpu_scan scan = make_scan(job, segment, head, column);
    int32_t k_dim = scan.k_dim, v_dim = job->shape->v_dim;
    int32_t stride = job->backend->kernels->scan_columns;
    int64_t at = (int64_t)head * k_dim * v_dim + column;
    size_t bytes = (size_t)scan.n_columns * sizeof(float);
    const float *before = state_before(job, segment);
    float *after = state_of(job, segment);
    scan.state = scratch;
    if (!before || scan.n_columns < stride)
        memset(scratch, 0, (size_t)k_dim * (size_t)stride * sizeof *scratch);
    for (int32_t i = 0; before && i < k_dim; i++)
        memcpy(scratch + i * stride, before + at + (int64_t)i * v_dim, bytes);
    job->backend->kernels->scan(&scan);
    for (int32_t i = 0; after && i < k_dim; i++)
        memcpy(after + at + (int64_t)i * v_dim, scratch + i * stride, bytes);
}

/* Units: segment slowest, then value head, then block of columns. */
static void run_scan(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct linear_job *job = arg;
    int64_t n = job->shape->n_v_heads * job->n_blocks;
    for (int64_t i = first; i < end; i++)
        scan_columns(job, &job->pass->segments[i / n], (int32_t)(i % n / job->n_blocks),
                     (int32_t)(i % job->n_blocks) * job->backend->kernels->scan_columns,
                     scratch_of(job, i_thread));
}

/* ---- the gated norm ---- */

static void run_norm_gated(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct linear_job *job = arg;
    const struct ppi_linear_shape *shape = job->shape;
    bool delta = shape->rule == PPI_LINEAR_DELTA;
    int64_t v_size = ppi_linear_v_size(shape);
    int32_t n_parts = delta ? shape->n_v_heads : shape->norm_groups;
    for (int64_t i = first; i < end; i++) {
        float *row = job->rows + i * job->row_stride;
        const struct ppi_cpu_linear_norm norm = {.delta = delta,
                                                 .x = row + 2 * ppi_linear_k_size(shape),
                                                 .z = row + ppi_linear_channels(shape),
                                                 .weight = ppi_cpu_vector(job->linear->norm),
                                                 .weight_stride = delta ? 0 : v_size / n_parts,
                                                 .n_parts = n_parts,
                                                 .dim = v_size / n_parts,
                                                 .eps = job->linear->norm_eps,
                                                 .out = job->out + (size_t)(i * v_size) *
                                                                       job->backend->act_bytes};
        job->backend->kernels->norm_gated(&norm);
    }
}

pp_status ppi_cpu_linear(struct ppi_backend *backend, const struct ppi_pass *pass,
                         const struct ppi_linear *linear, float *rows, void *out, pp_error *err)
{
    (void)err;
    const struct ppi_linear_shape *shape = linear->shape;
    assert(shape->n_v_heads % shape->n_k_heads == 0);
    assert(shape->conv_kernel >= 1 && shape->conv_kernel <= PPI_MAX_CONV_KERNEL);
    assert(ppi_cpu_linear_scratch(shape) <= backend->scratch_bytes);
    struct linear_job job = {.backend = backend,
                             .pass = pass,
                             .linear = linear,
                             .shape = shape,
                             .row_stride = ppi_linear_row(shape),
                             .n_blocks = ppi_div_up(shape->v_dim, backend->kernels->scan_columns),
                             .rows = rows,
                             .out = out};
    double n_rows = (double)pass->n_rows / (double)pass->n_segments; /* of a segment */
    int64_t n_heads = 2 * (int64_t)shape->n_k_heads + shape->n_v_heads;
    int64_t n_scans = (int64_t)shape->n_v_heads * job.n_blocks;
    double channels = (double)ppi_linear_channels(shape), v_size = (double)ppi_linear_v_size(shape);
    ppi_cpu_run(backend->pool, pass->n_segments * n_heads,
                CONV_NS * n_rows * channels / (double)n_heads, run_convolve, &job);
    ppi_cpu_run(backend->pool, pass->n_segments * n_scans,
                SCAN_NS * (n_rows + 1) * v_size * shape->k_dim / (double)n_scans, run_scan, &job);
    ppi_cpu_run(backend->pool, pass->n_rows, GATE_NS * v_size, run_norm_gated, &job);
    return PP_OK;
}
