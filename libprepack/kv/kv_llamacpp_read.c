/*
 * kv_llamacpp_read.c: reads the state of a sequence of llama.cpp; kv_llamacpp.h has the form. It
 * trusts no number: every range is looked for in the memory before it is taken. One walk checks all
 * and notes where layers are, then a cache is made and filled.
 */
#include "kv/kv_llamacpp.h"

#include "dtype.h"

#include <string.h>

#define PIECE_BYTES ((int64_t)1 << 18) /* of f32 */
#define CELL_BYTES  12

/* The keys or values of a layer: element e of cell c is at `at` + c row_stride + e stride bytes. */
struct rows {
    const char *at;
    size_t row_stride, stride;
    int32_t dtype;
};

struct reading {
    const struct ppi_llamacpp *form;
    struct ppi_kv_store *store;
    const char *memory;
    size_t bytes, at;
    size_t elements; /* of a row */
    uint32_t n_cells;
    int32_t *cells;    /* [n_cells]: the cell of each position */
    struct rows *rows; /* [2, n_layers] */
    pp_error *err;
};

static pp_status cut_off(const struct reading *r, const char *what)
{
    return ppi_error(r->err, PP_ERR_FORMAT, "%s: the state of %zu bytes ends inside %s",
                     r->form->caller, r->bytes, what);
}

/* The next n bytes; NULL: there are not so many. */
static const char *take(struct reading *r, size_t n)
{
    const char *here = r->memory + r->at;
    if (n > r->bytes - r->at)
        return NULL;
    r->at += n;
    return here;
}

static pp_status take_u32(struct reading *r, const char *what, uint32_t *value)
{
    const char *from = take(r, sizeof *value);
    if (!from)
        return cut_off(r, what);
    memcpy(value, from, sizeof *value);
    return PP_OK;
}

static pp_status take_u64(struct reading *r, const char *what, uint64_t *value)
{
    const char *from = take(r, sizeof *value);
    if (!from)
        return cut_off(r, what);
    memcpy(value, from, sizeof *value);
    return PP_OK;
}

/* What must be a certain number. */
static pp_status expect(const struct reading *r, const char *what, uint64_t value,
                        uint64_t expected)
{
    if (value == expected)
        return PP_OK;
    return ppi_error(r->err, PP_ERR_FORMAT, "%s: %s is %llu; %llu is needed", r->form->caller, what,
                     (unsigned long long)value, (unsigned long long)expected);
}

/* ---- the walk ---- */

static pp_status read_type(struct reading *r, struct rows *rows)
{
    uint32_t type;
    PP_TRY(take_u32(r, "a type", &type));
    rows->dtype = ppi_llamacpp_dtype((int32_t)type);
    if (rows->dtype != PP_DTYPE_AUTO)
        return PP_OK;
    return ppi_error(r->err, PP_ERR_UNSUPPORTED,
                     "%s: keys or values are of GGML type %u; f32 (0), f16 (1) and bf16 (30) are "
                     "read: use a context whose type_k and type_v are such",
                     r->form->caller, type);
}

static pp_status note_rows(struct reading *r, bool transposed, struct rows *rows)
{
    uint64_t row_bytes = 0;
    uint32_t size, elements;
    PP_TRY(read_type(r, rows));
    size_t element = pp_dtype_size(rows->dtype), total;
    if (transposed) {
        PP_TRY(take_u32(r, "the size of an element", &size));
        PP_TRY(expect(r, "the size of an element", size, element));
        PP_TRY(take_u32(r, "the elements of a row", &elements));
        PP_TRY(expect(r, "the number of elements of a row", elements, r->elements));
        rows->row_stride = element;
        rows->stride = r->n_cells * element;
    } else {
        PP_TRY(take_u64(r, "the size of a row", &row_bytes));
        PP_TRY(expect(r, "the size of a row", row_bytes, r->elements * element));
        rows->row_stride = (size_t)row_bytes;
        rows->stride = element;
    }
    if (!ppi_mul(r->elements * element, r->n_cells, &total) || !(rows->at = take(r, total)))
        return cut_off(r, "keys or values");
    return PP_OK;
}

