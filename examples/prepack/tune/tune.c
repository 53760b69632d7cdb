/* tune.c: `prepack tune`: what a forward pass costs here, measured in seconds. */
#include "cost_file.h"
#include "engine.h"
#include "output_files.h"
#include "say.h"
#include "stopwatch.h"
#include "tune_options.h"

#include <inttypes.h>
#include <stdio.h>

/* "353 us" */
static void print_seconds(FILE *out, double seconds)
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}, {1e-12, "ps"}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && seconds < units[i].size)
        i++;
    char text[32];
    snprintf(text, sizeof text, "%.3g %s", seconds / units[i].size,
             seconds > 0 ? units[i].name : "s");
    fprintf(out, "%-12s", text);
}

static void print_term(FILE *out, const char *name, double seconds, const char *meaning)
{
    fprintf(out, "%-12s", name);
    print_seconds(out, seconds);
    fprintf(out, "%s", meaning);
}

static void print_model(const pp_cost_model *cost, double seconds, FILE *out)
{
    fprintf(out, "model       %s\n", cost->model);
    fprintf(out, "device      %s\n", cost->device);
    fprintf(out, "measured    in %.1f s, passes of up to %" PRId64 " tokens\n", seconds,
            cost->max_tokens);
    print_term(out, "per_pass", cost->per_pass, "of every forward pass, whatever is in it\n");
    print_term(out, "per_token", cost->per_token, "of every token: ");
    if (cost->per_token > 0)
        fprintf(out, "%.0f tokens/s", 1 / cost->per_token);
    else
        fprintf(out, "nothing that could be measured");
    if (cost->tile > 1)
        fprintf(out, ", computed in multiples of %" PRId64, cost->tile);
    fprintf(out, "\n");
    print_term(out, "per_square", cost->per_square, "of every squared length of a prompt: ");
    if (cost->per_square > 0)
        fprintf(out, "attention takes as long as the rest at %.0f tokens\n",
                cost->per_token / cost->per_square);
    else
        fprintf(out, "nothing that could be measured\n");
    print_term(out, "per_prompt", cost->per_prompt, "of every prompt: its logits\n");
    fprintf(out, "error       %.1f %% on average, of passes that the model was not fitted to\n",
            100 * cost->error);
}

static int measure(const struct tune_options *options, struct engine *engine, pp_cost_model *cost,
                   double *seconds)
{
    pp_error err = {.struct_size = sizeof err};
    pp_session *session = NULL;
    pp_cost_params params;
    int status =
        engine_session_open(engine, &options->device, (int32_t)options->max_tokens, &session);
    if (status)
        return status;
    pp_cost_params_init(&params, sizeof params);
    params.max_tokens = options->max_tokens;
    params.max_length = options->max_length;
    params.seconds = options->seconds;
    params.seed = options->seed.value;
    const double start = seconds_now();
    if (pp_cost_measure(session, &params, cost, &err) < 0)
        status = fail_library(&err);
    *seconds = seconds_now() - start;
    engine_session_close(session);
    return status;
}

int run_tune(const void *line)
{
    const struct tune_options *options = line;
    struct outputs outputs;
    struct engine engine = {0};
    pp_cost_model cost = {.struct_size = sizeof cost};
    double seconds = 0;
    int status = outputs_open(options->json, &outputs);
    if (!status)
        status = engine_open(&options->model, options->seed.value, &engine);
    if (!status)
        status = measure(options, &engine, &cost, &seconds);
    if (!status) {
        snprintf(cost.model, sizeof cost.model, "%s", engine.name);
        print_model(&cost, seconds, outputs.text);
        status = cost_write(&outputs, &cost);
    }
    engine_close(&engine);
    outputs_close(&outputs);
    return status;
}
