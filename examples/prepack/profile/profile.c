/* profile.c: `prepack profile`: measures the methods and prints the table. */
#include "choose.h"
#include "dry_run.h"
#include "engine.h"
#include "methods.h"
#include "model_tokenizer.h"
#include "output_files.h"
#include "profile_report.h"
#include "say.h"
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct profile {
    const struct profile_options *options;
    const char *dataset_name;
    struct dataset dataset;
    struct engine engine;
    struct tokenizer *tokenizer; /* of prompts that are texts */
    struct promptset prompts;
    struct workload work;
    struct progress progress;
    pp_session *session; /* of the method that runs */
    struct nvml gpu;     /* of sessions on one */
    struct packers packers;
    struct outputs outputs;
    struct profile_report report;
};

/* The figures of one method's runs. */
struct runs {
    size_t n;
    double *seconds, *max_percent, *mean_percent;     /* [n] */
    double *max_memory_percent, *mean_memory_percent; /* [n] */
};

static struct mean_std mean_std_of(const double *values, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return (struct mean_std){mean, n > 1 ? sqrt(squares / (double)(n - 1)) : 0};
}

static int open_data(struct profile *profile)
{
    const struct profile_options *options = profile->options;
    struct model_options model = options->model;
    profile->dataset_name = options->ids       ? options->ids
                            : options->dataset ? options->dataset
                                               : "demo";
    int status = options->ids
                     ? dataset_load_ids(options->ids, &options->data, &profile->dataset)
                     : dataset_load(profile->dataset_name, &options->data, &profile->dataset);
    if (status)
        return status;
    if (methods_share(options) && !profile->dataset.texts && !profile->dataset.ids)
        return fail_usage("shared prefixes need the tokens of the prompts, but %s holds only their "
                          "counts",
                          profile->dataset_name);
    if (!model.name && !profile->dataset.is_demo)
        return fail_usage("profile needs --model with --%s %s: a shape such as llama1b, a model "
                          "directory, or demo",
                          options->ids ? "ids" : "dataset", profile->dataset_name);
    if (!model.name)
        model.name = "demo";
    status = engine_find(&model, &profile->engine);
    if (!status && profile->dataset.texts)
        status = model_tokenizer_open(&profile->engine, &options->data, &profile->tokenizer);
    if (!status)
        status = engine_load(&profile->engine, options->seed.value);
    if (!status && profile->tokenizer)
        status = model_tokenizer_join(profile->tokenizer, &profile->engine);
    if (status)
        return status;
    const pp_model_config *config = &profile->engine.config;
    return promptset_build(&profile->dataset, profile->tokenizer, config->vocab_size,
                           options->max_length, config->max_position, options->seed.value,
                           &profile->prompts);
}

/* The prompts that --max-batches leaves, shuffled. */
static int choose_work(struct profile *profile)
{
    const struct profile_options *options = profile->options;
    struct workload *work = &profile->work;
    const size_t n = profile->prompts.n, batch_size = (size_t)options->batch_size;
    *work = (struct workload){
        .dataset = &profile->dataset,
        .prompts = &profile->prompts,
        .lengths = calloc(n, sizeof *work->lengths),
        .order = calloc(n, sizeof *work->order),
        .n_prompts = count_wanted(n, batch_size, options->max_batches),
        .batch_size = batch_size,
        .vocab_size = profile->engine.config.vocab_size,
        .pad_token = profile->engine.n_end_tokens > 0 ? profile->engine.end_tokens[0] : 0,
        .first_tokens = options->metric == METRIC_TTFT,
        .share_prefixes = options->packing.share_prefixes,
        .progress = &profile->progress,
    };
    if (!work->lengths || !work->order)
        return fail_memory();
    work->n_batches = (work->n_prompts + batch_size - 1) / batch_size;
    for (size_t i = 0; i < n; i++)
        work->lengths[i] = profile->prompts.prompts[i].n_tokens;
    return choose_prompts(work->lengths, n, options->seed.value, work->n_prompts, work->order);
}

/* A session for the next method, with nothing left of the last one's caches. */
static int next_session(struct profile *profile)
{
    engine_session_close(profile->session);
    profile->session = NULL;
    const int status =
        engine_session_open(&profile->engine, &profile->options->device, 0, &profile->session);
    return status ? status : engine_session_info(profile->session, &profile->report.session);
}