/* Every position from 0 on must be there once, in any order. */
static pp_status read_positions(struct reading *r)
{
    const char *cells;
    if (r->n_cells > (r->bytes - r->at) / CELL_BYTES)
        return cut_off(r, "its cells");
    cells = take(r, (size_t)r->n_cells * CELL_BYTES);
    r->cells = ppi_alloc(r->store->mem, r->n_cells, sizeof *r->cells);
    if (!r->cells)
        return ppi_error_nomem(r->err, "the cells of a state", r->n_cells * sizeof *r->cells);
    memset(r->cells, 0xff, r->n_cells * sizeof *r->cells);
    for (uint32_t i = 0; i < r->n_cells; i++, cells += CELL_BYTES) {
        int32_t position;
        uint32_t n_ids;
        memcpy(&position, cells, sizeof position);
        memcpy(&n_ids, cells + 4, sizeof n_ids);
        PP_TRY(expect(r, "the number of sequences of a cell", n_ids, 1));
        if (position < 0 || (uint32_t)position >= r->n_cells || r->cells[position] >= 0)
            return ppi_error(r->err, PP_ERR_UNSUPPORTED,
                             "%s: cell %u has position %d; %u cells must have the positions from 0 "
                             "on, each once",
                             r->form->caller, i, position, r->n_cells);
        r->cells[position] = (int32_t)i;
    }
    return PP_OK;
}

static pp_status read_cells(struct reading *r)
{
    int32_t n_layers = r->store->shape.n_layers;
    uint32_t transposed, layers;
    PP_TRY(read_positions(r));
    PP_TRY(take_u32(r, "the layout", &transposed));
    if (transposed > 1)
        return ppi_error(r->err, PP_ERR_FORMAT, "%s: v_trans is %u; 0 or 1 is needed",
                         r->form->caller, transposed);
    PP_TRY(take_u32(r, "the number of layers", &layers));
    PP_TRY(expect(r, "the number of layers", layers, (uint64_t)n_layers));
    for (int32_t i = 0; i < 2 * n_layers; i++)
        PP_TRY(note_rows(r, transposed && i >= n_layers, &r->rows[i]));
    return PP_OK;
}

/* Other streams of the context have no cells. */
static pp_status read_streams(struct reading *r)
{
    uint32_t magic, id, n_streams;
    PP_TRY(take_u32(r, "its first word", &magic));
    if (magic != PPI_LLAMACPP_MAGIC)
        return ppi_error(r->err, PP_ERR_FORMAT,
                         "%s: the state begins with 0x%08x; 0x%08x is needed, as "
                         "llama_state_seq_get_data writes it",
                         r->form->caller, magic, PPI_LLAMACPP_MAGIC);
    PP_TRY(take_u32(r, "the sequence id", &id));
    PP_TRY(take_u32(r, "the number of streams", &n_streams));
    for (uint32_t i = 0; i < n_streams; i++) {
        uint32_t n;
        PP_TRY(take_u32(r, "a stream", &n));
        if (n == 0)
            continue;
        if (r->n_cells > 0)
            return ppi_error(r->err, PP_ERR_FORMAT,
                             "%s: several streams have cells; a sequence is in one",
                             r->form->caller);
        if (n > INT32_MAX)
            return cut_off(r, "its cells");
        r->n_cells = n;
        PP_TRY(read_cells(r));
    }
    if (r->at == r->bytes)
        return PP_OK;
    return ppi_error(r->err, PP_ERR_FORMAT,
                     "%s: the state has %zu bytes and ends after %zu; models whose state has more "
                     "parts are not read",
                     r->form->caller, r->bytes, r->at);
}

/* ---- filling a cache ---- */

