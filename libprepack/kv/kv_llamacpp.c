/*
 * kv_llamacpp.c: writes a cache as the state of a sequence of llama.cpp; kv_llamacpp.h has the
 * form. Keys and values are read from pages as f32, some tokens at a time, put into their order and
 * narrowed.
 */
#include "kv/kv_llamacpp.h"

#include "dtype.h"

#include <math.h>
#include <string.h>

#define PIECE_BYTES ((int64_t)1 << 18) /* of f32 */
#define CELL_BYTES  12
#define N_TYPES     3

static const struct {
    int32_t dtype, type;
} TYPES[N_TYPES] = {{PP_DTYPE_F32, 0}, {PP_DTYPE_F16, 1}, {PP_DTYPE_BF16, 30}};

int32_t ppi_llamacpp_type(int32_t dtype)
{
    for (int i = 0; i < N_TYPES; i++)
        if (TYPES[i].dtype == dtype)
            return TYPES[i].type;
    return -1;
}

int32_t ppi_llamacpp_dtype(int32_t type)
{
    for (int i = 0; i < N_TYPES; i++)
        if (TYPES[i].type == type)
            return TYPES[i].dtype;
    return PP_DTYPE_AUTO;
}

static size_t row_elements(const pp_kvcache *cache)
{
    return (size_t)ppi_kv_row(&cache->store->shape.classes[0]); /* they are all alike */
}

size_t ppi_llamacpp_bytes(const pp_kvcache *cache, const struct ppi_llamacpp *form)
{
    size_t n = (size_t)cache->n_tokens, elements = row_elements(cache);
    size_t bytes = 12 + 4 * (size_t)form->n_streams;
    if (n == 0)
        return bytes;
    size_t row = elements * (pp_dtype_size(form->key_dtype) + pp_dtype_size(form->value_dtype));
    return bytes + n * CELL_BYTES + 8 + (size_t)cache->store->shape.n_layers * (24 + n * row);
}

/* The state on its way. */
struct writing {
    const pp_kvcache *cache;
    const struct ppi_llamacpp *form;
    char *at;
    float *piece; /* [piece_tokens, row_elements] */
    int64_t piece_tokens;
    pp_error *err;
};

static void put(struct writing *w, const void *bytes, size_t n)
{
    memcpy(w->at, bytes, n);
    w->at += n;
}

static void put_u32(struct writing *w, uint32_t value)
{
    put(w, &value, sizeof value);
}

static void put_u64(struct writing *w, uint64_t value)
{
    put(w, &value, sizeof value);
}

/* false where a finite number is too large. */
static bool put_element(char *to, int32_t dtype, float x)
{
    uint16_t half = dtype == PP_DTYPE_F16 ? ppi_f32_to_f16(x) : ppi_f32_to_bf16(x);
    if (dtype == PP_DTYPE_F32)
        memcpy(to, &x, sizeof x);
    else
        memcpy(to, &half, sizeof half);
    return dtype != PP_DTYPE_F16 || (half & 0x7fff) != 0x7c00 || isinf(x);
}

/* Where a layer's rows go: element e of token t to at + (t row_stride + place(e) stride) bytes. */
struct rows {
    char *at;
    size_t row_stride, stride;
    int32_t dtype;
    bool pairs;
};

static bool put_rows(const struct writing *w, const struct ppi_kv_range *range,
                     const struct rows *rows)
{
    int32_t head_dim = w->cache->store->shape.classes[0].head_dim;
    size_t elements = row_elements(w->cache);
    bool fits = true;
    for (int64_t t = 0; t < range->n_tokens; t++) {
        const float *from = w->piece + (size_t)t * elements;
        char *to = rows->at + (size_t)(range->first_token + t) * rows->row_stride;
        for (size_t e = 0; e < elements; e += (size_t)head_dim)
            for (int32_t d = 0; d < head_dim; d++) {
                size_t place = e + (size_t)ppi_llamacpp_place(rows->pairs, head_dim, d);
                fits &= put_element(to + place * rows->stride, rows->dtype, from[e + (size_t)d]);
            }
    }
    return fits;
}

