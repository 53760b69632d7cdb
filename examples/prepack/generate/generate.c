/* generate.c: `prepack generate`: continues prompts and, with --compare, shows that packing and
 * batching changed nothing. */
#include "continue.h"
#include "live_text.h"
#include "engine.h"
#include "generate_options.h"
#include "model_tokenizer.h"
#include "output_files.h"
#include "promptset.h"
#include "say.h"
#include "stopwatch.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generation {
    const struct generate_options *options;
    struct dataset dataset;
    struct engine engine;
    struct tokenizer *tokenizer;
    struct promptset prompts;
    pp_session *session;
    pp_session_info info; /* of the session when all was done */
    pp_packer *packer;
    struct progress progress;
    struct outputs outputs;
    struct continuation *packed, *alone; /* [n]; alone only with --compare */
    double packed_seconds, alone_seconds;
    bool noted_unknown;
    bool is_live; /* the text appears as it is generated */
    struct live_text live;
};

static int open_data(struct generation *generation)
{
    const struct generate_options *options = generation->options;
    struct dataset *set = &generation->dataset;
    struct engine *engine = &generation->engine;
    int status = prompt_options_load(&options->prompts, &options->data, "generate", set);
    if (!status)
        status = engine_find(&options->model, engine);
    if (!status)
        status = set->texts ? model_tokenizer_open(engine, &options->data, &generation->tokenizer)
                            : model_tokenizer_try(engine, &generation->tokenizer);
    if (!status)
        status = engine_load(engine, options->seed.value);
    if (!status && generation->tokenizer)
        status = model_tokenizer_join(generation->tokenizer, engine);
    if (!status)
        status =
            promptset_build(set, generation->tokenizer, engine->config.vocab_size, -1,
                            engine->config.max_position, options->seed.value, &generation->prompts);
    if (status)
        return status;
    generation->packed = calloc(set->n, sizeof *generation->packed);
    generation->alone = calloc(set->n, sizeof *generation->alone);
    return generation->packed && generation->alone ? STATUS_OK : fail_memory();
}

/* Once a run: the first such token. */
static void note_unknown(struct generation *generation, size_t i, int32_t token)
{
    char name[512];
    if (generation->noted_unknown)
        return;
    generation->noted_unknown = true;
    dataset_name_prompt(&generation->dataset, i, name, sizeof name);
    note("token %" PRId32 ", generated for %s, is none of the %" PRId32
         " of the tokenizer; such tokens are left out of the text (--json lists them)",
         token, name, tokenizer_size(generation->tokenizer));
}

/* How prompt i is shown. */
static int show_prompt(const struct generation *generation, size_t i, struct continuation *item)
{
    const pp_prompt *prompt = &generation->prompts.prompts[i];
    const bool given_text = generation->dataset.texts != NULL;
    if (item->prompt)
        return STATUS_OK;
    item->given_ids = given_text ? NULL : prompt;
    item->prompt = given_text ? strdup(generation->dataset.texts[i])
                              : ids_text(prompt->tokens, (size_t)prompt->n_tokens);
    return item->prompt ? STATUS_OK : fail_memory();
}

static int decode_text(struct generation *generation, size_t i, struct continuation *item)
{
    const pp_prompt *prompt = &generation->prompts.prompts[i];
    int32_t unknown;
    int status = show_prompt(generation, i, item);
    item->is_text = generation->tokenizer != NULL;
    if (status)
        return status;
    if (!item->is_text) {
        item->text = ids_text(item->tokens, item->n_tokens);
        return item->text ? STATUS_OK : fail_memory();
    }
    status = tokenizer_decode_after(generation->tokenizer, prompt->tokens, (size_t)prompt->n_tokens,
                                    item->tokens, item->n_tokens, &item->text, &unknown);
    if (!status && unknown >= 0)
        note_unknown(generation, i, unknown);
    return status;
}

