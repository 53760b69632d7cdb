/* plan_options.c: the options and the help of `prepack plan`, and a packer made from them. What the
 * library itself refuses is not checked twice. */
#include "plan_options.h"
#include "cost_file.h"
#include "output_files.h"
#include "packer_options.h"
#include "say.h"

#include <string.h>

static const struct choice policies[] = {
    FEWEST_POLICIES,
    {NULL, 0, NULL},
};

static const struct choice objectives[] = {
    {"fewest", PP_OBJECTIVE_FEWEST_BINS, "as few bins as possible"},
    {"balanced", PP_OBJECTIVE_BALANCED, "--bins K bins, the dearest as cheap as possible"},
    {"cheapest", PP_OBJECTIVE_CHEAPEST,
     "rows of the lengths in --shapes, each computed in full, the cheapest in all"},
    {NULL, 0, NULL}};

static const struct choice oversizes[] = {
    {"error", PP_OVERSIZE_ERROR, "they are refused"},
    {"own-bin", PP_OVERSIZE_OWN_BIN, "alone in a bin as large as they are"},
    {"split", PP_OVERSIZE_SPLIT, "in chunks, in bins one after another"},
    {NULL, 0, NULL}};

#define AT(member) offsetof(struct plan_options, member)

static const struct option_rule order_rules[] = {
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 0,
     .high = INT32_MAX,
     .help = "prompts of a batch; 0: all prompts at once"},
    {.name = "max-batches",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_batches),
     .low = 1,
     .high = INT32_MAX,
     .help = "only N batches: chosen as profile does where profile would shuffle, else the first "
             "of the file"},
    {.name = "max-length",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_length),
     .low = 1,
     .high = INT32_MAX,
     .help = "cut longer prompts to N tokens"},
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "shuffle as profile does with this seed. Without it, built-in data sets are shuffled "
             "with the default and a file keeps its order"},
    {.name = NULL},
};

static const struct option_rule bin_rules[] = {
    {.name = "objective",
     .argument = "O",
     .kind = &option_choice,
     .place = AT(objective),
     .choices = objectives,
     .help = "what a plan is good at"},
    {.name = "policy",
     .argument = "P",
     .kind = &option_choice,
     .place = AT(policy),
     .choices = policies,
     .help = "how the bins are found (fewest; default: ffd)"},
    {.name = "capacity",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(capacity),
     .low = 1,
     .high = INT32_MAX,
     .help = "tokens of a bin (default: the longest prompt of what is packed)"},
    {.name = "cost",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(cost),
     .help = "the cost model of a machine and a model, as 'prepack tune' wrote it: what a bin "
             "costs the planner (default: its tokens)"},
    {.name = "bins",
     .argument = "K",
     .kind = &option_integer,
     .place = AT(n_bins),
     .low = 1,
     .high = INT32_MAX,
     .help = "how many bins are made (balanced)"},
    {.name = "shapes",
     .argument = "LIST",
     .kind = &option_numbers,
     .place = AT(shapes),
     .low = 1,
     .high = INT32_MAX,
     .help = "lengths that a row may have, with commas (cheapest)"},
    {.name = "max-prompts",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_prompts),
     .low = 1,
     .high = INT32_MAX,
     .help = "prompts of a bin, at most"},
    {.name = "align",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(align),
     .low = 1,
     .high = INT32_MAX,
     .help = "a bin's tokens are rounded up to a multiple of N"},
    {.name = "align-prompts",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(align_prompts),
     .low = 1,
     .high = INT32_MAX,
     .help = "each prompt's room is rounded up to a multiple of N"},
    {.name = "oversize",
     .argument = "WHAT",
     .kind = &option_choice,
     .place = AT(oversize),
     .choices = oversizes,
     .help = "prompts longer than a bin"},
    {.name = "keep-order",
     .kind = &option_flag,
     .place = AT(keep_order),
     .help = "bins are runs of prompts in order of arrival"},
    SHARING_RULE(AT(share_prefixes)),
    {.name = "max-steps",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_steps),
     .low = -1,
     .high = 1e15,
     .help = "of the search of exact and auto; -1: no limit; 0: what suits the policy"},
    {.name = "time-limit",
     .argument = "S",
     .kind = &option_real,
     .place = AT(time_limit),
     .low = 0,
     .high = 1e6,
     .help = "end the search after S seconds; such a plan may differ from run to run; 0: no limit"},
    {.name = NULL},
};

