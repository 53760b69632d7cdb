/*
 * session_impl.h: the session object: a device context, the workspace of one pass, the page pool.
 */
#ifndef PPI_SESSION_IMPL_H
#define PPI_SESSION_IMPL_H

#include "backend.h"
#include "kv/cache.h"
#include "model/model_impl.h"

#include <prepack/session.h>

/* Buffers of one forward pass, for max_pass_tokens rows. */
struct ppi_workspace {
    /* device */
    float *x;      /* residual stream [rows, hidden] */
    float *x_last; /* its last rows [rows, hidden] */
    void *h;       /* act [rows, max(hidden, n_heads head_dim)]: normed input, attention's output */
    void *q;       /* act [rows, n_heads head_dim] */
    void *wide;    /* qkv f32 [rows, (n_heads + 2 n_kv_heads) head_dim], later q of the last rows,
                      later    the MLP's act [rows, intermediate] */
    float *logits; /* [PPI_LOGIT_ROWS, vocab] */
    int64_t device_bytes;
    /* host */
    int32_t *tokens, *positions;  /* [rows] */
    struct ppi_segment *segments; /* [rows] */
    struct ppi_segment *last;     /* [rows] the last rows as segments of one row */
    int32_t *last_rows;           /* [rows] which rows of the pass they are */
    int32_t *last_positions;      /* [rows] */
    int32_t *outputs;             /* [rows] which row of the caller's logits each becomes */
    void **pages;                 /* [pages_capacity] */
    int64_t pages_capacity;
};

#define PPI_LOGIT_ROWS 64 /* rows of logits computed at once */

/* Where the results of last tokens go: logits, or tokens drawn from them. */
struct ppi_sink {
    float *logits;   /* host [n, vocab] */
    int32_t *tokens; /* host [n]; NULL: logits are wanted */
    float temperature;
    const uint64_t *seeds; /* [n], or NULL: 0 for each */
};

/* A pass while it is being filled. */
struct ppi_pass_draft {
    int32_t n_rows, n_segments, n_last, n_pages;
};

struct pp_session {
    _Atomic int32_t refs; /* the caller's and one for each cache */
    _Atomic int32_t cancelled;
    pp_model *model; /* counted; NULL: a session for pp_attention_varlen alone */
    const struct ppi_weights *weights;
    const struct ppi_backend_ops *ops;
    struct ppi_backend *backend;
    struct ppi_backend_info info;
    struct ppi_mem mem;
    struct ppi_log log;
    int32_t dtype;
    int32_t n_threads;
    struct ppi_layer_place *places; /* [n_layers] */
    struct ppi_page_pool pool;
    struct ppi_workspace workspace;
    struct ppi_pass_draft draft;
    float *rope; /* device [rope_len, 2, head_dim / 2] */
    int32_t rope_len;
    float *logits; /* host [logits_rows, vocab] */
    size_t logits_rows;
    int64_t tokens_computed;
    int64_t passes;
};

/* PP_ERR_ARG unless there is a session and it has a model; caller: the public function. */
pp_status ppi_session_check(const struct pp_session *session, const char *caller, pp_error *err);
struct pp_session *ppi_session_ref(struct pp_session *session);
void ppi_session_unref(struct pp_session *session);

/* workspace.c */
pp_status ppi_workspace_create(struct pp_session *session, pp_error *err);
void ppi_workspace_free(struct pp_session *session);
/* Bytes of its device part, and of its host part. */
int64_t ppi_workspace_bytes(const struct pp_session *session);
int64_t ppi_workspace_host_bytes(const struct pp_session *session);
/* Room for n rows of logits on the host, which the session keeps. Checks the session for `caller`
 * first. */
pp_status ppi_logits_reserve(struct pp_session *session, size_t n, const char *caller,
                             float **logits, pp_error *err);

/* rope.c: the angles of positions 0 .. n_positions - 1 are in session->rope afterwards. */
pp_status ppi_rope_reserve(struct pp_session *session, int64_t n_positions, pp_error *err);
void ppi_rope_free(struct pp_session *session);

/* pass.c: a pass is filled run by run, then run as a whole. */
void ppi_pass_reset(struct pp_session *session);
/*
 * Adds tokens[0 .. n_tokens) at positions begin .. of the cache's prompt; slots are reserved.
 * output: the row of the caller's logits that the run's last token makes, or -1. The rows must fit.
 */
pp_status ppi_pass_add(struct pp_session *session, const pp_kvcache *cache, const int32_t *tokens,
                       int64_t begin, int64_t n_tokens, int32_t output, pp_error *err);
/* What was added, as a pass in slot 0; it lives until more is added. */
struct ppi_pass ppi_pass_drafted(const struct pp_session *session);
/* Runs what was added and leaves the pass empty. sink NULL: only the KV cache is wanted. */
pp_status ppi_pass_run(struct pp_session *session, const struct ppi_sink *sink, pp_error *err);

/* prefill.c, decode.c: pp_prefill and pp_decode with any sink, or none. */
pp_status ppi_prefill(pp_session *session, const pp_plan *plan, const pp_prompt *prompts, size_t n,
                      const struct ppi_sink *sink, pp_kvcache **caches, pp_error *err);
pp_status ppi_decode(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                     size_t n, const struct ppi_sink *sink, pp_error *err);

/* forward.c: how a layer turns queries and keys, and what it sees. */
struct ppi_rope ppi_rope_of_layer(const struct pp_session *session, int32_t layer);
struct ppi_attention ppi_attention_of_layer(const struct pp_session *session, int32_t layer);

/* forward.c: the model. last: the rows that make logits, as a pass of its own; NULL: only the KV
 * cache is wanted. What row i of `last` gives goes to entry outputs[i] of the sink. */
pp_status ppi_forward(struct pp_session *session, const struct ppi_pass *pass,
                      const struct ppi_pass *last, const int32_t *outputs,
                      const struct ppi_sink *sink, pp_error *err);

#endif
