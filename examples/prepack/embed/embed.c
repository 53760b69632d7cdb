/* embed.c: `prepack embed`: a vector of each text, batch by batch. */
#include "embed_options.h"
#include "embed_texts.h"
#include "engine.h"
#include "interrupt.h"
#include "json_out.h"
#include "model_tokenizer.h"
#include "output_files.h"
#include "packed_run.h"
#include "progress.h"
#include "say.h"
#include "stopwatch.h"
#include "vector_file.h"

#include <inttypes.h>
#include <stdlib.h>

struct embedding {
    const struct embed_options *options;
    struct dataset dataset;
    struct engine engine;
    struct tokenizer *tokenizer; /* of texts */
    struct embed_texts texts;
    pp_session *session;
    pp_session_info info;
    pp_packer *packer;
    struct progress progress;
    struct outputs outputs;
    struct vector_file file;
    bool labels;
    int32_t pooling, normalize; /* of embeddings */
    int64_t dim;
    pp_item *items; /* [batch_size] */
    float *rows;    /* [batch_size, dim] */
    int64_t n_tokens;
    double seconds;
};

/* ---- what is wanted ---- */

static int choose_vectors(struct embedding *embedding)
{
    const struct embed_options *options = embedding->options;
    const pp_model_config *config = &embedding->engine.config;
    embedding->labels =
        options->labels || (config->n_labels > 0 && options->pooling == POOLING_OF_MODEL &&
                            !options->normalize && !options->no_normalize);
    if (options->labels && config->n_labels == 0)
        return fail("%s has no head that scores labels, which --labels asks for",
                    embedding->engine.name);
    embedding->pooling = (int32_t)options->pooling;
    if (embedding->pooling == POOLING_OF_MODEL)
        embedding->pooling = config->pooling >= 0 ? config->pooling : PP_POOLING_LAST;
    embedding->normalize = options->normalize      ? 1
                           : options->no_normalize ? 0
                                                   : config->normalize != 0;
    embedding->dim = embedding->labels ? config->n_labels : config->hidden_size;
    return STATUS_OK;
}

/* ---- the data ---- */

static int32_t end_token(const struct embedding *embedding)
{
    const struct engine *engine = &embedding->engine;
    const int32_t token = embedding->tokenizer ? tokenizer_eos(embedding->tokenizer) : -1;
    return token < 0 && engine->n_end_tokens > 0 ? engine->end_tokens[0] : token;
}

/* Texts are tokenized twice, once to find what is wrong with them before anything runs, so that
 * their tokens need not be kept. */
static int check_texts(struct embedding *embedding)
{
    struct embed_texts *texts = &embedding->texts;
    int status = dataset_check_ids(&embedding->dataset, embedding->engine.config.vocab_size);
    for (size_t i = 0; i < embedding->dataset.n && !status; i++) {
        status = embed_texts_take(texts, i, 1);
        embedding->n_tokens += (int64_t)texts->n_tokens;
    }
    if (!status && texts->n_cut > 0)
        note("%" PRId64 " of %zu texts were cut to %" PRId64 " tokens", texts->n_cut,
             embedding->dataset.n, texts->max_length);
    return status;
}

static int open_texts(struct embedding *embedding)
{
    const struct embed_options *options = embedding->options;
    const int32_t most = embedding->engine.config.max_position;
    if (options->max_length > most)
        return fail_usage("--max-length is %" PRId64 ", but the model takes at most %d",
                          options->max_length, most);
    embedding->texts = (struct embed_texts){.set = &embedding->dataset,
                                            .tokenizer = embedding->tokenizer,
                                            .prefix = options->prefix,
                                            .end_token = -1,
                                            .max_length = options->max_length,
                                            .max_position = most};
    if (options->append_eos) {
        embedding->texts.end_token = end_token(embedding);
        if (embedding->texts.end_token < 0)
            return fail("%s names no token that ends a text, which --append-eos asks for",
                        embedding->engine.name);
    }
    const int status = embed_texts_open(&embedding->texts);
    return status ? status : check_texts(embedding);
}

