/*
 * session_impl.h: the session object: a device context, the workspace of one pass, tables of
 * angles, the store of KV pages, and the call that is running.
 */
#ifndef PPI_SESSION_IMPL_H
#define PPI_SESSION_IMPL_H

#include "backend.h"
#include "guard.h"
#include "kv/cache.h"
#include "model/model_impl.h"
#include "run/angles.h"

#include <prepack/run.h>

#define PPI_LOGIT_ROWS 64 /* rows of logits computed at once */

/* Buffers of one forward pass, for max_pass_tokens rows. */
struct ppi_workspace {
    /* device */
    float *x;      /* residual stream [rows, hidden] */
    float *x_last; /* its wanted rows [rows, hidden] */
    void *h;       /* act [rows, hidden, or what a mixer gives]: normed input, a mixer's output */
    void *a;       /* where h is needed longer (ppi_workspace_keeps_h): a mixer's output; else h */
    void *q;       /* act [rows, n_heads head_dim], and other rows for a while */
    void *wide; /* qkv f32 [rows, (n_heads + 2 n_kv_heads) head_dim], what a linear layer projects
                   to, later q of the wanted rows, a gate, later the MLP's act [rows, intermediate]
                 */
    float *t;   /* where norms stand behind blocks: a block's output [rows, hidden]; else NULL */
    float *u;   /* of experts: the same of one of two [rows, hidden]; else NULL */
    float *router;               /* of experts: logits [rows, n]; else NULL, as routing's */
    struct ppi_routing routing;  /* [rows, top_k] */
    float *inputs, *inputs_last; /* of layers: [rows, n_layers, size], of all and of wanted rows; or
                                    NULL */
    float *logits;               /* [PPI_LOGIT_ROWS, vocab] */
    int64_t device_bytes;
    /* host */
    int32_t *tokens;                    /* [rows] */
    struct ppi_segment *segments;       /* [rows] */
    struct ppi_segment *last;           /* [rows] the wanted rows as segments */
    int32_t *last_rows;                 /* [rows] which rows of the pass they are */
    struct ppi_wanted *wanted;          /* [rows] what each of them is for */
    uint8_t *kinds;                     /* [rows] what is wanted of the rows of a piece */
    void **pages[PPI_MAX_PAGE_CLASSES]; /* [pages_capacity] */
    int64_t pages_capacity;
};

#define PPI_WANT_LOGITS 1
#define PPI_WANT_HIDDEN 2

/* A row of which something is wanted. */
struct ppi_wanted {
    int64_t i_stretch; /* of the run */
    int32_t position;
    uint8_t kinds; /* PPI_WANT_* */
};

/* A pass while it is being filled. */
struct ppi_pass_draft {
    int32_t n_rows, n_segments, n_last, n_last_segments, n_pages;
};

struct pp_cancel {
    _Atomic int32_t requested;
};

struct pp_session {
    struct ppi_guard guard;
    _Atomic uint64_t n_calls;   /* calls so far, the running one included */
    _Atomic uint64_t running;   /* its number; 0: none */
    _Atomic uint64_t cancelled; /* the number of the last call that was cancelled */
    const pp_cancel *cancel;    /* of the running call; or NULL */
    pp_model *model;            /* counted; NULL: a session for pp_attention_varlen alone */
    const struct ppi_weights *weights;
    const struct ppi_backend_ops *ops;
    struct ppi_backend *backend;
    struct ppi_backend_info info;
    struct ppi_mem mem;
    struct ppi_log log;
    int32_t dtype;
    int32_t weights_wanted; /* PP_WEIGHTS_* */
    int32_t n_threads;
    struct ppi_kv_store store; /* counts the references to all of this */
    struct ppi_workspace workspace;
    struct ppi_pass_draft draft;
    struct ppi_angles angles;
    float *logits; /* host [logits_rows, vocab], of the short forms */
    int64_t logits_rows;
    float *staging; /* host [PPI_LOGIT_ROWS, vocab] of a device with memory of its own; or NULL */
    int64_t tokens_computed;
    int64_t passes;
};

