/* score.c: `prepack score`: reads the data, runs them batch by batch, and writes each record when
 * its last sequence is done. */
#include "engine.h"
#include "interrupt.h"
#include "json_out.h"
#include "output_files.h"
#include "progress.h"
#include "say.h"
#include "score_data.h"
#include "score_file.h"
#include "score_lines.h"
#include "score_report.h"
#include "score_run.h"
#include "stopwatch.h"

#include <inttypes.h>
#include <stdlib.h>

struct scoring {
    const struct score_options *options;
    struct engine engine;
    struct encoder encoder;
    struct score_work work;
    pp_session *session;
    pp_packer *packer;
    struct score_runner runner;
    struct line_builder builder;
    struct outputs outputs;
    struct score_file file; /* of --out */
    struct score_report report;
    struct progress progress;
    size_t n_done; /* records */
    int64_t max_length;
};

/* ---- the data ---- */

static int choose_length(struct scoring *scoring)
{
    const struct score_options *options = scoring->options;
    const int64_t most = scoring->engine.config.max_position;
    scoring->max_length = options->max_length > 0 ? options->max_length : most;
    if (options->max_length > most)
        return fail_usage("--max-length is %" PRId64 ", but the model takes at most %" PRId64,
                          options->max_length, most);
    if (options->stride > scoring->max_length)
        return fail_usage("--stride is %" PRId64 ", but a window has only %" PRId64 " tokens",
                          options->stride, scoring->max_length);
    return options->top <= scoring->engine.config.vocab_size
               ? STATUS_OK
               : fail_usage("--top is %" PRId64 ", but the model has only %d tokens", options->top,
                            scoring->engine.config.vocab_size);
}

static void say_changes(const struct score_work *work, int64_t max_length)
{
    if (work->n_cut > 0)
        note("%" PRId64 " of %zu continuations did not fit into %" PRId64
             " tokens with their context, which lost its beginning",
             work->n_cut, work->n_sequences, max_length);
    if (work->n_crossed > 0)
        note("%" PRId64 " of %zu continuations change the last tokens of their context; those that "
             "it has alone were taken",
             work->n_crossed, work->n_sequences);
}

static int open_data(struct scoring *scoring)
{
    const struct score_options *options = scoring->options;
    scoring->encoder = (struct encoder){.engine = &scoring->engine, .options = &options->reading};
    int status = engine_open(&options->model, options->seed.value, &scoring->engine);
    if (!status)
        status = choose_length(scoring);
    if (!status)
        status =
            options->perplexity
                ? score_read_texts(options, &scoring->encoder, scoring->max_length, &scoring->work)
                : score_read_continuations(options, &scoring->encoder, scoring->max_length,
                                           &scoring->work);
    if (!status)
        say_changes(&scoring->work, scoring->max_length);
    return status;
}

/* ---- records ---- */

/* Lines that nobody will see are not kept. */
static int keep_line(struct scoring *scoring, json_t *line)
{
    json_t *lines = scoring->report.lines;
    if (!line || !totals_add(&scoring->report.totals, line))
        return STATUS_FAILED;
    if ((scoring->outputs.json || json_array_size(lines) < (size_t)scoring->options->show) &&
        json_array_append(lines, line) != 0)
        return STATUS_FAILED;
    return STATUS_OK;
}

/* Of a file that is gone on with. */
static bool take_line(void *user, json_t *line)
{
    return keep_line(user, line) == STATUS_OK;
}

static int end_record(struct scoring *scoring)
{
    json_t *line = line_end(&scoring->builder, scoring->n_done);
    int status = keep_line(scoring, line) ? fail_memory() : STATUS_OK;
    if (!status && scoring->file.file)
        status = score_file_add(&scoring->file, line);
    json_decref(line);
    scoring->n_done++;
    return status;
}

/* Ends the records whose sequences before the i-th are all they have. */
static int end_records(struct scoring *scoring, size_t i)
{
    const struct score_work *work = &scoring->work;
    int status = STATUS_OK;
    while (!status && scoring->n_done < work->n_records) {
        const struct record *record = &work->records[scoring->n_done];
        if (record->first_sequence + record->n_sequences > i)
            break;
        status = end_record(scoring);
    }
    return status;
}

/* ---- running ---- */

static int run_batch(struct scoring *scoring, size_t first, size_t n)
{
    size_t offset = 0;
    int status = score_run(&scoring->runner, first, n);
    for (size_t i = first; i < first + n && !status; i++) {
        const struct sequence_scores figures = score_figures(&scoring->runner, i, offset);
        line_add(&scoring->builder, i, &figures);
        offset += (size_t)figures.n;
        status = end_records(scoring, i + 1);
        progress_step(&scoring->progress);
    }
    if (scoring->file.file) {
        const int flushed = score_file_flush(&scoring->file);
        status = status ? status : flushed;
    }
    return status;
}

