/*
 * model_impl.h: the model object, and its weights on a device.
 */
#ifndef PPI_MODEL_IMPL_H
#define PPI_MODEL_IMPL_H

#include "backend.h"
#include "model/spec.h"
#include "model/tensors.h"

#include <pthread.h>

/* NULL where the model has none of a kind. A bias is a VECTOR in f32. */
struct ppi_layer_weights {
    struct ppi_matrix *attn_norm;      /* [hidden] */
    struct ppi_matrix *qkv;            /* [(n_heads + 2 n_kv_heads) head_dim, hidden] */
    struct ppi_matrix *qkv_bias;       /* [(n_heads + 2 n_kv_heads) head_dim] */
    struct ppi_matrix *q_norm;         /* [head_dim], or [n_heads head_dim] */
    struct ppi_matrix *k_norm;         /* [head_dim], or [n_kv_heads head_dim] */
    struct ppi_matrix *o;              /* [hidden, n_heads head_dim] */
    struct ppi_matrix *o_bias;         /* [hidden] */
    struct ppi_matrix *attn_post_norm; /* [hidden], of what attention gives */
    struct ppi_matrix *mlp_norm;       /* [hidden] */
    struct ppi_matrix *gate_up;        /* [2 intermediate, hidden] */
    struct ppi_matrix *gate_up_bias;   /* [2 intermediate] */
    struct ppi_matrix *down;           /* [hidden, intermediate] */
    struct ppi_matrix *down_bias;      /* [hidden] */
    struct ppi_matrix *mlp_post_norm;  /* [hidden], of what the MLP gives */
};

/* What weights are wanted for: one kind of backend, its dtype and a format. */
struct ppi_weights_wish {
    const struct ppi_backend_ops *ops;
    int32_t domain;  /* ppi_backend_info.weight_domain */
    int32_t dtype;   /* act */
    int32_t weights; /* PP_WEIGHTS_* */
};

/* All weights as they were wished. Immutable once loaded. */
struct ppi_weights {
    struct ppi_weights *next;
    struct ppi_weights_wish wish;
    int32_t n_layers;
    int64_t bytes;
    struct ppi_matrix *embed;      /* [vocab, hidden] */
    struct ppi_matrix *final_norm; /* [hidden] */
    struct ppi_matrix *lm_head;    /* [n_labels, or vocab, hidden]; NULL: no head */
    struct ppi_layer_weights *layers;
};

struct pp_model {
    _Atomic int32_t refs;
    struct ppi_model_spec spec;
    const struct ppi_arch *arch; /* of loading alone: what is computed is in the spec */
    char *config_text;           /* of config.json, or what says the same */
    struct ppi_tensors tensors;
    bool is_random;
    struct ppi_mem mem;
    struct ppi_log log;
    pthread_mutex_t lock;        /* guards the list */
    struct ppi_weights *weights; /* one for each wish so far */
};

/* Refuses a wish that cannot be had. Errors: PP_ERR_UNSUPPORTED. */
pp_status ppi_weights_check(const pp_model *model, const struct ppi_weights_wish *wish,
                            pp_error *err);

/* The format that a wish comes to: where it is AUTO the one that keeps every matrix in the same
 * way, so that both share one copy; AUTO where there is none. */
int32_t ppi_weights_resolve(const pp_model *model, const struct ppi_weights_wish *wish);

/* Sets the two fields of params that say how matrices are multiplied. */
void ppi_weights_products(const pp_model *model, const struct ppi_weights_wish *wish,
                          struct ppi_backend_params *params);

/* Bytes that the weights take on a backend. */
int64_t ppi_weights_bytes(const pp_model *model, const struct ppi_weights_wish *wish,
                          const struct ppi_backend *backend);

/* Of one matrix of them, in the first layer where there are layers of it; of numbers, without what
 * a backend adds for itself. */
int64_t ppi_weight_bytes(const pp_model *model, const struct ppi_weights_wish *wish,
                         enum ppi_weight weight, const struct ppi_backend *backend);

/* A tied LM head counts once. */
int64_t ppi_weights_n_parameters(const pp_model *model);

bool ppi_weights_are_loaded(pp_model *model, const struct ppi_weights_wish *wish);

/* The weights of this wish: found, or read and packed now. They live as long as the model.
 * Thread-safety: safe; a second caller waits for the first. */
pp_status ppi_weights_get(pp_model *model, const struct ppi_weights_wish *wish,
                          struct ppi_backend *backend, const struct ppi_weights **weights,
                          pp_error *err);
/* Makes a context ready to multiply with them. */
pp_status ppi_weights_prepare(const struct ppi_weights *weights, struct ppi_backend *backend,
                              pp_error *err);

void ppi_weights_free(struct ppi_weights *weights, struct ppi_mem *mem);

/* Whether a norm stands behind attention or the MLP. */
bool ppi_model_has_post_norms(const pp_model *model);

#endif