/* Continues all prompts in groups of at most group_size. */
static int continue_all(struct generation *generation, bool pack, size_t group_size,
                        struct continuation *items, double *seconds)
{
    const struct generate_options *options = generation->options;
    const size_t n = generation->prompts.n;
    struct continuer continuer = {
        .session = generation->session,
        .dataset = &generation->dataset,
        .packer = pack ? generation->packer : NULL,
        .progress = &generation->progress,
        .max_new_tokens = options->max_new_tokens,
        .max_position = generation->engine.config.max_position,
        .end_tokens = generation->engine.end_tokens,
        .n_end_tokens = generation->engine.n_end_tokens,
        .drawing = {.struct_size = sizeof(pp_item),
                    .output = PP_OUTPUT_TOKEN,
                    .temperature = (float)options->temperature,
                    .top_k = (int32_t)options->top_k,
                    .top_p = (float)options->top_p,
                    .min_p = (float)options->min_p},
        .seed = options->seed.value,
        .live = generation->is_live ? &generation->live : NULL,
    };
    int status = STATUS_OK;
    const double start = seconds_now();
    for (size_t first = 0; first < n && !status; first += group_size) {
        const size_t left = n - first;
        status = continue_group(&continuer, generation->prompts.prompts + first,
                                left < group_size ? left : group_size, first, items + first);
    }
    *seconds = seconds_now() - start;
    for (size_t i = 0; i < n && !status; i++)
        status = decode_text(generation, i, &items[i]);
    return status;
}

/* On a terminal the text of a single prompt is written as it comes. */
static int go_live(struct generation *generation)
{
    const struct generate_options *options = generation->options;
    FILE *out = generation->outputs.text;
    generation->is_live =
        generation->prompts.n == 1 && !options->compare && !options->json && isatty(fileno(out));
    if (!generation->is_live)
        return STATUS_OK;
    const int status = show_prompt(generation, 0, &generation->packed[0]);
    return status ? status
                  : live_text_open(generation->tokenizer, &generation->prompts.prompts[0],
                                   generation->packed[0].prompt, out, &generation->live);
}

static int generate(struct generation *generation)
{
    const struct generate_options *options = generation->options;
    const size_t batch_size = (size_t)options->batch_size;
    int status =
        engine_session_open(&generation->engine, &options->device, 0, &generation->session);
    if (!status)
        status = packer_open(&options->packing, &generation->packer);
    if (!status)
        status = go_live(generation);
    if (!generation->is_live)
        progress_start(&generation->progress, "generating",
                       (int64_t)generation->prompts.n * (options->compare ? 2 : 1));
    if (!status)
        status = continue_all(generation, true, batch_size, generation->packed,
                              &generation->packed_seconds);
    if (!status && options->compare)
        status = continue_all(generation, false, 1, generation->alone, &generation->alone_seconds);
    if (!status && generation->is_live)
        status = live_text_end(&generation->live);
    progress_clear(&generation->progress);
    return status ? status : engine_session_info(generation->session, &generation->info);
}

static bool is_same(const struct continuation *a, const struct continuation *b)
{
    return a->n_tokens == b->n_tokens && a->ended == b->ended &&
           memcmp(a->tokens, b->tokens, a->n_tokens * sizeof *a->tokens) == 0;
}

/* Rows of the comparison: the first ones, and every one that differs. */
static int print_comparison(const struct generation *generation, size_t *n_different)
{
    FILE *out = generation->outputs.text;
    const int columns = terminal_columns(out);
    const size_t text_cells = columns < 60 ? 10 : columns > 200 ? 60 : (size_t)columns / 4;
    const size_t prompt_cells = columns < 60 ? 20 : (size_t)columns - 2 * text_cells - 12;
    const size_t bytes = 4 * (prompt_cells + text_cells) + 8;
    char *cell = malloc(bytes);
    struct table table;
    size_t n_hidden = 0;
    if (!cell)
        return fail_memory();
    *n_different = 0;
    table_start(&table, "<<<<");
    table_add(&table, "prompt");
    table_add(&table, "packed");
    table_add(&table, "alone");
    table_add(&table, "same");
    for (size_t i = 0; i < generation->prompts.n; i++) {
        const struct continuation *packed = &generation->packed[i], *alone = &generation->alone[i];
        const bool same = is_same(packed, alone);
        *n_different += !same;
        if (same && i >= (size_t)generation->options->show) {
            n_hidden++;
            continue;
        }
        shorten(cell, bytes, packed->prompt, prompt_cells, true);
        table_add(&table, "%s", cell);
        shorten(cell, bytes, packed->text, text_cells, false);
        table_add(&table, "%s", cell);
        shorten(cell, bytes, alone->text, text_cells, false);
        table_add(&table, "%s", cell);
        table_add(&table, "%s", same ? "yes" : "NO");
    }
    free(cell);
    const int status = table_finish(&table, out);
    if (n_hidden > 0)
        fprintf(out, "and %zu more that are the same (--show N)\n", n_hidden);
    return status;
}

