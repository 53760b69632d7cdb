/*
 * device_pass.c: a pass on the device: tokens, rows of angles, slots of the new keys and values,
 * pages of every class and the work lists of attention go up in one copy. The host copy is pinned
 * and written again only after the copy that reads it is over. Room for usual passes is taken when
 * the context is opened; caches of many pages make it grow.
 */
#include "cuda/cuda_impl.h"

#include <string.h>

/* Offsets of the parts of a blob; each begins at a multiple of 16. */
struct layout {
    size_t tokens, rope_rows, source_rows, slots, linear_segments, row_segments, bytes;
    size_t pages[PPI_MAX_PAGE_CLASSES];
    /* of classes with the same shape of heads the first one's */
    size_t items[PPI_MAX_PAGE_CLASSES], few_items[PPI_MAX_PAGE_CLASSES];
};

static size_t place(size_t *end, int64_t n, size_t size)
{
    size_t begin = *end;
    *end += ((size_t)n * size + 15) & ~(size_t)15;
    return begin;
}

static struct layout lay_out(const struct ppi_backend *b, const struct ppi_pass *pass,
                             const struct ppi_cuda_list lists[PPI_MAX_PAGE_CLASSES])
{
    struct layout at;
    size_t end = 0;
    for (int32_t c = 0; c < b->params.n_page_classes; c++) {
        int32_t like = ppi_cuda_first_like(b, c);
        at.items[c] =
            like < c ? at.items[like] : place(&end, lists[c].n_items, sizeof *lists[c].items);
        at.few_items[c] = like < c ? at.few_items[like]
                                   : place(&end, lists[c].n_few_items, sizeof *lists[c].few_items);
    }
    at.linear_segments = place(&end, b->params.linear ? pass->n_segments : 0,
                               sizeof(struct ppi_cuda_linear_segment));
    at.slots = place(&end, pass->n_rows, sizeof(int64_t));
    for (int32_t c = 0; c < b->params.n_page_classes; c++)
        at.pages[c] = place(&end, pass->n_pages, sizeof(uint64_t));
    at.rope_rows = place(&end, pass->n_rows, sizeof(int32_t));
    at.row_segments = place(&end, b->params.linear ? pass->n_rows : 0, sizeof(int32_t));
    at.tokens = place(&end, pass->tokens ? pass->n_rows : 0, sizeof(int32_t));
    at.source_rows = place(&end, pass->source_rows ? pass->n_rows : 0, sizeof(int32_t));
    at.bytes = end;
    return at;
}

static void free_buffers(struct ppi_backend *b, struct ppi_cuda_pass *p)
{
    ppi_cuda_release(b, p->device, p->capacity);
    if (p->host)
        cudaFreeHost(p->host);
    p->device = p->host = NULL;
    p->capacity = 0;
}

void ppi_cuda_passes_free(struct ppi_backend *b)
{
    for (size_t i = 0; i < PPI_COUNT(b->passes); i++) {
        struct ppi_cuda_pass *p = &b->passes[i];
        free_buffers(b, p);
        ppi_free(b->params.mem, p->spans);
        p->spans = NULL;
        p->spans_capacity = 0;
        if (p->copied)
            cudaEventDestroy(p->copied);
        p->copied = NULL;
    }
}

/* Room for `bytes`, and the host blob free to be written. */
static pp_status reserve(struct ppi_backend *b, struct ppi_cuda_pass *p, size_t bytes,
                         pp_error *err)
{
    if (!p->copied) {
        PP_TRY(ppi_cuda_check(cudaEventCreateWithFlags(&p->copied, cudaEventDisableTiming),
                              "creating an event", err));
    } else {
        PP_TRY(ppi_cuda_check(cudaEventSynchronize(p->copied), "computing", err));
    }
    if (bytes <= p->capacity)
        return PP_OK;
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err));
    free_buffers(b, p);
    size_t capacity = bytes + bytes / 2 + 4096;
    void *host;
    PP_TRY(ppi_cuda_check(cudaHostAlloc(&host, capacity, cudaHostAllocDefault),
                          "pinned memory for a pass", err));
    p->device = ppi_cuda_alloc(b, capacity);
    if (!p->device) {
        cudaFreeHost(host);
        return ppi_error(err, PP_ERR_DEVICE_NOMEM,
                         "no device memory for the tables of a pass (%zu bytes)", capacity);
    }
    p->host = host;
    p->capacity = capacity;
    return PP_OK;
}

