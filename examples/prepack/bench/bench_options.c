/* bench_options.c: the options and the help of `prepack bench`. */
#include "bench_options.h"
#include "output_files.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

static int read_lengths(const struct option_rule *rule, const char *value, void *place)
{
    (void)rule;
    return lengths_parse(value, place);
}

static const struct option_kind kind_lengths = {
    .has_value = true, .is_file = true, .read = read_lengths};

static const char *const length_words[] = {"constant:", "uniform:", "longtail:", "bimodal:", NULL};

/* "32:8", or "32" for as many kv heads. */
static int read_heads(const struct option_rule *rule, const char *value, void *place)
{
    char *end;
    const long long q = strtoll(value, &end, 10);
    long long kv = q;
    bool good = *value >= '0' && *value <= '9';
    if (*end == ':') {
        const char *rest = end + 1;
        kv = strtoll(rest, &end, 10);
        good = good && *rest >= '0' && *rest <= '9';
    }
    good = good && *end == '\0' && (double)kv >= rule->low && (double)q <= rule->high && kv <= q &&
           q % kv == 0;
    if (!good)
        return fail_usage("--%s is '%s', but must be a number of heads from %.0f to %.0f, or one "
                          "and a number of kv heads that divides it, such as 32:8",
                          rule->name, value, rule->low, rule->high);
    *(struct heads *)place = (struct heads){q, kv};
    return STATUS_OK;
}

static const struct option_kind kind_heads = {.has_value = true, .read = read_heads};

/* Names with commas, or "all". */
static int read_formats(const struct option_rule *rule, const char *value, void *place)
{
    struct numbers *out = place;
    const char *at = strcmp(value, "all") == 0 ? "bf16,int8,int4,nf4" : value;
    for (out->n = 0; *at; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        int32_t weights = PP_WEIGHTS_F32;
        while (weights <= PP_WEIGHTS_NF4 && (strlen(pp_weights_name(weights)) != n ||
                                             strncmp(at, pp_weights_name(weights), n) != 0))
            weights++;
        if (weights > PP_WEIGHTS_NF4 || out->n == MAX_NUMBERS)
            return fail_usage("--%s is '%s', but must be names of weight formats with commas, or "
                              "all; they are: f32, bf16, int8, int4, nf4",
                              rule->name, value);
        out->items[out->n++] = weights;
        at += n;
    }
    return out->n > 0 ? STATUS_OK : fail_usage("--%s is empty", rule->name);
}

static const struct option_kind kind_formats = {
    .has_value = true, .has_commas = true, .read = read_formats};

static const char *const format_words[] = {"f32", "bf16", "int8", "int4", "nf4", "all", NULL};

#define AT(member) offsetof(struct bench_options, member)

static const struct option_rule run_rules[] = {
    {.name = "rows",
     .argument = "LIST",
     .kind = &option_numbers,
     .place = AT(rows),
     .low = 1,
     .high = 1 << 20,
     .help = "numbers of rows for gemm and rows, with commas (default: 1 to what a pass holds)"},
    {.name = "formats",
     .argument = "LIST",
     .kind = &kind_formats,
     .place = AT(formats),
     .words = format_words,
     .help = "formats of weights that gemm compares, with commas: f32, bf16, int8, int4, nf4; or "
             "all: the last four (default: the one of the session)"},
    {.name = "lengths",
     .argument = "LIST",
     .kind = &kind_lengths,
     .place = AT(lengths),
     .words = length_words,
     .help = "tokens of a prompt for attention, with commas (default: 50 to what a pass holds, and "
             "100-500). Each of"
             "\n  N, constant:N  every prompt N tokens"
             "\n  A-B            from A to B, equally likely"
             "\n  uniform:N      from 1 to 2N - 1, equally likely"
             "\n  longtail:N     half below 0.41 N, one of 100 above 9 N,"
             "\n                 none above 64 N or what fits (Lomax, shape 2)"
             "\n  bimodal:N      nine of ten N/2, one 11N/2"
             "\n  FILE           one length a line, over and over; a name"
             "\n                 that begins with a digit as ./NAME"
             "\nN is the mean, 200 where it is left out. All but N and A-B fill --tokens, the last "
             "prompt cut; the seed decides what is drawn"},
    {.name = "tokens",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(tokens),
     .low = 1,
     .high = 1 << 20,
     .help = "tokens of all prompts of attention together (default: what a pass holds); of "
             "decoding twice as many keys, at most 64 prompts"},
    {.name = "heads",
     .argument = "Q[:KV]",
     .kind = &kind_heads,
     .place = AT(heads),
     .low = 1,
     .high = 1024,
     .help = "query heads and kv heads (default of KV: Q) in place of the shape's"},
    {.name = "head-dim",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(head_dim),
     .low = 2,
     .high = 512,
     .help = "the same for values of a head; with either, prompts may be of any length"},
    {.name = "num-runs",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(num_runs),
     .low = 1,
     .high = 99,
     .help = "runs of which the median counts"},
    {.name = NULL},
};

