/*
 * kv_save.c: writes a cache part by part, in pieces that stay in a processor's cache while they are
 * read from pages, summed and written.
 */
#define _GNU_SOURCE
#include "kv/kv_save.h"
#include "kv/kv_states.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((int64_t)1 << 20)
#define ALIGNMENT   64 /* of the data in the file */

/* One cache on its way. */
struct writing {
    const struct ppi_kv_saving *saving;
    const struct ppi_kv_sink *sink;
    struct ppi_kv_form form;
    struct ppi_checksum sum;
    int64_t piece_tokens, piece_bytes;
    char *piece;
    pp_error *err;
};

static const int32_t *known_tokens(const struct ppi_kv_saving *saving)
{
    return saving->tokens ? saving->tokens : saving->cache->tokens;
}

static struct ppi_kv_form form_of(const struct ppi_kv_saving *saving)
{
    const pp_kvcache *cache = saving->cache;
    const struct ppi_kv_store *store = cache->store;
    struct ppi_kv_form form = {.shape = &store->shape,
                               .n_tokens = cache->n_tokens,
                               .rope_set = cache->rope_set,
                               .has_tokens = cache->n_tokens > 0 && known_tokens(saving),
                               .has_states = cache->state.page != NULL};
    for (int32_t c = 0; c < store->shape.n_classes; c++)
        form.first_tokens[c] = cache->lists[c].first * store->page_tokens;
    return form;
}

/* Bytes of the header's text, with spaces behind it. */
static size_t header_bytes(const struct ppi_kv_form *form, const struct ppi_kv_origin *origin)
{
    struct ppi_json_out out = {.text = NULL};
    ppi_kv_put_header(form, origin, &out);
    return (size_t)ppi_round_up((int64_t)(sizeof(uint64_t) + out.bytes), ALIGNMENT) -
           sizeof(uint64_t);
}

size_t ppi_kv_saved_bytes(const struct ppi_kv_saving *saving)
{
    struct ppi_kv_form form = form_of(saving);
    struct ppi_kv_part part = {.number = 0};
    int64_t bytes = 0;
    while (ppi_kv_next_part(&form, &part))
        bytes = part.end;
    return sizeof(uint64_t) + header_bytes(&form, saving->origin) + (size_t)bytes;
}

static pp_status put(struct writing *w, const void *bytes, size_t n)
{
    ppi_checksum_add(&w->sum, bytes, n);
    return w->sink->put(w->sink->user, bytes, n, w->err);
}

static pp_status put_header(struct writing *w)
{
    struct ppi_mem *mem = w->saving->cache->store->mem;
    uint64_t len = header_bytes(&w->form, w->saving->origin);
    struct ppi_json_out out = {.text = ppi_alloc(mem, (size_t)len + 1, 1), .room = (size_t)len + 1};
    if (!out.text)
        return ppi_error_nomem(w->err, "the header of a saved cache", (size_t)len);
    ppi_kv_put_header(&w->form, w->saving->origin, &out);
    memset(out.text + out.bytes, ' ', (size_t)len - out.bytes);
    pp_status status = put(w, &len, sizeof len);
    if (status >= 0)
        status = put(w, out.text, (size_t)len);
    ppi_free(mem, out.text);
    return status;
}

static pp_status put_kv(struct writing *w, const struct ppi_kv_part *part)
{
    const pp_kvcache *cache = w->saving->cache;
    struct ppi_kv_range range = {.layer = part->layer,
                                 .which = part->which,
                                 .layout = PP_KV_NHD,
                                 .dtype = w->form.shape->dtype};
    size_t row = (size_t)(part->shape[1] * part->shape[2]) * pp_dtype_size(range.dtype);
    int64_t end = cache->n_tokens;
    for (range.first_token = end - part->shape[0]; range.first_token < end;
         range.first_token += range.n_tokens) {
        int64_t left = end - range.first_token;
        range.n_tokens = left < w->piece_tokens ? left : w->piece_tokens;
        PP_TRY(ppi_kvcache_get(cache, &range, w->piece, w->err));
        PP_TRY(put(w, w->piece, (size_t)range.n_tokens * row));
    }
    return PP_OK;
}

