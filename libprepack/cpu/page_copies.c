/*
 * page_copies.c: keys and values between the host's arrays and pages: kv_read, kv_write, and where
 * they lie in a page (kv_layout). The layout is that of cpu.h. What is copied at a time is a tile:
 * the slots of one page that are asked for, of one kv head.
 */
#include "cpu/cpu.h"
#include "dtype.h"

#include <prepack/kvcache.h>

#include <assert.h>
#include <string.h>

#define ELEMENT_NS 0.4 /* of one element on one thread */

struct copies {
    const struct ppi_backend *backend;
    const struct ppi_kv_class *shape; /* of the layer */
    void *const *pages;
    size_t offset; /* of the layer's K or V of kv head 0 in a page */
    int64_t first_token, n_tokens;
    bool value, head_major, narrow; /* the host's array is f32 and pages hold bf16 */
    bool write;                     /* kv_write: the host's array is read alone */
    char *host;
    size_t head_bytes; /* of a token's head in the host's array */
};

/* Slots [begin, end) of a page in one kv head; row[s - begin] is the head of slot s as act. */
struct tile {
    int32_t begin, end, head_dim;
    char *page;
    char *rows[PPI_CPU_PAGE];
};

static uint32_t load_lane(const char *from)
{
    uint32_t lane;
    memcpy(&lane, from, sizeof lane);
    return lane;
}

static uint16_t load_half(const char *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    return half;
}

/* Keys of both dtypes are lanes of 32 bits: lane g of a slot goes to [g][slot]. */
static void write_keys(const struct tile *tile, int32_t n_lanes)
{
    uint32_t *k = (uint32_t *)(void *)tile->page;
    int32_t n = tile->end - tile->begin;
    if (n == PPI_CPU_PAGE) { /* a whole page: the compiler knows the count */
        for (int32_t g = 0; g < n_lanes; g++, k += PPI_CPU_PAGE)
            for (int32_t s = 0; s < PPI_CPU_PAGE; s++)
                k[s] = load_lane(tile->rows[s] + 4 * g);
        return;
    }
    k += tile->begin;
    for (int32_t g = 0; g < n_lanes; g++, k += PPI_CPU_PAGE)
        for (int32_t s = 0; s < n; s++)
            k[s] = load_lane(tile->rows[s] + 4 * g);
}

static void read_keys(const struct tile *tile, int32_t n_lanes)
{
    const uint32_t *k = (const uint32_t *)(const void *)tile->page + tile->begin;
    for (int32_t s = 0; s < tile->end - tile->begin; s++) {
        char *row = tile->rows[s];
        for (int32_t g = 0; g < n_lanes; g++)
            memcpy(row + 4 * g, &k[g * PPI_CPU_PAGE + s], sizeof *k);
    }
}

/* Values of f32 are rows. */
static void copy_values(const struct tile *tile, bool write)
{
    size_t stride = (size_t)ppi_cpu_v_columns(tile->head_dim) * sizeof(float);
    size_t bytes = (size_t)tile->head_dim * sizeof(float);
    for (int32_t s = tile->begin; s < tile->end; s++) {
        char *slot = tile->page + (size_t)s * stride;
        char *row = tile->rows[s - tile->begin];
        memcpy(write ? slot : row, write ? row : slot, bytes);
    }
}

/* Values of bf16 are pairs of slots, the even one in the low halves. A slot that is not of the tile
 * keeps its halves. */
