/*
 * cost_measure.c: pp_cost_measure: runs the passes of cost_shapes.c by the session's own prefill
 * and times them, from small ones to large ones and then again from the start while there is time.
 */
#include "measure/cost_fit.h"
#include "measure/cost_shapes.h"
#include "run/run_impl.h"

#include <prepack/cost_measure.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_SECONDS 10
#define LEAST_TOKENS    64 /* of max_tokens: what every session's passes hold */
#define SURE_RUNGS      3  /* are measured whatever their time */
#define MAX_RUNS        40 /* of a shape */
#define MAX_SHAPES      (PPI_COST_MAX_RUNGS * PPI_COST_KINDS)

static const pp_cost_params default_params = {.struct_size = sizeof default_params};

void pp_cost_params_init(pp_cost_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

struct measuring {
    pp_session *session;
    const pp_cost_params *params;
    int64_t max_tokens, max_length;
    double start;            /* when the measuring began */
    int32_t *tokens;         /* [max_tokens] random ids; each prompt is a piece of them */
    int64_t *lengths;        /* [max_tokens] of the shape that runs */
    pp_prompt *prompts;      /* [max_tokens] */
    pp_kvcache **caches;     /* [max_tokens] */
    int first_rung, n_rungs; /* that were measured: from one on; n_rungs: where they end */
    int n_runs[MAX_SHAPES];  /* of each shape, rung by rung */
    double seconds[MAX_SHAPES][MAX_RUNS]; /* of each run, shortest first */
};

/* ---- one pass ---- */

static struct ppi_cost_shape shape_of(const struct measuring *measuring, int i)
{
    return ppi_cost_shape((enum ppi_cost_kind)(i % PPI_COST_KINDS), i / PPI_COST_KINDS,
                          measuring->max_tokens, measuring->max_length, measuring->params->seed,
                          measuring->lengths);
}

/* Seconds of a pass of shape i, from token ids to caches and logits. */
static pp_status time_shape(struct measuring *measuring, int i, double *seconds, pp_error *err)
{
    pp_session *session = measuring->session;
    struct ppi_cost_shape shape = shape_of(measuring, i);
    const float *logits;
    const int32_t *tokens = measuring->tokens;
    size_t n = (size_t)shape.n_prompts;
    for (size_t k = 0; k < n; tokens += shape.lengths[k], k++)
        measuring->prompts[k] = (pp_prompt){tokens, shape.lengths[k]};
    double start = ppi_seconds();
    PP_TRY(ppi_prefill(session, NULL, measuring->prompts, n, measuring->caches,
                       measuring->params->cache_only ? NULL : &logits, err));
    pp_status status = ppi_session_wait(session, err);
    *seconds = ppi_seconds() - start;
    for (size_t k = 0; k < n; k++)
        pp_kvcache_destroy(measuring->caches[k]);
    return status;
}

/* Runs shape i once more. */
static pp_status run_shape(struct measuring *measuring, int i, pp_error *err)
{
    double seconds;
    PP_TRY(time_shape(measuring, i, &seconds, err));
    if (seconds < 1e-9) /* a clock that stands still */
        seconds = 1e-9;
    int place = measuring->n_runs[i]++;
    for (; place > 0 && measuring->seconds[i][place - 1] > seconds; place--)
        measuring->seconds[i][place] = measuring->seconds[i][place - 1];
    measuring->seconds[i][place] = seconds;
    return PP_OK;
}

/* What a run of shape i takes: the lower quartile. Other work only ever adds time, but the shortest
 * run of many is one that had the processor at its best, which does not last. */
static double seconds_of_shape(const struct measuring *measuring, int i)
{
    return measuring->seconds[i][measuring->n_runs[i] / 4];
}

/* ---- all passes ---- */

static int first_shape(const struct measuring *measuring)
{
    return measuring->first_rung * PPI_COST_KINDS;
}

static int end_shape(const struct measuring *measuring)
{
    return measuring->n_rungs * PPI_COST_KINDS;
}

/* Every shape of a rung once. The first run of this size makes pages and warms up. */
static pp_status climb(struct measuring *measuring, int rung, double *seconds, pp_error *err)
{
    double start = ppi_seconds(), ignored;
    int first = rung * PPI_COST_KINDS;
    PP_TRY(time_shape(measuring, first, &ignored, err));
    for (int i = first; i < first + PPI_COST_KINDS; i++)
        PP_TRY(run_shape(measuring, i, err));
    *seconds = ppi_seconds() - start;
    return PP_OK;
}

static bool is_out_of_memory(const struct measuring *measuring, pp_status status)
{
    return status == PP_ERR_NOMEM || status == ppi_no_device_memory(&measuring->session->info);
}

/* Climbs until half of the time is spent: a rung takes about twice the time of the one before it,
 * and more where attention dominates. A rung that there is no memory for ends it too. */
static pp_status climb_all(struct measuring *measuring, double budget, pp_error *err)
{
    int n_rungs = ppi_cost_n_rungs(measuring->max_tokens);
    double last = 0;
    const struct ppi_experts_spec *experts = &measuring->session->model->spec.experts;
    measuring->first_rung =
        ppi_cost_first_rung(measuring->max_tokens, experts->n, experts->top_k, SURE_RUNGS);
    measuring->n_rungs = measuring->first_rung;
    for (int rung = measuring->first_rung; rung < n_rungs; rung++) {
        pp_error rung_err = {.struct_size = sizeof rung_err};
        double elapsed = ppi_seconds() - measuring->start;
        bool is_sure = rung < measuring->first_rung + SURE_RUNGS;
        if (!is_sure && elapsed + 2.5 * last > budget / 2)
            break;
        pp_status status = climb(measuring, rung, &last, is_sure ? err : &rung_err);
        if (status < 0 && is_sure)
            return status;
        if (status < 0 && is_out_of_memory(measuring, status))
            break;
        if (status < 0)
            return ppi_error(err, status, "%s", rung_err.message);
        measuring->n_rungs = rung + 1;
    }
    return PP_OK;
}

/* Again and again, small passes first, as long as one fits into the time. */
static pp_status repeat_all(struct measuring *measuring, double budget, pp_error *err)
{
    bool did_run = true;
    for (int run = 1; run < MAX_RUNS && did_run; run++) {
        did_run = false;
        for (int i = first_shape(measuring); i < end_shape(measuring); i++) {
            if (ppi_seconds() - measuring->start + seconds_of_shape(measuring, i) > budget)
                break;
            PP_TRY(run_shape(measuring, i, err));
            did_run = true;
        }
    }
    return PP_OK;
}

/* ---- the model ---- */

static void name_device(const pp_session *session, char *name, size_t room, pp_error *err)
{
    pp_session_info info = {.struct_size = sizeof info};
    char text[160];
    if (pp_session_get_info(session, &info, err) < 0)
        return;
    const char *dtype = pp_dtype_name(info.dtype);
    if (info.device_name[0])
        snprintf(text, sizeof text, "%s (%s), %s", info.device, info.device_name, dtype);
    else
        snprintf(text, sizeof text, "%s, %s, %d thread%s", info.device, dtype, info.n_threads,
                 info.n_threads == 1 ? "" : "s");
    snprintf(name, room, "%.*s", (int)room - 1, text);
}

static void name_model(const pp_session *session, char *name, size_t room)
{
    const struct ppi_model_spec *spec = &session->model->spec;
    snprintf(name, room, "%s, %d layers of %d, vocabulary %d", pp_arch_name(spec->arch),
             spec->n_layers, spec->hidden_size, spec->vocab_size);
}

static void fit(struct measuring *measuring, pp_cost_model *cost)
{
    struct ppi_cost_sample fitted[MAX_SHAPES], held_out[PPI_COST_MAX_RUNGS];
    size_t n_fitted = 0, n_held_out = 0;
    pp_cost_init(cost, sizeof *cost);
    for (int i = first_shape(measuring); i < end_shape(measuring); i++) {
        struct ppi_cost_shape shape = shape_of(measuring, i);
        struct ppi_cost_sample sample = {.tokens = shape.tokens,
                                         .n_prompts = shape.n_prompts,
                                         .squares = shape.squares,
                                         .seconds = seconds_of_shape(measuring, i)};
        if (shape.kind == PPI_COST_HELD_OUT)
            held_out[n_held_out++] = sample;
        else
            fitted[n_fitted++] = sample;
        if (cost->max_tokens < shape.tokens)
            cost->max_tokens = shape.tokens;
    }
    ppi_cost_fit(fitted, n_fitted, cost);
    cost->error = ppi_cost_error(cost, held_out, n_held_out);
    name_device(measuring->session, cost->device, sizeof cost->device, NULL);
    name_model(measuring->session, cost->model, sizeof cost->model);
}

/* ---- the call ---- */

static pp_status read_params(const pp_session *session, const pp_cost_params *given,
                             pp_cost_params *params, pp_error *err)
{
    *params = default_params;
    PP_TRY(ppi_struct_read(params, sizeof *params, given, "pp_cost_params", err));
    int64_t most = session->info.max_pass_tokens;
    if (params->max_tokens != 0 && (params->max_tokens < LEAST_TOKENS || params->max_tokens > most))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_cost_params.max_tokens is %lld; allowed: 0, or %d to %lld",
                         (long long)params->max_tokens, LEAST_TOKENS, (long long)most);
    int64_t longest = session->model->spec.max_position;
    if (params->max_length < 0 || params->max_length > longest)
        return ppi_error(err, PP_ERR_ARG, "pp_cost_params.max_length is %lld; allowed: 0 to %lld",
                         (long long)params->max_length, (long long)longest);
    if (!(params->seconds >= 0) || !isfinite(params->seconds))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_cost_params.seconds is %g; it must be finite and at least 0",
                         params->seconds);
    if (params->max_tokens == 0)
        params->max_tokens = most;
    if (params->max_length == 0)
        params->max_length = longest;
    return PP_OK;
}

