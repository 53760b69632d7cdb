/*
 * measure.c: pp_session_measure: checks what is asked for, runs the operation until its time is
 * known, takes the median.
 */
#include "measure/measure_impl.h"

#include <stdlib.h>

#define DEFAULT_RUNS      9
#define MAX_RUNS          99
#define LEAST_RUN_SECONDS 0.004 /* shorter ones would time the clock and the launches */
#define MAX_REPEATS       1000

static const pp_measure_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_measure_params_init(pp_measure_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status check_cancelled(const struct measure *measure, const char *name, pp_error *err)
{
    if (ppi_session_check_cancelled(measure->session, 0, NULL) < 0)
        return ppi_error(err, PP_ERR_CANCELLED, "cancelled while measuring %s", name);
    return PP_OK;
}

/* Seconds of an operation over n_repeats of them, from number *i on; with warm caches always of the
 * first. */
static pp_status time_repeats(const struct measure *measure,
                              const struct measure_operation *operation, int64_t n_repeats,
                              int64_t *i, double *seconds, pp_error *err)
{
    int64_t step = measure->params->caches == PP_MEASURE_CACHES_WARM ? 0 : 1;
    PP_TRY(check_cancelled(measure, operation->name, err));
    double start = ppi_seconds();
    for (int64_t k = 0; k < n_repeats; k++, *i += step)
        PP_TRY(operation->run(measure, *i, err));
    PP_TRY(ppi_session_wait(measure->session, err));
    *seconds = (ppi_seconds() - start) / (double)n_repeats;
    return PP_OK;
}

/* Seconds of operation number *i, after the caches were flushed. On a device with a clock of its
 * own the operation waits behind the flush, so that its start costs no time. */
static pp_status time_flushed(const struct measure *measure,
                              const struct measure_operation *operation, int64_t *i,
                              double *seconds, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_backend_ops *ops = session->ops;
    PP_TRY(check_cancelled(measure, operation->name, err));
    PP_TRY(ops->copy(session->backend, measure->flush + measure->flush_bytes, measure->flush,
                     measure->flush_bytes, err));
    if (ops->mark) {
        PP_TRY(ops->mark(session->backend, 0, err));
        PP_TRY(operation->run(measure, (*i)++, err));
        PP_TRY(ops->mark(session->backend, 1, err));
        return ops->marked_seconds(session->backend, seconds, err);
    }
    PP_TRY(ppi_session_wait(session, err));
    double start = ppi_seconds();
    PP_TRY(operation->run(measure, (*i)++, err));
    PP_TRY(ppi_session_wait(session, err));
    *seconds = ppi_seconds() - start;
    return PP_OK;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static pp_status time_runs(const struct measure *measure, const struct measure_operation *operation,
                           int32_t n_runs, pp_measurement *result, pp_error *err)
{
    double seconds[MAX_RUNS];
    int64_t i = 0, n_repeats = 1;
    /* The first run loads code and makes pages of memory; the second says how long one takes. */
    for (int warm_up = 0; warm_up < 2; warm_up++)
        PP_TRY(time_repeats(measure, operation, 1, &i, seconds, err));
    if (seconds[0] < LEAST_RUN_SECONDS && !measure->flush)
        n_repeats = seconds[0] > LEAST_RUN_SECONDS / MAX_REPEATS
                        ? (int64_t)(LEAST_RUN_SECONDS / seconds[0]) + 1
                        : MAX_REPEATS;
    for (int32_t run = 0; run < n_runs; run++)
        if (measure->flush)
            PP_TRY(time_flushed(measure, operation, &i, &seconds[run], err));
        else
            PP_TRY(time_repeats(measure, operation, n_repeats, &i, &seconds[run], err));
    qsort(seconds, (size_t)n_runs, sizeof *seconds, compare_doubles);
    result->n_runs = n_runs;
    result->n_repeats = n_repeats;
    result->seconds = seconds[n_runs / 2];
    return PP_OK;
}

static pp_status time_unguarded(const struct measure *measure, pp_measurement *result,
                                pp_error *err)
{
    struct pp_session *session = measure->session;
    struct ppi_product_times times = {0};
    PP_TRY(session->ops->product_times(session->backend, ppi_ring_at(&measure->in, 0),
                                       ppi_measure_weights(measure, 0), measure->n_rows,
                                       ppi_measure_accumulates(measure),
                                       ppi_ring_at(&measure->out, 0), &times, err));
    result->guarded_seconds = times.guarded;
    result->unguarded_seconds = times.unguarded;
    result->own_seconds = times.own;
    return PP_OK;
}

static pp_status check_params(const struct pp_session *session, const pp_measure_params *params,
                              pp_error *err)
{
    if (!ppi_measure_find(params->operation))
        return ppi_error(err, PP_ERR_ARG, "pp_measure_params.operation is %d; use a PP_MEASURE_*",
                         params->operation);
    if (params->operation == PP_MEASURE_LM_HEAD && !session->weights->lm_head)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_measure_params.operation is %d (LM head), but the model has no head",
                         params->operation);
    if (params->n_runs < 0 || params->n_runs > MAX_RUNS)
        return ppi_error(err, PP_ERR_ARG, "pp_measure_params.n_runs is %d; allowed: 0 to %d",
                         params->n_runs, MAX_RUNS);
    if (params->caches < 0 || params->caches > PP_MEASURE_CACHES_FLUSHED)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_measure_params.caches is %d; use a PP_MEASURE_CACHES_* (0 to 2)",
                         params->caches);
    int64_t most =
        params->operation == PP_MEASURE_SAMPLE ? PPI_LOGIT_ROWS : session->info.max_pass_tokens;
    if (params->n_rows < 0 || params->n_rows > most)
        return ppi_error(err, PP_ERR_ARG, "pp_measure_params.n_rows is %lld; allowed: 0 to %lld",
                         (long long)params->n_rows, (long long)most);
    return PP_OK;
}

