/*
 * page_ops.c: operations on KV pages: who writes and reads which page, and how attention is shared
 * by threads. The layout of a page is in cpu.h.
 */
#include "cpu/cpu.h"
#include "dtype.h"

#include <prepack/kvcache.h>

#include <assert.h>
#include <string.h>

#define ROTATE_NS 0.4 /* of one element of q, k or v on one thread */
#define ATTEND_NS 1.0 /* of one query element with one block of keys */

static const struct ppi_layer_place *place_of(const struct ppi_backend *backend, int32_t layer)
{
    assert(layer >= 0 && layer < backend->params.n_layers);
    return &backend->params.places[layer];
}

static size_t layer_offset(const struct ppi_backend *backend, int32_t layer)
{
    return (size_t)place_of(backend, layer)->index * (size_t)backend->params.n_kv_heads *
           backend->head_kv_bytes;
}

/* The pages of the layer's class. */
static void *const *layer_pages(const struct ppi_backend *backend, const struct ppi_pass *pass,
                                int32_t layer)
{
    return pass->pages[place_of(backend, layer)->page_class];
}

/* ---- rope_kv ---- */

struct rotate {
    const struct ppi_backend *backend;
    const struct ppi_pass *pass;
    const struct ppi_rope *rope;
    void *const *pages;
    size_t layer_offset;
    const float *qkv;
    char *q;
};

/* The first row at or after `row` that begins a prompt or a page: two threads never write one
 * page. i_segment: of `row`. */
static int64_t page_border(const struct ppi_pass *pass, int64_t row)
{
    if (row >= pass->n_rows)
        return pass->n_rows;
    int32_t low = 0, high = pass->n_segments - 1;
    while (low < high) { /* the last segment that begins at or before row */
        int32_t middle = low + (high - low + 1) / 2;
        if (pass->segments[middle].row <= row)
            low = middle;
        else
            high = middle - 1;
    }
    const struct ppi_segment *segment = &pass->segments[low];
    if (row == segment->row)
        return row;
    int64_t position = segment->position + (row - segment->row);
    int64_t border = row + ppi_round_up(position, PPI_CPU_PAGE) - position;
    int64_t segment_end = segment->row + segment->n_rows;
    return border < segment_end ? border : segment_end;
}

static void run_rotate(void *arg, int64_t first_row, int64_t end_row, int32_t i_thread)
{
    (void)i_thread;
    const struct rotate *job = arg;
    const struct ppi_backend *backend = job->backend;
    const struct ppi_pass *pass = job->pass;
    const struct ppi_backend_params *params = &backend->params;
    int64_t first = page_border(pass, first_row);
    int64_t end = page_border(pass, end_row);
    int64_t qkv_dim = (int64_t)(params->n_heads + 2 * params->n_kv_heads) * params->head_dim;
    size_t q_bytes = (size_t)params->n_heads * (size_t)params->head_dim * backend->act_bytes;
    struct ppi_cpu_rope row = {
        .n_heads = params->n_heads,
        .n_kv_heads = params->n_kv_heads,
        .head_dim = params->head_dim,
        .rotary_dim = job->rope->rotary_dim,
        .interleaved = job->rope->interleaved,
        .q_scale = 1,
        .stride = backend->head_kv_bytes,
    };
    for (int32_t s = 0; s < pass->n_segments; s++) {
        const struct ppi_segment *segment = &pass->segments[s];
        int64_t r = segment->row > first ? segment->row : first;
        int64_t segment_end = segment->row + segment->n_rows;
        for (; r < segment_end && r < end; r++) {
            int32_t position = segment->position + (int32_t)(r - segment->row);
            int64_t rope_row = segment->rope_row + (r - segment->row);
            char *page = job->pages[segment->first_page + position / PPI_CPU_PAGE];
            row.qkv = job->qkv + r * qkv_dim;
            if (row.rotary_dim > 0)
                row.angles = job->rope->angles + rope_row * row.rotary_dim;
            if (job->rope->q_scale)
                row.q_scale = job->rope->q_scale[rope_row];
            row.slot = position % PPI_CPU_PAGE;
            row.q = job->q + (size_t)r * q_bytes;
            row.kv = page + job->layer_offset;
            backend->kernels->rope(&row);
        }
    }
}