static pp_status take_memory(struct measuring *measuring, pp_error *err)
{
    struct ppi_mem *mem = &measuring->session->mem;
    size_t n = (size_t)measuring->max_tokens;
    measuring->tokens = ppi_alloc(mem, n, sizeof *measuring->tokens);
    measuring->lengths = ppi_alloc(mem, n, sizeof *measuring->lengths);
    measuring->prompts = ppi_alloc(mem, n, sizeof *measuring->prompts);
    measuring->caches = ppi_alloc(mem, n, sizeof(pp_kvcache *));
    if (!measuring->tokens || !measuring->lengths || !measuring->prompts || !measuring->caches)
        return ppi_error_nomem(err, "prompts to measure with", n * sizeof *measuring->prompts);
    uint64_t state = measuring->params->seed;
    uint64_t vocab_size = (uint64_t)measuring->session->model->spec.vocab_size;
    for (size_t i = 0; i < n; i++)
        measuring->tokens[i] = (int32_t)(ppi_cost_random(&state) % vocab_size);
    return PP_OK;
}

static void free_memory(struct measuring *measuring)
{
    struct ppi_mem *mem = &measuring->session->mem;
    ppi_free(mem, measuring->tokens);
    ppi_free(mem, measuring->lengths);
    ppi_free(mem, measuring->prompts);
    ppi_free(mem, measuring->caches);
}