static int measure_runs(struct profile *profile, enum method method, struct usage *usage,
                        struct runs *runs, struct method_report *report)
{
    const struct workload *work = &profile->work;
    const double units =
        profile->options->per == PER_PROMPT ? (double)work->n_prompts : (double)work->n_batches;
    struct pass_figures figures = {0};
    double seconds = 0;
    int64_t used_bytes = 0;
    for (size_t r = 0; r < runs->n; r++) {
        const int status =
            methods_run(method, work, profile->session, &profile->packers, usage, &figures);
        if (status)
            return status;
        const struct usage_figures used = usage_take(usage);
        runs->seconds[r] = figures.seconds / units;
        runs->max_percent[r] = used.max_percent;
        runs->mean_percent[r] = used.mean_percent;
        runs->max_memory_percent[r] = used.max_memory_percent;
        runs->mean_memory_percent[r] = used.mean_memory_percent;
        if (used_bytes < used.used_bytes)
            used_bytes = used.used_bytes;
        seconds += figures.seconds;
    }
    *report = (struct method_report){
        .method = (int)method,
        .seconds = mean_std_of(runs->seconds, runs->n),
        .max_percent = mean_std_of(runs->max_percent, runs->n),
        .mean_percent = mean_std_of(runs->mean_percent, runs->n),
        .max_memory_percent = mean_std_of(runs->max_memory_percent, runs->n),
        .mean_memory_percent = mean_std_of(runs->mean_memory_percent, runs->n),
        .used_bytes = used_bytes,
        .tokens_real = figures.tokens_real,
        .tokens_computed = figures.tokens_computed,
        .passes = figures.passes,
        .tokens_per_second =
            seconds > 0 ? (double)runs->n * (double)figures.tokens_real / seconds : 0,
        .bins = figures.bins,
        .waste = figures.capacity_total > 0
                     ? 1 - (double)figures.placed_total / (double)figures.capacity_total
                     : 0,
    };
    return STATUS_OK;
}

static int measure_method(struct profile *profile, enum method method, struct runs *runs)
{
    struct usage *usage;
    profile->progress.what = method_names[method];
    int status = next_session(profile);
    if (!status)
        status = methods_warm_up(&profile->work, profile->session);
    if (status)
        return status;
    const bool on_gpu = is_on_gpu(&profile->report.session);
    if (on_gpu && !profile->gpu.works && !profile->gpu.trouble[0])
        nvml_open(&profile->gpu, &profile->report.session);
    usage_reset_peak();
    status = usage_start(profile->report.session.n_threads, on_gpu ? &profile->gpu : NULL, &usage);
    if (status)
        return status;
    struct method_report *report = &profile->report.methods[profile->report.n_methods];
    status = measure_runs(profile, method, usage, runs, report);
    usage_stop(usage);
    report->has_utilization = !on_gpu || profile->gpu.works;
    report->peak_host_bytes = usage_peak_bytes();
    if (!status)
        status = engine_session_info(profile->session, &profile->report.session);
    report->peak_session_bytes = profile->report.session.peak_memory_bytes;
    profile->report.n_methods += status == STATUS_OK;
    return status;
}

static int measure(struct profile *profile)
{
    const struct profile_options *options = profile->options;
    const size_t n = (size_t)options->num_runs;
    double *values = calloc(5 * n, sizeof *values);
    if (!values)
        return fail_memory();
    struct runs runs = {n, values, values + n, values + 2 * n, values + 3 * n, values + 4 * n};
    int status = packers_open(options, &profile->packers);
    progress_start(&profile->progress, "loading",
                   (int64_t)profile->work.n_batches * options->num_runs * options->methods.n);
    if (!status)
        status = engine_load_weights(&profile->engine, &options->device);
    for (int m = 0; m < options->methods.n && !status; m++)
        status = measure_method(profile, (enum method)options->methods.items[m], &runs);
    progress_clear(&profile->progress);
    free(values);
    return status;
}

