/* report_json.c: the JSON forms. Their keys are an interface: they are added to, never renamed. */
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

static json_t *method_json(const struct method_report *method)
{
    return json_pack("{s:s, s:{s:f, s:f}, s:I, s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f}}", /**/
                     "method", method_names[method->method],                            /**/
                     "seconds", "mean", method->seconds.mean, "std", method->seconds.std,
                     "tokens_real", (json_int_t)method->tokens_real,         /**/
                     "tokens_computed", (json_int_t)method->tokens_computed, /**/
                     "tokens_per_second", method->tokens_per_second,         /**/
                     "peak_memory_mb", method->peak_memory_mb,               /**/
                     "utilization_percent", "max", method->max_percent.mean, "mean",
                     method->mean_percent.mean, "max_std", method->max_percent.std, "mean_std",
                     method->mean_percent.std);
}

json_t *profile_json(const struct profile_report *report)
{
    const struct options *options = report->options;
    json_t *methods = json_array();
    for (int i = 0; i < report->n_methods; i++)
        if (json_array_append_new(methods, method_json(&report->methods[i])) != 0) {
            json_decref(methods);
            return NULL;
        }
    /* s:o gives its value away, also when the packing fails. */
    return json_pack("{s:o, s:o, s:s, s:s, s:s, s:i, s:I, s:I, s:o}", /**/
                     "model", lenient_string(report->model),          /**/
                     "dataset", lenient_string(report->dataset),      /**/
                     "metric", options->metric == METRIC_TTFT ? "ttft" : "prefill", "device",
                     report->session.device,                        /**/
                     "dtype", pp_dtype_name(report->session.dtype), /**/
                     "threads", (int)report->session.n_threads,     /**/
                     "batch_size", (json_int_t)options->batch_size, /**/
                     "num_runs", (json_int_t)options->num_runs,     /**/
                     "methods", methods);
}

json_t *plan_json(const struct plan_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:f, s:f}", /**/
                     "prompts", (json_int_t)report->prompts,          /**/
                     "tokens", (json_int_t)report->tokens,            /**/
                     "capacity", (json_int_t)report->capacity,        /**/
                     "bins", (json_int_t)report->bins,                /**/
                     "lower_bound", (json_int_t)report->lower_bound,  /**/
                     "gap", report->gap,                              /**/
                     "proven_optimal", (int)report->proven_optimal,   /**/
                     "waste", report->waste,                          /**/
                     "seconds", report->seconds);
}

static json_t *continuation_json(const struct continuation *item)
{
    json_t *tokens = json_array();
    for (size_t i = 0; i < item->n_tokens; i++)
        if (json_array_append_new(tokens, json_integer(item->tokens[i])) != 0) {
            json_decref(tokens);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:o}", "prompt", item->prompt, "text", item->text, "tokens",
                     tokens);
}

json_t *generate_json(const struct continuation *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(list, continuation_json(&items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}
