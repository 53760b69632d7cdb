/*
 * sample.c: prefill and decode that hand back tokens. They are drawn on the device; what the caller
 * passed is written only when everything has succeeded.
 */
#include "model/session_impl.h"

#include <prepack/sample.h>

#include <math.h>
#include <string.h>

static const pp_sample_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_sample_params_init(pp_sample_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

/* A sink with room for n tokens of its own; the caller frees sink->tokens. */
static pp_status open_sink(struct pp_session *session, const pp_sample_params *caller_params,
                           size_t n, const char *caller, const int32_t *next, struct ppi_sink *sink,
                           pp_error *err)
{
    pp_sample_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_session_check(session, caller, err));
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_sample_params", err));
    PP_TRY(
        ppi_reserved_check(params.reserved, PPI_COUNT(params.reserved), "pp_sample_params", err));
    if (!(params.temperature >= 0) || isinf(params.temperature))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_sample_params.temperature is %g; allowed: 0 and up, finite",
                         (double)params.temperature);
    if (n > 0 && !next)
        return ppi_error(err, PP_ERR_ARG, "%s: next is NULL", caller);
    *sink = (struct ppi_sink){.temperature = params.temperature, .seeds = params.seeds};
    sink->tokens = ppi_alloc(&session->mem, n, sizeof *sink->tokens);
    if (!sink->tokens)
        return ppi_error_nomem(err, "the drawn tokens", n * sizeof *sink->tokens);
    return PP_OK;
}

/* Hands the tokens over if all went well. */
static pp_status close_sink(struct pp_session *session, struct ppi_sink *sink, pp_status status,
                            size_t n, int32_t *next)
{
    if (status >= 0 && n > 0)
        memcpy(next, sink->tokens, n * sizeof *next);
    ppi_free(&session->mem, sink->tokens);
    return status;
}

pp_status pp_prefill_sample(pp_session *session, const pp_plan *plan, const pp_prompt *prompts,
                            size_t n, const pp_sample_params *params, pp_kvcache **caches,
                            int32_t *next, pp_error *err)
{
    struct ppi_sink sink;
    PP_TRY(open_sink(session, params, n, "pp_prefill_sample", next, &sink, err));
    pp_status status = ppi_prefill(session, plan, prompts, n, &sink, caches, err);
    return close_sink(session, &sink, status, n, next);
}

pp_status pp_decode_sample(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                           size_t n, const pp_sample_params *params, int32_t *next, pp_error *err)
{
    struct ppi_sink sink;
    PP_TRY(open_sink(session, params, n, "pp_decode_sample", next, &sink, err));
    pp_status status = ppi_decode(session, caches, tokens, n, &sink, err);
    return close_sink(session, &sink, status, n, next);
}