static pp_status reserve_spans(struct ppi_backend *b, struct ppi_cuda_pass *p, int32_t n,
                               pp_error *err)
{
    if (n <= p->spans_capacity)
        return PP_OK;
    ppi_free(b->params.mem, p->spans);
    p->spans_capacity = 0;
    p->spans = ppi_alloc(b->params.mem, (size_t)n, sizeof *p->spans);
    if (!p->spans)
        return ppi_error_nomem(err, "the segments of a pass", (size_t)n * sizeof *p->spans);
    p->spans_capacity = n;
    return PP_OK;
}

/* Everything but pages and work lists: of a row that is a segment of its own, the most that a row
 * can take. */
#define ROW_BYTES (sizeof(int64_t) + 3 * sizeof(int32_t))
/* ... and with linear layers */
#define LINEAR_ROW_BYTES (sizeof(struct ppi_cuda_linear_segment) + sizeof(int32_t))

pp_status ppi_cuda_passes_create(struct ppi_backend *b, pp_error *err)
{
    size_t row_bytes = ROW_BYTES + (size_t)b->params.n_page_classes * sizeof(uint64_t) +
                       (b->params.linear ? LINEAR_ROW_BYTES : 0);
    for (int32_t c = 0; c < b->params.n_page_classes; c++)
        if (ppi_cuda_first_like(b, c) == c)
            row_bytes += sizeof(struct ppi_cuda_attention_item);
    for (size_t i = 0; i < PPI_COUNT(b->passes); i++) {
        PP_TRY(reserve_spans(b, &b->passes[i], b->max_pass_tokens, err));
        PP_TRY(reserve(b, &b->passes[i], (size_t)b->max_pass_tokens * row_bytes, err));
    }
    return PP_OK;
}

/* The slot of each row, in pages of any class: token p of a prompt is in slot p % page of page
 * first_page + p / page; and its row of angles. */
static void fill_rows(const struct ppi_pass *pass, int64_t *slots, int32_t *rope_rows)
{
    for (int32_t s = 0; s < pass->n_segments; s++) {
        const struct ppi_segment *segment = &pass->segments[s];
        int64_t first = (int64_t)segment->first_page * PPI_CUDA_PAGE_TOKENS + segment->position;
        for (int32_t i = 0; i < segment->n_rows; i++) {
            slots[segment->row + i] = first + i;
            rope_rows[segment->row + i] = segment->rope_row + i;
        }
    }
}

/* Heads of q that share a kv head. */
static int32_t group_of(const struct ppi_backend *b, int32_t page_class)
{
    return b->params.n_heads / b->params.classes[page_class].n_kv_heads;
}

/* What linear layers have of each segment, and each row's. */
static void fill_segments(const struct ppi_pass *pass, struct ppi_cuda_linear_segment *segments,
                          int32_t *row_segments)
{
    for (int32_t s = 0; s < pass->n_segments; s++) {
        const struct ppi_segment *segment = &pass->segments[s];
        segments[s] = (struct ppi_cuda_linear_segment){.state = segment->state,
                                                       .state_before = segment->state_before,
                                                       .row = segment->row,
                                                       .n_rows = segment->n_rows,
                                                       .position = segment->position};
        for (int32_t i = 0; i < segment->n_rows; i++)
            row_segments[segment->row + i] = s;
    }
}

