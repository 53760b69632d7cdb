/*
 * kv_load.c: reads a saved cache: the header is checked before anything is taken, then the data go
 * piece by piece from the file through the checksum into pages. The cache is the caller's only when
 * the checksum is right.
 */
#include "kv/kv_save.h"
#include "kv/kv_states.h"

#include <string.h>

#define PIECE_BYTES      ((int64_t)1 << 20)
#define MAX_HEADER_BYTES ((uint64_t)1 << 20)

struct loading {
    struct ppi_kv_store *store;
    const struct ppi_kv_source *source;
    const struct ppi_kv_origin *origin;
    struct ppi_kv_form form;
    struct ppi_checksum sum;
    int64_t at; /* bytes that were taken */
    char *piece;
    int64_t piece_bytes;
    int32_t *tokens; /* or NULL */
    pp_kvcache *cache;
    pp_error *err;
};

/* The next n bytes, at most a piece, wherever they are. The header has said that there are so
 * many. */
static pp_status take(struct loading *l, int64_t n, const char **bytes)
{
    *bytes = l->source->memory ? l->source->memory + l->at : l->piece;
    if (!l->source->memory)
        PP_TRY(ppi_file_read(l->source->file, l->at, l->piece, (size_t)n, l->err));
    l->at += n;
    return PP_OK;
}

static pp_status take_summed(struct loading *l, int64_t n, const char **bytes)
{
    PP_TRY(take(l, n, bytes));
    ppi_checksum_add(&l->sum, *bytes, (size_t)n);
    return PP_OK;
}

/* ---- the header ---- */

static pp_status read_header_text(struct loading *l, uint64_t len)
{
    const char *label = l->source->label, *bytes;
    char *text = ppi_alloc(l->store->mem, (size_t)len, 1);
    if (!text)
        return ppi_error_nomem(l->err, label, (size_t)len);
    pp_status status = take_summed(l, (int64_t)len, &bytes);
    if (status >= 0) {
        memcpy(text, bytes, (size_t)len);
        status = ppi_kv_read_header(text, (size_t)len, l->source->bytes - l->at, label, l->store,
                                    l->origin, &l->form, l->err);
    }
    ppi_free(l->store->mem, text);
    return status;
}

static pp_status read_header(struct loading *l)
{
    const char *label = l->source->label, *bytes;
    uint64_t len;
    if (l->source->bytes <= (int64_t)sizeof len)
        return ppi_error(l->err, PP_ERR_FORMAT, "%s has %lld bytes; a saved cache has more", label,
                         (long long)l->source->bytes);
    PP_TRY(take_summed(l, sizeof len, &bytes));
    memcpy(&len, bytes, sizeof len);
    if (len == 0 || len > (uint64_t)l->source->bytes - sizeof len || len > MAX_HEADER_BYTES)
        return ppi_error(l->err, PP_ERR_FORMAT,
                         "%s: a header of %llu bytes is announced; the file has %lld after its "
                         "length, and a saved cache's header has at most %llu",
                         label, (unsigned long long)len, (long long)l->source->bytes - 8,
                         (unsigned long long)MAX_HEADER_BYTES);
    return read_header_text(l, len);
}

/* ---- the data ---- */

static pp_status read_tokens(struct loading *l)
{
    const char *bytes;
    l->tokens = ppi_alloc(l->store->mem, (size_t)l->form.n_tokens, sizeof *l->tokens);
    if (!l->tokens)
        return ppi_error_nomem(l->err, "the tokens of a saved cache",
                               (size_t)l->form.n_tokens * sizeof *l->tokens);
    int64_t left = l->form.n_tokens * (int64_t)sizeof *l->tokens;
    for (char *to = (char *)l->tokens; left > 0;) {
        int64_t n = left < l->piece_bytes ? left : l->piece_bytes;
        PP_TRY(take_summed(l, n, &bytes));
        memcpy(to, bytes, (size_t)n);
        to += n;
        left -= n;
    }
    return PP_OK;
}

