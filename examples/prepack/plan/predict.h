/*
 * predict.h: what `prepack plan --predict` says of a run before any weight is loaded: its time by a
 * cost model, its memory, its KV caches.
 */
#ifndef PREPACK_PREDICT_H
#define PREPACK_PREDICT_H

#include "engine.h"
#include "needs.h"
#include "plan_options.h"

#include <jansson.h>
#include <stdio.h>

struct predictor {
    const struct plan_options *options;
    struct engine engine;
    pp_session_info session; /* as estimated */
    bool has_cost;
    pp_cost_model cost; /* of --cost */
    struct needs needs;
};

/* Opens the model of the command line without its weights. The caller closes the predictor, also
 * after a failure. */
int predict_open(const struct plan_options *options, struct predictor *predictor);
void predict_close(struct predictor *predictor);

/* Adds a batch of n prompts. */
int predict_add(struct predictor *predictor, const pp_plan *plan, const int64_t *lengths, size_t n);
/* Prints the prediction; a failure where --memory-limit is too low. */
int predict_print(const struct predictor *predictor, FILE *out);
/* NULL without memory. */
json_t *predict_json(const struct predictor *predictor);

#endif
