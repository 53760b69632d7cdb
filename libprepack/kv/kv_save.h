/*
 * kv_save.h: caches as bytes, to a file or to memory, and back.
 */
#ifndef PPI_KV_SAVE_H
#define PPI_KV_SAVE_H

#include "checkpoint/model_file.h"
#include "kv/kv_form.h"

/* Where saved bytes go, in order. */
struct ppi_kv_sink {
    pp_status (*put)(void *user, const void *bytes, size_t n, pp_error *err);
    void *user;
};

/* tokens: [cache's length], or NULL: those that the cache knows, if any. */
struct ppi_kv_saving {
    const pp_kvcache *cache;
    const int32_t *tokens;
    const struct ppi_kv_origin *origin;
};

/* Bytes that ppi_kv_save will put. */
size_t ppi_kv_saved_bytes(const struct ppi_kv_saving *saving);
pp_status ppi_kv_save(const struct ppi_kv_saving *saving, const struct ppi_kv_sink *sink,
                      pp_error *err);

/* The same to a file of that path, which has its name only when all is written. Errors:
 * PP_ERR_IO, PP_ERR_ARG (the path), and those of ppi_kv_save. */
pp_status ppi_kv_save_file(const struct ppi_kv_saving *saving, const char *path, pp_error *err);

/* Where saved bytes come from: memory, or a file. */
struct ppi_kv_source {
    const char *memory; /* NULL: file */
    const struct ppi_file *file;
    int64_t bytes;
    const char *label; /* for sentences */
};

/* A new cache of what was saved. Errors: those of ppi_kv_read_header and ppi_kvcache_new;
 * PP_ERR_FORMAT (also when the checksum says that bytes changed), PP_ERR_IO. */
pp_status ppi_kv_load(struct ppi_kv_store *store, const struct ppi_kv_source *source,
                      const struct ppi_kv_origin *origin, pp_kvcache **cache, pp_error *err);

#endif