static pp_status measure_all(struct measuring *measuring, pp_cost_model *fitted, pp_error *err)
{
    double budget = measuring->params->seconds > 0 ? measuring->params->seconds : DEFAULT_SECONDS;
    measuring->start = ppi_seconds();
    PP_TRY(take_memory(measuring, err));
    PP_TRY(climb_all(measuring, budget, err));
    PP_TRY(repeat_all(measuring, budget, err));
    fit(measuring, fitted);
    return PP_OK;
}

static pp_status measure_cost(struct pp_session *session, const pp_cost_params *given,
                              pp_cost_model *cost, pp_error *err)
{
    pp_cost_params params;
    pp_cost_model fitted;
    if (!cost)
        return ppi_error(err, PP_ERR_ARG, "pp_cost_measure: cost is NULL");
    PP_TRY(read_params(session, given, &params, err));
    struct measuring measuring = {.session = session,
                                  .params = &params,
                                  .max_tokens = params.max_tokens,
                                  .max_length = params.max_length};
    pp_status status = measure_all(&measuring, &fitted, err);
    free_memory(&measuring);
    PP_TRY(status);
    return ppi_struct_write(cost, &fitted, sizeof fitted, "pp_cost_model", err);
}

pp_status pp_cost_measure(pp_session *session, const pp_cost_params *given, pp_cost_model *cost,
                          pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_cost_measure", true, err));
    pp_status status = measure_cost(session, given, cost, err);
    ppi_session_leave(session);
    return status;
}
