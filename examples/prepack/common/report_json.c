/* report_json.c: the JSON forms. Their keys are an interface: they are added to, never renamed. */
#include "bench.h"
#include "engine.h"
#include "report.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int outputs_open(const struct options *options, struct outputs *outputs)
{
    *outputs = (struct outputs){.text = stdout};
    if (!options->json)
        return STATUS_OK;
    outputs->json_path = options->json;
    if (strcmp(options->json, "-") == 0) {
        outputs->text = stderr;
        outputs->json = stdout;
        return STATUS_OK;
    }
    const int file = open(options->json, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    outputs->json = file < 0 ? NULL : fdopen(file, "w");
    if (outputs->json)
        return STATUS_OK;
    const int number = errno;
    if (file >= 0)
        close(file);
    return fail("%s could not be opened for writing: %s", options->json, strerror(number));
}

/* What an older file held is dropped only now that there is something new. */
static bool empty_file(FILE *file)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0)
        return false;
    return !S_ISREG(info.st_mode) || file == stdout || ftruncate(fileno(file), 0) == 0;
}

int outputs_write_json(struct outputs *outputs, json_t *json)
{
    int status = STATUS_OK;
    if (outputs->json && !json)
        status = fail_memory();
    else if (outputs->json &&
             (!empty_file(outputs->json) ||
              json_dumpf(json, outputs->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0 ||
              fputc('\n', outputs->json) == EOF || fflush(outputs->json) != 0))
        status = fail("%s could not be written", outputs->json_path);
    json_decref(json);
    return status;
}

int outputs_write_text(struct outputs *outputs, const char *text)
{
    if (outputs->json && (!empty_file(outputs->json) || fputs(text, outputs->json) == EOF ||
                          fflush(outputs->json) != 0))
        return fail("%s could not be written", outputs->json_path);
    return STATUS_OK;
}

void outputs_close(struct outputs *outputs)
{
    if (outputs->json && outputs->json != stdout)
        fclose(outputs->json);
    *outputs = (struct outputs){0};
}

/* A string that may hold bytes that are no UTF-8, such as a path: those become '?'. */
static json_t *lenient_string(const char *text)
{
    json_t *exact = json_string(text);
    char *copy = exact ? NULL : strdup(text);
    if (!copy)
        return exact;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json_t *string = json_string(copy);
    free(copy);
    return string;
}

/* Adds to an object or a list; value is given away. Without memory *json is freed and stays NULL.
 */
static void put(json_t **json, const char *key, json_t *value)
{
    if (!*json)
        json_decref(value);
    else if (key ? json_object_set_new(*json, key, value) : json_array_append_new(*json, value)) {
        json_decref(*json);
        *json = NULL;
    }
}

static void put_count(json_t **json, const char *key, int64_t value)
{
    put(json, key, json_integer(value));
}

static json_t *pair(const char *first_key, double first, const char *second_key, double second)
{
    return json_pack("{s:f, s:f}", first_key, first, second_key, second);
}

double peak_memory_mb(const struct profile_report *report, const struct method_report *method)
{
    return 1e-6 * (double)(is_on_gpu(&report->session) ? method->peak_session_bytes
                                                       : method->peak_host_bytes);
}

static json_t *utilization_json(const struct mean_std *max, const struct mean_std *mean)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "max", max->mean, "mean", mean->mean, "max_std",
                     max->std, "mean_std", mean->std);
}

