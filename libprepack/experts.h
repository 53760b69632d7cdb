/*
 * experts.h: what the operations of a mixture of experts take (backend.h has their contracts). A
 * row goes through top_k of n experts, each a gated MLP of its own; what they give is added up with
 * the row's weights, in ascending order of the experts' numbers: no order depends on other rows.
 */
#ifndef PPI_EXPERTS_H
#define PPI_EXPERTS_H

#include "internal.h"

struct ppi_matrix;

/* How logits become weights. */
#define PPI_SCORING_SOFTMAX 1 /* softmax over all n, then the top_k */
#define PPI_SCORING_CHOSEN  2 /* the top_k logits, then softmax over these */
#define PPI_SCORING_SIGMOID 3 /* each by itself, then the top_k */

struct ppi_router {
    int32_t n, top_k; /* 1 <= top_k <= n */
    int32_t scoring;  /* PPI_SCORING_* */
    bool normalize;   /* weights of the chosen are divided by their sum (and sum_eps) */
    float sum_eps;
    float scale;                           /* weights are multiplied by it; 1 */
    const struct ppi_matrix *correction;   /* VECTOR [n], added to scores for the choice alone; or
                                              NULL */
    const struct ppi_matrix *expert_scale; /* VECTOR [n], of the weights of an expert; or NULL */
};

/* Rows' experts, in the backend's memory. */
struct ppi_routing {
    int32_t *chosen; /* [n_rows, top_k], ascending in each row */
    float *weights;  /* [n_rows, top_k] */
};

struct ppi_experts {
    int32_t n, top_k;
    const struct ppi_matrix *gate_up;      /* GATE_UP, a stack of n */
    const struct ppi_matrix *down;         /* LINEAR, a stack of n */
    const struct ppi_matrix *gate_up_bias; /* VECTOR [n, 2 intermediate], gates first; or NULL */
    const struct ppi_matrix *down_bias;    /* VECTOR [n, hidden], or NULL */
    int32_t activation;                    /* PPI_ACTIVATION_* */
    float limit, alpha;                    /* SWIGLU_CLAMPED */
    float scale;                           /* of what is added to out */
    bool accumulate;                       /* out +=, else out = */
};

#endif