static float element_at(const char *from, int32_t dtype)
{
    float x;
    uint16_t half;
    if (dtype == PP_DTYPE_F32) {
        memcpy(&x, from, sizeof x);
        return x;
    }
    memcpy(&half, from, sizeof half);
    return dtype == PP_DTYPE_F16 ? ppi_f16_to_f32(half) : ppi_bf16_to_f32(half);
}

static void get_rows(const struct reading *r, const struct rows *rows,
                     const struct ppi_kv_range *range, float *piece)
{
    int32_t head_dim = r->store->shape.classes[0].head_dim;
    bool pairs = range->which == PP_KV_K && r->form->pairs;
    for (int64_t t = 0; t < range->n_tokens; t++) {
        const char *from = rows->at + (size_t)r->cells[range->first_token + t] * rows->row_stride;
        float *to = piece + (size_t)t * r->elements;
        for (size_t e = 0; e < r->elements; e += (size_t)head_dim)
            for (int32_t d = 0; d < head_dim; d++) {
                size_t place = e + (size_t)ppi_llamacpp_place(pairs, head_dim, d);
                to[e + (size_t)d] = element_at(from + place * rows->stride, rows->dtype);
            }
    }
}

static pp_status fill(const struct reading *r, pp_kvcache *cache)
{
    struct ppi_mem *mem = r->store->mem;
    int32_t n_layers = r->store->shape.n_layers;
    size_t row = r->elements * sizeof(float);
    int64_t most = PIECE_BYTES / (int64_t)row + 1;
    float *piece = ppi_alloc(mem, (size_t)most, row);
    if (!piece)
        return ppi_error_nomem(r->err, "a piece of a sequence's state", (size_t)most * row);
    pp_status status = PP_OK;
    for (int32_t i = 0; status >= 0 && i < 2 * n_layers; i++) {
        struct ppi_kv_range range = {.layer = i % n_layers,
                                     .which = i < n_layers ? PP_KV_K : PP_KV_V,
                                     .layout = PP_KV_NHD,
                                     .dtype = PP_DTYPE_F32};
        for (; status >= 0 && range.first_token < r->n_cells; range.first_token += range.n_tokens) {
            int64_t left = r->n_cells - range.first_token;
            range.n_tokens = left < most ? left : most;
            get_rows(r, &r->rows[i], &range, piece);
            status = ppi_kvcache_put(cache, &range, piece, r->err);
        }
    }
    ppi_free(mem, piece);
    return status;
}

static pp_status make_cache(const struct reading *r, const struct ppi_model_spec *spec,
                            pp_kvcache **out)
{
    const struct ppi_new_cache new = {
        .caller = r->form->caller, .spec = spec, .n_tokens = r->n_cells};
    pp_kvcache *cache;
    PP_TRY(ppi_kvcache_new(r->store, &new, &cache, r->err));
    pp_status status = r->n_cells > 0 ? fill(r, cache) : PP_OK;
    if (status >= 0)
        *out = cache;
    else
        pp_kvcache_destroy(cache);
    return status;
}

pp_status ppi_llamacpp_read(struct ppi_kv_store *store, const struct ppi_model_spec *spec,
                            const struct ppi_llamacpp *form, const void *memory, size_t bytes,
                            pp_kvcache **cache, pp_error *err)
{
    const struct ppi_kv_shape *shape = &store->shape;
    struct reading r = {.form = form,
                        .store = store,
                        .memory = memory,
                        .bytes = bytes,
                        .elements = (size_t)ppi_kv_row(&shape->classes[0]),
                        .err = err};
    r.rows = ppi_zalloc(store->mem, 2 * (size_t)shape->n_layers, sizeof *r.rows);
    if (!r.rows)
        return ppi_error_nomem(err, "the layers of a state",
                               2 * (size_t)shape->n_layers * sizeof *r.rows);
    pp_status status = read_streams(&r);
    if (status >= 0)
        status = make_cache(&r, spec, cache);
    ppi_free(store->mem, r.cells);
    ppi_free(store->mem, r.rows);
    return status;
}