static json_t *method_json(const struct profile_report *report, const struct method_report *method)
{
    json_t *json = json_object();
    put(&json, "method", json_string(method_names[method->method]));
    put(&json, "seconds", pair("mean", method->seconds.mean, "std", method->seconds.std));
    put_count(&json, "tokens_real", method->tokens_real);
    put_count(&json, "tokens_computed", method->tokens_computed);
    put_count(&json, "passes", method->passes);
    put(&json, "tokens_per_second", json_real(method->tokens_per_second));
    put(&json, "peak_memory_mb", json_real(peak_memory_mb(report, method)));
    put_count(&json, "peak_host_bytes", method->peak_host_bytes);
    put_count(&json, "peak_session_bytes", method->peak_session_bytes);
    const bool known = method->has_utilization;
    const bool gpu_known = known && is_on_gpu(&report->session);
    put(&json, "utilization_percent",
        known ? utilization_json(&method->max_percent, &method->mean_percent) : json_null());
    put(&json, "gpu_memory_utilization_percent",
        gpu_known ? utilization_json(&method->max_memory_percent, &method->mean_memory_percent)
                  : json_null());
    put(&json, "gpu_memory_used_bytes", gpu_known ? json_integer(method->used_bytes) : json_null());
    return json;
}

static void put_device(json_t **json, const pp_session_info *session)
{
    put(json, "device", json_string(session->device));
    put(json, "device_name", is_on_gpu(session) ? json_string(session->device_name) : json_null());
    put(json, "attention", json_string(session->attention));
    put(json, "dtype", json_string(pp_dtype_name(session->dtype)));
    put_count(json, "threads", session->n_threads);
}

/* What the reports of a run and of a dry run begin with. */
static json_t *heading_json(const char *model, const char *dataset, const struct options *options,
                            const pp_session_info *session)
{
    json_t *json = json_object();
    put(&json, "model", lenient_string(model));
    put(&json, "dataset", lenient_string(dataset));
    put(&json, "metric", json_string(options->metric == METRIC_TTFT ? "ttft" : "prefill"));
    put_device(&json, session);
    put_count(&json, "batch_size", options->batch_size);
    return json;
}

json_t *profile_json(const struct profile_report *report)
{
    json_t *json = heading_json(report->model, report->dataset, report->options, &report->session);
    json_t *methods = json_array();
    for (int i = 0; i < report->n_methods; i++)
        put(&methods, NULL, method_json(report, &report->methods[i]));
    put_count(&json, "num_runs", report->options->num_runs);
    put(&json, "methods", methods);
    return json;
}

const struct method_needs *neediest(const struct dry_run_report *report)
{
    const struct method_needs *most = &report->methods[0];
    for (int i = 1; i < report->n_methods; i++)
        if (report->methods[i].memory.device > most->memory.device)
            most = &report->methods[i];
    return most;
}

static json_t *needs_json(const struct method_needs *method)
{
    const struct needs *needs = &method->needs;
    const double steps = (double)needs->steps;
    json_t *json = json_object();
    put(&json, "method", json_string(method_names[method->method]));
    put_count(&json, "batches", needs->steps);
    put_count(&json, "tokens_real", method->tokens_real);
    put_count(&json, "tokens_computed", needs->tokens);
    put_count(&json, "passes", needs->passes);
    put(&json, "tokens_per_batch",
        pair("mean", (double)needs->tokens / steps, "max", (double)needs->most_tokens));
    put(&json, "passes_per_batch",
        pair("mean", (double)needs->passes / steps, "max", (double)needs->most_passes));
    put_count(&json, "kv_pages", needs->most_pages);
    put_count(&json, "kv_bytes", method->memory.kv);
    put_count(&json, "device_bytes", method->memory.device);
    put_count(&json, "host_bytes", method->memory.host);
    return json;
}

json_t *dry_run_json(const struct dry_run_report *report)
{
    const pp_session_info *session = &report->session;
    const int64_t limit = report->options->memory_limit;
    const bool fits = neediest(report)->memory.device <= limit;
    json_t *json = heading_json(report->model, report->dataset, report->options, session);
    json_t *methods = json_array();
    for (int i = 0; i < report->n_methods; i++)
        put(&methods, NULL, needs_json(&report->methods[i]));
    put_count(&json, "weight_bytes", session->weight_bytes);
    put_count(&json, "workspace_bytes", session->workspace_bytes);
    put_count(&json, "max_pass_tokens", session->max_pass_tokens);
    put_count(&json, "page_tokens", session->page_tokens);
    put_count(&json, "page_bytes", session->page_bytes);
    put(&json, "memory_limit", limit > 0 ? json_integer(limit) : json_null());
    put(&json, "fits", limit > 0 ? json_boolean(fits) : json_null());
    put(&json, "methods", methods);
    return json;
}

