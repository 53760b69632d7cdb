/* profile_options.c: the options and the help of `prepack profile`. */
#include "profile_options.h"
#include "output_files.h"
#include "say.h"

#include <string.h>

const char *const method_names[N_METHODS + 1] = {
    "prepacking", "full-batching", "length-ordered", "dataset-prepacking", "shared-prefixes", NULL};

static int add_method(const char *name, size_t n, struct method_list *list)
{
    for (int m = 0; m < N_METHODS; m++) {
        if (strlen(method_names[m]) != n || strncmp(name, method_names[m], n) != 0)
            continue;
        for (int i = 0; i < list->n; i++)
            if (list->items[i] == m)
                return fail_usage("--methods names %s twice", method_names[m]);
        list->items[list->n++] = m;
        return STATUS_OK;
    }
    return fail_usage("--methods has '%.*s', but knows only %s, %s, %s, %s and %s", (int)n, name,
                      method_names[0], method_names[1], method_names[2], method_names[3],
                      method_names[4]);
}

static int read_methods(const struct option_rule *rule, const char *value, void *place)
{
    struct method_list *list = place;
    (void)rule;
    list->n = 0;
    for (;;) {
        const size_t n = strcspn(value, ",");
        const int status = add_method(value, n, list);
        if (status || value[n] == '\0')
            return status;
        value += n + 1;
    }
}

static void show_methods(const struct option_rule *rule, const void *place, char *out,
                         size_t out_bytes)
{
    const struct method_list *list = place;
    size_t n = 0;
    (void)rule;
    for (int i = 0; i < list->n && n < out_bytes; i++)
        n += (size_t)snprintf(out + n, out_bytes - n, "%s%s", i ? "," : "",
                              method_names[list->items[i]]);
}

static const struct option_kind kind_methods = {
    .has_value = true, .has_commas = true, .read = read_methods, .show = show_methods};

static const struct choice metrics[] = {
    {"prefill", METRIC_PREFILL, "until every prompt's KV cache is there"},
    {"ttft", METRIC_TTFT, "until every prompt's first token is there as well"},
    {NULL, 0, NULL}};
static const struct choice units[] = {
    {"batch", PER_BATCH, NULL}, {"prompt", PER_PROMPT, NULL}, {NULL, 0, NULL}};

#define AT(member) offsetof(struct profile_options, member)

static const struct option_rule run_rules[] = {
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 1,
     .high = 1 << 20,
     .help = "prompts of a batch"},
    {.name = "num-runs",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(num_runs),
     .low = 1,
     .high = 1000,
     .help = "repeats of the whole set"},
    {.name = "metric",
     .argument = "M",
     .kind = &option_choice,
     .place = AT(metric),
     .choices = metrics,
     .help = "what is timed"},
    {.name = "methods",
     .argument = "LIST",
     .kind = &kind_methods,
     .place = AT(methods),
     .words = method_names,
     .help = "of prepacking, full-batching, length-ordered, dataset-prepacking, shared-prefixes, "
             "with commas"},
    {.name = "per",
     .argument = "UNIT",
     .kind = &option_choice,
     .place = AT(per),
     .choices = units,
     .help = "what the time is an average over"},
    {.name = "max-batches",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_batches),
     .low = 1,
     .high = INT32_MAX,
     .help = "run only N batches: the N times batch-size prompts for them are taken evenly over "
             "the sorted lengths, so that they stand for the whole set; every method works on "
             "exactly those"},
    {.name = "max-length",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_length),
     .low = 1,
     .high = INT32_MAX,
     .help = "cut longer prompts to N tokens"},
    {.name = NULL},
};

