/*
 * kv_create.h: a cache that comes from elsewhere: what is said of it before its keys and values are
 * written.
 */
#ifndef PPI_KV_CREATE_H
#define PPI_KV_CREATE_H

#include "kv/cache.h"
#include "model/spec.h"

struct ppi_new_cache {
    const char *caller; /* the public function, for sentences */
    const struct ppi_model_spec *spec;
    int64_t n_tokens;
    const int32_t *tokens; /* [n_tokens]; needed where rotations depend on a prompt's length */
    int64_t rope_set;      /* that its keys were rotated by */
    /* For each class the first token that is there, if the class keeps it; NULL: all. */
    const int64_t *first_tokens;
    bool zeroed; /* else only what must be a number is */
};

/* Errors: PP_ERR_ARG, PP_ERR_TOO_LONG, PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE. */
pp_status ppi_kvcache_new(struct ppi_kv_store *store, const struct ppi_new_cache *new,
                          pp_kvcache **cache, pp_error *err);

#endif