pp_status ppi_cpu_rope_kv(struct ppi_backend *backend, const struct ppi_pass *pass,
                          const struct ppi_rope *rope, const float *qkv, void *q, pp_error *err)
{
    (void)err;
    assert(rope->rotary_dim % 2 == 0 && rope->rotary_dim <= backend->params.head_dim);
    assert(rope->angles || rope->rotary_dim == 0);
    struct rotate job = {.backend = backend,
                         .pass = pass,
                         .rope = rope,
                         .pages = layer_pages(backend, pass, rope->layer),
                         .layer_offset = layer_offset(backend, rope->layer),
                         .qkv = qkv,
                         .q = q};
    int64_t qkv_dim = (int64_t)(backend->params.n_heads + 2 * backend->params.n_kv_heads) *
                      backend->params.head_dim;
    ppi_cpu_run(backend->pool, pass->n_rows, ROTATE_NS * (double)qkv_dim, run_rotate, &job);
    return PP_OK;
}

/* ---- attention ----
 * The tiles of a pass are one list: segment, then head, then rows. Its cost, counted in key blocks
 * times rows, is what threads share: for each run they walk the list and do what begins in it. A
 * segment of one row (decoding) has its tiles across the query heads of a kv head.
 */

struct attend {
    const struct ppi_backend *backend;
    const struct ppi_pass *pass;
    const struct ppi_attention *attention;
    void *const *pages;
    size_t layer_offset;
    const char *q;
    char *out;
    int32_t window;
};

static int64_t tile_cost(int32_t first_position, int32_t last_position, int32_t n_rows,
                         int32_t window)
{
    int32_t first_key = window > 0 && first_position >= window ? first_position - window + 1 : 0;
    return (int64_t)(last_position / PPI_CPU_BLOCK - first_key / PPI_CPU_BLOCK + 1) * (n_rows + 2);
}

/* Rows [*row, end of the tile) of a segment: borders at multiples of the tile in the prompt. */
static int32_t tile_rows(const struct ppi_segment *segment, int32_t row)
{
    int32_t position = segment->position + row;
    int32_t n = PPI_CPU_TILE - position % PPI_CPU_TILE;
    return n < segment->n_rows - row ? n : segment->n_rows - row;
}

/* All tiles of a segment for one head (or one kv head of a one-row segment). */
static int64_t head_cost(const struct attend *job, const struct ppi_segment *segment)
{
    const struct ppi_backend_params *params = &job->backend->params;
    if (segment->n_rows == 1)
        return tile_cost(segment->position, segment->position, params->n_heads / params->n_kv_heads,
                         job->window);
    int64_t cost = 0;
    for (int32_t row = 0, n; row < segment->n_rows; row += n) {
        n = tile_rows(segment, row);
        cost += tile_cost(segment->position + row, segment->position + row + n - 1, n, job->window);
    }
    return cost;
}

static int32_t list_heads(const struct attend *job, const struct ppi_segment *segment)
{
    const struct ppi_backend_params *params = &job->backend->params;
    return segment->n_rows == 1 ? params->n_kv_heads : params->n_heads;
}

/* The rows [row, row + n_rows) of one head of a segment. */
static void attend_rows(const struct attend *job, const struct ppi_segment *segment, int32_t head,
                        int32_t row, int32_t n_rows, void *scratch)
{
    const struct ppi_backend *backend = job->backend;
    const struct ppi_backend_params *params = &backend->params;
    int32_t group = params->n_heads / params->n_kv_heads;
    bool across_heads = segment->n_rows == 1;
    int32_t kv_head = across_heads ? head : head / group;
    size_t head_bytes = (size_t)params->head_dim * backend->act_bytes;
    size_t row_bytes = (size_t)params->n_heads * head_bytes;
    size_t at = (size_t)(segment->row + row) * row_bytes +
                (size_t)(across_heads ? head * group : head) * head_bytes;
    struct ppi_cpu_tile tile = {
        .q = job->q + at,
        .out = job->out + at,
        .stride = across_heads ? head_bytes : row_bytes,
        .n_rows = n_rows,
        .position = segment->position + row,
        .position_step = across_heads ? 0 : 1,
        .window = job->window,
        .softmax_scale = job->attention->softmax_scale,
        .softcap = job->attention->softcap,
        .head_dim = params->head_dim,
        .pages = job->pages + segment->first_page,
        .kv_offset = job->layer_offset + (size_t)kv_head * backend->head_kv_bytes,
        .scratch = scratch,
    };
    if (!across_heads) {
        backend->kernels->attend(&tile);
        return;
    }
    for (int32_t done = 0; done < group; done += PPI_CPU_TILE) {
        tile.n_rows = group - done < PPI_CPU_TILE ? group - done : PPI_CPU_TILE;
        backend->kernels->attend(&tile);
        tile.q += PPI_CPU_TILE * head_bytes;
        tile.out += PPI_CPU_TILE * head_bytes;
    }
}

