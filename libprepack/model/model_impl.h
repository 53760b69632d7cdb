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
    struct ppi_matrix *v_norm;         /* [head_dim] of ones */
    struct ppi_matrix *attn_gate;      /* [n_heads head_dim, hidden] */
    struct ppi_matrix *sinks;          /* [n_heads] */
    /* of a linear layer: linear.h */
    struct ppi_matrix *linear_in;      /* [ppi_linear_row, hidden] */
    struct ppi_matrix *linear_in_bias; /* [ppi_linear_row] */
    struct ppi_matrix *linear_conv, *linear_conv_bias, *linear_a_log, *linear_dt_bias, *linear_d,
        *linear_norm;
    struct ppi_matrix *linear_out;      /* [hidden, v size] */
    struct ppi_matrix *linear_out_bias; /* [hidden] */
    /* of experts, e of them: experts.h */
    struct ppi_matrix *router;      /* [e, hidden] */
    struct ppi_matrix *router_norm; /* [hidden], of the router's own input; NULL: the MLP's is */
    struct ppi_matrix *router_bias, *router_correction, *expert_scale; /* [e] */
    struct ppi_matrix *expert_gate_up, *expert_gate_up_bias;           /* [e, 2 intermediate, ..] */
    struct ppi_matrix *expert_down, *expert_down_bias;                 /* [e, hidden, ..] */
    struct ppi_matrix *shared_gate_up, *shared_down;                   /* of the shared expert */
    struct ppi_matrix *shared_gate;                                    /* [1, hidden] */
    struct ppi_matrix *mlp_own_norm, *expert_norm, *expert_post_norm;  /* [hidden]: own_norms */
    /* of inputs of layers, of p elements */
    struct ppi_matrix *layer_input_gate; /* [p, hidden] */
    struct ppi_matrix *layer_input_up;   /* [hidden, p] */
    struct ppi_matrix *layer_input_norm; /* [hidden] */
    struct ppi_matrix *layer_scale;      /* [1] */
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
    struct ppi_matrix *embed;                 /* [vocab, hidden] */
    struct ppi_matrix *final_norm;            /* [hidden] */
    struct ppi_matrix *lm_head;               /* [n_labels, or vocab, hidden]; NULL: no head */
    struct ppi_matrix *layer_table;           /* [vocab, n_layers p]: inputs of layers by token */
    struct ppi_matrix *layer_projection;      /* [n_layers p, hidden]: by embedding */
    struct ppi_matrix *layer_projection_norm; /* [p] */
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