static int run_all(struct scoring *scoring)
{
    const struct score_work *work = &scoring->work;
    const size_t batch_size = (size_t)scoring->options->batch_size;
    const struct record *next = &work->records[scoring->n_done];
    size_t first = scoring->n_done < work->n_records ? next->first_sequence : work->n_sequences;
    const double start = seconds_now();
    progress_start(&scoring->progress, "scoring", (int64_t)(work->n_sequences - first));
    int status = end_records(scoring, first);
    for (; first < work->n_sequences && !status; first += batch_size) {
        const size_t left = work->n_sequences - first;
        status = run_batch(scoring, first, left < batch_size ? left : batch_size);
    }
    if (!status && scoring->file.file)
        status = score_file_flush(&scoring->file);
    progress_clear(&scoring->progress);
    scoring->report.seconds = seconds_now() - start;
    if (!status && interrupt_requested())
        status = fail_interrupted();
    return status;
}

/* What a run must have in common with one that it goes on with. */
static json_t *header_json(const struct scoring *scoring)
{
    const struct score_options *options = scoring->options;
    const pp_session_info *session = &scoring->report.session;
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, work_hash(&scoring->work));
    json_t *json = json_object();
    json_put_count(&json, "prepack_score", 1);
    json_put(&json, "work", json_string(options->perplexity ? "perplexity" : "continuations"));
    json_put(&json, "model", json_lenient(scoring->engine.name));
    json_put_count(&json, "parameters", pp_model_n_parameters(scoring->engine.model));
    json_put(&json, "device", json_string(session->device));
    json_put(&json, "dtype", json_string(pp_dtype_name(session->dtype)));
    json_put(&json, "weights", json_string(pp_weights_name(session->weights)));
    json_put_count(&json, "seed", (int64_t)options->seed.value);
    json_put_count(&json, "top", options->top);
    json_put(&json, "tokens", json_boolean(options->tokens || options->top > 0));
    json_put_count(&json, "items", (int64_t)scoring->work.n_records);
    json_put(&json, "data", json_string(hash));
    return json;
}

static int open_file(struct scoring *scoring)
{
    const struct score_options *options = scoring->options;
    if (!options->out)
        return STATUS_OK;
    json_t *header = header_json(scoring);
    const int status = header ? score_file_open(options->out, options->resume, header, take_line,
                                                scoring, &scoring->file, &scoring->n_done)
                              : fail_memory();
    json_decref(header);
    if (status || scoring->n_done <= scoring->work.n_records)
        return status;
    return fail("%s has more lines than the %zu of the run that it is of; --force begins anew",
                options->out, scoring->work.n_records);
}

static int run(struct scoring *scoring)
{
    const struct score_options *options = scoring->options;
    pp_session_info *session = &scoring->report.session;
    scoring->report.lines = json_array();
    line_begin(&scoring->builder, &scoring->work, options->tokens || options->top > 0);
    int status =
        scoring->report.lines ? packer_open(&options->packing, &scoring->packer) : fail_memory();
    if (!status)
        status = engine_session_open(&scoring->engine, &options->device, 0, &scoring->session);
    if (!status)
        status = engine_session_info(scoring->session, session);
    if (!status)
        status = open_file(scoring);
    scoring->runner = (struct score_runner){.work = &scoring->work,
                                            .session = scoring->session,
                                            .packer = scoring->packer,
                                            .n_top = (int32_t)options->top,
                                            .share = options->packing.share_prefixes > 0};
    scoring->report.n_done = (int64_t)scoring->n_done;
    if (!status) {
        status = run_all(scoring);
        if (status && scoring->file.file)
            note("%s has %zu of %zu items; --resume goes on with the others", options->out,
                 scoring->n_done, scoring->work.n_records);
    }
    return status ? status : engine_session_info(scoring->session, session);
}

static int print_report(struct scoring *scoring)
{
    struct score_report *report = &scoring->report;
    report->options = scoring->options;
    report->engine = &scoring->engine;
    report->work = &scoring->work;
    const int status = score_print(report, scoring->outputs.text);
    if (status || !scoring->outputs.json)
        return status;
    return outputs_write_json(&scoring->outputs, score_json(report));
}

int run_score(const void *line)
{
    const struct score_options *options = line;
    struct scoring scoring = {.options = options};
    int status =
        options->out ? score_file_check(options->out, options->resume, options->force) : STATUS_OK;
    if (!status)
        status = outputs_open(options->json, &scoring.outputs);
    if (!status)
        status = open_data(&scoring);
    if (!status)
        status = run(&scoring);
    if (!status)
        status = print_report(&scoring);
    score_file_close(&scoring.file);
    line_drop(&scoring.builder);
    json_decref(scoring.report.lines);
    score_runner_close(&scoring.runner);
    engine_session_close(scoring.session);
    pp_packer_destroy(scoring.packer);
    work_free(&scoring.work);
    encoder_close(&scoring.encoder);
    engine_close(&scoring.engine);
    outputs_close(&scoring.outputs);
    return status;
}
