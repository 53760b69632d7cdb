/*
 * prepack/cost_measure.h: the cost model of a session's device and model, measured.
 *
 *     pp_cost_model cost = {.struct_size = sizeof cost};
 *     pp_cost_measure(session, NULL, &cost, &err);            some seconds
 */
#ifndef PREPACK_COST_MEASURE_H
#define PREPACK_COST_MEASURE_H

#include "cost.h"
#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_cost_params {
    uint32_t struct_size;
    int32_t cache_only; /* 1: of passes that only write KV caches, without logits; default 0 */
    int64_t max_tokens; /* of a pass: 64 .. the session's max_pass_tokens, the default (0) */
    int64_t max_length; /* tokens of a prompt, default (0): as many as the model and a pass hold */
    double seconds;     /* to spend, about; default (0): 10 */
    uint64_t seed;      /* of the lengths and token ids; any, default 0 */
} pp_cost_params;

PP_API void pp_cost_params_init(pp_cost_params *params, size_t struct_size);

/*
 * Measures the cost model of a session's device and model, in seconds: runs prefills of one pass
 * each, of many sizes and mixes of lengths with random token ids, takes the lower quartile of
 * each one's times, and fits the coefficients so that the sum of squared relative errors is least,
 * none negative. Every fifth shape is left out of the fit and tells the error.
 *
 * Passes grow until half of the time is spent, so that in little time large passes of a large
 * model are not measured (cost->max_tokens); passes of up to 64 tokens are, however long they
 * take (of a model with experts up to a few hundred). Other work on the machine at the same time
 * makes the model worse.
 *
 * The session's caches stay as they are; its logits of before are gone. Pages of the passes are
 * kept for later caches, as after any prefill. The caller sets cost->struct_size.
 *
 * Of a model with experts, passes so small that they are expected to leave more than a tenth of the
 * experts unread are not measured, where larger ones are: no coefficient follows what is read. The
 * cost of such passes is told too high, up to all of per_pass.
 * Errors: PP_ERR_ARG (params, NULL, a session without a model), PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM
 * (when not even the smallest passes fit; larger ones are left out), PP_ERR_DEVICE,
 * PP_ERR_CANCELLED, PP_ERR_STRUCT_SIZE; *cost is untouched then.
 */
PP_API pp_status pp_cost_measure(pp_session *session, const pp_cost_params *params,
                                 pp_cost_model *cost, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
