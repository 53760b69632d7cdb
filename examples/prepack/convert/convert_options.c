/* convert_options.c: the options and the help of `prepack convert`. */
#include "convert_options.h"
#include "device_options.h"
#include "say.h"

#define AT(member) offsetof(struct convert_options, member)

static const struct option_rule run_rules[] = {
    {.name = "out",
     .argument = "DIR",
     .kind = &option_folder,
     .place = AT(out),
     .help = "the new directory: one that is not there, or an empty one"},
    {.name = "threads",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(threads),
     .low = 1,
     .high = 256,
     .help = "threads that quantise (default: every processor this process may "
             "use, by its affinity and its control group's quota)"},
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of random weights"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},
    {NULL, weights_rules, AT(weights)},
    {NULL, run_rules, 0},
    {NULL, NULL, 0},
};

static const struct convert_options defaults = {.seed = {.value = 41}};

static int check(const void *line)
{
    const struct convert_options *options = line;
    if (!options->model.name)
        return fail_usage("convert needs --model: a model directory, a GGUF file or 'demo'");
    if (!options->out)
        return fail_usage("convert needs --out, the new directory");
    if (options->weights == PP_WEIGHTS_AUTO)
        return fail_usage("convert needs --weights: int8, int4, nf4, bf16 or f32");
    return STATUS_OK;
}

static const char about[] =
    "Writes a model as a directory whose matrices have the format of --weights. int8, int4 and\n"
    "nf4 are codes with scales, as sessions with these --weights have them: the same results bit\n"
    "for bit, files of a half to an eighth of the size, and nothing to quantise when they are\n"
    "opened. Such a directory is for this program and its library. bf16 and f32 are plain\n"
    "directories, for GGUF files too. A few chunks of the weights are in memory at a time.\n"
    "Tokenizer files are copied from a directory; the tokenizer of a GGUF file stays in it, and\n"
    "other commands take that file for a tokenizer.\n";

static const struct example examples[] = {
    {"prepack convert --model a-model-dir --weights int8 --out a-model-int8",
     "then opens with nothing to quantise"},
    {NULL, NULL},
};

const struct command convert_command = {
    .name = "convert",
    .summary = "writes a model with weights of 8 or 4 bits",
    .usage = "--model M --weights FORMAT --out DIR",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_convert,
};