static const struct option_rule outcome_rules[] = {
    {.name = "workers",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(workers),
     .low = 1,
     .high = INT32_MAX,
     .help = "spread the bins of each batch over N workers, by cost, and say how even they are"},
    {.name = "save",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(save),
     .help = "write the plan as JSON (docs/plan-format.md); of one batch only"},
    {.name = "load",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(load),
     .help = "read and check such a plan in place of planning"},
    {.name = "draw",
     .kind = &option_flag,
     .place = AT(draw),
     .help = "draw the first batch: the rows of full batching with their padding, the bins below, "
             "both at one scale"},
    {.name = "svg",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(svg),
     .help = "the same as a picture"},
    {.name = "predict",
     .kind = &option_flag,
     .place = AT(predict),
     .help = "say what prefilling these bins would take with --model (also a shape such as "
             "llama1b): time by --cost, memory, KV caches; no weight is loaded. With "
             "--memory-limit, fail (status 1) if it is too low. Only --predict looks at the "
             "following"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, dataset_rules, AT(dataset)},
    {NULL, ids_rules, AT(ids)},
    {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},
    {NULL, model_rules, AT(model)},
    {NULL, order_rules, 0},
    {"What the bins shall be:", bin_rules, 0},
    {"What comes of it:", outcome_rules, 0},
    {NULL, device_rules, AT(device)},
    {NULL, json_rules, AT(json)},
    {NULL, NULL, 0},
};

static const struct plan_options defaults = {
    .batch_size = 64,
    .seed = {.value = 41},
    .objective = PP_OBJECTIVE_FEWEST_BINS,
    .align = 1,
    .align_prompts = 1,
    .oversize = PP_OVERSIZE_ERROR,
    .device = DEVICE_DEFAULTS,
};

static bool names_a_device(const struct device_options *device)
{
    return device->threads || device->dtype || device->weights || device->memory_limit ||
           strcmp(device->device, defaults.device.device) != 0;
}

static int check(const void *line)
{
    const struct plan_options *options = line;
    const bool balanced = options->objective == PP_OBJECTIVE_BALANCED;
    const bool cheapest = options->objective == PP_OBJECTIVE_CHEAPEST;
    const int n_given =
        (options->dataset != NULL) + (options->ids != NULL) + (options->load != NULL);
    if (n_given == 0)
        return fail_usage("plan needs --dataset: the name of a built-in data set, or a file; or "
                          "--ids");
    if (n_given > 1)
        return fail_usage("plan takes one of --dataset, --ids and --load");
    if (options->ids && options->data.format != FORMAT_AUTO)
        return fail_usage("--format says how the file of --dataset is read");
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
    if (options->predict && !options->model.name)
        return fail_usage("--predict needs --model: a model directory, 'demo', or a shape such as "
                          "llama1b");
    if (!options->predict && names_a_device(&options->device))
        return fail_usage(
            "--device, --dtype, --weights, --threads and --memory-limit of plan need --predict");
    return STATUS_OK;
}

static const char about[] =
    "Packs the prompts of each batch into bins and prints the figures summed over the batches.\n"
    "Lists of token counts and of token ids need no model; text has its tokens counted by the "
    "tokenizer of --model\n"
    "(default for the data set demo: the demo model).\n";

static const struct example examples[] = {
    {"prepack plan --dataset mmlu --batch-size 64 --capacity 2048 --draw",
     "padded rows above, packed bins below"},
    {"prepack plan --dataset mmlu --max-batches 1 --svg plan.svg --save plan.json",
     "a picture of one batch and its plan, both to files"},
    {"prepack plan --dataset mmlu --predict --model llama1b --cost cost.json",
     "time and memory, nothing is loaded"},
    {NULL, NULL},
};

const struct command plan_command = {
    .name = "plan",
    .summary = "pack lengths into bins: figures and a picture, no model",
    .usage = "--dataset D [OPTION]...\n--ids FILE [OPTION]...\n--load FILE [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_plan,
};

const char *policy_name(int64_t policy)
{
    return choice_name(policies, policy);
}

const char *objective_name(int64_t objective)
{
    return choice_name(objectives, objective);
}

int plan_packer_open(const struct plan_options *options, pp_packer **packer)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer_params params;
    pp_cost_model cost;
    const pp_fewest_params fewest = {.struct_size = sizeof fewest,
                                     .policy = (int32_t)options->policy,
                                     .min_shared_prefix = options->share_prefixes};
    const pp_balanced_params balanced = {.struct_size = sizeof balanced, .n_bins = options->n_bins};
    const pp_cheapest_params cheapest = {.struct_size = sizeof cheapest,
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
