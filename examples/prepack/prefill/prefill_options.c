/* prefill_options.c: the options and the help of `prepack prefill`. */
#include "prefill_options.h"
#include "output_files.h"
#include "say.h"

#include <string.h>

#define AT(member) offsetof(struct prefill_options, member)

static const struct option_rule run_rules[] = {
    {.name = "out",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(out),
     .help = "the safetensors file to write; under another name until it is whole"},
    {.name = "kv",
     .kind = &option_flag,
     .place = AT(kv),
     .help = "write the keys and values of every prompt and layer, too"},
    {.name = "force",
     .kind = &option_flag,
     .place = AT(force),
     .help = "replace a file that is there"},
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 1,
     .high = 1 << 20,
     .help = "prompts that run together; the memory that a run takes grows with it, and not with "
             "the number of prompts"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},     {NULL, prompt_rules, AT(prompts)},
    {NULL, ids_rules, AT(prompts.ids)}, {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},    {NULL, run_rules, 0},
    {NULL, packer_rules, AT(packing)},  {NULL, device_rules, AT(device)},
    {NULL, json_rules, AT(json)},       {NULL, NULL, 0},
};

static const struct prefill_options defaults = {
    .batch_size = 64,
    .packing = PACKER_DEFAULTS,
    .device = DEVICE_DEFAULTS,
};

static int check(const void *line)
{
    const struct prefill_options *options = line;
    if (!options->model.name)
        return fail_usage("prefill needs --model: a model directory, a GGUF file, or 'demo'");
    if (!options->out)
        return fail_usage("prefill needs --out: the safetensors file to write");
    if (!*options->out)
        return fail_usage("--out is empty, but must name a file");
    if (strcmp(options->out, "-") == 0)
        return fail_usage("--out is '-', but must be a file: batches are written to their places "
                          "in it");
    return prompt_options_check(&options->prompts, &options->data, "prefill", true);
}

static void release(void *line)
{
    struct prefill_options *options = line;
    prompt_options_release(&options->prompts);
}

static const char about[] =
    "Prefills prompts, a packed batch after another, and writes a safetensors file:\n"
    "  lengths               [n] int64, the tokens of each prompt, in their order\n"
    "  logits                [n, vocabulary] float32, of each prompt's last token\n"
    "  prompt.I.layer.L.k    [n_tokens, n_kv_heads, head_dim] float32, with --kv: the keys of\n"
    "                        prompt I in layer L after the rotary embedding; both count from 0,\n"
    "                        and layers with a window have all tokens\n"
    "  prompt.I.layer.L.v    the values of the same\n"
    "  prompt.I.layer.L.state, prompt.I.layer.L.conv\n"
    "                        [n_v_heads, k_dim, v_dim] and [kernel - 1, channels] float32, in the\n"
    "                        place of keys and values where the layer is linear (docs/caches.md)\n"
    "Its metadata name the model, the dtype that was computed in, and the device.\n";

static const struct example examples[] = {
    {"prepack prefill --model demo --prompts prompts.jsonl --kv --out kv.safetensors",
     "logits, keys and values"},
    {NULL, NULL},
};

const struct command prefill_command = {
    .name = "prefill",
    .summary = "write logits and KV caches of prompts to a file",
    .usage = "--model M (-p TEXT... | --prompts FILE | --ids FILE) --out FILE [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_prefill,
    .release = release,
};
