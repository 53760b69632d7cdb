/* score_options.c: the options and the help of `prepack score`. */
#include "score_options.h"
#include "output_files.h"
#include "say.h"

#define AT(member) offsetof(struct score_options, member)

static const struct option_rule work_rules[] = {
    {.name = "data",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(data),
     .help = "JSON lines or a JSON array of contexts and continuations; with --perplexity, texts: "
             "JSON or CSV with a field 'text', otherwise the whole file is one text (--format "
             "lines: one a line); '-': standard input"},
    {.name = "perplexity",
     .kind = &option_flag,
     .place = AT(perplexity),
     .help = "score texts, by windows, in place of continuations"},
    {.name = "stride",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(stride),
     .low = 1,
     .high = INT32_MAX,
     .help = "windows that begin N tokens apart, each scoring the tokens that no window before has "
             "(default: windows that do not overlap)"},
    {.name = "max-length",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(max_length),
     .low = 1,
     .high = INT32_MAX,
     .help = "tokens that the model sees at once, at most (default: as many as it can)"},
    {.name = NULL},
};

static const struct option_rule name_rules[] = {
    {.name = "field",
     .argument = "NAME",
     .kind = &option_text,
     .place = AT(reading.field),
     .help = "the field of JSON with the context (default: context, question); with --perplexity, "
             "that of JSON or the column of CSV and TSV with the text (default: text)"},
    {.name = "continuation-field",
     .argument = "NAME",
     .kind = &option_text,
     .place = AT(continuation_field),
     .help = "the field of JSON with a continuation or a list of them (default: continuation, "
             "continuations)"},
    {.name = "choices-field",
     .argument = "NAME",
     .kind = &option_text,
     .place = AT(choices_field),
     .help = "the same of continuations that get the delimiter (default: choices)"},
    {.name = "answer-field",
     .argument = "NAME",
     .kind = &option_text,
     .place = AT(answer_field),
     .help = "the field with the index of the right one, from 0, or its letter (default: answer)"},
    {.name = "delimiter",
     .argument = "TEXT",
     .kind = &option_text,
     .place = AT(delimiter),
     .help = "stands between a context and a choice where neither has white space there (default: "
             "a space)"},
    {.name = NULL},
};

static const struct option_rule run_rules[] = {
    {.name = "batch-size",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(batch_size),
     .low = 1,
     .high = 1 << 20,
     .help = "continuations or windows that run together"},
    {.name = "out",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(out),
     .help = "write a JSON line an item, in their order and after each batch, behind a line that "
             "says what is run"},
    {.name = "resume",
     .kind = &option_flag,
     .place = AT(resume),
     .help =
         "go on behind the last whole line of --out; what it holds then is, byte for byte, what "
         "a run that was never stopped writes"},
    {.name = "force",
     .kind = &option_flag,
     .place = AT(force),
     .help = "replace a file that is there"},
    {.name = "tokens",
     .kind = &option_flag,
     .place = AT(tokens),
     .help = "write id, log-probability and rank of every token scored, too"},
    {.name = "top",
     .argument = "K",
     .kind = &option_integer,
     .place = AT(top),
     .low = 1,
     .high = PP_MAX_TOP,
     .help = "as --tokens, and the K most likely tokens in each place, with theirs"},
    {.name = "show",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(show),
     .low = 0,
     .high = INT32_MAX,
     .help = "items that are printed"},
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
    {NULL, work_rules, 0},
    {NULL, ids_rules, AT(ids)},
    {NULL, name_rules, 0},
    {NULL, reading_rules, AT(reading)},
    {NULL, run_rules, 0},
    {NULL, packer_rules, AT(packing)},
    {NULL, device_rules, AT(device)},
    {NULL, seed_rules, 0},
    {NULL, json_rules, AT(json)},
    {NULL, NULL, 0},
};

static const struct score_options defaults = {
    .batch_size = 256,
    .show = 10,
    .packing = SHARING_DEFAULTS,
    .device = DEVICE_DEFAULTS,
};