static int open_data(struct embedding *embedding)
{
    const struct embed_options *options = embedding->options;
    struct dataset *set = &embedding->dataset;
    struct engine *engine = &embedding->engine;
    int status = prompt_options_load(&options->prompts, &options->data, "embed", set);
    if (!status)
        status = engine_find(&options->model, engine);
    if (!status && set->texts)
        status = model_tokenizer_open(engine, &options->data, &embedding->tokenizer);
    if (!status)
        status = engine_load(engine, options->seed.value);
    if (!status && embedding->tokenizer)
        status = model_tokenizer_join(embedding->tokenizer, engine);
    if (!status)
        status = choose_vectors(embedding);
    return status ? status : open_texts(embedding);
}

/* ---- running ---- */

static int fail_run(const struct embedding *embedding, size_t first, const pp_error *err)
{
    return err->index < 0
               ? fail_library(err)
               : dataset_fail_library(&embedding->dataset, first + (size_t)err->index, err);
}

static void lay_out(struct embedding *embedding, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float *row = embedding->rows + i * (size_t)embedding->dim;
        embedding->items[i] =
            (pp_item){.struct_size = sizeof(pp_item),
                      .output = embedding->labels ? PP_OUTPUT_LABELS : PP_OUTPUT_POOLED,
                      .tokens = embedding->texts.prompts[i].tokens,
                      .n_tokens = embedding->texts.prompts[i].n_tokens,
                      .logits = embedding->labels ? row : NULL,
                      .discard_cache = 1,
                      .pooling = embedding->pooling,
                      .normalize = embedding->normalize,
                      .hidden = embedding->labels ? NULL : row};
    }
}

static int run_batch(struct embedding *embedding, size_t first, size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_run_params params;
    int status = embed_texts_take(&embedding->texts, first, n);
    if (status)
        return status;
    lay_out(embedding, n);
    pp_run_params_init(&params, sizeof params);
    params.cancel = interrupt_token();
    if (packed_run(embedding->session, embedding->packer, embedding->items, (int64_t)n, &params,
                   &err) < 0)
        return fail_run(embedding, first, &err);
    status = vector_file_add(&embedding->file, embedding->rows, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        progress_step(&embedding->progress);
    return status;
}

static int run_all(struct embedding *embedding)
{
    const size_t n = embedding->dataset.n, batch_size = (size_t)embedding->options->batch_size;
    int status = STATUS_OK;
    const double start = seconds_now();
    progress_start(&embedding->progress, "embedding", (int64_t)n);
    for (size_t first = 0; first < n && !status; first += batch_size) {
        const size_t left = n - first;
        status = run_batch(embedding, first, left < batch_size ? left : batch_size);
    }
    progress_clear(&embedding->progress);
    embedding->seconds = seconds_now() - start;
    if (!status && interrupt_requested())
        status = fail_interrupted();
    return status ? status : vector_file_finish(&embedding->file);
}

static int open_file(struct embedding *embedding)
{
    const struct embed_options *options = embedding->options;
    const struct vector_facts facts = {
        .model = embedding->engine.name,
        .dtype = pp_dtype_name(embedding->info.dtype),
        .device = embedding->info.device,
        .pooling = embedding->labels ? NULL : pooling_name(embedding->pooling),
    };
    return vector_file_open(options->out, options->force,
                            embedding->labels                       ? "scores"
                            : embedding->file.kind == VECTORS_JSONL ? "embedding"
                                                                    : "embeddings",
                            (int64_t)embedding->dataset.n, embedding->dim, &facts,
                            &embedding->file);
}

static int run(struct embedding *embedding)
{
    const struct embed_options *options = embedding->options;
    const size_t n = embedding->dataset.n, most = (size_t)options->batch_size;
    const size_t batch_size = n < most ? n : most;
    embedding->items = calloc(batch_size, sizeof *embedding->items);
    embedding->rows = calloc(batch_size, (size_t)embedding->dim * sizeof *embedding->rows);
    int status = embedding->items && embedding->rows
                     ? packer_open(&options->packing, &embedding->packer)
                     : fail_memory();
    if (!status)
        status = engine_session_open(&embedding->engine, &options->device, 0, &embedding->session);
    if (!status)
        status = engine_session_info(embedding->session, &embedding->info);
    if (!status)
        status = open_file(embedding);
    if (!status)
        status = run_all(embedding);
    return status ? status : engine_session_info(embedding->session, &embedding->info);
}

/* ---- the report ---- */

static json_t *figures_json(const struct embedding *embedding)
{
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(embedding->engine.name));
    json_put(&json, "out", json_lenient(embedding->options->out));
    json_put_device(&json, &embedding->info);
    json_put(&json, "what", json_string(embedding->labels ? "scores" : "embeddings"));
    json_put_count(&json, "texts", (int64_t)embedding->dataset.n);
    json_put_count(&json, "dim", embedding->dim);
    json_put(&json, "pooling",
             embedding->labels ? json_null() : json_string(pooling_name(embedding->pooling)));
    json_put(&json, "normalize",
             embedding->labels ? json_null() : json_boolean(embedding->normalize));
    json_put_count(&json, "tokens", embedding->n_tokens);
    json_put_count(&json, "tokens_computed", embedding->info.tokens_computed);
    json_put_count(&json, "peak_session_bytes", embedding->info.peak_memory_bytes);
    json_put(&json, "seconds", json_real(embedding->seconds));
    return json;
}

