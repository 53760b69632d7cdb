/*
 * products.c: matrix products: how rows and panels are shared by threads. The sums themselves are
 * the kernels'.
 *
 * Rows go in blocks that stay in the last-level cache. The tiles (block, panel, six rows), rows
 * fastest, are one list of which threads take runs: a thread keeps a panel in its own cache for all
 * rows of a block, and one row is shared as evenly as a thousand.
 */
#include "cpu/packed_products.h"

#include <assert.h>

#define BLOCK_TILES 128
#define ROW_BLOCK   (BLOCK_TILES * PPI_CPU_ROWS)
#define WHOLE_PANEL 4    /* tiles that go with the reading of their panel and are not parted */
#define READ_NS     0.05 /* of a byte of a panel by one thread */

struct products {
    const struct ppi_backend *backend;
    const char *a;
    const struct ppi_matrix *w;
    int64_t n_rows;
    char *out;
    size_t a_bytes, out_bytes; /* of a row */
    size_t panel_out_bytes;    /* of a panel's columns in a row of out */
    int32_t panel_columns;
    int64_t unit_tiles;          /* tiles of a unit, of one panel */
    const float *bias, *up_bias; /* up_bias: behind the n gates */
    float scale;
    bool accumulate;
    int32_t activation;
};

/* Tiles [first, end) of a block of rows. */
static void run_tiles(const struct products *job, int64_t block_row, int64_t block_rows,
                      int64_t first, int64_t end, char *scratch)
{
    const struct ppi_matrix *w = job->w;
    int64_t n_tiles = ppi_div_up(block_rows, PPI_CPU_ROWS);
    while (first < end) {
        int64_t panel = first / n_tiles;
        int64_t panel_end = (panel + 1) * n_tiles;
        int64_t last = end < panel_end ? end : panel_end;
        int64_t row = (first - panel * n_tiles) * PPI_CPU_ROWS;
        int64_t row_end = (last - panel * n_tiles) * PPI_CPU_ROWS;
        if (row_end > block_rows)
            row_end = block_rows;
        int64_t column = panel * job->panel_columns;
        int64_t n_columns = w->n - column;
        if (n_columns > job->panel_columns)
            n_columns = job->panel_columns;
        const char *data = w->data + (size_t)panel * w->panel_bytes;
        struct ppi_cpu_product product = {
            .a = job->a + (size_t)(block_row + row) * job->a_bytes,
            .n_rows = row_end - row,
            .k = w->k,
            .panel = data,
            .next_panel = last < end ? data + w->panel_bytes : NULL,
            .out = job->out + (size_t)(block_row + row) * job->out_bytes +
                   (size_t)panel * job->panel_out_bytes,
            .out_stride = w->n,
            .n_columns = (int32_t)n_columns,
            .bias = job->bias ? job->bias + column : NULL,
            .up_bias = job->up_bias ? job->up_bias + column : NULL,
            .scale = job->scale,
            .accumulate = job->accumulate,
            .activation = job->activation,
        };
        ppi_cpu_panel_product(job->backend, w, &product, &job->backend->codes, block_row + row,
                              scratch);
        first = last;
    }
}

static void run_products(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct products *job = arg;
    char *scratch = job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes;
    int64_t block_tiles = job->w->n_panels * BLOCK_TILES; /* of all blocks but the last */
    first *= job->unit_tiles;
    end *= job->unit_tiles;
    while (first < end) {
        int64_t block = first / block_tiles;
        int64_t begin = block * block_tiles, row = block * ROW_BLOCK;
        int64_t n_rows = job->n_rows - row < ROW_BLOCK ? job->n_rows - row : ROW_BLOCK;
        int64_t last = end < begin + block_tiles ? end : begin + block_tiles;
        run_tiles(job, row, n_rows, first - begin, last - begin, scratch);
        first = last;
    }
}

static void share_products(struct ppi_backend *backend, struct products *job)
{
    if (job->w->integer)
        ppi_cpu_quantize_activations(backend, job->w, job->a, job->n_rows, &backend->codes);
    int64_t n_tiles = ppi_div_up(job->n_rows, PPI_CPU_ROWS);
    double tile_rows = (double)job->n_rows / (double)n_tiles;
    double tile_ns = 2 * tile_rows * PPI_CPU_PANEL * (double)job->w->k / backend->kernels->gflops;
    tile_ns += READ_NS * (double)job->w->panel_bytes / (double)n_tiles;
    job->unit_tiles = n_tiles <= WHOLE_PANEL ? n_tiles : 1;
    ppi_cpu_run(backend->pool, job->w->n_panels * n_tiles / job->unit_tiles,
                tile_ns * (double)job->unit_tiles, run_products, job);
}

pp_status ppi_cpu_matmul(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                         int64_t n_rows, const struct ppi_epilogue *epilogue, float *out,
                         pp_error *err)
{
    (void)err;
    assert(w->kind == PPI_MATRIX_LINEAR);
    assert(!epilogue->bias || epilogue->bias->k == w->n);
    struct products job = {
        .backend = backend,
        .a = a,
        .w = w,
        .n_rows = n_rows,
        .out = (char *)out,
        .a_bytes = (size_t)w->k * backend->act_bytes,
        .out_bytes = (size_t)w->n * sizeof(float),
        .panel_out_bytes = PPI_CPU_PANEL * sizeof(float),
        .panel_columns = PPI_CPU_PANEL,
        .bias = ppi_cpu_vector(epilogue->bias),
        .scale = epilogue->scale,
        .accumulate = epilogue->accumulate,
    };
    share_products(backend, &job);
    return PP_OK;
}

pp_status ppi_cpu_gate_up(struct ppi_backend *backend, const void *a, const struct ppi_matrix *w,
                          const struct ppi_matrix *bias, int32_t activation, int64_t n_rows,
                          void *out, pp_error *err)
{
    (void)err;
    assert(w->kind == PPI_MATRIX_GATE_UP);
    assert(!bias || bias->k == 2 * w->n);
    assert(activation == PPI_ACTIVATION_SILU || activation == PPI_ACTIVATION_GELU_TANH);
    const float *gate_bias = ppi_cpu_vector(bias);
    struct products job = {
        .backend = backend,
        .a = a,
        .w = w,
        .n_rows = n_rows,
        .out = out,
        .a_bytes = (size_t)w->k * backend->act_bytes,
        .out_bytes = (size_t)w->n * backend->act_bytes,
        .panel_out_bytes = PPI_CPU_GATED * backend->act_bytes,
        .panel_columns = PPI_CPU_GATED,
        .bias = gate_bias,
        .up_bias = gate_bias ? gate_bias + w->n : NULL,
        .activation = activation,
    };
    share_products(backend, &job);
    return PP_OK;
}
