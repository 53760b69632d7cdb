/* bench.c: `prepack bench`: which operations are measured, at which sizes. */
#include "benching.h"
#include "interrupt.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECODE_PROMPTS = 64 };

static const struct {
    int32_t operation;
    const char *name;
} row_operations[] = {{PP_MEASURE_EMBED, "embed"},     {PP_MEASURE_RMSNORM, "rmsnorm"},
                      {PP_MEASURE_ROPE_KV, "rope_kv"}, {PP_MEASURE_GATHER, "gather"},
                      {PP_MEASURE_SAMPLE, "sample"},   {PP_MEASURE_ROUTE, "route"},
                      {PP_MEASURE_EXPERTS, "experts"}, {PP_MEASURE_LINEAR, "linear"}};
enum {
    N_ROW_OPERATIONS = sizeof row_operations / sizeof *row_operations,
    MAX_SAMPLE_ROWS = 64,
};

int bench_measure(struct benching *benching, const pp_measure_params *params,
                  pp_measurement *measured)
{
    pp_error err = {.struct_size = sizeof err};
    if (interrupt_requested())
        return fail_interrupted();
    measured->struct_size = sizeof *measured;
    if (pp_session_measure(benching->session, params, measured, &err) < 0)
        return fail_library(&err);
    progress_step(&benching->progress);
    return STATUS_OK;
}

pp_measure_params bench_params(const struct benching *benching, int32_t operation)
{
    pp_measure_params params;
    pp_measure_params_init(&params, sizeof params);
    params.operation = operation;
    params.n_runs = (int32_t)benching->options->num_runs;
    return params;
}

int bench_add_figure(struct benching *benching, const pp_measure_params *params,
                     const struct bench_figure *what)
{
    struct bench_report *report = &benching->report;
    struct bench_figure *larger =
        realloc(report->figures, (report->n_figures + 1) * sizeof *larger);
    if (!larger)
        return fail_memory();
    report->figures = larger;
    struct bench_figure *added = &larger[report->n_figures];
    *added = *what;
    added->order = (int)report->n_figures;
    int status = bench_measure(benching, params, &added->measured);
    if (!status && what->bench == BENCH_ATTENTION) {
        pp_measure_params warm = *params;
        warm.caches = PP_MEASURE_CACHES_WARM;
        status = bench_measure(benching, &warm, &added->warm);
    }
    report->n_figures += status == STATUS_OK;
    return status;
}

static bool has_operation(const pp_layer_config *layer, int32_t number, int32_t operation)
{
    switch (operation) {
    case PP_MEASURE_QKV:
    case PP_MEASURE_O:
    case PP_MEASURE_ROPE_KV:
        return layer->kv_layer == number;
    case PP_MEASURE_GATE_UP:
    case PP_MEASURE_DOWN:
        return layer->intermediate_size > 0;
    case PP_MEASURE_ROUTE:
    case PP_MEASURE_EXPERTS:
        return layer->has_experts;
    case PP_MEASURE_LINEAR:
        return layer->kind == PP_LAYER_LINEAR;
    default:
        return true;
    }
}

bool bench_find_layer(const struct benching *benching, int32_t operation, pp_layer_config *layer)
{
    for (int32_t i = 0; i < benching->engine.config.n_layers; i++) {
        pp_layer_config one = {.struct_size = sizeof one};
        if (pp_model_get_layer(benching->engine.model, i, &one, NULL) < 0 ||
            !has_operation(&one, i, operation))
            continue;
        if (layer)
            *layer = one;
        return true;
    }
    return false;
}

static int measure_copy(struct benching *benching)
{
    const pp_measure_params params = bench_params(benching, PP_MEASURE_COPY);
    pp_measurement m;
    const int status = bench_measure(benching, &params, &m);
    if (!status && m.bytes / m.seconds > benching->report.roofs.bytes)
        benching->report.roofs.bytes = m.bytes / m.seconds;
    return status;
}

int bench_change_session(struct benching *benching, const struct device_options *options,
                         pp_session_info *info)
{
    engine_session_close(benching->session);
    benching->session = NULL;
    const int status = engine_session_open(
        &benching->engine, options, benching->report.session.max_pass_tokens, &benching->session);
    return status ? status : engine_session_info(benching->session, info);
}

/* ---- attention ---- */

