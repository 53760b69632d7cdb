/*
 * bench_share.c: prompts whose first tokens are shared, with each prefix computed once and without,
 * in turns.
 *
 *     bench_share MODEL FILE [ROUNDS [MIN_PREFIX [ALONE]]]
 *
 * MODEL: a shape's name (llama1b, ..., or 110m: 12 layers of 768, 32,000 ids) of random weights, or
 * a model's directory. FILE: one prompt a line, its token ids in decimal with blanks between them.
 * ALONE: so many prompts, evenly chosen, run without sharing, and their rate stands for all; for
 * files that would take hours. The next token of every prompt is wanted, no cache is kept.
 */
#include <prepack/prepack.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_ROUNDS 15

static const char shape_110m[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"vocab_size\":32000,"
    "\"hidden_size\":768,\"intermediate_size\":2048,\"num_hidden_layers\":12,"
    "\"num_attention_heads\":12,\"num_key_value_heads\":12,\"max_position_embeddings\":4096,"
    "\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":false,"
    "\"torch_dtype\":\"bfloat16\"}";

static pp_error err = {.struct_size = sizeof err};

static void check(pp_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "bench_share: %s\n", err.message);
    exit(1);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pp_session *open_session(const char *name)
{
    pp_model *model;
    pp_session *session;
    pp_session_params params;
    const char *shape = strcmp(name, "110m") == 0 ? shape_110m : pp_model_preset(name);
    check(shape ? pp_model_create_random(shape, 1, NULL, &model, &err)
                : pp_model_open(name, NULL, &model, &err));
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_BF16;
    check(pp_session_create(model, &params, &session, &err));
    pp_model_unref(model);
    return session;
}

/* The prompts of a file as items. */
static pp_item *read_items(const char *path, int64_t *n)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    pp_item *items = NULL;
    if (!file) {
        fprintf(stderr, "bench_share: %s cannot be read\n", path);
        exit(1);
    }
    for (*n = 0; getline(&line, &room, file) > 0;) {
        int32_t *ids = malloc(strlen(line) * sizeof *ids);
        int64_t n_tokens = 0;
        for (char *at = line, *end; ids; at = end) {
            long id = strtol(at, &end, 10);
            if (end == at)
                break;
            ids[n_tokens++] = (int32_t)id;
        }
        items = realloc(items, (size_t)(*n + 1) * sizeof *items);
        if (n_tokens > 0)
            items[(*n)++] = (pp_item){.struct_size = sizeof *items,
                                      .tokens = ids,
                                      .n_tokens = n_tokens,
                                      .output = PP_OUTPUT_TOKEN,
                                      .discard_cache = 1};
    }
    free(line);
    fclose(file);
    return items;
}

/* Seconds of a run; *computed: tokens that went through the model. */
static double run(pp_session *session, pp_item *items, int64_t n, int64_t min_prefix,
                  int64_t *computed)
{
    pp_session_info before = {.struct_size = sizeof before}, after = before;
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.min_shared_prefix = min_prefix;
    check(pp_session_get_info(session, &before, &err));
    double start = seconds_now();
    check(pp_run(session, NULL, items, n, &params, &err));
    double seconds = seconds_now() - start;
    check(pp_session_get_info(session, &after, &err));
    *computed = after.tokens_computed - before.tokens_computed;
    return seconds;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_share MODEL FILE [ROUNDS [MIN_PREFIX [ALONE]]]\n");
        return 2;
    }
    int n_rounds = argc > 3 ? atoi(argv[3]) : 3;
    int64_t n, min_prefix = argc > 4 ? atoll(argv[4]) : 16;
    pp_item *items = read_items(argv[2], &n);
    int64_t n_alone = argc > 5 && atoll(argv[5]) < n ? atoll(argv[5]) : n;
    pp_session *session = open_session(argv[1]);
    if (n_rounds < 1 || n_rounds > MAX_ROUNDS || n_alone < 1 || min_prefix < 1) {
        fprintf(stderr, "bench_share: 1 to %d rounds of at least one prompt\n", MAX_ROUNDS);
        return 2;
    }
    pp_item *alone = malloc((size_t)n_alone * sizeof *alone);
    int64_t tokens = 0, tokens_alone = 0, computed = 0;
    for (int64_t i = 0; i < n; i++)
        tokens += items[i].n_tokens;
    for (int64_t i = 0; i < n_alone; i++) {
        alone[i] = items[i * n / n_alone];
        tokens_alone += alone[i].n_tokens;
    }
    double with[MAX_ROUNDS], without[MAX_ROUNDS], ratios[MAX_ROUNDS];
    for (int round = -1; round < n_rounds; round++) {
        int64_t n_warm = round < 0 && n > 8 ? 8 : n, all;
        double a = run(session, alone, n_warm < n_alone ? n_warm : n_alone, 0, &all);
        double b = run(session, items, n_warm, min_prefix, &computed);
        if (round < 0) /* it warms up */
            continue;
        without[round] = a * (double)tokens / (double)tokens_alone;
        with[round] = b;
        ratios[round] = without[round] / b;
        printf("round %d: %.2f s without, %.2f s with: %.2fx\n", round + 1, without[round], b,
               ratios[round]);
        fflush(stdout);
    }
    printf("%s, %" PRId64 " prompts of %" PRId64 " tokens, %" PRId64
           " computed (%.2fx fewer); medians: %.2f s without%s, %.2f s with, %.2fx\n",
           argv[1], n, tokens, computed, (double)tokens / (double)computed,
           median(without, n_rounds), n_alone < n ? " (by the rate of some)" : "",
           median(with, n_rounds), median(ratios, n_rounds));
    pp_session_destroy(session);
    for (int64_t i = 0; i < n; i++)
        free((void *)(uintptr_t)items[i].tokens);
    free(items);
    free(alone);
    return 0;
}