static int check_data(const struct score_options *options)
{
    const bool fields =
        options->continuation_field || options->choices_field || options->answer_field;
    if (!options->perplexity && options->ids)
        return fail_usage("--ids is for --perplexity; contexts and continuations of --data may be "
                          "lists of token ids");
    if (!options->data == !options->ids)
        return fail_usage(options->data ? "score takes one of --data and --ids"
                                        : "score needs --data: a file of contexts and "
                                          "continuations, or of texts for --perplexity");
    if (options->ids && options->reading.format != FORMAT_AUTO)
        return fail_usage("--format says how the file of --data is read");
    if (!options->perplexity && options->reading.format != FORMAT_AUTO &&
        options->reading.format != FORMAT_JSON)
        return fail_usage("contexts and continuations are read from JSON; --format is for "
                          "--perplexity");
    if (options->perplexity && fields)
        return fail_usage("texts of --perplexity have no continuations; --field names theirs");
    if (!options->perplexity && options->stride > 0)
        return fail_usage("--stride is for --perplexity");
    return STATUS_OK;
}

static int check(const void *line)
{
    const struct score_options *options = line;
    if (!options->model.name)
        return fail_usage("score needs --model: a model directory, a GGUF file, 'demo', or a "
                          "shape");
    if ((options->resume || options->force) && !options->out)
        return fail_usage("--%s is for --out", options->resume ? "resume" : "force");
    if (options->resume && options->force)
        return fail_usage("score takes one of --resume and --force");
    if (options->out && !*options->out)
        return fail_usage("--out is empty, but must name a file");
    return check_data(options);
}

static const char about[] =
    "Scores continuations of contexts, or texts, by the log-probabilities that a model gives to\n"
    "their tokens; no logits are kept. JSON objects, each of one of these forms, whose texts may\n"
    "also be lists of token ids:\n"
    "  {\"context\": \"...\", \"continuation\": \"...\"}\n"
    "  {\"context\": \"...\", \"continuations\": [\"...\", ...]}\n"
    "  {\"question\": \"...\", \"choices\": [\"...\", ...], \"answer\": 2}      or \"answer\": "
    "\"C\"\n"
    "'context' and 'question' mean the same. With answers: acc, how often the right continuation\n"
    "has the largest sum of log-probabilities; acc_norm, the largest sum divided by the "
    "characters\n"
    "of the continuation as the file has it, and acc_bytes, by its bytes.\n";

static const char notes[] =
    "Tokens are made as lm-evaluation-harness makes them. White space at the end of a context\n"
    "moves to the continuation; a continuation's tokens are those of context and continuation\n"
    "together behind as many as the context has alone, and what stands before them is the context\n"
    "alone, also where a token would reach over the border (a note says how often). Texts begin\n"
    "as the tokenizer has it (BOS); an empty context is that beginning or, where there is none,\n"
    "the token that begins a text, or else one that ends it; ids are taken as they are. A context\n"
    "that does not fit loses its beginning, which a note says; a continuation that does not fit "
    "is\n"
    "refused.\n"
    "Perplexity. Rolling windows see one token of the window before, and every token of a text is\n"
    "scored. With --stride, as transformers' documentation has it, a window has --max-length "
    "tokens,\n"
    "and the very first token is not scored. Words are what white space separates, counted as\n"
    "lm-evaluation-harness counts them (one more than there are runs of white space).\n";

static const struct example examples[] = {
    {"prepack score --model a-model-dir --data questions.jsonl --out scores.jsonl",
     "multiple choice, continuations"},
    {"prepack score --model a-model-dir --perplexity --data book.txt",
     "rolling windows; --stride N overlaps them"},
    {NULL, NULL},
};

const struct command score_command = {
    .name = "score",
    .summary = "log-probabilities: continuations, multiple choice, perplexity",
    .usage = "--model M --data FILE [OPTION]...\n"
             "--model M --perplexity (--data FILE | --ids FILE) [OPTION]...",
    .about = about,
    .groups = groups,
    .notes = notes,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .check = check,
    .run = run_score,
};