/* Prompts of the lengths of number i_lengths, by the kernel of the session that is open. */
static int bench_lengths(struct benching *benching, int i_lengths, bool decode)
{
    const struct lengths *lengths = &benching->lengths->items[i_lengths];
    const struct bench_options *options = benching->options;
    const int64_t room =
        options->tokens > 0 ? options->tokens : benching->report.session.max_pass_tokens;
    const int64_t fits = benching->engine.config.max_position;
    pp_measure_params params =
        bench_params(benching, decode ? PP_MEASURE_DECODE : PP_MEASURE_ATTENTION);
    struct bench_figure what = {.bench = BENCH_ATTENTION,
                                .name = decode ? "decode" : "prefill",
                                .lengths = lengths,
                                .place = decode * MAX_LENGTHS + i_lengths};
    snprintf(what.kernel, sizeof what.kernel, "%s", benching->kernel);
    /* Twice as many keys as a pass has tokens are enough to leave caches. */
    params.n_prompts = (int64_t)lengths_draw(
        lengths, options->seed.value, fits < room ? fits : room,
        decode ? DECODE_PROMPTS : (size_t)room, decode ? 2 * room : room, benching->prompt_lengths);
    params.lengths = benching->prompt_lengths;
    params.caches = PP_MEASURE_CACHES_FLUSHED;
    what.prompts = params.n_prompts;
    for (int64_t i = 0; i < params.n_prompts; i++) {
        what.tokens += params.lengths[i];
        what.rows += decode ? 1 : params.lengths[i];
        if (i == 0 || what.low > params.lengths[i])
            what.low = params.lengths[i];
        if (what.high < params.lengths[i])
            what.high = params.lengths[i];
    }
    if (lengths->kind == LENGTHS_RANGE) {
        what.low = lengths->low;
        what.high = lengths->high;
    }
    return bench_add_figure(benching, &params, &what);
}

static int bench_attention(struct benching *benching)
{
    int status = STATUS_OK;
    for (int decode = 0; decode < 2; decode++)
        for (int i = 0; i < benching->lengths->n && !status; i++)
            status = bench_lengths(benching, i, decode);
    return status;
}

/* Whether the device has attention kernels besides those of every GPU. */
static bool has_more_kernels(const struct benching *benching)
{
    return strcmp(benching->report.session.attention, "wgmma") == 0;
}

/* The same prompts by the kernels of every GPU: "cuda:mma". */
static int bench_attention_by_mma(struct benching *benching)
{
    char device[64];
    struct bench_options options = *benching->options;
    pp_session_info info;
    snprintf(device, sizeof device, "%s:mma", options.device.device);
    options.device.device = device;
    const int status = bench_change_session(benching, &options.device, &info);
    if (status)
        return status;
    snprintf(benching->kernel, sizeof benching->kernel, "%s", info.attention);
    return bench_attention(benching);
}

/* ---- rows ---- */

static int64_t rows_for(int32_t operation, int64_t rows)
{
    return operation == PP_MEASURE_SAMPLE && rows > MAX_SAMPLE_ROWS ? MAX_SAMPLE_ROWS : rows;
}

static int bench_rows(struct benching *benching)
{
    int status = STATUS_OK;
    for (int i = 0; i < N_ROW_OPERATIONS; i++) {
        int64_t last = 0;
        for (int r = 0; r < benching->rows.n && !status; r++) {
            const int32_t operation = row_operations[i].operation;
            if (!bench_find_layer(benching, operation, NULL))
                break;
            pp_measure_params params = bench_params(benching, operation);
            struct bench_figure what = {
                .bench = BENCH_ROWS,
                .name = row_operations[i].name,
                .rows = rows_for(operation, benching->rows.items[r]),
            };
            if (what.rows == last)
                continue;
            params.n_rows = last = what.rows;
            status = bench_add_figure(benching, &params, &what);
        }
    }
    return status;
}

/* ---- sizes ---- */

/* The sizes asked for, or those of the defaults that fit. */
static int choose_sizes(struct benching *benching)
{
    static const int64_t some_rows[] = {1, 8, 64, 256, 1024};
    static const int64_t some_lengths[] = {50, 100, 200, 500, 1000, 2000, 4000, 8000};
    const struct bench_options *options = benching->options;
    const int64_t most = benching->report.session.max_pass_tokens;
    int64_t longest = benching->engine.config.max_position;
    int status = STATUS_OK;
    if (longest > most)
        longest = most;
    benching->rows = options->rows;
    benching->lengths = &options->lengths;
    if (options->rows.n == 0) {
        for (size_t i = 0; i < sizeof some_rows / sizeof *some_rows; i++)
            if (some_rows[i] < most)
                benching->rows.items[benching->rows.n++] = some_rows[i];
        benching->rows.items[benching->rows.n++] = most;
    }
    if (options->lengths.n > 0)
        return STATUS_OK;
    benching->lengths = &benching->usual;
    for (size_t i = 0; i < sizeof some_lengths / sizeof *some_lengths && !status; i++)
        if (some_lengths[i] <= longest)
            status = lengths_add_range(&benching->usual, some_lengths[i], some_lengths[i]);
    if (!status && longest >= 500)
        status = lengths_add_range(&benching->usual, 100, 500);
    if (!status && benching->usual.n == 0)
        status = lengths_add_range(&benching->usual, longest, longest);
    return status;
}

/* Tokens of the largest pass that was asked for; 0: none was. */
static int64_t most_asked_for(const struct bench_options *options)
{
    int64_t most = options->tokens;
    for (int i = 0; i < options->rows.n; i++)
        if (options->rows.items[i] > most)
            most = options->rows.items[i];
    for (int i = 0; i < options->lengths.n; i++)
        if (lengths_longest(&options->lengths.items[i]) > most)
            most = lengths_longest(&options->lengths.items[i]);
    return most;
}

