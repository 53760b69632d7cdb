/*
 * options.c: one table of all options; each command knows some of them. The table gives getopt_long
 * its names, says where a value goes and what is allowed, and writes the sentence when it is not.
 */
#include "options.h"
#include "plan_options.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_TEXT,    /* const char * */
    KIND_TEXTS,   /* appended to texts */
    KIND_INTEGER, /* int64_t between low and high */
    KIND_REAL,    /* double between low and high */
    KIND_SEED,    /* uint64_t */
    KIND_BYTES,   /* int64_t, with or without a unit */
    KIND_CHOICE,  /* int64_t, one of choices */
    KIND_METHODS, /* a list of methods */
    KIND_NUMBERS, /* struct numbers between low and high */
    KIND_LENGTHS, /* struct lengths_list */
    KIND_HEADS,   /* struct heads, each between low and high */
    KIND_FLAG     /* bool */
};

struct option_rule {
    const char *name;
    int commands;
    enum kind kind;
    size_t place; /* offset in struct options */
    double low, high;
    const struct choice *choices;
};

const char *const method_names[N_METHODS] = {"prepacking", "full-batching", "length-ordered",
                                             "dataset-prepacking"};

static const struct choice metrics[] = {
    {"prefill", METRIC_PREFILL}, {"ttft", METRIC_TTFT}, {NULL, 0}};
static const struct choice units[] = {{"batch", PER_BATCH}, {"prompt", PER_PROMPT}, {NULL, 0}};
static const struct choice dtypes[] = {{"auto", PP_DTYPE_AUTO},
                                       {"f32", PP_DTYPE_F32},
                                       {"bf16", PP_DTYPE_BF16},
                                       {"f16", PP_DTYPE_F16},
                                       {NULL, 0}};

#define AT(member) offsetof(struct options, member)
#define PROFILE    COMMAND_PROFILE
#define GENERATE   COMMAND_GENERATE
#define PLAN       COMMAND_PLAN
#define BENCH      COMMAND_BENCH
#define TUNE       COMMAND_TUNE
#define DEVICE     (PROFILE | GENERATE | PLAN | BENCH | TUNE)
#define ALL        (PROFILE | GENERATE | PLAN | BENCH | TUNE)