static int print_figures(struct embedding *embedding)
{
    FILE *text = embedding->outputs.text;
    const size_t n = embedding->dataset.n;
    const pp_model_config *config = &embedding->engine.config;
    char device[160];
    describe_session(&embedding->info, device, sizeof device);
    fprintf(text, "%s: %zu vector%s of %" PRId64 " %s\n", embedding->options->out, n,
            n == 1 ? "" : "s", embedding->dim,
            embedding->labels ? "scores, one of each label" : "elements");
    if (!embedding->labels)
        fprintf(text, "pooling        %s%s, %s\n", pooling_name(embedding->pooling),
                embedding->options->pooling != POOLING_OF_MODEL ? ""
                : config->pooling >= 0                          ? " (as the model's files have it)"
                                                                : " (the model's files say none)",
                embedding->normalize ? "normalised" : "not normalised");
    fprintf(text, "tokens         %" PRId64 ", %" PRId64 " computed\n", embedding->n_tokens,
            embedding->info.tokens_computed);
    fprintf(text, "time           %.3f s\non %s\n", embedding->seconds, device);
    return embedding->outputs.json
               ? outputs_write_json(&embedding->outputs, figures_json(embedding))
               : STATUS_OK;
}

int run_embed(const void *line)
{
    const struct embed_options *options = line;
    struct embedding embedding = {.options = options, .file.file.fd = -1};
    int status = vector_file_kind(options->out, &embedding.file.kind);
    if (!status)
        status = partial_file_check(options->out, options->force);
    if (!status)
        status = outputs_open(options->json, &embedding.outputs);
    if (!status)
        status = open_data(&embedding);
    if (!status)
        status = run(&embedding);
    if (!status)
        status = print_figures(&embedding);
    vector_file_close(&embedding.file);
    engine_session_close(embedding.session);
    pp_packer_destroy(embedding.packer);
    free(embedding.items);
    free(embedding.rows);
    embed_texts_close(&embedding.texts);
    dataset_free(&embedding.dataset);
    tokenizer_close(embedding.tokenizer);
    engine_close(&embedding.engine);
    outputs_close(&embedding.outputs);
    return status;
}
