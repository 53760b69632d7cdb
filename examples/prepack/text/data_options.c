/* data_options.c: the tables of the options of prompts. */
#include "data_options.h"

static const char *const data_sets[] = {"demo", "mmlu",   "wikitext256", "wikitext512",
                                        "rlhf", "alpaca", "samsum",      NULL};

static const struct choice formats[] = {
    {"auto", FORMAT_AUTO,
     "as the content looks; what it leaves open a name decides that ends, in any case, in .txt, "
     ".json, .jsonl, .ndjson, .csv or .tsv; numbers alone are token counts where those will do, "
     "and .lengths always holds them"},
    {"lines", FORMAT_LINES, "a prompt a line"},
    {"text", FORMAT_TEXT, "the whole file is one prompt"},
    {"json", FORMAT_JSON, "JSON lines, or a JSON array of objects or strings"},
    {"csv", FORMAT_CSV, "a first line of column names, commas, quotes as in RFC 4180"},
    {"tsv", FORMAT_TSV, "the same with tabs"},
    {"lengths", FORMAT_LENGTHS, "a token count a line"},
    {NULL, 0, NULL}};

static const struct choice specials[] = {
    {"parse", SPECIAL_PARSE, "they become the one token that they name, as in transformers"},
    {"literal", SPECIAL_LITERAL, "they are text like any other"},
    {NULL, 0, NULL}};

const struct option_rule dataset_rules[] = {
    {.name = "dataset",
     .argument = "D",
     .kind = &option_file,
     .words = data_sets,
     .help = "mmlu, wikitext256, wikitext512, rlhf, alpaca, samsum: lists of token counts; demo: "
             "the bundled prompts; or a file: one prompt a line, JSON lines, a JSON array, CSV, "
             "TSV, or one token count a line; '-': standard input"},
    {.name = NULL},
};

const struct option_rule ids_rules[] = {
    {.name = "ids",
     .argument = "FILE",
     .kind = &option_file,
     .help =
         "prompts that are token ids, so that no tokenizer is needed: JSON lists such as [1, 15, "
         "27], one after another or in a list, or objects with one in 'ids', 'tokens', "
         "'input_ids' or the field of --field; '-': standard input"},
    {.name = NULL},
};

#define AT(member) offsetof(struct data_options, member)

const struct option_rule field_rules[] = {
    {.name = "field",
     .argument = "NAME",
     .kind = &option_text,
     .place = AT(field),
     .help = "the field of JSON or the column of CSV and TSV that holds the prompt (default: "
             "prompt)"},
    {.name = NULL},
};

const struct option_rule reading_rules[] = {
    {.name = "format",
     .argument = "F",
     .kind = &option_choice,
     .place = AT(format),
     .choices = formats,
     .help = "what the file holds"},
    {.name = "special-tokens",
     .argument = "HOW",
     .kind = &option_choice,
     .place = AT(special),
     .choices = specials,
     .help = "special tokens of the vocabulary that a text spells out, such as </s>"},
    {.name = NULL},
};