static const struct option_rule rules[] = {
    {"model", ALL, KIND_TEXT, AT(model), 0, 0, NULL},
    {"dataset", PROFILE | PLAN, KIND_TEXT, AT(dataset), 0, 0, NULL},
    {"prompt", GENERATE, KIND_TEXTS, AT(texts), 0, 0, NULL},
    {"prompts", GENERATE, KIND_TEXT, AT(prompts), 0, 0, NULL},
    {"field", PROFILE | GENERATE | PLAN, KIND_TEXT, AT(field), 0, 0, NULL},
    {"json", ALL, KIND_TEXT, AT(json), 0, 0, NULL},
    {"batch-size", PROFILE | GENERATE, KIND_INTEGER, AT(batch_size), 1, 1 << 20, NULL},
    {"batch-size", PLAN, KIND_INTEGER, AT(batch_size), 0, INT32_MAX, NULL},
    {"num-runs", PROFILE, KIND_INTEGER, AT(num_runs), 1, 1000, NULL},
    {"num-runs", BENCH, KIND_INTEGER, AT(num_runs), 1, 99, NULL},
    {"rows", BENCH, KIND_NUMBERS, AT(rows), 1, 1 << 20, NULL},
    {"lengths", BENCH, KIND_LENGTHS, AT(lengths), 0, 0, NULL},
    {"tokens", BENCH, KIND_INTEGER, AT(tokens), 1, 1 << 20, NULL},
    {"heads", BENCH, KIND_HEADS, AT(heads), 1, 1024, NULL},
    {"head-dim", BENCH, KIND_INTEGER, AT(head_dim), 2, 512, NULL},
    {"max-batches", PROFILE | PLAN, KIND_INTEGER, AT(max_batches), 1, INT32_MAX, NULL},
    {"max-length", PROFILE | PLAN | TUNE, KIND_INTEGER, AT(max_length), 1, INT32_MAX, NULL},
    {"capacity", PROFILE | GENERATE | PLAN, KIND_INTEGER, AT(capacity), 1, INT32_MAX, NULL},
    {"threads", DEVICE, KIND_INTEGER, AT(threads), 1, 256, NULL},
    {"max-new-tokens", GENERATE, KIND_INTEGER, AT(max_new_tokens), 1, 1 << 20, NULL},
    {"show", GENERATE, KIND_INTEGER, AT(show), 0, INT32_MAX, NULL},
    {"seed", ALL, KIND_SEED, AT(seed), 0, 0, NULL},
    {"temperature", GENERATE, KIND_REAL, AT(temperature), 0, 100, NULL},
    {"top-p", GENERATE, KIND_REAL, AT(top_p), 0, 1, NULL},
    {"metric", PROFILE, KIND_CHOICE, AT(metric), 0, 0, metrics},
    {"per", PROFILE, KIND_CHOICE, AT(per), 0, 0, units},
    {"policy", PROFILE | GENERATE | PLAN, KIND_CHOICE, AT(policy), 0, 0, policy_choices},
    {"objective", PLAN, KIND_CHOICE, AT(objective), 0, 0, objective_choices},
    {"oversize", PLAN, KIND_CHOICE, AT(oversize), 0, 0, oversize_choices},
    {"bins", PLAN, KIND_INTEGER, AT(n_bins), 1, INT32_MAX, NULL},
    {"shapes", PLAN, KIND_NUMBERS, AT(shapes), 1, INT32_MAX, NULL},
    {"max-prompts", PLAN, KIND_INTEGER, AT(max_prompts), 1, INT32_MAX, NULL},
    {"align", PLAN, KIND_INTEGER, AT(align), 1, INT32_MAX, NULL},
    {"align-prompts", PLAN, KIND_INTEGER, AT(align_prompts), 1, INT32_MAX, NULL},
    {"keep-order", PLAN, KIND_FLAG, AT(keep_order), 0, 0, NULL},
    {"share-prefixes", PLAN, KIND_FLAG, AT(share_prefixes), 0, 0, NULL},
    {"max-steps", PLAN, KIND_INTEGER, AT(max_steps), -1, 1e15, NULL},
    {"time-limit", PLAN, KIND_REAL, AT(time_limit), 0, 1e6, NULL},
    {"workers", PLAN, KIND_INTEGER, AT(workers), 1, INT32_MAX, NULL},
    {"save", PLAN, KIND_TEXT, AT(save), 0, 0, NULL},
    {"load", PLAN, KIND_TEXT, AT(load), 0, 0, NULL},
    {"svg", PLAN, KIND_TEXT, AT(svg), 0, 0, NULL},
    {"dtype", DEVICE, KIND_CHOICE, AT(dtype), 0, 0, dtypes},
    {"device", DEVICE, KIND_TEXT, AT(device), 0, 0, NULL},
    {"memory-limit", DEVICE, KIND_BYTES, AT(memory_limit), 0, 0, NULL},
    {"seconds", TUNE, KIND_REAL, AT(seconds), 0.001, 86400, NULL},
    {"max-tokens", TUNE, KIND_INTEGER, AT(max_tokens), 64, 1 << 20, NULL},
    {"cost", PLAN, KIND_TEXT, AT(cost), 0, 0, NULL},
    {"predict", PLAN, KIND_FLAG, AT(predict), 0, 0, NULL},
    {"dry-run", PROFILE, KIND_FLAG, AT(dry_run), 0, 0, NULL},
    {"methods", PROFILE, KIND_METHODS, AT(methods), 0, 0, NULL},
    {"draw", PLAN, KIND_FLAG, AT(draw), 0, 0, NULL},
    {"compare", GENERATE, KIND_FLAG, AT(compare), 0, 0, NULL},
    {"help", ALL, KIND_FLAG, AT(help), 0, 0, NULL},
};
enum { N_RULES = sizeof rules / sizeof *rules };

static int set_integer(const struct option_rule *rule, const char *value, int64_t *out)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || (double)number < rule->low || (double)number > rule->high)
        return fail_usage("--%s is '%s', but must be a whole number from %.0f to %.0f", rule->name,
                          value, rule->low, rule->high);
    *out = number;
    return STATUS_OK;
}

static int set_real(const struct option_rule *rule, const char *value, double *out)
{
    char *end;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || number < rule->low || number > rule->high)
        return fail_usage("--%s is '%s', but must be a number from %g to %g", rule->name, value,
                          rule->low, rule->high);
    *out = number;
    return STATUS_OK;
}

