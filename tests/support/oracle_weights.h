/*
 * oracle_weights.h: a checkpoint's tensors as the oracle multiplies with them: double precision,
 * fused ones cut apart, rows in the order in which the oracle's formulas name them.
 */
#ifndef TEST_ORACLE_WEIGHTS_H
#define TEST_ORACLE_WEIGHTS_H

#include "oracle_config.h"

/* Absent ones are NULL. Biases stand beside their matrices. */
struct oracle_layer {
    double *norms[N_PLACES];
    double *q, *k, *v, *o, *gate, *up, *down;
    double *q_bias, *k_bias, *v_bias, *o_bias, *gate_bias, *up_bias, *down_bias;
    double *q_norm, *k_norm;
    double *attention_gate, *attention_gate_bias,
        *sinks;                    /* [n_heads head_dim, hidden], [n_heads] */
    double *layer_scale;           /* one number */
    struct oracle_expert_weights { /* of each expert one behind the other */
        double *gate, *up, *down, *gate_bias, *up_bias, *down_bias;
        double *router, *router_bias, *correction; /* [n, hidden], [n], [n] */
        double *router_norm,
            *scale; /* of Gemma 4: [hidden] of the router's input, [n] of weights */
        double *shared_gate, *shared_up, *shared_down, *shared_router;
        double *own_norm, *before_norm, *after_norm; /* of Gemma 4: of the dense mlp, of experts */
    } experts;
    struct oracle_linear_weights {
        double *q, *k, *v, *z, *b, *a; /* of Mamba 2 C, B, x, the gate, none, dt */
        double *q_bias, *k_bias, *v_bias, *z_bias, *a_bias;
        double *conv_q, *conv_k, *conv_v; /* [channels, kernel] */
        double *conv_q_bias, *conv_k_bias, *conv_v_bias;
        double *a_log, *dt_bias, *d, *norm, *out, *out_bias;
    } linear;
    double *input_gate, *input_up, *input_norm; /* of Gemma 4's inputs of layers */
};

struct oracle_weights {
    double *embed, *head, *norm; /* head is embed when they are tied */
    double *layer_table, *layer_projection, *layer_projection_norm;
    struct oracle_layer layers[ORACLE_MAX_LAYERS];
    double **owned;
    int n_owned;
};

void oracle_weights_read(const char *dir, const struct oracle_config *config,
                         struct oracle_weights *weights);
void oracle_weights_free(struct oracle_weights *weights);

#endif
