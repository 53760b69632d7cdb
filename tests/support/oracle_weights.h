/*
 * oracle_weights.h: a checkpoint's tensors as the oracle multiplies with them: double precision,
 * fused ones cut apart.
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
};

struct oracle_weights {
    double *embed, *head, *norm; /* head is embed when they are tied */
    struct oracle_layer layers[ORACLE_MAX_LAYERS];
};

void oracle_weights_read(const char *dir, const struct oracle_config *config,
                         struct oracle_weights *weights);
void oracle_weights_free(struct oracle_weights *weights);

#endif