static void run_attend(void *arg, int64_t begin, int64_t end, int32_t i_thread)
{
    const struct attend *job = arg;
    const struct ppi_pass *pass = job->pass;
    char *scratch = job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes;
    int64_t at = 0;
    for (int32_t s = 0; s < pass->n_segments && at < end; s++) {
        const struct ppi_segment *segment = &pass->segments[s];
        int64_t cost = head_cost(job, segment);
        int32_t n_heads = list_heads(job, segment);
        if (at + cost * n_heads <= begin) {
            at += cost * n_heads;
            continue;
        }
        for (int32_t head = 0; head < n_heads && at < end; head++) {
            if (at + cost <= begin) {
                at += cost;
                continue;
            }
            for (int32_t row = 0, n; row < segment->n_rows; row += n) {
                n = segment->n_rows == 1 ? 1 : tile_rows(segment, row);
                if (at >= begin && at < end)
                    attend_rows(job, segment, head, row, n, scratch);
                at += segment->n_rows == 1
                          ? cost
                          : tile_cost(segment->position + row, segment->position + row + n - 1, n,
                                      job->window);
            }
        }
    }
}

pp_status ppi_cpu_attention(struct ppi_backend *backend, const struct ppi_pass *pass,
                            const struct ppi_attention *attention, const void *q, void *out,
                            pp_error *err)
{
    (void)err;
    struct attend job = {.backend = backend,
                         .pass = pass,
                         .attention = attention,
                         .pages = layer_pages(backend, pass, attention->layer),
                         .layer_offset = layer_offset(backend, attention->layer),
                         .q = q,
                         .out = out,
                         .window = attention->window};
    int64_t cost = 0; /* of the list */
    for (int32_t s = 0; s < pass->n_segments; s++)
        cost += head_cost(&job, &pass->segments[s]) * list_heads(&job, &pass->segments[s]);
    ppi_cpu_run(backend->pool, cost, ATTEND_NS * backend->params.head_dim, run_attend, &job);
    return PP_OK;
}

/* ---- kv_read ---- */

/* Element d of a slot's key or value, in act elements from the start of K or V. */
static size_t slot_index(bool bf16, bool value, int32_t head_dim, int32_t slot, int32_t d)
{
    int32_t columns = ppi_cpu_v_columns(head_dim);
    int32_t row = value ? slot : d, column = value ? d : slot;
    int32_t width = value ? columns : PPI_CPU_PAGE;
    if (!bf16)
        return (size_t)row * (size_t)width + (size_t)column;
    return ((size_t)(row / 2) * (size_t)width + (size_t)column) * 2 + (size_t)(row % 2);
}

pp_status ppi_cpu_kv_read(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                          int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                          int32_t dst_dtype, void *dst, pp_error *err)
{
    (void)err;
    const struct ppi_backend_params *params = &backend->params;
    assert(dst_dtype == PP_DTYPE_F32 || dst_dtype == params->dtype);
    bool bf16 = params->dtype == PP_DTYPE_BF16, value = which == PP_KV_V;
    int32_t n_heads = params->n_kv_heads, head_dim = params->head_dim;
    size_t offset =
        layer_offset(backend, layer) + (value ? ppi_cpu_k_bytes(backend->act_bytes, head_dim) : 0);
    for (int64_t t = 0; t < n_tokens; t++) {
        int64_t position = first_token + t;
        const char *page = (const char *)pages[position / PPI_CPU_PAGE] + offset;
        for (int32_t h = 0; h < n_heads; h++, page += backend->head_kv_bytes) {
            int64_t to = (layout == PP_KV_HND ? h * n_tokens + t : t * n_heads + h) * head_dim;
            for (int32_t d = 0; d < head_dim; d++) {
                size_t i = slot_index(bf16, value, head_dim, (int32_t)(position % PPI_CPU_PAGE), d);
                if (!bf16)
                    ((float *)dst)[to + d] = ((const float *)(const void *)page)[i];
                else if (dst_dtype == PP_DTYPE_BF16)
                    ((uint16_t *)dst)[to + d] = ((const uint16_t *)(const void *)page)[i];
                else
                    ((float *)dst)[to + d] =
                        ppi_bf16_to_f32(((const uint16_t *)(const void *)page)[i]);
            }
        }
    }
    return PP_OK;
}
