/*
 * page_ops.c: what a pass does with KV pages: who writes and reads which page, and how attention is
 * shared by threads. The layout of a page is in cpu.h, the host's copies are in page_copies.c.
 */
#include "cpu/cpu.h"

#include <assert.h>

#define ROTATE_NS      0.4 /* of one element of q, k or v on one thread */
#define ATTEND_PART    0.6 /* of the speed of products */
#define UNITS_A_THREAD 8   /* of attention at least: at the end threads wait for one */
#define UNIT_TILES     4   /* of attention at most, where prompts are short */

/* The pages of the layer's class. */
static void *const *layer_pages(const struct ppi_backend *backend, const struct ppi_pass *pass,
                                int32_t layer)
{
    return pass->pages[ppi_cpu_place(backend, layer)->page_class];
}

/* ---- rope_kv ---- */

struct rotate {
    const struct ppi_backend *backend;
    const struct ppi_pass *pass;
    const struct ppi_rope *rope;
    const struct ppi_kv_class *shape;
    void *const *pages;
    size_t layer_offset;
    int32_t n_kv_heads; /* that rows have; 0: rows are q alone */
    const float *qkv;
    char *q;
};

/* The segment of a row of the pass: the last that begins at or before it. */
static int32_t segment_at(const struct ppi_pass *pass, int64_t row)
{
    int32_t low = 0, high = pass->n_segments - 1;
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2;
        if (pass->segments[middle].row <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The first row at or after `row` that begins a prompt or a page: two threads never write one
 * page. */
static int64_t page_border(const struct ppi_pass *pass, int64_t row)
{
    if (row >= pass->n_rows)
        return pass->n_rows;
    const struct ppi_segment *segment = &pass->segments[segment_at(pass, row)];
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
    int32_t n_heads = backend->params.n_heads, head_dim = job->shape->head_dim;
    int64_t first = page_border(pass, first_row);
    int64_t end = page_border(pass, end_row);
    int64_t qkv_dim = (int64_t)(n_heads + 2 * job->n_kv_heads) * head_dim;
    size_t q_bytes = (size_t)n_heads * (size_t)head_dim * backend->act_bytes;
    struct ppi_cpu_rope row = {
        .n_heads = n_heads,
        .n_kv_heads = job->n_kv_heads,
        .head_dim = head_dim,
        .rotary_dim = job->rope->rotary_dim,
        .interleaved = job->rope->interleaved,
        .q_scale = 1,
        .stride = ppi_cpu_head_kv_bytes(backend, job->shape),
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
    const struct ppi_kv_class *shape = ppi_cpu_class(backend, rope->layer);
    assert(rope->rotary_dim % 2 == 0 && rope->rotary_dim <= shape->head_dim);
    assert(rope->angles || rope->rotary_dim == 0);
    struct rotate job = {.backend = backend,
                         .pass = pass,
                         .rope = rope,
                         .shape = shape,
                         .pages = layer_pages(backend, pass, rope->layer),
                         .layer_offset = ppi_cpu_layer_offset(backend, rope->layer),
                         .n_kv_heads = rope->q_only ? 0 : shape->n_kv_heads,
                         .qkv = qkv,
                         .q = q};
    int64_t qkv_dim = (int64_t)(backend->params.n_heads + 2 * job.n_kv_heads) * shape->head_dim;
    ppi_cpu_run(backend->pool, pass->n_rows, ROTATE_NS * (double)qkv_dim, run_rotate, &job);
    return PP_OK;
}

/* ---- attention ----
 * A unit is one kv head and some tokens of the pass that follow each other, of one prompt or of
 * several. Segments say where in the pass they begin, so a unit finds its first by halving. Units
 * of the same tokens follow each other, head by head: their queries and pages are neighbours.
 */

struct attend {
    const struct ppi_backend *backend;
    const struct ppi_pass *pass;
    const struct ppi_attention *attention;
    const struct ppi_kv_class *shape;
    int32_t group; /* heads that share a kv head */
    void *const *pages;
    size_t layer_offset, kv_bytes; /* of a kv head: K and V in a page */
    const char *q;
    char *out;
    int32_t tile_tokens; /* most of a tile */
    int32_t unit_tokens;
    int32_t step; /* units begin this many tokens, or multiples, behind a prompt's first */
    int64_t n_units;
};

/* The heads of a kv head from its first-th on, of n_rows tokens from the segment's row-th on. */
static struct ppi_cpu_tile make_tile(const struct attend *job, const struct ppi_segment *segment,
                                     int32_t kv_head, int32_t first, int32_t row, int32_t n_rows,
                                     void *scratch)
{
    const struct ppi_backend *backend = job->backend;
    int32_t group = job->group;
    const float *sinks = ppi_cpu_vector(job->attention->sinks);
    size_t head_bytes = (size_t)job->shape->head_dim * backend->act_bytes;
    size_t row_bytes = (size_t)backend->params.n_heads * head_bytes;
    size_t at =
        (size_t)(segment->row + row) * row_bytes + (size_t)(kv_head * group + first) * head_bytes;
    return (struct ppi_cpu_tile){
        .q = job->q + at,
        .out = job->out + at,
        .row_stride = row_bytes,
        .head_stride = head_bytes,
        .n_rows = n_rows,
        .n_heads = group - first < PPI_CPU_TILE ? group - first : PPI_CPU_TILE,
        .position = segment->position + row,
        .window = job->attention->window,
        .softmax_scale = job->attention->softmax_scale,
        .softcap = job->attention->softcap,
        .sinks = sinks ? sinks + kv_head * group + first : NULL,
        .head_dim = job->shape->head_dim,
        .pages = job->pages + segment->first_page,
        .kv_offset = job->layer_offset + (size_t)kv_head * job->kv_bytes,
        .kv_bytes = job->kv_bytes,
        .scratch = scratch,
    };
}

/* The heads of one kv head: as few tiles as may be, each full of heads or of tokens. */
static void attend_rows(const struct attend *job, const struct ppi_segment *segment,
                        int32_t kv_head, int32_t row, int32_t n_rows, void *scratch)
{
    for (int32_t head = 0; head < job->group; head += PPI_CPU_TILE) {
        struct ppi_cpu_tile tile = make_tile(job, segment, kv_head, head, row, n_rows, scratch);
        job->backend->kernels->attend(&tile);
    }
}

/* How many keys, in whole blocks, two segments have on the same pages and before all their tokens.
 */
static int32_t shared_keys(const struct attend *job, const struct ppi_segment *a,
                           const struct ppi_segment *b)
{
    int32_t position = a->position < b->position ? a->position : b->position;
    int32_t n_pages = position / PPI_CPU_PAGE, page = 0;
    while (page < n_pages && job->pages[a->first_page + page] == job->pages[b->first_page + page])
        page++;
    return page * PPI_CPU_PAGE / PPI_CPU_BLOCK * PPI_CPU_BLOCK;
}

/* How many segments from this one on, which end before `end`, go together through the *n_keys keys
 * that all of them share. */
static int32_t count_sharing(const struct attend *job, const struct ppi_segment *segment,
                             int64_t end, int32_t *n_keys)
{
    const struct ppi_segment *behind = job->pass->segments + job->pass->n_segments;
    const struct ppi_segment *next = segment + 1;
    int32_t rest = segment->n_rows * job->group % PPI_CPU_ROWS;
    /* Its last product tile is full, or has four rows, which have kernels of their own: nothing to
     * gain (measured; AVX2 loses up to 7 %). */
    if (rest == 0 || rest == 4)
        return 1;
    if (job->attention->window > 0 || segment->position < PPI_CPU_BLOCK)
        return 1;
    for (; next < behind; next++) {
        int32_t n_tokens = next->row + next->n_rows - segment->row;
        if (n_tokens > job->tile_tokens || next->row + next->n_rows > end)
            break;
        int32_t n_shared = shared_keys(job, segment, next);
        if (n_shared == 0 || (next > segment + 1 && n_shared != *n_keys))
            break;
        *n_keys = n_shared;
    }
    return (int32_t)(next - segment);
}

/* Segments that share keys: one tile for these, then each alone. */
static void attend_together(const struct attend *job, const struct ppi_segment *segments, int32_t n,
                            int32_t n_keys, int32_t kv_head, void *scratch)
{
    int32_t row = segments[0].row, n_rows = segments[n - 1].row + segments[n - 1].n_rows - row;
    struct ppi_cpu_tile tile = make_tile(job, segments, kv_head, 0, 0, n_rows, scratch);
    tile.position = tile.end_key = n_keys;
    job->backend->kernels->attend(&tile);
    for (int32_t i = n - 1; i >= 0; i--) {
        tile = make_tile(job, &segments[i], kv_head, 0, 0, segments[i].n_rows, scratch);
        tile.first_key = n_keys;
        tile.first_row = (segments[i].row - row) * tile.n_heads;
        job->backend->kernels->attend(&tile);
    }
}

/* The tokens [first, end) of the pass in one kv head. */
static void attend_tokens(const struct attend *job, int32_t kv_head, int64_t first, int64_t end,
                          void *scratch)
{
    const struct ppi_segment *segment = &job->pass->segments[segment_at(job->pass, first)];
    for (int64_t row = first; row < end; segment++) {
        int64_t segment_end = segment->row + segment->n_rows;
        int32_t n_keys = 0;
        int32_t n_sharing = row == segment->row ? count_sharing(job, segment, end, &n_keys) : 1;
        if (n_sharing > 1) {
            attend_together(job, segment, n_sharing, n_keys, kv_head, scratch);
            segment += n_sharing - 1;
            row = segment->row + segment->n_rows;
        }
        while (row < segment_end && row < end) {
            int64_t n = segment_end < end ? segment_end - row : end - row;
            n = n < job->tile_tokens ? n : job->tile_tokens;
            attend_rows(job, segment, kv_head, (int32_t)(row - segment->row), (int32_t)n, scratch);
            row += n;
        }
    }
}

/* The first token at or after `row` where a unit may begin: a prompt's first, and of a prompt that
 * is longer than a unit those that leave no product tile half empty. */
static int64_t unit_border(const struct attend *job, int64_t row)
{
    if (row >= job->pass->n_rows)
        return job->pass->n_rows;
    const struct ppi_segment *segment = &job->pass->segments[segment_at(job->pass, row)];
    int64_t segment_end = segment->row + segment->n_rows, border = segment_end;
    if (row == segment->row)
        return row;
    if (segment->n_rows > job->unit_tokens)
        border = segment->row + ppi_round_up(row - segment->row, job->step);
    return border < segment_end ? border : segment_end;
}

static void attend_units(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct attend *job = arg;
    char *scratch = job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes;
    int32_t n_kv_heads = job->shape->n_kv_heads;
    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / n_kv_heads * job->unit_tokens;
        attend_tokens(job, (int32_t)(unit % n_kv_heads), unit_border(job, row),
                      unit_border(job, row + job->unit_tokens), scratch);
    }
}

/* Chooses units: of some tiles, or smaller ones where there would be too few for the threads. */
static void cut_units(struct attend *job)
{
    int32_t group = job->group, n_kv_heads = job->shape->n_kv_heads, n_rows = job->pass->n_rows;
    job->step = group % 6 == 0 ? 1 : group % 3 == 0 ? 2 : group % 2 == 0 ? 3 : 6;
    int32_t most = PPI_CPU_TILE / group > 0 ? PPI_CPU_TILE / group : 1;
    job->tile_tokens = most > job->step ? most / job->step * job->step : most;
    int64_t n_parts = (int64_t)UNITS_A_THREAD * job->backend->params.n_threads;
    int64_t fair = ppi_div_up((int64_t)n_rows * n_kv_heads, n_parts);
    job->unit_tokens = UNIT_TILES * job->tile_tokens;
    if (job->unit_tokens > fair)
        job->unit_tokens = fair > 0 ? (int32_t)fair : 1;
    job->n_units = ppi_div_up(n_rows, job->unit_tokens) * n_kv_heads;
}

pp_status ppi_cpu_attention(struct ppi_backend *backend, const struct ppi_pass *pass,
                            const struct ppi_attention *attention, const void *q, void *out,
                            pp_error *err)
{
    (void)err;
    const struct ppi_kv_class *shape = ppi_cpu_class(backend, attention->layer);
    struct attend job = {.backend = backend,
                         .pass = pass,
                         .attention = attention,
                         .shape = shape,
                         .group = backend->params.n_heads / shape->n_kv_heads,
                         .pages = layer_pages(backend, pass, attention->layer),
                         .layer_offset = ppi_cpu_layer_offset(backend, attention->layer),
                         .kv_bytes = ppi_cpu_head_kv_bytes(backend, shape),
                         .q = q,
                         .out = out};
    cut_units(&job);
    double pairs = 0; /* of rows and keys that they see */
    for (int32_t s = 0; s < pass->n_segments; s++) {
        double n = pass->segments[s].n_rows, keys = pass->segments[s].position + n / 2;
        bool cut = attention->window > 0 && keys > attention->window;
        pairs += n * (cut ? attention->window : keys);
    }
    double flop = 4 * pairs * backend->params.n_heads * shape->head_dim;
    ppi_cpu_run(backend->pool, job.n_units,
                flop / (backend->kernels->gflops * ATTEND_PART) / (double)job.n_units, attend_units,
                &job);
    return PP_OK;
}