/* The method that speed is compared with: full batching, or the first one. */
static const struct method_report *yardstick(const struct profile_report *report)
{
    for (int i = 0; i < report->n_methods; i++)
        if (report->methods[i].method == METHOD_FULL)
            return &report->methods[i];
    return &report->methods[0];
}

/* What the utilisation columns say. */
static void add_utilization(struct table *table, const struct profile *profile,
                            const struct method_report *method, double value)
{
    if (method->has_utilization)
        table_add(table, "%.1f", value);
    else
        table_add(table, "n/a (%s)", profile->gpu.library ? "NVML error" : "no NVML");
}

static void add_deviation(struct table *table, const struct method_report *method, double value)
{
    if (method->has_utilization)
        table_add(table, "%.1f", value);
    else
        table_add(table, "n/a");
}

static void add_times(struct table *table, const struct profile *profile,
                      const struct method_report *m, bool on_gpu)
{
    table_add(table, "%s", method_names[m->method]);
    table_add(table, "%.6f", m->seconds.mean);
    add_utilization(table, profile, m, m->max_percent.mean);
    add_utilization(table, profile, m, m->mean_percent.mean);
    if (on_gpu) {
        add_utilization(table, profile, m, m->max_memory_percent.mean);
        add_utilization(table, profile, m, m->mean_memory_percent.mean);
        add_utilization(table, profile, m, 1e-6 * (double)m->used_bytes);
    }
    table_add(table, "%.1f", peak_memory_mb(&profile->report, m));
    table_add(table, "%.6f", m->seconds.std);
    add_deviation(table, m, m->max_percent.std);
    add_deviation(table, m, m->mean_percent.std);
}

static int print_times(const struct profile *profile, FILE *out)
{
    const struct profile_report *report = &profile->report;
    const bool on_gpu = is_on_gpu(&report->session);
    struct table table;
    table_start(&table, on_gpu ? "<>>>>>>>>>>" : "<>>>>>>>");
    table_add(&table, "method");
    table_add(&table, "avg s/%s", profile->options->per == PER_PROMPT ? "prompt" : "batch");
    table_add(&table, "max util %%");
    table_add(&table, "mean util %%");
    if (on_gpu) {
        table_add(&table, "max mem util %%");
        table_add(&table, "mean mem util %%");
        table_add(&table, "MB in use");
    }
    table_add(&table, "peak MB");
    table_add(&table, "std s");
    table_add(&table, "std max");
    table_add(&table, "std mean");
    for (int i = 0; i < report->n_methods; i++)
        add_times(&table, profile, &report->methods[i], on_gpu);
    return table_finish(&table, out);
}

static int print_tokens(const struct profile *profile, FILE *out)
{
    const struct profile_report *report = &profile->report;
    const struct method_report *base = yardstick(report);
    struct table table;
    table_start(&table, "<>>>>>");
    table_add(&table, "method");
    table_add(&table, "real tokens");
    table_add(&table, "computed tokens");
    table_add(&table, "computed/real");
    table_add(&table, "real tokens/s");
    table_add(&table, "speed-up");
    for (int i = 0; i < report->n_methods; i++) {
        const struct method_report *m = &report->methods[i];
        table_add(&table, "%s", method_names[m->method]);
        table_add(&table, "%" PRId64, m->tokens_real);
        table_add(&table, "%" PRId64, m->tokens_computed);
        table_add(&table, "%.2f", (double)m->tokens_computed / (double)m->tokens_real);
        table_add(&table, "%.1f", m->tokens_per_second);
        table_add(&table, "%.2fx", base->seconds.mean / m->seconds.mean);
    }
    return table_finish(&table, out);
}

