/*
 * prepack/cost.h: what a forward pass costs on one machine: a model of a few coefficients that the
 * planner packs by and that predicts a run before it starts.
 *
 *     pp_cost_model cost = {.struct_size = sizeof cost};
 *     pp_cost_from_json(text, n_bytes, &cost, &err);          or pp_cost_measure (cost_measure.h)
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
    double per_pass;
    double per_token;
    double per_square; /* of a token and a token that it may see or not, both of one prompt */
    double per_prompt;
    int64_t tile;       /* tokens are computed in multiples of this; at least 1 */
    double error;       /* of the fit: mean relative error on passes left out of it; 0: not known */
    char device[64];    /* where it was measured: "cpu:avx2, f32, 8 threads"; UTF-8, may be empty */
    char model[64];     /* of which model; UTF-8, may be empty, the caller may give it a name */
    int64_t max_tokens; /* of the largest pass that was measured: a guess beyond; 0: not known */
} pp_cost_model;

/* Fills *cost with the model without measurements: a pass costs its tokens. */
PP_API void pp_cost_init(pp_cost_model *cost, size_t struct_size);

/* The cost of a pass of n prompts; without any, 0. lengths: [n]. Errors: PP_ERR_ARG (a negative n,
 * a length below 1, a coefficient that is negative or not finite, tile below 1),
 * PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_cost_predict(const pp_cost_model *cost, const int64_t *lengths, int64_t n,
                                 double *result, pp_error *err);

/* ---- as JSON ----
 *
 * An object: "format": "prepack-cost", "version": 1, then the fields of pp_cost_model by their
 * names. A reader needs format, version, the four coefficients and the tile; device, model, error
 * and max_tokens may be missing. Fields it does not know are ignored: what changes the meaning of
 * the others gets another version.
 */

/*
 * Writes a model; numbers read back as the same doubles. text: [room] of the caller's, or NULL:
 * only the size is told. *bytes: the length of the text, without the NUL that ends it, so that
 * room must be at least *bytes + 1. Errors: PP_ERR_ARG (NULL; as pp_cost_predict; room too small:
 * nothing is written, the sentence names what is needed), PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_cost_to_json(const pp_cost_model *cost, char *text, size_t room, size_t *bytes,
                                 pp_error *err);

/*
 * Reads a model. text: [n_bytes], borrowed for the call; no NUL is needed. The caller sets
 * cost->struct_size. Errors: PP_ERR_ARG (NULL), PP_ERR_FORMAT (no JSON, another format, a field
 * that is missing, of another type or out of range: the sentence says which), PP_ERR_UNSUPPORTED
 * (another version), PP_ERR_LIMIT (more than 65,536 bytes, a name of more than 63),
 * PP_ERR_NOMEM, PP_ERR_STRUCT_SIZE; *cost is untouched then.
 */
PP_API pp_status pp_cost_from_json(const char *text, size_t n_bytes, pp_cost_model *cost,
                                   pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