static void write_value_pairs(const struct tile *tile)
{
    int32_t columns = ppi_cpu_v_columns(tile->head_dim), head_dim = tile->head_dim;
    for (int32_t s = tile->begin & ~1; s < tile->end; s += 2) {
        uint32_t *v = (uint32_t *)(void *)tile->page + s / 2 * columns;
        const char *even = s >= tile->begin ? tile->rows[s - tile->begin] : NULL;
        const char *odd = s + 1 < tile->end ? tile->rows[s + 1 - tile->begin] : NULL;
        if (even && odd)
            for (int32_t d = 0; d < head_dim; d++)
                v[d] = load_half(even + 2 * d) | (uint32_t)load_half(odd + 2 * d) << 16;
        else if (even)
            for (int32_t d = 0; d < head_dim; d++)
                v[d] = (v[d] & 0xffff0000u) | load_half(even + 2 * d);
        else
            for (int32_t d = 0; d < head_dim; d++)
                v[d] = (v[d] & 0xffffu) | (uint32_t)load_half(odd + 2 * d) << 16;
    }
}

static void read_value_pairs(const struct tile *tile)
{
    int32_t columns = ppi_cpu_v_columns(tile->head_dim);
    for (int32_t s = tile->begin; s < tile->end; s++) {
        const uint32_t *v = (const uint32_t *)(const void *)tile->page + s / 2 * columns;
        char *row = tile->rows[s - tile->begin];
        int32_t shift = s % 2 * 16;
        for (int32_t d = 0; d < tile->head_dim; d++) {
            uint16_t half = (uint16_t)(v[d] >> shift);
            memcpy(row + 2 * d, &half, sizeof half);
        }
    }
}

static void move_tile(const struct copies *job, const struct tile *tile)
{
    bool bf16 = job->backend->params.dtype == PP_DTYPE_BF16, write = job->write;
    int32_t n_lanes = bf16 ? tile->head_dim / 2 : tile->head_dim;
    if (!job->value)
        (write ? write_keys : read_keys)(tile, n_lanes);
    else if (!bf16)
        copy_values(tile, write);
    else
        (write ? write_value_pairs : read_value_pairs)(tile);
}

/* The place of slot s's head in the host's array, as an offset in bytes. */
static size_t host_offset(const struct copies *job, int64_t position, int32_t head)
{
    int64_t t = position - job->first_token;
    int64_t row = job->head_major ? head * job->n_tokens + t : t * job->shape->n_kv_heads + head;
    return (size_t)row * job->head_bytes;
}

static void narrow_row(uint16_t *to, const char *from, int32_t n)
{
    for (int32_t d = 0; d < n; d++) {
        float x;
        memcpy(&x, from + sizeof x * (size_t)d, sizeof x);
        to[d] = ppi_f32_to_bf16(x);
    }
}

static void widen_row(char *to, const uint16_t *from, int32_t n)
{
    for (int32_t d = 0; d < n; d++) {
        float x = ppi_bf16_to_f32(from[d]);
        memcpy(to + sizeof x * (size_t)d, &x, sizeof x);
    }
}

static void copy_tile(const struct copies *job, int64_t i_page, int32_t head)
{
    uint16_t narrowed[PPI_CPU_PAGE][PPI_CPU_MAX_HEAD_DIM]; /* rows of a host's f32 */
    int64_t page_token = i_page * PPI_CPU_PAGE, end = job->first_token + job->n_tokens;
    struct tile tile = {.head_dim = job->shape->head_dim};
    tile.begin = job->first_token > page_token ? (int32_t)(job->first_token - page_token) : 0;
    tile.end = end - page_token < PPI_CPU_PAGE ? (int32_t)(end - page_token) : PPI_CPU_PAGE;
    tile.page = (char *)job->pages[i_page] + job->offset +
                (size_t)head * ppi_cpu_head_kv_bytes(job->backend, job->shape);
    for (int32_t i = 0; i < tile.end - tile.begin; i++) {
        char *row = job->host + host_offset(job, page_token + tile.begin + i, head);
        tile.rows[i] = job->narrow ? (char *)narrowed[i] : row;
        if (job->narrow && job->write)
            narrow_row(narrowed[i], row, tile.head_dim);
    }
    move_tile(job, &tile);
    if (!job->narrow || job->write)
        return;
    for (int32_t i = 0; i < tile.end - tile.begin; i++)
        widen_row(job->host + host_offset(job, page_token + tile.begin + i, head), narrowed[i],
                  tile.head_dim);
}