static void print_subject(const struct profile *profile, const pp_session_info *session, FILE *out)
{
    const struct profile_options *options = profile->options;
    const struct workload *work = &profile->work;
    char device[160];
    describe_session(session, device, sizeof device);
    fprintf(out, "model      %s, %" PRId64 " parameters%s\n", profile->engine.name,
            pp_model_n_parameters(profile->engine.model),
            pp_model_is_random(profile->engine.model) ? ", random weights" : "");
    fprintf(out, "data set   %s, %zu of %zu prompts in %zu batch%s of up to %zu%s\n",
            profile->dataset_name, work->n_prompts, profile->prompts.n, work->n_batches,
            work->n_batches == 1 ? "" : "es", work->batch_size,
            profile->dataset.texts || profile->dataset.ids
                ? ""
                : ", random tokens of the listed counts");
    if (work->n_prompts < profile->prompts.n)
        fprintf(out, "           chosen evenly over the sorted lengths, to stand for all\n");
    if (profile->prompts.n_cut > 0)
        fprintf(out, "           %zu prompts were cut to %" PRId64 " tokens\n",
                profile->prompts.n_cut, options->max_length);
    fprintf(out, "device     %s\n", device);
    for (int i = 0; i < options->methods.n; i++) {
        const enum method method = (enum method)options->methods.items[i];
        if (method_shares(options, method) > 0)
            fprintf(out,
                    "sharing    %s: what prompts of a step begin with alike is computed once, from "
                    "%" PRId64 " tokens on\n",
                    method_names[method], method_shares(options, method));
    }
}

static void print_notes(const struct profile *profile, FILE *out)
{
    const struct profile_options *options = profile->options;
    const struct profile_report *report = &profile->report;
    fprintf(out, "speed-up: against %s; time: from token ids to %s\n\n",
            method_names[yardstick(report)->method],
            profile->work.first_tokens ? "KV caches and first tokens" : "KV caches");
    print_subject(profile, &report->session, out);
    if (profile->gpu.trouble[0])
        fprintf(out, "NVML       %s\n", profile->gpu.trouble);
    fprintf(out, "runs       %" PRId64 ", seed %" PRIu64 "\n", options->num_runs,
            options->seed.value);
    for (int i = 0; i < report->n_methods; i++)
        if (report->methods[i].bins > 0)
            fprintf(out,
                    "packing    %s: %" PRId64 " bin%s (%s), %.1f %% of their capacity unused\n",
                    method_names[report->methods[i].method], report->methods[i].bins,
                    report->methods[i].bins == 1 ? "" : "s",
                    packer_policy_name(options->packing.policy), 100 * report->methods[i].waste);
}

static int print_report(struct profile *profile)
{
    FILE *out = profile->outputs.text;
    int status = print_times(profile, out);
    fputc('\n', out);
    if (!status)
        status = print_tokens(profile, out);
    if (status)
        return status;
    print_notes(profile, out);
    return outputs_write_json(&profile->outputs, profile_json(&profile->report));
}

/* Works out what each method would need, and says so. */
static int dry_run(struct profile *profile)
{
    struct dry_run_report report = {.model = profile->report.model,
                                    .dataset = profile->report.dataset,
                                    .options = profile->options};
    FILE *out = profile->outputs.text;
    int status = packers_open(profile->options, &profile->packers);
    if (!status)
        status = engine_estimate(&profile->engine, &profile->options->device, &report.session);
    if (!status)
        status = dry_run_count(&report, &profile->work, &profile->packers, profile->engine.model);
    if (!status)
        status = dry_run_print(&report, out);
    if (status)
        return status;
    print_subject(profile, &report.session, out);
    dry_run_print_memory(&report, out);
    status = outputs_write_json(&profile->outputs, dry_run_json(&report));
    return status ? status : dry_run_compare(&report, out);
}

int run_profile(const void *line)
{
    const struct profile_options *options = line;
    struct profile profile = {.options = options};
    int status = outputs_open(options->json, &profile.outputs);
    if (!status)
        status = open_data(&profile);
    if (!status)
        status = choose_work(&profile);
    profile.report.model = profile.engine.name;
    profile.report.dataset = profile.dataset_name;
    profile.report.options = options;
    if (!status && options->dry_run) {
        status = dry_run(&profile);
    } else {
        if (!status)
            status = measure(&profile);
        if (!status)
            status = print_report(&profile);
    }
    engine_session_close(profile.session);
    packers_close(&profile.packers);
    free(profile.work.lengths);
    free(profile.work.order);
    promptset_free(&profile.prompts);
    dataset_free(&profile.dataset);
    tokenizer_close(profile.tokenizer);
    engine_close(&profile.engine);
    nvml_close(&profile.gpu);
    outputs_close(&profile.outputs);
    return status;
}
