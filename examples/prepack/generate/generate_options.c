/* generate_options.c: the options and the help of `prepack generate`. */
#include "generate_options.h"
#include "say.h"

#define AT(member) offsetof(struct generate_options, member)

static const struct option_rule run_rules[] = {
    {.name = "max-new-tokens",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_new_tokens),
     .low = 1,
     .high = 1 << 20,
     .help = "most tokens to generate for each prompt"},
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 1,
     .high = 1 << 20,
     .help = "prompts that run together"},
    {.name = "compare",
     .kind = &option_flag,
     .place = AT(compare),
     .help = "run every prompt alone as well, without packing or batching, print both side by side "
             "and fail (status 1) if any token differs"},
    {.name = "show",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(show),
     .low = 0,
     .high = INT32_MAX,
     .help = "rows of that comparison; differing ones always show"},
    {.name = "temperature",
     .argument = "T",
     .kind = &option_real,
     .place = AT(temperature),
     .low = 0,
     .high = 100,
     .help = "0: the most likely token; above: sample"},
    {.name = "top-k",
     .argument = "K",
     .kind = &option_integer,
     .place = AT(top_k),
     .low = 0,
     .high = INT32_MAX,
     .help = "sample from the K most likely tokens; 0: from all"},
    {.name = "top-p",
     .argument = "P",
     .kind = &option_real,
     .place = AT(top_p),
     .low = 0,
     .high = 1,
     .help = "of those, from the most likely that have P of the probability; 1: from all"},
    {.name = "min-p",
     .argument = "P",
     .kind = &option_real,
     .place = AT(min_p),
     .low = 0,
     .high = 1,
     .help = "of those, from the ones at least P times as likely as the most likely; 0: from all"},
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of the sampling. Each prompt has its own stream of random numbers, so what is drawn "
             "does not depend on the batch"},
    {.name = NULL},
};

static const struct option_rule json_rule[] = {
    {.name = "json",
     .argument = "FILE",
     .kind = &option_file,
     .help = "write [{\"prompt\", \"text\", \"tokens\"}] too, with \"prompt_tokens\" for --ids; "
             "'-': to "
             "standard output, and the rest to standard error"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},     {NULL, prompt_rules, AT(prompts)},
    {NULL, ids_rules, AT(prompts.ids)}, {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},    {NULL, run_rules, 0},
    {NULL, packer_rules, AT(packing)},  {NULL, device_rules, AT(device)},
    {NULL, json_rule, AT(json)},        {NULL, NULL, 0},
};

static const struct generate_options defaults = {
    .max_new_tokens = 32,
    .batch_size = 64,
    .show = 16,
    .top_p = 1,
    .seed = {.value = 41},
    .packing = PACKER_DEFAULTS,
    .device = DEVICE_DEFAULTS,
};

static int check(const void *line)
{
    const struct generate_options *options = line;
    if (!options->model.name)
        return fail_usage("generate needs --model: a model directory, a GGUF file, or 'demo'");
    const int status = prompt_options_check(&options->prompts, &options->data, "generate", true);
    if (status)
        return status;
    if ((float)options->top_p <= 0)
        return fail_usage("--top-p must be above 0, and at most 1");
    return STATUS_OK;
}

static void release(void *line)
{
    struct generate_options *options = line;
    prompt_options_release(&options->prompts);
}

static const char about[] =
    "Continues prompts: each batch is packed and prefilled at once, then decoded together until\n"
    "each prompt reached an end-of-text token or its limit; finished prompts leave the batch. A\n"
    "field or column 'answer' of a file of prompts is compared with the text up to its first full\n"
    "stop, and the right ones are counted. On a terminal the text of a single prompt appears as "
    "it\n"
    "is generated; several are printed in their order when all are done.\n"
    "\n"
    "Text needs a tokenizer: a tokenizer.json, tekken.json or tokenizer.model in the model "
    "directory,\n"
    "or that of the GGUF file; what tokenizer_config.json beside it says of the beginning and end "
    "of\n"
    "a text and of added tokens holds. Token ids (--ids) need none: where there is none, ids are\n"
    "printed in place of text. A prompt is taken as it is: a chat template is the caller's to "
    "apply,\n"
    "as in -p $'<|im_start|>user\\nHello<|im_end|>\\n<|im_start|>assistant\\n'.\n";

static const struct example examples[] = {
    {"prepack generate --model demo -p 'The capital of Germany is' --max-new-tokens 8 --compare",
     "every prompt alone as well, and what differs"},
    {"prepack generate --model a-model.gguf --prompts prompts.txt",
     "text as it comes, until the model ends it"},
    {"prepack generate --model demo -p 'The' --temperature 0.8 --top-k 40 --top-p 0.9 --min-p 0.05",
     "tokens drawn from the likely ones"},
    {"echo '[1, 15, 27]' | prepack generate --model demo --ids -", "token ids in place of text"},
    {"prepack generate --model a-model-dir --loadbit 4 -p 'The'",
     "weights in 4 bits, for this session"},
    {NULL, NULL},
};

const struct command generate_command = {
    .name = "generate",
    .summary = "continue prompts: packed prefill, then batched decoding",
    .usage = "--model M (-p TEXT... | --prompts FILE | --ids FILE) [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_generate,
    .release = release,
};
