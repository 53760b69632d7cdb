/* tokenize.c: `prepack tokenize`: texts to ids and pieces. */
#include "engine.h"
#include "files.h"
#include "json_out.h"
#include "model_tokenizer.h"
#include "output_files.h"
#include "say.h"
#include "text_stream.h"
#include "tokenize_options.h"

#include <inttypes.h>
#include <stdlib.h>

struct tokenizing {
    const struct tokenize_options *options;
    struct dataset dataset;
    struct engine engine;
    struct tokenizer *tokenizer;
    struct outputs outputs;
    json_t *json; /* a list; NULL: not asked for, or no memory */
};

static int open_tokenizer(struct tokenizing *work)
{
    const struct tokenize_options *options = work->options;
    const bool literal = options->data.special == SPECIAL_LITERAL;
    if (options->tokenizer)
        return tokenizer_open(options->tokenizer, literal, &work->tokenizer);
    if (file_exists(options->model.name) && !is_directory(options->model.name))
        return tokenizer_open(options->model.name, literal, &work->tokenizer);
    const int status = engine_find(&options->model, &work->engine);
    return status ? status : model_tokenizer_open(&work->engine, &options->data, &work->tokenizer);
}

/* A piece in quotes, so that spaces and line ends can be seen. */
static void print_piece(const char *piece, FILE *out)
{
    fputc('"', out);
    for (const char *c = piece ? piece : ""; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '\t')
            fputs("\\t", out);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", (unsigned char)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static int print_ids(const int32_t *ids, size_t n, FILE *out)
{
    char *text = ids_text(ids, n);
    if (!text)
        return fail_memory();
    fprintf(out, "%s\n", text);
    free(text);
    return STATUS_OK;
}

static void print_tokens(const struct tokenizing *work, size_t i, const int32_t *ids, size_t n)
{
    FILE *out = work->outputs.text;
    fprintf(out, "%s> %s\n%zu token%s\n", i ? "\n" : "", work->dataset.texts[i], n,
            n == 1 ? "" : "s");
    for (size_t k = 0; k < n; k++) {
        fprintf(out, "%8" PRId32 "  ", ids[k]);
        print_piece(tokenizer_token(work->tokenizer, ids[k]), out);
        fputc('\n', out);
    }
}

static void add_json(struct tokenizing *work, size_t i, const int32_t *ids, size_t n)
{
    json_t *tokens = json_array(), *pieces = json_array();
    for (size_t k = 0; k < n; k++) {
        const char *piece = tokenizer_token(work->tokenizer, ids[k]);
        json_put_count(&tokens, NULL, ids[k]);
        json_put(&pieces, NULL, json_lenient(piece ? piece : ""));
    }
    json_put(&work->json, NULL,
             json_pack("{s:s, s:o, s:o}", "prompt", work->dataset.texts[i], "tokens", tokens,
                       "pieces", pieces));
}

static int tokenize_one(struct tokenizing *work, size_t i)
{
    int32_t *ids;
    size_t n;
    int status = tokenizer_encode(work->tokenizer, work->dataset.texts[i], &ids, &n);
    if (status)
        return status;
    if (work->json)
        add_json(work, i, ids, n);
    if (work->options->ids_only)
        status = print_ids(ids, n, work->outputs.text);
    else if (work->options->counts)
        fprintf(work->outputs.text, "%zu\n", n);
    else
        print_tokens(work, i, ids, n);
    free(ids);
    return status;
}

static int tokenize(struct tokenizing *work)
{
    const struct tokenize_options *options = work->options;
    int status = prompt_options_load(&options->prompts, &options->data, "tokenize", &work->dataset);
    if (!status)
        status = open_tokenizer(work);
    if (options->json)
        work->json = json_array();
    for (size_t i = 0; i < work->dataset.n && !status; i++)
        status = tokenize_one(work, i);
    if (status || !options->json)
        return status;
    json_t *json = work->json;
    work->json = NULL;
    return outputs_write_json(&work->outputs, json);
}

int run_tokenize(const void *line)
{
    struct tokenizing work = {.options = line};
    int status = outputs_open(work.options->json, &work.outputs);
    if (!status)
        status = tokenize(&work);
    json_decref(work.json);
    tokenizer_close(work.tokenizer);
    engine_close(&work.engine);
    dataset_free(&work.dataset);
    outputs_close(&work.outputs);
    return status;
}
