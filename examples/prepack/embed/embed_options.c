/* embed_options.c: the options and the help of `prepack embed`. */
#include "embed_options.h"
#include "output_files.h"
#include "say.h"
#include "vector_file.h"

#define AT(member) offsetof(struct embed_options, member)

static const struct choice poolings[] = {
    {"model", POOLING_OF_MODEL, "as the model's files have it, else last"},
    {"last", PP_POOLING_LAST, "the state of the last token"},
    {"mean", PP_POOLING_MEAN, "the mean of the states of all tokens"},
    {"first", PP_POOLING_FIRST, "the state of the first token"},
    {NULL, 0, NULL}};

static const struct option_rule text_rules[] = {
    {.name = "prefix",
     .argument = "TEXT",
     .kind = &option_text,
     .place = AT(prefix),
     .help = "stands before every text: an instruction, as models want it before queries"},
    {.name = "append-eos",
     .kind = &option_flag,
     .place = AT(append_eos),
     .help = "end every text with the token that ends texts, where the tokenizer does not do so by "
             "itself"},
    {.name = "max-length",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_length),
     .low = 1,
     .high = INT32_MAX,
     .help = "cut longer texts to N tokens, those that begin and end them included"},
    {.name = NULL},
};

static const struct option_rule run_rules[] = {
    {.name = "out",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(out),
     .help = "the file to write; under another name until it is whole. It ends in .npy, "
             ".safetensors or .jsonl (a JSON object a line)"},
    {.name = "force",
     .kind = &option_flag,
     .place = AT(force),
     .help = "replace a file that is there"},
    {.name = "pooling",
     .argument = "P",
     .kind = &option_choice,
     .place = AT(pooling),
     .choices = poolings,
     .help = "how the states of a text's tokens become one vector"},
    {.name = "normalize",
     .kind = &option_flag,
     .place = AT(normalize),
     .help = "divide each vector by its length (default: as the model's files have it, else yes)"},
    {.name = "no-normalize",
     .kind = &option_flag,
     .place = AT(no_normalize),
     .help = "leave it as it is"},
    {.name = "labels",
     .kind = &option_flag,
     .place = AT(labels),
     .help = "write the scores that a classification or reward head gives (logits) in place of "
             "embeddings; default where a model has such a head and --pooling is not given"},
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 1,
     .high = 1 << 20,
     .help = "texts that run together; the memory that a run takes grows with it"},
    {.name = NULL},
};

static const struct option_rule seed_rules[] = {
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of random weights"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)},
    {NULL, prompt_rules, AT(prompts)},
    {NULL, ids_rules, AT(prompts.ids)},
    {NULL, field_rules, AT(data)},
    {NULL, reading_rules, AT(data)},
    {NULL, text_rules, 0},
    {NULL, run_rules, 0},
    {NULL, packer_rules, AT(packing)},
    {NULL, device_rules, AT(device)},
    {NULL, seed_rules, 0},
    {NULL, json_rules, AT(json)},
    {NULL, NULL, 0},
};

static const struct embed_options defaults = {
    .pooling = POOLING_OF_MODEL,
    .batch_size = 64,
    .packing = SHARING_DEFAULTS,
    .device = DEVICE_DEFAULTS,
};

const char *pooling_name(int64_t pooling)
{
    return choice_name(poolings, pooling);
}

static int check(const void *line)
{
    const struct embed_options *options = line;
    enum vector_kind kind;
    if (!options->model.name)
        return fail_usage("embed needs --model: a model directory, a GGUF file, 'demo', or a "
                          "shape");
    if (!options->out)
        return fail_usage("embed needs --out: the .npy, .safetensors or .jsonl file to write");
    if (options->normalize && options->no_normalize)
        return fail_usage("embed takes one of --normalize and --no-normalize");
    if (options->labels && (options->pooling != POOLING_OF_MODEL || options->normalize))
        return fail_usage("scores of --labels are neither pooled nor normalised");
    if (options->prompts.ids && options->prefix)
        return fail_usage("--prefix is a text and goes before texts, not before --ids");
    const int status = vector_file_kind(options->out, &kind);
    return status ? status : prompt_options_check(&options->prompts, &options->data, "embed", true);
}

static void release(void *line)
{
    struct embed_options *options = line;
    prompt_options_release(&options->prompts);
}

static const char about[] =
    "Writes a vector of each text: 'embeddings', [n, hidden_size] float32 in the order of the "
    "texts,\n"
    "pooled from the states behind the model's last norm; or 'scores', [n, labels], of a model "
    "that\n"
    "classifies (...ForSequenceClassification). No logits are computed. Texts get what the "
    "tokenizer\n"
    "puts before and behind them; ids are taken as they are. A batch's texts are packed, and what\n"
    "they begin with alike, such as --prefix, is computed once.\n";

static const struct example examples[] = {
    {"prepack embed --model a-model-dir --prompts passages.txt --out passages.npy",
     "a vector each, pooled"},
    {NULL, NULL},
};

const struct command embed_command = {
    .name = "embed",
    .summary = "a vector of each text: embeddings, or scores of labels",
    .usage = "--model M (-p TEXT... | --prompts FILE | --ids FILE) --out FILE [OPTION]...",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_embed,
    .release = release,
};