static pp_status put_state(struct writing *w, const struct ppi_kv_part *part)
{
    const pp_kvcache *cache = w->saving->cache;
    int64_t at = ppi_state_part(w->form.shape->linear, part->which).at;
    for (int64_t left = part->end - part->begin, n; left > 0; left -= n, at += n) {
        n = left < w->piece_bytes ? left : w->piece_bytes;
        PP_TRY(ppi_kvcache_get_state(cache, part->layer, at, n, w->piece, w->err));
        PP_TRY(put(w, w->piece, (size_t)n));
    }
    return PP_OK;
}

static pp_status put_parts(struct writing *w)
{
    struct ppi_kv_part part = {.number = 0};
    while (ppi_kv_next_part(&w->form, &part)) {
        uint64_t sum = ppi_checksum_end(&w->sum);
        if (part.is_state)
            PP_TRY(put_state(w, &part));
        else if (part.layer >= 0)
            PP_TRY(put_kv(w, &part));
        else if (part.is_checksum)
            PP_TRY(put(w, &sum, sizeof sum));
        else
            PP_TRY(put(w, known_tokens(w->saving), (size_t)(part.end - part.begin)));
    }
    return PP_OK;
}

pp_status ppi_kv_save(const struct ppi_kv_saving *saving, const struct ppi_kv_sink *sink,
                      pp_error *err)
{
    const struct ppi_kv_store *store = saving->cache->store;
    struct writing w = {.saving = saving, .sink = sink, .form = form_of(saving), .err = err};
    int64_t row = ppi_kv_widest_row(&store->shape) * (int64_t)pp_dtype_size(store->shape.dtype);
    w.piece_tokens = ppi_round_up(PIECE_BYTES / row + 1, store->page_tokens);
    w.piece_bytes = w.piece_tokens * row;
    w.piece = ppi_alloc(store->mem, (size_t)w.piece_bytes, 1);
    if (!w.piece)
        return ppi_error_nomem(err, "a piece of a saved cache", (size_t)w.piece_bytes);
    ppi_checksum_begin(&w.sum);
    pp_status status = put_header(&w);
    if (status >= 0)
        status = put_parts(&w);
    ppi_free(store->mem, w.piece);
    return status;
}

/* ---- files ---- */

struct target {
    int fd;
    const char *path;
};

static pp_status put_to_file(void *user, const void *bytes, size_t n, pp_error *err)
{
    const struct target *target = user;
    for (const char *from = bytes; n > 0;) {
        ssize_t done = write(target->fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return ppi_error_errno(err, PP_ERR_IO, done < 0 ? errno : ENOSPC,
                                   "%s cannot be written", ppi_label_path(target->path, NULL).text);
        from += done;
        n -= (size_t)done;
    }
    return PP_OK;
}

/* A new file beside the path that nobody else has; place gets its name. */
static int open_beside(const char *path, char place[PATH_MAX])
{
    int fd = -1;
    for (int i = 0; fd < 0 && i < 100; i++) {
        snprintf(place, PATH_MAX, "%.*s.part-%ld-%d", PATH_MAX - 64, path, (long)getpid(), i);
        fd = open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    return fd;
}

pp_status ppi_kv_save_file(const struct ppi_kv_saving *saving, const char *path, pp_error *err)
{
    char place[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len > PATH_MAX - 64)
        return ppi_error(err, PP_ERR_ARG, "%s: the path has %zu bytes; allowed: 1 to %d",
                         saving->origin->caller, len, PATH_MAX - 64);
    struct target target = {.fd = open_beside(path, place), .path = path};
    if (target.fd < 0)
        return ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot be written",
                               ppi_label_path(path, NULL).text);
    const struct ppi_kv_sink sink = {put_to_file, &target};
    pp_status status = ppi_kv_save(saving, &sink, err);
    if (close(target.fd) != 0 && status >= 0)
        status = ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot be written",
                                 ppi_label_path(path, NULL).text);
    if (status >= 0 && rename(place, path) != 0)
        status = ppi_error_errno(err, PP_ERR_IO, errno, "%s cannot be given its name",
                                 ppi_label_path(path, NULL).text);
    if (status < 0)
        unlink(place);
    return status;
}