/* Enters a session for a call of `caller`, a public function. Errors: PP_ERR_ARG (NULL; no model,
 * where one is needed; another thread; a child after fork). */
pp_status ppi_session_enter(struct pp_session *session, const char *caller, bool needs_model,
                            pp_error *err);
void ppi_session_leave(struct pp_session *session);
/* PP_ERR_CANCELLED when the running call was cancelled. layer: for the sentence. */
pp_status ppi_session_check_cancelled(const struct pp_session *session, int32_t layer,
                                      pp_error *err);

/* The weights that it runs with. */
struct ppi_weights_wish ppi_session_wish(const struct pp_session *session);

/* Waits until all that was enqueued is done. */
pp_status ppi_session_wait(struct pp_session *session, pp_error *err);

/* workspace.c */
pp_status ppi_workspace_create(struct pp_session *session, pp_error *err);
void ppi_workspace_free(struct pp_session *session);
/* Bytes of its device part, and of its host part. */
int64_t ppi_workspace_bytes(const struct pp_session *session);
int64_t ppi_workspace_host_bytes(const struct pp_session *session);

/* Whether the normed input of a mixer is needed behind it. */
bool ppi_workspace_keeps_h(const struct pp_session *session);

/* forward.c: out = norm(x), narrowed; without a weight just narrowed. x: f32 [n_rows, hidden]. */
pp_status ppi_forward_norm(struct pp_session *session, const float *x,
                           const struct ppi_matrix *weight, int64_t n_rows, void *out,
                           pp_error *err);
/* x += block, where block = a w^T + bias, normed if a norm stands behind it. */
pp_status ppi_forward_add(struct pp_session *session, const void *a, const struct ppi_matrix *w,
                          const struct ppi_matrix *bias, const struct ppi_matrix *post_norm,
                          int64_t n_rows, float *x, pp_error *err);
/* forward_mlp.c: x += mlp(norm(x)); where blocks are parallel the normed input is in h already,
 * else h is room for it. */
pp_status ppi_forward_mlp(struct pp_session *session, int32_t layer, int64_t n_rows, float *x,
                          void *h, pp_error *err);

/* forward.c: how a layer turns queries and keys by their positions, and how it attends. */
struct ppi_rope ppi_layer_rope(const struct pp_session *session, int32_t layer);
struct ppi_attention ppi_layer_attention(const struct pp_session *session, int32_t layer);
/* Of a layer that has it: its linear operation; how it routes; its experts, whose sum is added to
 * what is there. */
struct ppi_linear ppi_layer_linear(const struct pp_session *session, int32_t layer);
struct ppi_router ppi_layer_router(const struct pp_session *session, int32_t layer);
struct ppi_experts ppi_layer_experts(const struct pp_session *session, int32_t layer);

/* Who gets what a pass gives, for rows first .. first + n_rows - 1 of the wanted ones, at most
 * PPI_LOGIT_ROWS of them. */
struct ppi_take {
    void *user;
    /* in workspace.logits [n_rows, n_logits] */
    pp_status (*logits)(void *user, int32_t first, int32_t n_rows, pp_error *err);
    /* hidden: device f32 [n_rows, hidden], normed */
    pp_status (*hidden)(void *user, int32_t first, int32_t n_rows, const float *hidden,
                        pp_error *err);
};

/* forward.c: the model. wanted: the rows of which something is wanted, as workspace.wanted says, as
 * a pass of its own (or the pass itself: all rows); NULL: only the KV cache is. */
pp_status ppi_forward(struct pp_session *session, const struct ppi_pass *pass,
                      const struct ppi_pass *wanted, const struct ppi_take *take, pp_error *err);

/* What a row of logits has: a number for each id of the vocabulary, or for each label. */
static inline int32_t ppi_session_n_logits(const struct pp_session *session)
{
    const struct ppi_model_spec *spec = &session->model->spec;
    return spec->n_labels > 0 ? spec->n_labels : spec->vocab_size;
}

#endif
