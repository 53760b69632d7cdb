/*
 * prepack/cost.h: what a forward pass costs on one machine: a model of a few coefficients that the
 * planner packs by and that predicts a run before it starts.
 *
 *     pp_cost_model cost = {.struct_size = sizeof cost};
 *     pp_cost_measure(session, NULL, &cost, &err);            some seconds
 *     packer_params.cost = &cost;
 *
 * A pass of prompts with lengths l_1 .. l_n costs
 *
 *     per_pass + per_token * round_up(sum l_i, tile) + per_square * sum l_i^2 + per_prompt * n
 *
 * per_token holds the matrix products, per_square the causal attention of each prompt to itself.
 *
 * A row of a dense batch (PP_OBJECTIVE_CHEAPEST) is computed in full, padding and masked attention
 * included: one of C tokens and n prompts costs
 *
 *     per_pass + per_token * round_up(C, tile) + per_square * C^2 + per_prompt * n
 *
 * A host that runs r rows in one pass sets per_pass to the r-th part of what the pass takes.
 */
#ifndef PREPACK_COST_H
#define PREPACK_COST_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A plain record of the caller's; costs are seconds when measured, but any unit will do. */
typedef struct pp_cost_model {
    uint32_t struct_size;
    int32_t reserved0;
    double per_pass;
    double per_token;
    double per_square; /* of a token and a token that it may see or not, both of one prompt */
    double per_prompt;
    int64_t tile;    /* tokens are computed in multiples of this; at least 1 */
    double error;    /* of the fit: mean relative error on passes left out of it; 0: not known */
    char device[64]; /* where it was measured, as the session names it; UTF-8, may be empty */
    char model[64];  /* of which model */
    int64_t reserved[6];
} pp_cost_model;

/* Fills *cost with the model without measurements: a pass costs its tokens. */
PP_API void pp_cost_init(pp_cost_model *cost, size_t struct_size);

/* The cost of a pass of n prompts. lengths: [n]. Errors: PP_ERR_ARG (a length below 1, a
 * coefficient that is negative or not finite, tile below 1), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_cost_predict(const pp_cost_model *cost, const int64_t *lengths, size_t n,
                                 double *result, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