static pp_status make_cache(struct loading *l)
{
    if (l->form.has_tokens)
        PP_TRY(read_tokens(l));
    const struct ppi_new_cache new = {.caller = l->origin->caller,
                                      .spec = &l->origin->model->spec,
                                      .n_tokens = l->form.n_tokens,
                                      .tokens = l->tokens,
                                      .rope_set = l->form.rope_set,
                                      .first_tokens = l->form.first_tokens};
    return ppi_kvcache_new(l->store, &new, &l->cache, l->err);
}

/* What the file holds of a layer and the cache does not is summed all the same. */
static pp_status read_kv(struct loading *l, const struct ppi_kv_part *part)
{
    struct ppi_kv_range range = {.layer = part->layer,
                                 .which = part->which,
                                 .layout = PP_KV_NHD,
                                 .dtype = l->form.shape->dtype};
    int64_t row = part->shape[1] * part->shape[2] * (int64_t)pp_dtype_size(range.dtype);
    int64_t held = pp_kvcache_first_token(l->cache, part->layer), end = l->form.n_tokens;
    int64_t most = l->piece_bytes / row;
    const char *bytes;
    for (int64_t first = end - part->shape[0], n; first < end; first += n) {
        n = end - first < most ? end - first : most;
        PP_TRY(take_summed(l, n * row, &bytes));
        range.first_token = first > held ? first : held;
        range.n_tokens = first + n - range.first_token;
        if (range.n_tokens > 0)
            PP_TRY(ppi_kvcache_put(l->cache, &range, bytes + (range.first_token - first) * row,
                                   l->err));
    }
    return PP_OK;
}

static pp_status read_state(struct loading *l, const struct ppi_kv_part *part)
{
    int64_t at = ppi_state_part(l->form.shape->linear, part->which).at;
    const char *bytes;
    for (int64_t left = part->end - part->begin, n; left > 0; left -= n, at += n) {
        n = left < l->piece_bytes ? left : l->piece_bytes;
        PP_TRY(take_summed(l, n, &bytes));
        PP_TRY(ppi_kvcache_put_state(l->cache, part->layer, at, n, bytes, l->err));
    }
    return PP_OK;
}

static pp_status check_sum(struct loading *l)
{
    const char *bytes;
    uint64_t sum = ppi_checksum_end(&l->sum), stored;
    PP_TRY(take(l, sizeof stored, &bytes));
    memcpy(&stored, bytes, sizeof stored);
    if (sum == stored)
        return PP_OK;
    return ppi_error(l->err, PP_ERR_FORMAT,
                     "%s is damaged: its bytes have the checksum %016llx, and %016llx was written",
                     l->source->label, (unsigned long long)sum, (unsigned long long)stored);
}

static pp_status load(struct loading *l)
{
    struct ppi_kv_part part = {.number = 0};
    PP_TRY(read_header(l));
    PP_TRY(make_cache(l));
    while (ppi_kv_next_part(&l->form, &part))
        if (part.is_state)
            PP_TRY(read_state(l, &part));
        else if (part.layer >= 0)
            PP_TRY(read_kv(l, &part));
    return check_sum(l);
}

pp_status ppi_kv_load(struct ppi_kv_store *store, const struct ppi_kv_source *source,
                      const struct ppi_kv_origin *origin, pp_kvcache **cache, pp_error *err)
{
    struct loading l = {.store = store, .source = source, .origin = origin, .err = err};
    int64_t row = ppi_kv_widest_row(&store->shape) * (int64_t)pp_dtype_size(store->shape.dtype);
    l.piece_bytes = ppi_round_up(PIECE_BYTES / row + 1, store->page_tokens) * row;
    if (!source->memory) {
        l.piece = ppi_alloc(store->mem, (size_t)l.piece_bytes, 1);
        if (!l.piece)
            return ppi_error_nomem(err, "a piece of a saved cache", (size_t)l.piece_bytes);
    }
    ppi_checksum_begin(&l.sum);
    pp_status status = load(&l);
    ppi_free(store->mem, l.piece);
    ppi_free(store->mem, l.tokens);
    if (status >= 0)
        *cache = l.cache;
    else
        pp_kvcache_destroy(l.cache);
    return status;
}