/* A unit is a page and a head: no two threads write one tile. */
static void copy_units(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct copies *job = arg;
    int32_t n_heads = job->shape->n_kv_heads;
    int64_t first_page = job->first_token / PPI_CPU_PAGE;
    for (int64_t unit = first; unit < end; unit++)
        copy_tile(job, first_page + unit / n_heads, (int32_t)(unit % n_heads));
}

static void copy_all(struct copies *job, int32_t layer, int32_t which, int32_t layout,
                     int32_t host_dtype)
{
    const struct ppi_backend *backend = job->backend;
    const struct ppi_kv_class *shape = job->shape = ppi_cpu_class(backend, layer);
    int32_t dtype = backend->params.dtype;
    assert(host_dtype == PP_DTYPE_F32 || host_dtype == dtype);
    if (job->n_tokens == 0)
        return;
    job->value = which == PP_KV_V;
    job->head_major = layout == PP_KV_HND;
    job->narrow = host_dtype != dtype;
    job->head_bytes = (size_t)shape->head_dim * pp_dtype_size(host_dtype);
    job->offset = ppi_cpu_layer_offset(backend, layer) +
                  (job->value ? ppi_cpu_k_bytes(backend->act_bytes, shape->head_dim) : 0);
    int64_t n_pages = ppi_div_up(job->first_token + job->n_tokens, PPI_CPU_PAGE) -
                      job->first_token / PPI_CPU_PAGE;
    ppi_cpu_run(backend->pool, n_pages * shape->n_kv_heads,
                ELEMENT_NS * PPI_CPU_PAGE * shape->head_dim, copy_units, job);
}

pp_status ppi_cpu_kv_read(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                          int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                          int32_t dst_dtype, void *dst, pp_error *err)
{
    (void)err;
    struct copies job = {.backend = backend,
                         .pages = pages,
                         .first_token = first_token,
                         .n_tokens = n_tokens,
                         .host = dst};
    copy_all(&job, layer, which, layout, dst_dtype);
    return PP_OK;
}

pp_status ppi_cpu_kv_write(struct ppi_backend *backend, void *const *pages, int64_t first_token,
                           int64_t n_tokens, int32_t layer, int32_t which, int32_t layout,
                           int32_t src_dtype, const void *src, pp_error *err)
{
    (void)err;
    struct copies job = {.backend = backend,
                         .pages = pages,
                         .first_token = first_token,
                         .n_tokens = n_tokens,
                         .write = true,
                         .host = (char *)(uintptr_t)src};
    copy_all(&job, layer, which, layout, src_dtype);
    return PP_OK;
}

void ppi_cpu_kv_layout(const struct ppi_backend *backend, int32_t layer, int32_t which,
                       struct ppi_kv_layout *layout)
{
    const struct ppi_kv_class *shape = ppi_cpu_class(backend, layer);
    int32_t head_dim = shape->head_dim, columns = ppi_cpu_v_columns(head_dim);
    bool bf16 = backend->params.dtype == PP_DTYPE_BF16;
    int32_t pair = bf16 ? 2 : 1;
    *layout = (struct ppi_kv_layout){
        .offset = ppi_cpu_layer_offset(backend, layer),
        .head_stride = (int64_t)(ppi_cpu_head_kv_bytes(backend, shape) / backend->act_bytes)};
    if (which == PP_KV_V) {
        layout->offset += ppi_cpu_k_bytes(backend->act_bytes, head_dim);
        layout->slot_group = pair;
        layout->slot_stride = (int64_t)pair * columns;
        layout->dim_group = 1;
        layout->dim_stride = pair;
    } else {
        layout->slot_group = 1;
        layout->slot_stride = pair;
        layout->dim_group = pair;
        layout->dim_stride = (int64_t)pair * PPI_CPU_PAGE;
    }
}