/* The keys or values of a layer, to where the state is; it is then behind them. */
static pp_status put_layer(struct writing *w, int32_t layer, int32_t which, const struct rows *rows)
{
    int64_t n = w->cache->n_tokens;
    struct ppi_kv_range range = {
        .layer = layer, .which = which, .layout = PP_KV_NHD, .dtype = PP_DTYPE_F32};
    for (; range.first_token < n; range.first_token += range.n_tokens) {
        int64_t left = n - range.first_token;
        range.n_tokens = left < w->piece_tokens ? left : w->piece_tokens;
        PP_TRY(ppi_kvcache_get(w->cache, &range, w->piece, w->err));
        if (!put_rows(w, &range, rows))
            return ppi_error_at(w->err, PP_ERR_UNSUPPORTED, layer,
                                "%s: a number among the %s of layer %d is too large for f16; use "
                                "f32 or bf16",
                                w->form->caller, which == PP_KV_K ? "keys" : "values", layer);
    }
    w->at += (size_t)n * row_elements(w->cache) * pp_dtype_size(rows->dtype);
    return PP_OK;
}

static pp_status put_plain(struct writing *w, int32_t layer, int32_t which)
{
    int32_t dtype = which == PP_KV_K ? w->form->key_dtype : w->form->value_dtype;
    size_t size = pp_dtype_size(dtype), row = row_elements(w->cache) * size;
    put_u32(w, (uint32_t)ppi_llamacpp_type(dtype));
    put_u64(w, row);
    struct rows rows = {.at = w->at,
                        .row_stride = row,
                        .stride = size,
                        .dtype = dtype,
                        .pairs = which == PP_KV_K && w->form->pairs};
    return put_layer(w, layer, which, &rows);
}

static pp_status put_transposed(struct writing *w, int32_t layer)
{
    int32_t dtype = w->form->value_dtype;
    size_t size = pp_dtype_size(dtype);
    put_u32(w, (uint32_t)ppi_llamacpp_type(dtype));
    put_u32(w, (uint32_t)size);
    put_u32(w, (uint32_t)row_elements(w->cache));
    struct rows rows = {.at = w->at,
                        .row_stride = size,
                        .stride = (size_t)w->cache->n_tokens * size,
                        .dtype = dtype};
    return put_layer(w, layer, PP_KV_V, &rows);
}

static pp_status put_cells(struct writing *w)
{
    int32_t n_layers = w->cache->store->shape.n_layers;
    for (int64_t t = 0; t < w->cache->n_tokens; t++) {
        put_u32(w, (uint32_t)t);
        put_u32(w, 1);
        put_u32(w, 0);
    }
    put_u32(w, w->form->transposed);
    put_u32(w, (uint32_t)n_layers);
    for (int32_t layer = 0; layer < n_layers; layer++)
        PP_TRY(put_plain(w, layer, PP_KV_K));
    for (int32_t layer = 0; layer < n_layers; layer++)
        PP_TRY(w->form->transposed ? put_transposed(w, layer) : put_plain(w, layer, PP_KV_V));
    return PP_OK;
}

pp_status ppi_llamacpp_write(const pp_kvcache *cache, const struct ppi_llamacpp *form, void *memory,
                             pp_error *err)
{
    struct ppi_mem *mem = cache->store->mem;
    size_t row = row_elements(cache) * sizeof(float);
    struct writing w = {.cache = cache,
                        .form = form,
                        .at = memory,
                        .piece_tokens = PIECE_BYTES / (int64_t)row + 1,
                        .err = err};
    w.piece = ppi_alloc(mem, (size_t)w.piece_tokens, row);
    if (!w.piece)
        return ppi_error_nomem(err, "a piece of a sequence's state", (size_t)w.piece_tokens * row);
    pp_status status = PP_OK;
    put_u32(&w, PPI_LLAMACPP_MAGIC);
    put_u32(&w, 0);
    put_u32(&w, (uint32_t)form->n_streams);
    put_u32(&w, (uint32_t)cache->n_tokens);
    if (cache->n_tokens > 0)
        status = put_cells(&w);
    for (int32_t i = 1; status >= 0 && i < form->n_streams; i++)
        put_u32(&w, 0);
    ppi_free(mem, w.piece);
    return status;
}