/* Passes that hold what was asked for. */
static int open_session(struct benching *benching)
{
    const struct bench_options *options = benching->options;
    const int64_t most = most_asked_for(options);
    pp_session_info *info = &benching->report.session;
    int status = engine_estimate(&benching->engine, &options->device, info);
    if (status)
        return status;
    status =
        engine_session_open(&benching->engine, &options->device,
                            most > info->max_pass_tokens ? (int32_t)most : 0, &benching->session);
    if (!status)
        status = engine_session_info(benching->session, info);
    if (!status)
        status = choose_sizes(benching);
    if (status)
        return status;
    snprintf(benching->kernel, sizeof benching->kernel, "%s", info->attention);
    benching->prompt_lengths =
        calloc((size_t)info->max_pass_tokens, sizeof *benching->prompt_lengths);
    return benching->prompt_lengths ? STATUS_OK : fail_memory();
}

static int64_t count_measurements(const struct benching *benching)
{
    const int64_t benches = benching->options->benches;
    int64_t n = 2 + bench_count_products(benching);
    if (benches & BENCH_ATTENTION)
        n += 4 * benching->lengths->n * (has_more_kernels(benching) ? 2 : 1);
    for (int i = 0; benches & BENCH_ROWS && i < N_ROW_OPERATIONS; i++)
        n += bench_find_layer(benching, row_operations[i].operation, NULL) ? benching->rows.n : 0;
    return n;
}

/* The roofs are measured around the rest: machines get slower as they get warm. */
static int measure_all(struct benching *benching)
{
    const int64_t benches = benching->options->benches;
    progress_start(&benching->progress, "measuring", count_measurements(benching));
    int status = measure_copy(benching);
    if (!status)
        status = bench_find_roof(benching);
    if (!status && benches & BENCH_ATTENTION)
        status = bench_attention(benching);
    if (!status && benches & BENCH_ROWS)
        status = bench_rows(benching);
    if (!status && benches & BENCH_GEMM)
        status = bench_products(benching);
    if (!status)
        status = measure_copy(benching);
    if (!status && benches & BENCH_ATTENTION && has_more_kernels(benching))
        status = bench_attention_by_mma(benching);
    progress_clear(&benching->progress);
    return status;
}

/* Kernels that ran over the same prompts stand side by side, in the order in which they ran. */
static int compare_places(const void *left, const void *right)
{
    const struct bench_figure *a = left, *b = right;
    if (a->bench != b->bench)
        return a->bench < b->bench ? -1 : 1;
    return a->place != b->place ? (a->place < b->place ? -1 : 1)
                                : (a->order > b->order) - (a->order < b->order);
}

/* The shape with other heads where there are some, and then with positions for prompts of what was
 * asked for. */
static int change_heads(const struct bench_options *options, struct engine *engine)
{
    const bool has_heads = options->heads.q > 0;
    int status = STATUS_OK;
    if (!has_heads && options->head_dim == 0)
        return STATUS_OK;
    if (!engine_is_shape(engine))
        return fail_usage(
            "--heads and --head-dim are for shapes with random weights, such as "
            "llama1b or a directory with --random-weights, not for the weights of '%s'",
            engine->name);
    if (has_heads)
        status = engine_shape_set(engine, "num_attention_heads", options->heads.q);
    if (has_heads && !status)
        status = engine_shape_set(engine, "num_key_value_heads", options->heads.kv);
    if (options->head_dim > 0 && !status)
        status = engine_shape_set(engine, "head_dim", options->head_dim);
    return status ? status
                  : engine_shape_raise(engine, "max_position_embeddings", most_asked_for(options));
}

int run_bench(const void *line)
{
    const struct bench_options *options = line;
    struct benching benching = {.options = options};
    benching.report.options = options;
    int status = outputs_open(options->json, &benching.outputs);
    if (!status)
        status = engine_find(&options->model, &benching.engine);
    if (!status)
        status = change_heads(options, &benching.engine);
    if (!status)
        status = engine_load(&benching.engine, options->seed.value);
    benching.report.model = benching.engine.name;
    benching.report.config = benching.engine.config;
    if (!status)
        status = open_session(&benching);
    if (!status)
        status = measure_all(&benching);
    if (!status && benching.report.n_figures > 0)
        qsort(benching.report.figures, benching.report.n_figures, sizeof *benching.report.figures,
              compare_places);
    if (!status)
        status = bench_print(&benching.report, benching.outputs.text);
    if (!status)
        status = outputs_write_json(&benching.outputs, bench_json(&benching.report));
    engine_session_close(benching.session);
    free(benching.prompt_lengths);
    lengths_free(&benching.usual);
    free(benching.report.figures);
    engine_close(&benching.engine);
    outputs_close(&benching.outputs);
    return status;
}