static void fill(const struct ppi_backend *b, const struct ppi_pass *pass, const struct layout *at,
                 struct ppi_cuda_pass *p)
{
    size_t words = (size_t)pass->n_rows * sizeof(int32_t);
    for (int32_t c = 0; c < b->params.n_page_classes; c++) {
        void *items = p->host + at->items[c], *few_items = p->host + at->few_items[c];
        if (ppi_cuda_first_like(b, c) == c)
            ppi_cuda_make_items(b->attention[c].tiles, p->spans, pass->n_segments, group_of(b, c),
                                -1, 0, items, few_items);
    }
    fill_rows(pass, (int64_t *)(void *)(p->host + at->slots),
              (int32_t *)(void *)(p->host + at->rope_rows));
    if (b->params.linear)
        fill_segments(pass,
                      (struct ppi_cuda_linear_segment *)(void *)(p->host + at->linear_segments),
                      (int32_t *)(void *)(p->host + at->row_segments));
    for (int32_t c = 0; c < b->params.n_page_classes; c++) {
        uint64_t *pages = (uint64_t *)(void *)(p->host + at->pages[c]);
        for (int32_t i = 0; i < pass->n_pages; i++)
            pages[i] = (uint64_t)(uintptr_t)pass->pages[c][i];
    }
    if (pass->tokens)
        memcpy(p->host + at->tokens, pass->tokens, words);
    if (pass->source_rows)
        memcpy(p->host + at->source_rows, pass->source_rows, words);
}

pp_status ppi_cuda_pass_begin(struct ppi_backend *b, const struct ppi_pass *pass, pp_error *err)
{
    struct ppi_cuda_pass *p = &b->passes[pass->slot];
    PP_TRY(ppi_cuda_check(cudaSetDevice(b->device), "cudaSetDevice", err));
    PP_TRY(reserve_spans(b, p, pass->n_segments, err));
    for (int32_t s = 0; s < pass->n_segments; s++)
        p->spans[s] =
            (struct ppi_cuda_span){.q_row = pass->segments[s].row,
                                   .n_rows = pass->segments[s].n_rows,
                                   .n_keys = pass->segments[s].position + pass->segments[s].n_rows,
                                   .first = pass->segments[s].first_page};
    for (int32_t c = 0; c < b->params.n_page_classes; c++) {
        int64_t n_items, n_few;
        ppi_cuda_count_items(b->attention[c].tiles, p->spans, pass->n_segments, group_of(b, c),
                             &n_items, &n_few);
        p->lists[c] =
            (struct ppi_cuda_list){.n_items = (int32_t)n_items, .n_few_items = (int32_t)n_few};
    }
    struct layout at = lay_out(b, pass, p->lists);
    PP_TRY(reserve(b, p, at.bytes, err));
    fill(b, pass, &at, p);
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(p->device, p->host, at.bytes, cudaMemcpyHostToDevice, b->stream),
        "copying a pass to the device", err));
    PP_TRY(ppi_cuda_check(cudaEventRecord(p->copied, b->stream), "recording an event", err));
    p->tokens = (const int32_t *)(void *)(p->device + at.tokens);
    p->rope_rows = (const int32_t *)(void *)(p->device + at.rope_rows);
    p->source_rows = (const int32_t *)(void *)(p->device + at.source_rows);
    p->slots = (const int64_t *)(void *)(p->device + at.slots);
    p->row_segments = (const int32_t *)(void *)(p->device + at.row_segments);
    p->linear_segments =
        (const struct ppi_cuda_linear_segment *)(void *)(p->device + at.linear_segments);
    for (int32_t c = 0; c < b->params.n_page_classes; c++) {
        struct ppi_cuda_list *list = &p->lists[c];
        p->pages[c] = (const uint64_t *)(void *)(p->device + at.pages[c]);
        list->items = (const void *)(p->device + at.items[c]);
        list->few_items = (const void *)(p->device + at.few_items[c]);
    }
    return PP_OK;
}
