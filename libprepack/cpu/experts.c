/*
 * experts.c: rows through their experts, a block of rows in the order of experts at a time: they
 * are gathered, then come the gated products of all experts in the block, then the others.
 *
 * Sums of the latter go to rows of out as they leave the registers (product.h), so no block of f32
 * is between. There a unit is some columns of out and some rows of the pass: whoever has it takes
 * the experts in ascending order, which is the order of every row's sums, whatever the block and
 * the thread.
 */
#include "cpu/expert_rows.h"
#include "cpu/packed_products.h"

#include <assert.h>
#include <string.h>

#define PIECE_ROWS     24      /* of a unit of gated products: four tiles */
#define UNITS_A_THREAD 16      /* of the others, where rows are enough */
#define LEAST_UNIT_NS  30000.0 /* of these */
#define READ_NS        0.05    /* of a byte of a panel by one thread */
#define COPY_NS        0.1     /* of a byte of a row */

struct job {
    struct ppi_backend *backend;
    struct ppi_cpu_expert_rows *sorted;
    const struct ppi_experts *experts;
    const char *a; /* act [n_rows, hidden] */
    int64_t n_rows;
    float *out;
    int64_t first, n_blocked; /* pairs of the block */
    int32_t n_parts;
    int64_t n_chunks; /* of the rows of the pass */
};

static char *scratch_of(const struct job *job, int32_t i_thread)
{
    return job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes;
}

static size_t row_bytes(const struct job *job, const struct ppi_matrix *w)
{
    return (size_t)w->k * job->backend->act_bytes;
}

static const char *panel_at(const struct ppi_matrix *w, int32_t expert, int64_t panel)
{
    return w->data + (size_t)(expert * w->n_panels + panel) * w->panel_bytes;
}

/* About what the products of a block with w take one thread. */
static double block_ns(const struct job *job, const struct ppi_matrix *w)
{
    double columns = (double)w->n_panels * PPI_CPU_PANEL;
    double ns = 2 * (double)job->n_blocked * columns * (double)w->k / job->backend->kernels->gflops;
    return ns + READ_NS * (double)job->n_parts * (double)w->n_panels * (double)w->panel_bytes;
}

/* ---- rows that a block needs ---- */

static void run_clear(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct job *job = arg;
    int64_t dim = job->experts->down->n;
    memset(job->out + first * dim, 0, (size_t)((end - first) * dim) * sizeof *job->out);
}

static void run_gather(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct job *job = arg;
    const struct ppi_matrix *w = job->experts->gate_up;
    const int32_t *rows = job->sorted->rows + job->first;
    size_t bytes = row_bytes(job, w);
    for (int64_t i = first; i < end; i++) {
        if (w->integer)
            ppi_cpu_copy_codes(w, &job->backend->codes, rows[i], &job->sorted->codes, i);
        else
            memcpy(job->sorted->a + (size_t)i * bytes, job->a + (size_t)rows[i] * bytes, bytes);
    }
}

/* ---- gated products: a unit is a panel of an expert and a piece of its rows ---- */

static int64_t pieces_of(const struct ppi_cpu_expert_part *part)
{
    return ppi_div_up(part->n_rows, PIECE_ROWS);
}

static int64_t count_gated_units(struct job *job)
{
    int64_t n = 0;
    for (int32_t i = 0; i < job->n_parts; i++) {
        job->sorted->parts[i].first_unit = n;
        n += pieces_of(&job->sorted->parts[i]) * job->experts->gate_up->n_panels;
    }
    job->sorted->parts[job->n_parts].first_unit = n;
    return n;
}

/* The part of a unit: the last that begins at or before it. */
static const struct ppi_cpu_expert_part *part_of_unit(const struct job *job, int64_t unit)
{
    int32_t low = 0, high = job->n_parts - 1;
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2;
        if (job->sorted->parts[middle].first_unit <= unit)
            low = middle;
        else
            high = middle - 1;
    }
    return &job->sorted->parts[low];
}