static void print_texts(const struct generation *generation)
{
    FILE *out = generation->outputs.text;
    for (size_t i = 0; i < generation->prompts.n; i++)
        fprintf(out, "> %s\n%s\n\n", generation->packed[i].prompt, generation->packed[i].text);
}

/* The text up to the first full stop, without the space around it, against the answer. */
static bool is_right(const char *text, const char *answer)
{
    static const char space[] = " \t\r\n";
    text += strspn(text, space);
    size_t n = strcspn(text, "."), n_answer;
    answer += strspn(answer, space);
    n_answer = strlen(answer);
    while (n > 0 && strchr(space, text[n - 1]))
        n--;
    while (n_answer > 0 && strchr(space, answer[n_answer - 1]))
        n_answer--;
    return n == n_answer && memcmp(text, answer, n) == 0;
}

static void print_device(const struct generation *generation)
{
    FILE *out = generation->outputs.text;
    const pp_session_info *info = &generation->info;
    char device[160];
    describe_session(info, device, sizeof device);
    if (is_on_gpu(info))
        fprintf(out, "on %s: at most %.1f MB of its memory, %.1f MB of the host's\n", device,
                (double)info->peak_memory_bytes / 1e6, (double)info->host_bytes / 1e6);
    else
        fprintf(out, "on %s\n", device);
}

static void print_summary(const struct generation *generation)
{
    FILE *out = generation->outputs.text;
    const struct generate_options *options = generation->options;
    const size_t n = generation->prompts.n;
    size_t n_answers = 0, n_right = 0, n_tokens = 0, n_full = 0;
    for (size_t i = 0; i < n; i++) {
        const struct continuation *item = &generation->packed[i];
        const char *answer = generation->dataset.answers[i];
        n_answers += answer && item->is_text;
        n_right += answer && item->is_text && is_right(item->text, answer);
        n_tokens += item->n_tokens;
        n_full += !item->ended && (int64_t)item->n_tokens < options->max_new_tokens;
    }
    fprintf(out, "%zu prompt%s of %" PRId64 " token%s, %zu new token%s; packed and batched: %.3f s",
            n, n == 1 ? "" : "s", generation->prompts.n_tokens,
            generation->prompts.n_tokens == 1 ? "" : "s", n_tokens, n_tokens == 1 ? "" : "s",
            generation->packed_seconds);
    if (options->compare)
        fprintf(out, ", alone: %.3f s", generation->alone_seconds);
    fputc('\n', out);
    print_device(generation);
    if (n_full > 0)
        fprintf(out, "%zu stopped at the %d positions of the model\n", n_full,
                generation->engine.config.max_position);
    if (n_answers > 0)
        fprintf(out, "%zu of %zu answers right\n", n_right, n_answers);
}

static int print_results(struct generation *generation)
{
    const struct generate_options *options = generation->options;
    const size_t n = generation->prompts.n;
    size_t n_different = 0;
    int status = STATUS_OK;
    if (options->compare)
        status = print_comparison(generation, &n_different);
    else if (!generation->is_live)
        print_texts(generation);
    if (status)
        return status;
    print_summary(generation);
    if (options->compare)
        fprintf(generation->outputs.text,
                "%zu of %zu prompts continue with the same tokens packed and alone\n",
                n - n_different, n);
    status = generation->outputs.json
                 ? outputs_write_json(&generation->outputs, generate_json(generation->packed, n))
                 : STATUS_OK;
    if (!status && n_different > 0)
        status = fail("%zu of %zu prompts continue differently packed and alone", n_different, n);
    return status;
}

static void free_continuations(struct continuation *items, size_t n)
{
    for (size_t i = 0; items && i < n; i++) {
        free(items[i].prompt);
        free(items[i].text);
        free(items[i].tokens);
    }
    free(items);
}

int run_generate(const void *line)
{
    const struct generate_options *options = line;
    struct generation generation = {.options = options};
    int status = outputs_open(options->json, &generation.outputs);
    if (!status)
        status = open_data(&generation);
    if (!status)
        status = generate(&generation);
    if (!status)
        status = print_results(&generation);
    free_continuations(generation.packed, generation.dataset.n);
    free_continuations(generation.alone, generation.dataset.n);
    engine_session_close(generation.session);
    pp_packer_destroy(generation.packer);
    promptset_free(&generation.prompts);
    dataset_free(&generation.dataset);
    live_text_close(&generation.live);
    tokenizer_close(generation.tokenizer);
    engine_close(&generation.engine);
    outputs_close(&generation.outputs);
    return status;
}
