/* plan_cmd.c: `prepack plan`: packs lengths, or reads a plan, and says how good it is. */
#include "plan_picture.h"
#include "output_files.h"
#include "plan_data.h"
#include "plan_figures.h"
#include "plan_file.h"
#include "plan_options.h"
#include "plan_workers.h"
#include "predict.h"
#include "say.h"
#include "svg.h"

#include <inttypes.h>
#include <stdlib.h>

struct planning {
    const struct plan_options *options;
    struct plan_data data;
    pp_packer *packer;
    struct outputs outputs;
    struct plan_figures figures;
    struct plan_workers workers;
    struct predictor predictor;
};

/* What a plan is of, as the report calls it. */
static const char *data_name(const struct plan_options *options)
{
    return options->load ? options->load : options->dataset ? options->dataset : options->ids;
}

/* ---- what is done with a plan ---- */

/* The pictures of the first, or only, batch. */
static int show_plan(struct planning *planning, const pp_plan *plan, const int64_t *lengths,
                     size_t n)
{
    const struct plan_options *options = planning->options;
    const bool more = planning->data.n_batches > 1;
    struct view before, after = {0};
    int status = view_padded(lengths, n, SVG_ROWS, &before);
    if (!status)
        status = view_packed(plan, lengths, SVG_ROWS, &after);
    if (!status && options->draw)
        draw_views(planning->outputs.text, &before, &after, more);
    if (!status && options->svg)
        status = svg_write(options->svg, data_name(options), more ? "first batch" : NULL, &before,
                           &after);
    view_free(&before);
    view_free(&after);
    return status;
}

/* A model takes prompts up to a length; first: the place of lengths[0] among all prompts. */
static int check_lengths(const struct planning *planning, const int64_t *lengths, size_t first,
                         size_t n)
{
    const struct engine *engine = &planning->predictor.engine;
    char name[512];
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] <= engine->config.max_position)
            continue;
        plan_data_name_prompt(&planning->data, first + i, name, sizeof name);
        return fail("%s has %" PRId64 " tokens, but %s takes at most %" PRId32
                    "; --max-length cuts prompts",
                    name, lengths[i], engine->name, engine->config.max_position);
    }
    return STATUS_OK;
}

/* One of the plans, made or read. */
static int take_plan(struct planning *planning, const pp_plan *plan, const int64_t *lengths,
                     size_t first_prompt, size_t n)
{
    const struct plan_options *options = planning->options;
    const bool first = planning->figures.batches == 0;
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    int status = STATUS_OK;
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    plan_figures_add(&planning->figures, &info);
    if ((options->draw || options->svg) && first)
        status = show_plan(planning, plan, lengths, n);
    if (!status && options->save)
        status = plan_save(plan, options->save);
    if (!status && options->workers)
        status = plan_workers_add(&planning->workers, plan, options->workers);
    if (!status && options->predict)
        status = check_lengths(planning, lengths, first_prompt, n);
    if (!status && options->predict)
        status = predict_add(&planning->predictor, plan, lengths, n);
    return status;
}

/* ---- planning ---- */

/* The planner counts prompts from the start of the batch, which is the first-th of all. */
static int fail_planning(const struct planning *planning, size_t first, const pp_error *err)
{
    if (err->index < 0 || (size_t)err->index >= planning->data.n - first)
        return fail_library(err);
    return dataset_fail_library(&planning->data.set,
                                planning->data.order[first + (size_t)err->index], err);
}

static int plan_batch(struct planning *planning, size_t first)
{
    const struct plan_data *data = &planning->data;
    pp_error err = {.struct_size = sizeof err, .index = -1};
    const size_t left = data->n - first;
    const size_t n = left < data->batch_size ? left : data->batch_size;
    pp_plan_input input = {.struct_size = sizeof input,
                           .n = (int64_t)n,
                           .lengths = data->lengths + first,
                           .prompts = data->prompts ? data->prompts + first : NULL};
    pp_plan *plan;
    if (pp_packer_plan_input(planning->packer, &input, &plan, &err) < 0)
        return fail_planning(planning, first, &err);
    const int status = take_plan(planning, plan, input.lengths, first, n);
    pp_plan_destroy(plan);
    return status;
}

static void print_heading(const struct planning *planning)
{
    FILE *out = planning->outputs.text;
    const struct plan_options *options = planning->options;
    const struct plan_data *data = &planning->data;
    const struct plan_figures *figures = &planning->figures;
    if (options->load) {
        fprintf(out, "plan           %s\n", options->load);
        fprintf(out, "prompts        %" PRId64 "\n", figures->prompts);
        return;
    }
    fprintf(out, "data set       %s%s\n", data_name(options), data->shuffled ? ", shuffled" : "");
    fprintf(out, "prompts        %" PRId64 " in %" PRId64 " batch%s of up to %zu\n",
            figures->prompts, figures->batches, figures->batches == 1 ? "" : "es",
            data->batch_size);
    if (data->n_cut > 0)
        fprintf(out, "cut            %zu prompts, to %" PRId64 " tokens\n", data->n_cut,
                options->max_length);
}

static int plan_batches(struct planning *planning)
{
    const struct plan_data *data = &planning->data;
    int status = plan_data_open(planning->options, &planning->data);
    if (!status && planning->options->predict)
        status = dataset_check_ids(&data->set, planning->predictor.engine.config.vocab_size);
    if (status)
        return status;
    if (planning->options->save && data->n_batches > 1)
        return fail_usage("--save keeps one plan, but there are %zu batches; --batch-size 0 packs "
                          "all prompts at once",
                          data->n_batches);
    status = plan_packer_open(planning->options, &planning->packer);
    for (size_t first = 0; first < data->n && !status; first += data->batch_size)
        status = plan_batch(planning, first);
    return status;
}

/* A plan from a file in place of planning. */
static int load_plan(struct planning *planning)
{
    pp_plan *plan = NULL;
    int64_t *lengths = NULL;
    size_t n = 0;
    int status = plan_load(planning->options->load, &plan, &lengths, &n);
    if (!status)
        status = take_plan(planning, plan, lengths, 0, n);
    free(lengths);
    pp_plan_destroy(plan);
    return status;
}

static int print_all(struct planning *planning)
{
    const struct plan_options *options = planning->options;
    const char *cost_unit = options->load ? "of its cost model" : options->cost ? "s" : "tokens";
    int status = STATUS_OK;
    plan_figures_finish(&planning->figures);
    print_heading(planning);
    plan_figures_print(&planning->figures, cost_unit, planning->outputs.text);
    json_t *json = plan_figures_json(&planning->figures);
    if (options->workers) {
        plan_workers_print(&planning->workers, cost_unit, planning->outputs.text);
        json_object_set_new(json, "workers", plan_workers_json(&planning->workers));
    }
    if (options->predict) {
        status = predict_print(&planning->predictor, planning->outputs.text);
        json_object_set_new(json, "prediction", predict_json(&planning->predictor));
    }
    const int written = outputs_write_json(&planning->outputs, json);
    return status ? status : written;
}

int run_plan(const void *line)
{
    const struct plan_options *options = line;
    struct planning planning = {.options = options};
    int status = outputs_open(options->json, &planning.outputs);
    if (!status && options->predict)
        status = predict_open(options, &planning.predictor);
    if (!status)
        status = options->load ? load_plan(&planning) : plan_batches(&planning);
    if (!status)
        status = print_all(&planning);
    predict_close(&planning.predictor);
    pp_packer_destroy(planning.packer);
    plan_data_free(&planning.data);
    outputs_close(&planning.outputs);
    return status;
}
