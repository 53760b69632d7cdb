/*
 * kv_form.h: the form of a saved cache, which is a safetensors file (docs/caches.md): what stands
 * in its header, and where the parts of its data are. kv_save.c writes by it, kv_load.c reads by
 * it.
 */
#ifndef PPI_KV_FORM_H
#define PPI_KV_FORM_H

#include "checksum.h"
#include "json/json_text.h"
#include "json/json_write.h"
#include "kv/kv_create.h"
#include "model/model_impl.h"

/* What computes a cache, or is to take it. */
struct ppi_kv_origin {
    const char *caller; /* the public function, for sentences */
    const pp_model *model;
    uint64_t identity; /* the model's */
    int32_t weights;   /* PP_WEIGHTS_*, of the session */
    const char *device;
    const struct ppi_log *log;
};

struct ppi_kv_form {
    const struct ppi_kv_shape *shape;
    int64_t n_tokens, rope_set;
    int64_t first_tokens[PPI_MAX_PAGE_CLASSES]; /* that the layers of a class hold */
    bool has_tokens, has_states;
};

/* A tensor of the file. */
struct ppi_kv_part {
    int64_t number; /* from 1; 0: none yet */
    char name[32];
    const char *dtype; /* as safetensors spells it */
    int32_t rank;
    int64_t shape[3];
    int64_t begin, end;   /* in the data */
    int32_t layer, which; /* of keys and values, or of a state; layer -1: the tokens, or the
                             checksum */
    bool is_state;
    bool is_checksum; /* 64 bits, of all bytes of the file before it: the last part */
};

/* Begins with a part of zeros; false behind the last. The tokens are first, then keys and values of
 * each layer, then the states of linear layers. */
bool ppi_kv_next_part(const struct ppi_kv_form *form, struct ppi_kv_part *part);

/* The JSON of the header. */
void ppi_kv_put_header(const struct ppi_kv_form *form, const struct ppi_kv_origin *origin,
                       struct ppi_json_out *out);

/* The form that a header says, of a cache that `origin` can take. header[0, len) is its text, which
 * is changed; label names the file. Errors: PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_UNSUPPORTED (a
 * newer form), PP_ERR_ARG (another model or session is needed), PP_ERR_NOMEM. */
pp_status ppi_kv_read_header(char *header, size_t len, int64_t data_bytes, const char *label,
                             const struct ppi_kv_store *store, const struct ppi_kv_origin *origin,
                             struct ppi_kv_form *form, pp_error *err);

#endif
