/* profile_json.c: the JSON of `prepack profile`. Its keys are added to, never renamed. */
#include "engine.h"
#include "json_out.h"
#include "packers.h"
#include "profile_report.h"

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
    json_put(&json, "method", json_string(method_names[method->method]));
    json_put(&json, "seconds", json_pair("mean", method->seconds.mean, "std", method->seconds.std));
    json_put_count(&json, "tokens_real", method->tokens_real);
    json_put_count(&json, "tokens_computed", method->tokens_computed);
    json_put_count(&json, "passes", method->passes);
    json_put(&json, "tokens_per_second", json_real(method->tokens_per_second));
    json_put(&json, "peak_memory_mb", json_real(peak_memory_mb(report, method)));
    json_put_count(&json, "peak_host_bytes", method->peak_host_bytes);
    json_put_count(&json, "peak_session_bytes", method->peak_session_bytes);
    const bool known = method->has_utilization;
    const bool gpu_known = known && is_on_gpu(&report->session);
    json_put(&json, "utilization_percent",
             known ? utilization_json(&method->max_percent, &method->mean_percent) : json_null());
    json_put(&json, "gpu_memory_utilization_percent",
             gpu_known ? utilization_json(&method->max_memory_percent, &method->mean_memory_percent)
                       : json_null());
    json_put(&json, "gpu_memory_used_bytes",
             gpu_known ? json_integer(method->used_bytes) : json_null());
    json_put_count(&json, "share_prefixes",
                   method_shares(report->options, (enum method)method->method));
    return json;
}

/* What the reports of a run and of a dry run begin with. */
static json_t *heading_json(const char *model, const char *dataset,
                            const struct profile_options *options, const pp_session_info *session)
{
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(model));
    json_put(&json, "dataset", json_lenient(dataset));
    json_put(&json, "metric", json_string(options->metric == METRIC_TTFT ? "ttft" : "prefill"));
    json_put_device(&json, session);
    json_put_count(&json, "batch_size", options->batch_size);
    return json;
}

json_t *profile_json(const struct profile_report *report)
{
    json_t *json = heading_json(report->model, report->dataset, report->options, &report->session);
    json_t *methods = json_array();
    for (int i = 0; i < report->n_methods; i++)
        json_put(&methods, NULL, method_json(report, &report->methods[i]));
    json_put_count(&json, "num_runs", report->options->num_runs);
    json_put(&json, "methods", methods);
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
    json_put(&json, "method", json_string(method_names[method->method]));
    json_put_count(&json, "batches", needs->steps);
    json_put_count(&json, "tokens_real", method->tokens_real);
    json_put_count(&json, "tokens_computed", needs->tokens);
    json_put_count(&json, "passes", needs->passes);
    json_put(&json, "tokens_per_batch",
             json_pair("mean", (double)needs->tokens / steps, "max", (double)needs->most_tokens));
    json_put(&json, "passes_per_batch",
             json_pair("mean", (double)needs->passes / steps, "max", (double)needs->most_passes));
    json_put_count(&json, "kv_bytes", method->memory.kv);
    json_put_count(&json, "device_bytes", method->memory.device);
    json_put_count(&json, "host_bytes", method->memory.host);
    return json;
}

json_t *dry_run_json(const struct dry_run_report *report)
{
    const pp_session_info *session = &report->session;
    const int64_t limit = report->options->device.memory_limit;
    const bool fits = neediest(report)->memory.device <= limit;
    json_t *json = heading_json(report->model, report->dataset, report->options, session);
    json_t *methods = json_array();
    for (int i = 0; i < report->n_methods; i++)
        json_put(&methods, NULL, needs_json(&report->methods[i]));
    json_put_count(&json, "weight_bytes", session->weight_bytes);
    json_put_count(&json, "workspace_bytes", session->workspace_bytes);
    json_put_count(&json, "max_pass_tokens", session->max_pass_tokens);
    json_put_count(&json, "page_tokens", session->page_tokens);
    json_put_count(&json, "page_bytes", session->page_bytes);
    json_put(&json, "memory_limit", limit > 0 ? json_integer(limit) : json_null());
    json_put(&json, "fits", limit > 0 ? json_boolean(fits) : json_null());
    json_put(&json, "methods", methods);
    return json;
}