static const struct unit {
    const char *name;
    double bytes;
} byte_units[] = {{"", 1},         {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                  {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

static int set_bytes(const struct option_rule *rule, const char *value, int64_t *out)
{
    char *end;
    const double number = strtod(value, &end);
    for (size_t i = 0; i < sizeof byte_units / sizeof *byte_units && end != value; i++) {
        const double bytes = number * byte_units[i].bytes;
        if (strcmp(end, byte_units[i].name) != 0 || !(bytes >= 1 && bytes < 0x1p62))
            continue;
        *out = (int64_t)bytes;
        return STATUS_OK;
    }
    return fail_usage("--%s is '%s', but must be bytes, or a number and KB, MB, GB, TB (of 1000) "
                      "or KiB, MiB, GiB, TiB (of 1024)",
                      rule->name, value);
}

static int set_seed(const struct option_rule *rule, const char *value, struct options *options)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(value, &end, 10);
    if (errno || *value < '0' || *value > '9' || *end)
        return fail_usage("--%s is '%s', but must be a whole number from 0 to %" PRIu64, rule->name,
                          value, UINT64_MAX);
    options->seed = number;
    options->seed_given = true;
    return STATUS_OK;
}

static int set_choice(const struct option_rule *rule, const char *value, int64_t *out)
{
    char known[256] = "";
    for (const struct choice *c = rule->choices; c->name; c++) {
        if (strcmp(value, c->name) == 0) {
            *out = c->value;
            return STATUS_OK;
        }
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", c->name);
    }
    return fail_usage("--%s is '%s', but must be one of %s", rule->name, value, known);
}

static int add_method(const char *name, size_t n, struct options *options)
{
    for (int m = 0; m < N_METHODS; m++) {
        if (strlen(method_names[m]) != n || strncmp(name, method_names[m], n) != 0)
            continue;
        for (int i = 0; i < options->n_methods; i++)
            if (options->methods[i] == m)
                return fail_usage("--methods names %s twice", method_names[m]);
        options->methods[options->n_methods++] = m;
        return STATUS_OK;
    }
    return fail_usage("--methods has '%.*s', but knows only %s, %s, %s and %s", (int)n, name,
                      method_names[0], method_names[1], method_names[2], method_names[3]);
}

static int set_methods(const char *value, struct options *options)
{
    options->n_methods = 0;
    for (;;) {
        const size_t n = strcspn(value, ",");
        const int status = add_method(value, n, options);
        if (status || value[n] == '\0')
            return status;
        value += n + 1;
    }
}

/* Numbers between low and high with commas. */
static int set_numbers(const struct option_rule *rule, const char *value, struct numbers *out)
{
    const char *rest = value;
    out->n = 0;
    for (;;) {
        char *end;
        const long long number = strtoll(rest, &end, 10);
        const bool good = *rest >= '0' && *rest <= '9' && (*end == ',' || *end == '\0') &&
                          (double)number >= rule->low && (double)number <= rule->high &&
                          out->n < MAX_NUMBERS;
        if (!good)
            return fail_usage("--%s is '%s', but must be up to %d whole numbers from %.0f to %.0f "
                              "with commas",
                              rule->name, value, MAX_NUMBERS, rule->low, rule->high);
        out->items[out->n++] = number;
        if (*end == '\0')
            return STATUS_OK;
        rest = end + 1;
    }
}

/* "32:8", or "32" for as many kv heads. */
static int set_heads(const struct option_rule *rule, const char *value, struct heads *out)
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
    *out = (struct heads){q, kv};
    return STATUS_OK;
}

static int add_text(const char *value, struct options *options)
{
    const char **texts = realloc(options->texts, (options->n_texts + 1) * sizeof *texts);
    if (!texts)
        return fail_memory();
    options->texts = texts;
    texts[options->n_texts++] = value;
    return STATUS_OK;
}

static int set_value(const struct option_rule *rule, const char *value, struct options *options)
{
    void *place = (char *)options + rule->place;
    switch (rule->kind) {
    case KIND_TEXT:
        *(const char **)place = value;
        return STATUS_OK;
    case KIND_TEXTS:
        return add_text(value, options);
    case KIND_INTEGER:
        return set_integer(rule, value, place);
    case KIND_REAL:
        return set_real(rule, value, place);
    case KIND_SEED:
        return set_seed(rule, value, options);
    case KIND_BYTES:
        return set_bytes(rule, value, place);
    case KIND_CHOICE:
        return set_choice(rule, value, place);
    case KIND_METHODS:
        return set_methods(value, options);
    case KIND_NUMBERS:
        return set_numbers(rule, value, place);
    case KIND_LENGTHS:
        return lengths_parse(value, place);
    case KIND_HEADS:
        return set_heads(rule, value, place);
    case KIND_FLAG:
        *(bool *)place = true;
        return STATUS_OK;
    }
    return STATUS_OK;
}

static void set_defaults(enum command command, struct options *options)
{
    *options = (struct options){
        .batch_size = 64,
        .num_runs = command == COMMAND_BENCH ? 9 : 5,
        .max_new_tokens = 32,
        .show = 16,
        .seed = 41,
        .top_p = 1.0,
        .device = "cpu",
        .policy = command == COMMAND_PLAN ? 0 : PP_POLICY_FFD,
        .objective = PP_OBJECTIVE_FEWEST_BINS,
        .oversize = PP_OVERSIZE_ERROR,
        .align = 1,
        .align_prompts = 1,
        .methods = {METHOD_PREPACKING, METHOD_FULL, METHOD_ORDERED},
        .n_methods = 3,
    };
}

static const char *command_name(enum command command)
{
    switch (command) {
    case COMMAND_PROFILE:
        return "profile";
    case COMMAND_GENERATE:
        return "generate";
    case COMMAND_PLAN:
        return "plan";
    case COMMAND_TUNE:
        return "tune";
    default:
        return "bench";
    }
}

/* The word that bench is followed by. */
static int set_bench(const char *word, struct options *options)
{
    static const struct choice benches[] = {{"gemm", BENCH_GEMM},
                                            {"attention", BENCH_ATTENTION},
                                            {"rows", BENCH_ROWS},
                                            {"all", BENCH_GEMM | BENCH_ATTENTION | BENCH_ROWS},
                                            {NULL, 0}};
    for (const struct choice *c = benches; c->name && word; c++)
        if (strcmp(word, c->name) == 0)
            options->benches = (int)c->value;
    if (!options->benches)
        return fail_usage("bench needs to know what: gemm, attention, rows or all");
    return STATUS_OK;
}

/* What only the options together can break. */
static int check_together(enum command command, const struct options *options)
{
    if (command == COMMAND_GENERATE) {
        if (!options->model)
            return fail_usage("generate needs --model: a model directory, or 'demo'");
        if (!options->prompts && options->n_texts == 0)
            return fail_usage("generate needs prompts: -p TEXT, or --prompts FILE");
        if (options->prompts && options->n_texts > 0)
            return fail_usage("generate takes -p or --prompts, not both");
    }
    if (command == COMMAND_TUNE && !options->model)
        return fail_usage("tune needs --model: a model directory, 'demo', or a shape such as "
                          "llama1b");
    if (options->top_p <= 0)
        return fail_usage("--top-p must be above 0");
    return command == COMMAND_PLAN ? check_plan_options(options) : STATUS_OK;
}

int options_parse(enum command command, int argc, char **argv, struct options *options)
{
    struct option long_options[N_RULES + 1] = {{0}};
    const struct option_rule *used[N_RULES];
    int n = 0;
    set_defaults(command, options);
    for (int i = 0; i < N_RULES; i++) {
        if (!(rules[i].commands & (int)command))
            continue;
        long_options[n].name = rules[i].name;
        long_options[n].has_arg = rules[i].kind == KIND_FLAG ? no_argument : required_argument;
        used[n++] = &rules[i];
    }
    const char *short_options = command == COMMAND_GENERATE ? ":hp:" : ":h";
    opterr = 0;
    optind = 1;
    for (;;) {
        int which = -1;
        const int letter = getopt_long(argc, argv, short_options, long_options, &which);
        int status = STATUS_OK;
        if (letter == -1)
            break;
        if (letter == '?' && optopt > 0)
            return fail_usage("%s does not know '-%c'; 'prepack help %s' lists its options",
                              command_name(command), optopt, command_name(command));
        if (letter == '?')
            return fail_usage("%s does not know '%s'; 'prepack help %s' lists its options",
                              command_name(command), argv[optind - 1], command_name(command));
        if (letter == ':')
            return fail_usage("'%s' needs a value; 'prepack help %s' says which", argv[optind - 1],
                              command_name(command));
        if (letter == 'h')
            options->help = true;
        else if (letter == 'p')
            status = add_text(optarg, options);
        else
            status = set_value(used[which], optarg, options);
        if (status)
            return status;
    }
    if (options->help)
        return STATUS_OK;
    if (command == COMMAND_BENCH) {
        const int status = set_bench(optind < argc ? argv[optind] : NULL, options);
        if (status)
            return status;
        optind++;
    }
    if (optind < argc)
        return fail_usage("%s does not know what to do with '%s'; values follow an option",
                          command_name(command), argv[optind]);
    return check_together(command, options);
}

void options_free(struct options *options)
{
    lengths_free(&options->lengths);
    free(options->texts);
    options->texts = NULL;
    options->n_texts = 0;
}
