/* plan_cmd.c: `prepack plan`: packs lengths and says how well that went. */
#include "choose.h"
#include "commands.h"
#include "dataset.h"
#include "draw.h"
#include "engine.h"
#include "predict.h"
#include "report.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>

struct planning {
    const struct options *options;
    struct dataset dataset;
    int64_t *lengths; /* [n] in the order they are packed */
    size_t n;
    size_t batch_size;
    size_t n_cut;
    bool shuffled;
    pp_packer *packer;
    struct outputs outputs;
    struct plan_report report;
    struct predictor predictor;
};

static int open_data(struct planning *planning)
{
    const struct options *options = planning->options;
    struct dataset *set = &planning->dataset;
    struct engine engine = {0};
    int status = dataset_load(options->dataset, options->field, set);
    if (status)
        return status;
    if (set->texts) {
        const char *model = options->model ? options->model : set->is_demo ? "demo" : NULL;
        if (!model)
            return fail_usage("plan needs --model to count the tokens of the text in %s",
                              options->dataset);
        status = engine_open(model, ENGINE_TOKENIZER, options->seed, &engine);
    }
    if (!status)
        status = dataset_count_tokens(set, engine.tokenizer, options->max_length, &planning->n_cut);
    engine_close(&engine);
    return status;
}

/* The lengths in the order they are packed: shuffled as profile does, or as the file has them. */
static int order_lengths(struct planning *planning)
{
    const struct options *options = planning->options;
    const struct dataset *set = &planning->dataset;
    planning->shuffled = set->built_in || options->seed_given;
    planning->batch_size = options->batch_size > 0 ? (size_t)options->batch_size : set->n;
    planning->n = count_wanted(set->n, planning->batch_size, options->max_batches);
    planning->lengths = calloc(planning->n, sizeof *planning->lengths);
    size_t *order = calloc(planning->n, sizeof *order);
    int status = STATUS_OK;
    if (!order || !planning->lengths)
        status = fail_memory();
    else if (planning->shuffled)
        status = choose_prompts(set->lengths, set->n, options->seed, planning->n, order);
    for (size_t i = 0; i < planning->n && !status; i++)
        planning->lengths[i] = set->lengths[planning->shuffled ? order[i] : i];
    free(order);
    return status;
}

static void add_figures(struct plan_report *report, const pp_plan_info *info)
{
    report->same_capacity =
        report->batches == 0 || (report->same_capacity && report->capacity == info->capacity);
    report->proven_optimal =
        (report->batches == 0 || report->proven_optimal) && info->proven_optimal;
    if (report->capacity < info->capacity)
        report->capacity = info->capacity;
    report->batches++;
    report->prompts += info->n_prompts;
    report->tokens += info->tokens;
    report->bins += info->n_bins;
    report->lower_bound += info->lower_bound;
    report->capacity_total += info->n_bins * info->capacity;
    report->padded_tokens += info->n_prompts * info->longest_prompt;
    report->seconds += info->seconds;
    report->cost += info->mean_cost * (double)info->n_bins;
    if (report->max_cost < info->max_cost)
        report->max_cost = info->max_cost;
}

/* The planner's sentence counts prompts from the start of the batch; say where that is. */
static int fail_planning(const struct planning *planning, size_t first, const pp_error *err)
{
    if (planning->batch_size < planning->n && err->index >= 0)
        return fail("%s (in the batch that begins with prompt %zu)", err->message, first);
    return fail_library(err);
}

static int plan_batch(struct planning *planning, size_t first)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_plan_info info = {.struct_size = sizeof info};
    pp_plan *plan;
    const size_t left = planning->n - first;
    const size_t n = left < planning->batch_size ? left : planning->batch_size;
    const int64_t *lengths = planning->lengths + first;
    if (pp_packer_plan(planning->packer, lengths, n, &plan, &err) < 0)
        return fail_planning(planning, first, &err);
    int status = STATUS_OK;
    if (pp_plan_get_info(plan, &info, &err) < 0)
        status = fail_library(&err);
    else
        add_figures(&planning->report, &info);
    if (!status && planning->options->draw && first == 0)
        status = draw_plan(planning->outputs.text, plan, lengths, planning->n > n);
    if (!status && planning->options->predict)
        status = predict_add(&planning->predictor, plan, lengths, n);
    pp_plan_destroy(plan);
    return status;
}

static void print_figures(const struct planning *planning)
{
    FILE *out = planning->outputs.text;
    const struct plan_report *report = &planning->report;
    fprintf(out, "data set       %s%s\n", planning->options->dataset,
            planning->shuffled ? ", shuffled" : "");
    fprintf(out, "prompts        %" PRId64 " in %" PRId64 " batch%s of up to %zu\n",
            report->prompts, report->batches, report->batches == 1 ? "" : "es",
            planning->batch_size);
    if (planning->n_cut > 0)
        fprintf(out, "cut            %zu prompts, to %" PRId64 " tokens\n", planning->n_cut,
                planning->options->max_length);
    fprintf(out, "tokens         %" PRId64 "\n", report->tokens);
    fprintf(out, "capacity       %" PRId64 " tokens%s\n", report->capacity,
            report->same_capacity ? "" : " at most (the longest prompt of each batch)");
    fprintf(out, "bins           %" PRId64 " (%s)\n", report->bins,
            policy_name(planning->options->policy));
    fprintf(out, "lower bound    %" PRId64 " bins; %.2f %% above it%s\n", report->lower_bound,
            100 * report->gap, report->proven_optimal ? ", proven optimal" : "");
    fprintf(out, "waste          %.2f %% of the capacity\n", 100 * report->waste);
    if (planning->options->cost)
        fprintf(out, "bins cost      %.4g s, the dearest %.4g s, each as a pass of its own\n",
                report->cost, report->max_cost);
    fprintf(out, "full batching  %" PRId64 " tokens with padding, %.2f times the real ones\n",
            report->padded_tokens, (double)report->padded_tokens / (double)report->tokens);
    fprintf(out, "planned in     %.6f s\n", report->seconds);
}

static int plan_batches(struct planning *planning)
{
    struct plan_report *report = &planning->report;
    int status = packer_open(planning->options, &planning->packer);
    for (size_t first = 0; first < planning->n && !status; first += planning->batch_size)
        status = plan_batch(planning, first);
    if (status)
        return status;
    report->gap = (double)report->bins / (double)report->lower_bound - 1;
    report->waste = 1 - (double)report->tokens / (double)report->capacity_total;
    print_figures(planning);
    json_t *json = plan_json(report);
    if (planning->options->predict) {
        status = predict_print(&planning->predictor, planning->outputs.text);
        json_object_set_new(json, "prediction", predict_json(&planning->predictor));
    }
    const int written = outputs_write_json(&planning->outputs, json);
    return status ? status : written;
}

int run_plan(const struct options *options)
{
    struct planning planning = {.options = options};
    int status = outputs_open(options, &planning.outputs);
    if (!status)
        status = open_data(&planning);
    if (!status)
        status = order_lengths(&planning);
    if (!status && options->predict)
        status = predict_open(options, &planning.predictor);
    if (!status)
        status = plan_batches(&planning);
    predict_close(&planning.predictor);
    pp_packer_destroy(planning.packer);
    free(planning.lengths);
    dataset_free(&planning.dataset);
    outputs_close(&planning.outputs);
    return status;
}