/* Rows [row, end) of a part times one panel. next: the panel that comes then; or NULL. */
static void multiply_gated(const struct job *job, const struct ppi_cpu_expert_part *part,
                           int64_t panel, int64_t row, int64_t end, const char *next, char *scratch)
{
    const struct ppi_experts *experts = job->experts;
    const struct ppi_matrix *w = experts->gate_up;
    const float *bias = ppi_cpu_vector(experts->gate_up_bias);
    int64_t column = panel * PPI_CPU_GATED, left = w->n - column, at = part->first + row;
    if (bias)
        bias += part->expert * 2 * w->n + column;
    struct ppi_cpu_product product = {
        .a = job->sorted->a + (size_t)at * row_bytes(job, w),
        .n_rows = end - row,
        .k = w->k,
        .panel = panel_at(w, part->expert, panel),
        .next_panel = next,
        .out = job->sorted->gated + (size_t)(at * w->n + column) * job->backend->act_bytes,
        .out_stride = w->n,
        .n_columns = (int32_t)(left < PPI_CPU_GATED ? left : PPI_CPU_GATED),
        .bias = bias,
        .up_bias = bias ? bias + w->n : NULL,
        .activation = experts->activation,
        .limit = experts->limit,
        .alpha = experts->alpha,
    };
    ppi_cpu_panel_product(job->backend, w, &product, &job->sorted->codes, at, scratch);
}

static void run_gated(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct job *job = arg;
    const struct ppi_matrix *w = job->experts->gate_up;
    const struct ppi_cpu_expert_part *part = part_of_unit(job, first);
    while (first < end) {
        int64_t pieces = pieces_of(part), unit = first - part->first_unit;
        int64_t panel = unit / pieces, row = unit % pieces * PIECE_ROWS;
        int64_t last = part->first_unit + (panel + 1) * pieces;
        last = last < end ? last : end;
        int64_t row_end = row + (last - first) * PIECE_ROWS;
        bool is_last = panel + 1 == w->n_panels;
        const char *next = is_last ? panel_at(w, part[last < end].expert, 0)
                                   : panel_at(w, part->expert, panel + 1);
        multiply_gated(job, part, panel, row, row_end < part->n_rows ? row_end : part->n_rows,
                       last < end ? next : NULL, scratch_of(job, i_thread));
        part += is_last && last == part[1].first_unit;
        first = last;
    }
}

/* ---- the others: a unit is a panel of all experts and a chunk of the rows of the pass ---- */

/* Units of a chunk each; chunks where panels are too few for the threads. */
static int64_t count_down_units(struct job *job)
{
    int64_t n_panels = job->experts->down->n_panels;
    int64_t wanted = ppi_div_up((int64_t)UNITS_A_THREAD * job->backend->params.n_threads, n_panels);
    double ns = block_ns(job, job->experts->down) / (double)n_panels; /* of a panel */
    int64_t most = (int64_t)(ns / LEAST_UNIT_NS);
    wanted = wanted < most ? wanted : most;
    wanted = wanted < job->n_rows ? wanted : job->n_rows;
    job->n_chunks = wanted > 1 ? wanted : 1;
    return n_panels * job->n_chunks;
}

/* How many of n ascending rows are below `row`. */
static int64_t rows_below(const int32_t *rows, int64_t n, int64_t row)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The rows [row, row_end) of the pass that are in a part, times one panel, to out. */
static void multiply_down(const struct job *job, const struct ppi_cpu_expert_part *part,
                          int64_t panel, int64_t row, int64_t row_end, const char *next,
                          char *scratch)
{
    const struct ppi_matrix *w = job->experts->down;
    const struct ppi_cpu_expert_rows *sorted = job->sorted;
    const int32_t *rows = sorted->rows + job->first + part->first;
    const float *bias = ppi_cpu_vector(job->experts->down_bias);
    int64_t first = rows_below(rows, part->n_rows, row);
    int64_t end = first + rows_below(rows + first, part->n_rows - first, row_end);
    int64_t column = panel * PPI_CPU_PANEL, left = w->n - column, at = part->first + first;
    if (first == end)
        return;
    struct ppi_cpu_product product = {
        .a = sorted->gated + (size_t)at * row_bytes(job, w),
        .n_rows = end - first,
        .k = w->k,
        .panel = panel_at(w, part->expert, panel),
        .next_panel = next,
        .out = job->out + column,
        .out_stride = w->n,
        .n_columns = (int32_t)(left < PPI_CPU_PANEL ? left : PPI_CPU_PANEL),
        .bias = bias ? bias + part->expert * w->n + column : NULL,
        .rows = rows + first,
        .scales = sorted->scales + job->first + at,
    };
    ppi_cpu_panel_product(job->backend, w, &product, &sorted->codes, at, scratch);
}

