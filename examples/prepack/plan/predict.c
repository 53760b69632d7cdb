/* predict.c: `prepack plan --predict`. */
#include "predict.h"
#include "cost_file.h"
#include "say.h"

#include <inttypes.h>
#include <string.h>

static double megabytes(int64_t bytes)
{
    return (double)bytes / 1e6;
}

int predict_open(const struct plan_options *options, struct predictor *predictor)
{
    predictor->options = options;
    predictor->has_cost = options->cost != NULL;
    int status = predictor->has_cost ? cost_read(options->cost, &predictor->cost) : STATUS_OK;
    if (!status)
        status = engine_open(&options->model, options->seed.value, &predictor->engine);
    if (!status)
        status = engine_estimate(&predictor->engine, &options->device, &predictor->session);
    return status;
}

void predict_close(struct predictor *predictor)
{
    engine_close(&predictor->engine);
}

int predict_add(struct predictor *predictor, const pp_plan *plan, const int64_t *lengths, size_t n)
{
    return needs_add_step(&predictor->needs, &predictor->session,
                          predictor->has_cost ? &predictor->cost : NULL, plan, lengths, n);
}

/* Of the largest pass. */
static int64_t most_pass_tokens(const struct predictor *predictor)
{
    const int64_t most = predictor->session.max_pass_tokens;
    return predictor->needs.most_tokens < most ? predictor->needs.most_tokens : most;
}

/* What makes the time a guess. */
static void print_doubts(const struct predictor *predictor, FILE *out)
{
    const pp_cost_model *cost = &predictor->cost;
    char session[128];
    describe_session(&predictor->session, session, sizeof session);
    /* a GPU's description goes on with its kernels; a long one is cut in the cost model */
    if (cost->device[0] && strncmp(session, cost->device, strlen(cost->device)) != 0)
        fprintf(out, "note           the cost model was measured on %s\n", cost->device);
    if (cost->model[0] && strncmp(predictor->engine.name, cost->model, strlen(cost->model)) != 0)
        fprintf(out, "note           the cost model was measured for %s\n", cost->model);
    if (cost->max_tokens > 0 && cost->max_tokens < most_pass_tokens(predictor))
        fprintf(out,
                "note           passes have up to %" PRId64
                " tokens, but the cost model was measured up to %" PRId64 "\n",
                most_pass_tokens(predictor), cost->max_tokens);
}

static void print_time(const struct predictor *predictor, FILE *out)
{
    const struct needs *needs = &predictor->needs;
    fprintf(out, "passes         %" PRId64 " of up to %d tokens\n", needs->passes,
            predictor->session.max_pass_tokens);
    if (!predictor->has_cost) {
        fprintf(out, "time           not known without --cost; 'prepack tune' measures it\n");
        return;
    }
    fprintf(out, "time           %.4g s, %.4g s for each batch", predictor->needs.seconds,
            predictor->needs.seconds / (double)needs->steps);
    if (predictor->cost.error > 0)
        fprintf(out, "; the cost model's error is %.1f %%", 100 * predictor->cost.error);
    fprintf(out, "\n");
    print_doubts(predictor, out);
}

int predict_print(const struct predictor *predictor, FILE *out)
{
    const pp_session_info *session = &predictor->session;
    const int64_t limit = predictor->options->device.memory_limit;
    const struct needed_memory memory =
        needs_memory(&predictor->needs, session, predictor->engine.model);
    char description[128];
    describe_session(session, description, sizeof description);
    fprintf(out, "\nprefill        of %s on %s; nothing was loaded or run\n",
            predictor->engine.name, description);
    print_time(predictor, out);
    fprintf(out,
            "memory         %.1f MB with the largest batch: weights %.1f MB, workspace %.1f MB\n",
            megabytes(memory.device), megabytes(session->weight_bytes),
            megabytes(session->memory_bytes - session->weight_bytes));
    if (is_on_gpu(session))
        fprintf(out, "host memory    %.1f MB\n", megabytes(memory.host));
    fprintf(out, "KV caches      %.1f MB of the largest batch, %.1f MB of all\n",
            megabytes(memory.kv), megabytes(predictor->needs.kv_bytes));
    if (limit > 0 && memory.device > limit)
        return fail("--memory-limit is %.1f MB, but %.1f MB are needed", megabytes(limit),
                    megabytes(memory.device));
    return STATUS_OK;
}

json_t *predict_json(const struct predictor *predictor)
{
    const pp_session_info *session = &predictor->session;
    const struct needed_memory memory =
        needs_memory(&predictor->needs, session, predictor->engine.model);
    json_t *seconds = predictor->has_cost ? json_real(predictor->needs.seconds) : json_null();
    json_t *error = predictor->has_cost ? json_real(predictor->cost.error) : json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "device", session->device, "seconds",
        seconds, "error", error, "passes", (json_int_t)predictor->needs.passes, "weight_bytes",
        (json_int_t)session->weight_bytes, "workspace_bytes", (json_int_t)session->workspace_bytes,
        "device_bytes", (json_int_t)memory.device, "host_bytes", (json_int_t)memory.host,
        "kv_bytes", (json_int_t)memory.kv, "all_kv_bytes", (json_int_t)predictor->needs.kv_bytes);
}
