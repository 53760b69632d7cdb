/* tokenize_options.c: the options and the help of `prepack tokenize`. */
#include "tokenize_options.h"
#include "output_files.h"
#include "say.h"

#define AT(member) offsetof(struct tokenize_options, member)

static const struct option_rule tokenizer_rules[] = {
    {.name = "tokenizer",
     .argument = "PATH",
     .kind = &option_file,
     .place = AT(tokenizer),
     .help = "in place of --model: a tokenizer.json, a SentencePiece model, a tekken.json, a GGUF "
             "file, or a directory with one"},
    {.name = NULL},
};

static const struct option_rule run_rules[] = {
    {.name = "ids-only",
     .kind = &option_flag,
     .place = AT(ids_only),
     .help = "print a JSON list of ids a prompt and nothing else, as --ids of other commands reads "
             "them"},
    {.name = "counts",
     .kind = &option_flag,
     .place = AT(counts),
     .help = "print how many tokens each prompt has, a number a line and nothing else, as "
             "--dataset of other commands reads them"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},    {NULL, tokenizer_rules, 0},
    {NULL, prompt_rules, AT(prompts)}, {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},   {NULL, run_rules, 0},
    {NULL, json_rules, AT(json)},      {NULL, NULL, 0},
};

static const struct tokenize_options defaults = {.ids_only = false};

static int check(const void *line)
{
    const struct tokenize_options *options = line;
    if (!options->model.name == !options->tokenizer)
        return fail_usage("tokenize needs one of --model and --tokenizer");
    if (options->ids_only && options->counts)
        return fail_usage("tokenize takes one of --ids-only and --counts");
    return prompt_options_check(&options->prompts, &options->data, "tokenize", false);
}

static void release(void *line)
{
    struct tokenize_options *options = line;
    prompt_options_release(&options->prompts);
}

static const char about[] =
    "Prints the tokens of prompts: ids, and the pieces as the model's file spells them. Those "
    "that\n"
    "begin and end every text (BOS, EOS) are among them. No weights are read.\n";

static const struct example examples[] = {
    {"prepack tokenize --model a-model-dir -p 'How many tokens?'",
     "ids and pieces; no weights are read"},
    {"prepack tokenize --tokenizer tokenizer.json --prompts prompts.txt --counts",
     "tokens of each prompt, a line each"},
    {NULL, NULL},
};

const struct command tokenize_command = {
    .name = "tokenize",
    .summary = "the token ids and pieces of texts",
    .usage = "(--model M | --tokenizer PATH) (-p TEXT... | --prompts FILE) [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_tokenize,
    .release = release,
};