static json_t *seconds_or_null(double seconds)
{
    return seconds > 0 ? json_real(seconds) : json_null();
}

static json_t *figure_json(const struct bench_report *report, const struct bench_figure *figure)
{
    const pp_measurement *m = &figure->measured;
    const char *limit;
    double guard;
    json_t *json = json_object();
    put(&json, "name", json_string(figure->name));
    if (figure->bench == BENCH_GEMM) {
        put_count(&json, "n", figure->n);
        put_count(&json, "k", figure->k);
    }
    if (figure->bench == BENCH_ATTENTION) {
        put(&json, "lengths", lenient_string(figure->lengths->text));
        put(&json, "kernel", json_string(figure->kernel));
        put_count(&json, "least_tokens", figure->low);
        put_count(&json, "most_tokens", figure->high);
        put_count(&json, "tokens", figure->tokens);
        put_count(&json, "prompts", figure->prompts);
    }
    put_count(&json, "rows", figure->rows);
    put(&json, "seconds", json_real(m->seconds));
    put(&json, "flop", json_real(m->flop));
    put(&json, "bytes", json_real(m->bytes));
    put(&json, "percent_of_roof", json_real(100 * bench_share(report, m, &limit)));
    put(&json, "limit", json_string(limit));
    if (figure->bench == BENCH_ATTENTION) {
        put(&json, "warm_seconds", json_real(figure->warm.seconds));
        put(&json, "warm_percent_of_roof",
            json_real(100 * bench_share(report, &figure->warm, &limit)));
    }
    if (figure->bench == BENCH_GEMM) {
        put(&json, "guarded_seconds", seconds_or_null(m->guarded_seconds));
        put(&json, "unguarded_seconds", seconds_or_null(m->unguarded_seconds));
        put(&json, "own_seconds", seconds_or_null(m->own_seconds));
        put(&json, "guard_percent",
            bench_guard_percent(figure, &guard) ? json_real(guard) : json_null());
    }
    return json;
}

json_t *bench_json(const struct bench_report *report)
{
    static const char *const keys[] = {"gemm", "attention", "rows"};
    const pp_session_info *session = &report->session;
    json_t *json = json_object();
    put(&json, "model", lenient_string(report->model));
    put_device(&json, session);
    put_count(&json, "max_pass_tokens", session->max_pass_tokens);
    put_count(&json, "n_heads", report->config.n_heads);
    put_count(&json, "n_kv_heads", report->config.n_kv_heads);
    put_count(&json, "head_dim", report->config.head_dim);
    put_count(&json, "num_runs", report->options->num_runs);
    put(&json, "roofs",
        pair("flop_per_second", report->roofs.flop, "bytes_per_second", report->roofs.bytes));
    for (int bench = 0; bench < 3; bench++) {
        json_t *list = json_array();
        for (size_t i = 0; i < report->n_figures; i++)
            if ((int)report->figures[i].bench == 1 << bench)
                put(&list, NULL, figure_json(report, &report->figures[i]));
        put(&json, keys[bench], list);
    }
    return json;
}

static json_t *continuation_json(const struct continuation *item)
{
    json_t *tokens = json_array();
    for (size_t i = 0; i < item->n_tokens; i++)
        put_count(&tokens, NULL, item->tokens[i]);
    return json_pack("{s:s, s:s, s:o}", "prompt", item->prompt, "text", item->text, "tokens",
                     tokens);
}

json_t *generate_json(const struct continuation *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        put(&list, NULL, continuation_json(&items[i]));
    return list;
}