static const struct option_rule last_rules[] = {
    {.name = "dry-run",
     .kind = &option_flag,
     .place = AT(dry_run),
     .help = "load no weights and run nothing: print the memory, passes and tokens that each "
             "method would need; with --memory-limit, fail (status 1) if they are more than it"},
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of the shuffle, the random tokens and weights"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},
    {NULL, dataset_rules, AT(dataset)},
    {NULL, ids_rules, AT(ids)},
    {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},
    {NULL, run_rules, 0},
    {NULL, packer_rules, AT(packing)},
    {NULL, device_rules, AT(device)},
    {NULL, last_rules, 0},
    {NULL, json_rules, AT(json)},
    {NULL, NULL, 0},
};

static const struct profile_options defaults = {
    .batch_size = 64,
    .num_runs = 5,
    .methods = {{METHOD_PREPACKING, METHOD_FULL, METHOD_ORDERED}, 3},
    .packing = PACKER_DEFAULTS,
    .device = DEVICE_DEFAULTS,
    .seed = {.value = 41},
};

static int check(const void *line)
{
    const struct profile_options *options = line;
    if (options->ids && options->dataset)
        return fail_usage("profile takes --dataset or --ids, not both");
    if (options->ids && options->data.format != FORMAT_AUTO)
        return fail_usage("--format says how the file of --dataset is read");
    return STATUS_OK;
}

static const char about[] =
    "Runs the prompts of a data set in batches, with several methods, and prints for each the\n"
    "average time, CPU utilisation and peak memory, with their standard deviations over the runs.\n"
    "Without --dataset: the data set demo, and for it without --model: the demo model. Token "
    "counts\n"
    "are run with random tokens.\n";

static const char notes[] =
    "The methods. The prompts are shuffled by the seed and cut in batches.\n"
    "  prepacking           each batch is packed into bins and prefilled without padding; the\n"
    "                       time of the packing is included\n"
    "  full-batching        each batch is padded on the right to its longest prompt, and padded\n"
    "                       tokens are computed, as engines that pad do, on the same kernels\n"
    "  length-ordered       the same prompts sorted by length first, then as full-batching\n"
    "  dataset-prepacking   all prompts are packed at once; bins are taken so many at a time that\n"
    "                       a step has about as many tokens as an average prepacked batch; the\n"
    "                       time of the packing is included, and times are per such step\n"
    "  shared-prefixes      as prepacking, and what prompts of a batch begin with alike, at least "
    "16\n"
    "                       tokens (--share-prefixes N), is computed once\n"
    "With --share-prefixes the other packed methods compute once what prompts of a step begin with "
    "alike;\n"
    "dataset-prepacking then sorts all prompts by their tokens, so that those meet in a step.\n"
    "Times run from token ids in memory to KV caches (and first tokens); caches are freed outside\n"
    "the time. Each method has a session of its own and one untimed run on a few short prompts\n"
    "before its first. Utilisation is of the threads used, sampled every 20 ms. Memory is the\n"
    "peak resident set in units of 1,000,000 bytes, weights included. Standard deviations are\n"
    "over runs (of a sample, n - 1).\n"
    "With cuda, utilisation is that of the GPU and of its memory, as NVML says every 20 ms (its\n"
    "own figures are averages over up to a second), and is absent where NVML is; memory is the\n"
    "peak of the session's device memory, and 'MB in use' is what every process on the GPU "
    "holds.\n";

static const struct example examples[] = {
    {"prepack profile --model llama1b --dataset mmlu --batch-size 64",
     "a shape with random weights"},
    {"prepack profile --model llama1b --dataset mmlu --dry-run",
     "the memory and passes it would need"},
    {"prepack profile --model a-model-dir --random-weights --dataset mmlu",
     "any config.json, no checkpoint"},
    {"prepack profile --model demo --dataset prompts.jsonl --methods prepacking,shared-prefixes",
     "common beginnings once"},
    {NULL, NULL},
};

const struct command profile_command = {
    .name = "profile",
    .summary = "time, memory and utilisation of prepacking and of padded batches",
    .usage = "[--model M] [--dataset D | --ids FILE] [OPTION]...",
    .about = about,
    .groups = groups,
    .notes = notes,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_profile,
};