static const struct option_rule seed_rules[] = {
    {.name = "seed",
     .argument = "S",
     .kind = &option_seed,
     .place = AT(seed),
     .help = "of random weights and of the lengths that are drawn"},
    {.name = NULL},
};

static const struct option_group groups[] = {
    {NULL, model_rules, AT(model)}, {NULL, run_rules, 0},         {NULL, device_rules, AT(device)},
    {NULL, seed_rules, 0},          {NULL, json_rules, AT(json)}, {NULL, NULL, 0},
};

static const struct bench_options defaults = {
    .model = {.name = "llama1b"},
    .num_runs = 9,
    .device = DEVICE_DEFAULTS,
    .seed = {.value = 41},
};

static const struct choice benches[] = {{"gemm", BENCH_GEMM, NULL},
                                        {"attention", BENCH_ATTENTION, NULL},
                                        {"rows", BENCH_ROWS, NULL},
                                        {"all", BENCH_GEMM | BENCH_ATTENTION | BENCH_ROWS, NULL},
                                        {NULL, 0, NULL}};

static const char *bench_word(int64_t i)
{
    return benches[i].name;
}

/* The word that bench is followed by. */
static int take_bench(const char *word, void *line)
{
    struct bench_options *options = line;
    if (options->benches)
        return fail_usage("bench does not know what to do with '%s'; it takes one of gemm, "
                          "attention, rows or all",
                          word);
    for (const struct choice *c = benches; c->name; c++)
        if (strcmp(word, c->name) == 0)
            options->benches = c->value;
    if (!options->benches)
        return fail_usage("bench does not know '%s'; it takes one of gemm, attention, rows or all",
                          word);
    return STATUS_OK;
}

static int check(const void *line)
{
    const struct bench_options *options = line;
    if (!options->benches)
        return fail_usage("bench needs to know what: gemm, attention, rows or all");
    return STATUS_OK;
}

static void release(void *line)
{
    struct bench_options *options = line;
    lengths_free(&options->lengths);
}

static const char about[] =
    "Runs the operations of a forward pass one by one on random data in the shapes of a model,\n"
    "and holds their times against what the device does at best in the same run: the rate of the\n"
    "instruction that products are made of, or of its fastest product where that is not known,\n"
    "and of copying memory.\n"
    "\n"
    "  gemm                 the products with the weights of a layer and of the LM head\n"
    "  attention            over prompts that fill a pass, and of one new token for each prompt\n"
    "  rows                 what only moves data: embed, rmsnorm, rope_kv, gather, sample;\n"
    "                       and what some models have: route, experts, linear\n";

static const char notes[] =
    "% of roof is the least time, by the product rate or by the copy rate, whichever is longer,\n"
    "divided by the time taken. The copy rate counts bytes read and bytes written. One run after\n"
    "the other uses other memory, so that caches help little where the shapes are large. Times of\n"
    "operations of a few microseconds are those of starting them. guard % is what it costs a\n"
    "product that its bits do not depend on the number of rows (cuda).\n"
    "Attention is measured twice. flushed: before each run, outside its time, memory as large as\n"
    "the last-level cache (L2 of a GPU; 32 to 256 MiB) is copied; warm: each run uses the memory\n"
    "of the one before, which may beat the copy rate. Where a GPU has attention kernels of its\n"
    "own (compute capability 9.0: wgmma), those of every GPU (mma.sync, --device cuda:mma) stand\n"
    "beside them.\n";

static const struct example examples[] = {
    {"prepack bench all --model llama1b", "operations against what the device can do"},
    {"prepack bench attention --lengths longtail:300 --heads 32:8",
     "attention over prompts of mixed lengths"},
    {NULL, NULL},
};

const struct command bench_command = {
    .name = "bench",
    .summary = "the operations of a forward pass against what the device can do",
    .usage = "gemm|attention|rows|all [OPTION]...",
    .about = about,
    .groups = groups,
    .notes = notes,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .words = bench_word,
    .take_word = take_bench,
    .check = check,
    .run = run_bench,
    .release = release,
};
