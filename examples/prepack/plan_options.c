/* plan_options.c: from the words of the command line to a packer. What the library itself refuses
 * is not checked twice. */
#include "plan_options.h"
#include "cost_file.h"
#include "say.h"

#include <string.h>

#define MIN_PREFIX 16 /* tokens that --share-prefixes shares at least */

const struct choice policy_choices[] = {
    {"ffd", PP_POLICY_FFD},           {"bfd", PP_POLICY_BFD},
    {"arrival", PP_POLICY_ARRIVAL},   {"first-fit", PP_POLICY_FIRST_FIT},
    {"best-fit", PP_POLICY_BEST_FIT}, {"exact", PP_POLICY_EXACT},
    {"auto", PP_POLICY_AUTO},         {NULL, 0},
};

const struct choice objective_choices[] = {{"fewest", PP_OBJECTIVE_FEWEST_BINS},
                                           {"balanced", PP_OBJECTIVE_BALANCED},
                                           {"cheapest", PP_OBJECTIVE_CHEAPEST},
                                           {NULL, 0}};

const struct choice oversize_choices[] = {{"error", PP_OVERSIZE_ERROR},
                                          {"own-bin", PP_OVERSIZE_OWN_BIN},
                                          {"split", PP_OVERSIZE_SPLIT},
                                          {NULL, 0}};

static const char *name_of(const struct choice *choices, int64_t value)
{
    for (const struct choice *c = choices; c->name; c++)
        if (c->value == value)
            return c->name;
    return "unknown";
}

const char *policy_name(int64_t policy)
{
    return name_of(policy_choices, policy);
}

const char *objective_name(int64_t objective)
{
    return name_of(objective_choices, objective);
}

int check_plan_options(const struct options *options)
{
    const bool balanced = options->objective == PP_OBJECTIVE_BALANCED;
    const bool cheapest = options->objective == PP_OBJECTIVE_CHEAPEST;
    if (!options->dataset && !options->load)
        return fail_usage("plan needs --dataset: the name of a built-in data set, or a file");
    if (options->dataset && options->load)
        return fail_usage("plan takes --dataset or --load, not both");
    if (balanced != (options->n_bins > 0))
        return fail_usage(balanced ? "--objective balanced needs --bins: how many to make"
                                   : "--bins goes with --objective balanced");
    if (cheapest != (options->shapes.n > 0))
        return fail_usage(cheapest ? "--objective cheapest needs --shapes: the lengths that a row "
                                     "may have"
                                   : "--shapes goes with --objective cheapest");
    if ((balanced || cheapest) && (options->policy || options->share_prefixes))
        return fail_usage("%s goes with --objective fewest",
                          options->policy ? "--policy" : "--share-prefixes");
    if (options->predict && !options->model)
        return fail_usage("--predict needs --model: a model directory, 'demo', or a shape such as "
                          "llama1b");
    if (!options->predict && (options->threads || options->dtype || options->memory_limit ||
                              strcmp(options->device, "cpu") != 0))
        return fail_usage("--device, --dtype, --threads and --memory-limit of plan need --predict");
    return STATUS_OK;
}

int packer_open(const struct options *options, pp_packer **packer)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer_params params;
    pp_cost_model cost;
    pp_fewest_params fewest = {.struct_size = sizeof fewest,
                               .policy = (int32_t)options->policy,
                               .min_shared_prefix = options->share_prefixes ? MIN_PREFIX : 0};
    pp_balanced_params balanced = {.struct_size = sizeof balanced, .n_bins = options->n_bins};
    pp_cheapest_params cheapest = {.struct_size = sizeof cheapest,
                                   .row_lens = options->shapes.items,
                                   .n_row_lens = options->shapes.n};
    pp_packer_params_init(&params, sizeof params);
    params.objective = (int32_t)options->objective;
    params.capacity = options->capacity;
    params.oversize = (int32_t)options->oversize;
    params.keep_order = options->keep_order;
    params.max_prompts = options->max_prompts;
    params.bin_alignment = options->align;
    params.prompt_alignment = options->align_prompts;
    params.max_steps = options->max_steps;
    params.max_seconds = options->time_limit;
    if (options->objective == PP_OBJECTIVE_FEWEST_BINS)
        params.fewest = &fewest;
    if (options->objective == PP_OBJECTIVE_BALANCED)
        params.balanced = &balanced;
    if (options->objective == PP_OBJECTIVE_CHEAPEST)
        params.cheapest = &cheapest;
    if (options->cost) {
        const int status = cost_read(options->cost, &cost);
        if (status)
            return status;
        params.cost = &cost;
    }
    return pp_packer_create(&params, packer, &err) < 0 ? fail_library(&err) : STATUS_OK;
}