/* Of attention. */
static pp_status check_lengths(const struct pp_session *session, const pp_measure_params *params,
                               pp_error *err)
{
    int64_t n_tokens = 0;
    if (params->operation != PP_MEASURE_ATTENTION && params->operation != PP_MEASURE_DECODE)
        return PP_OK;
    if (!params->lengths || params->n_prompts < 1)
        return ppi_error(err, PP_ERR_ARG, "pp_measure_params.lengths is needed for attention");
    for (int64_t i = 0; i < params->n_prompts; i++) {
        int64_t length = params->lengths[i];
        if (length < 1 || length > session->model->spec.max_position)
            return ppi_error_at(err, length < 1 ? PP_ERR_ARG : PP_ERR_TOO_LONG, i,
                                "pp_measure_params.lengths[%lld] is %lld; allowed: 1 to %d",
                                (long long)i, (long long)length, session->model->spec.max_position);
        n_tokens += params->operation == PP_MEASURE_DECODE ? 1 : length;
        if (n_tokens > session->info.max_pass_tokens)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "pp_measure_params.lengths has more tokens than one pass of the "
                                "session can hold, %d",
                                session->info.max_pass_tokens);
    }
    return PP_OK;
}

static pp_status run_measurement(struct measure *measure, pp_measurement *result, pp_error *err)
{
    const pp_measure_params *params = measure->params;
    const struct measure_operation *operation = ppi_measure_find(params->operation);
    if (ppi_measure_layer(measure, 0) < 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_measure_params.operation is %d (%s), which no layer of the model has",
                         params->operation, operation->name);
    PP_TRY(operation->prepare(measure, err));
    if (params->caches == PP_MEASURE_CACHES_FLUSHED)
        PP_TRY(ppi_measure_take_flush(measure, err));
    PP_TRY(
        time_runs(measure, operation, params->n_runs ? params->n_runs : DEFAULT_RUNS, result, err));
    result->flop = measure->flop;
    result->bytes = measure->bytes;
    if (params->unguarded && operation->is_product && measure->session->ops->product_times)
        return time_unguarded(measure, result, err);
    return PP_OK;
}

static pp_status measure_operation(struct pp_session *session,
                                   const pp_measure_params *caller_params, pp_measurement *result,
                                   pp_error *err)
{
    pp_measure_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_measure_params", err));
    PP_TRY(check_params(session, &params, err));
    PP_TRY(check_lengths(session, &params, err));
    struct measure measure = {.session = session, .params = &params, .n_rows = params.n_rows};
    if (measure.n_rows == 0)
        measure.n_rows =
            params.operation == PP_MEASURE_SAMPLE ? PPI_LOGIT_ROWS : session->info.max_pass_tokens;
    pp_status status = run_measurement(&measure, result, err);
    ppi_measure_free(&measure);
    return status;
}

pp_status pp_session_measure(pp_session *session, const pp_measure_params *params,
                             pp_measurement *out, pp_error *err)
{
    pp_measurement result = {.struct_size = sizeof result};
    PP_TRY(ppi_session_enter(session, "pp_session_measure", true, err));
    pp_status status = measure_operation(session, params, &result, err);
    ppi_session_leave(session);
    PP_TRY(status);
    return ppi_struct_write(out, &result, sizeof result, "pp_measurement", err);
}
