/* tune_options.c: the options and the help of `prepack tune`. */
#include "tune_options.h"
#include "say.h"

#define AT(member) offsetof(struct tune_options, member)

static const struct option_rule run_rules[] = {
    {.name = "seconds",
     .argument = "S",
     .kind = &option_real,
     .place = AT(seconds),
     .low = 0.001,
     .high = 86400,
     .help = "about how long to measure (default: 10); more time, larger passes"},
    {.name = "max-tokens",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_tokens),
     .low = 64,
     .high = 1 << 20,
     .help = "most tokens of a pass (default: the library's choice)"},
    {.name = "max-length",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_length),
     .low = 1,
     .high = INT32_MAX,
     .help = "most tokens of a prompt (default: what a pass and the model hold)"},
    {.name = NULL},
};

static const struct option_rule last_rules[] = {
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of random weights, lengths and tokens"},
    {.name = "json",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(json),
     .help = "write the cost model; '-': to standard output, and the rest to standard error"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)}, {NULL, run_rules, 0}, {NULL, device_rules, AT(device)},
    {NULL, last_rules, 0},          {NULL, NULL, 0},
};

static const struct tune_options defaults = {.device = DEVICE_DEFAULTS, .seed = {.value = 41}};

static int check(const void *line)
{
    const struct tune_options *options = line;
    if (!options->model.name)
        return fail_usage("tune needs --model: a model directory, 'demo', or a shape such as "
                          "llama1b");
    return STATUS_OK;
}

static const char about[] =
    "Measures what a forward pass of a model costs on this machine, as\n"
    "  per_pass + per_token x tokens + per_square x squared lengths + per_prompt x prompts\n"
    "by running passes of many sizes and mixes of lengths, and prints the coefficients and how\n"
    "far they are off passes that they were not fitted to. With the file that --json writes,\n"
    "'prepack plan' says how long a run will take before it begins. The faster ones of several\n"
    "runs count: what else the machine does meanwhile makes the model worse.\n";

static const struct example examples[] = {
    {"prepack tune --model llama1b --json cost.json", "what a forward pass costs on this machine"},
    {NULL, NULL},
};

const struct command tune_command = {
    .name = "tune",
    .summary = "what a forward pass costs on this machine, for plan --predict",
    .usage = "--model M [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_tune,
};