static void run_down(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct job *job = arg;
    const struct ppi_matrix *w = job->experts->down;
    const struct ppi_cpu_expert_part *parts = job->sorted->parts;
    for (int64_t unit = first; unit < end; unit++) {
        int64_t panel = unit / job->n_chunks, chunk = unit % job->n_chunks;
        int64_t row = chunk * job->n_rows / job->n_chunks;
        int64_t row_end = (chunk + 1) * job->n_rows / job->n_chunks;
        for (int32_t i = 0; i < job->n_parts; i++) {
            const char *next = NULL;
            if (i + 1 < job->n_parts)
                next = panel_at(w, parts[i + 1].expert, panel);
            else if (unit + 1 < end)
                next = panel_at(w, parts[0].expert, (unit + 1) / job->n_chunks);
            multiply_down(job, &parts[i], panel, row, row_end, next, scratch_of(job, i_thread));
        }
    }
}

/* ---- all ---- */

static void run_block(struct job *job)
{
    struct ppi_backend *backend = job->backend;
    const struct ppi_matrix *gate_up = job->experts->gate_up, *down = job->experts->down;
    ppi_cpu_run(backend->pool, job->n_blocked, COPY_NS * (double)row_bytes(job, gate_up),
                run_gather, job);
    int64_t n_units = count_gated_units(job);
    ppi_cpu_run(backend->pool, n_units, block_ns(job, gate_up) / (double)n_units, run_gated, job);
    if (down->integer)
        ppi_cpu_quantize_activations(backend, down, job->sorted->gated, job->n_blocked,
                                     &job->sorted->codes);
    n_units = count_down_units(job);
    ppi_cpu_run(backend->pool, n_units, block_ns(job, down) / (double)n_units, run_down, job);
}

pp_status ppi_cpu_experts(struct ppi_backend *backend, const struct ppi_experts *experts,
                          const struct ppi_routing *routing, const void *a, int64_t n_rows,
                          float *out, pp_error *err)
{
    (void)err;
    const struct ppi_matrix *gate_up = experts->gate_up, *down = experts->down;
    assert(backend->expert_rows);
    assert(gate_up->kind == PPI_MATRIX_GATE_UP && gate_up->n_stacked == experts->n);
    assert(down->kind == PPI_MATRIX_LINEAR && down->n_stacked == experts->n);
    assert(down->k == gate_up->n && down->n == gate_up->k);
    struct job job = {.backend = backend,
                      .sorted = backend->expert_rows,
                      .experts = experts,
                      .a = a,
                      .n_rows = n_rows,
                      .out = out};
    int64_t n_pairs = n_rows * experts->top_k;
    int32_t expert = 0;
    ppi_cpu_expert_rows_sort(job.sorted, experts, routing, n_rows);
    if (!experts->accumulate)
        ppi_cpu_run(backend->pool, n_rows, COPY_NS * 4 * (double)down->n, run_clear, &job);
    if (gate_up->integer)
        ppi_cpu_quantize_activations(backend, gate_up, a, n_rows, &backend->codes);
    for (; job.first < n_pairs; job.first += job.n_blocked) {
        job.n_parts = ppi_cpu_expert_rows_cut(job.sorted, job.first, n_pairs, &expert);
        const struct ppi_cpu_expert_part *last = &job.sorted->parts[job.n_parts - 1];
        job.n_blocked = last->first + last->n_rows;
        run_block(&job);
    }
    return PP_OK;
}
