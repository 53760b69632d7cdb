/* engine.c: opens models, tokenizers and sessions. */
#include "engine.h"
#include "cancel.h"
#include "files.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_preset(const char *name)
{
    for (size_t i = 0; pp_model_preset_name(i); i++)
        if (strcmp(name, pp_model_preset_name(i)) == 0)
            return true;
    return false;
}

static int read_preset(const char *name, pp_model_config *config)
{
    pp_error err = {.struct_size = sizeof err};
    config->struct_size = sizeof *config;
    return pp_model_config_preset(name, config, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

static int create_random(uint64_t seed, struct engine *engine)
{
    pp_error err = {.struct_size = sizeof err};
    if (pp_model_create_random(&engine->config, seed, NULL, &engine->model, &err) < 0)
        return fail_library(&err);
    return STATUS_OK;
}

static int open_directory(struct engine *engine)
{
    pp_error err = {.struct_size = sizeof err};
    engine->config.struct_size = sizeof engine->config;
    if (pp_model_open(engine->dir, NULL, &engine->model, &err) < 0 ||
        pp_model_get_config(engine->model, &engine->config, &err) < 0)
        return fail_library(&err);
    return STATUS_OK;
}

static int open_tokenizer(struct engine *engine)
{
    char *path = join_path(engine->dir, "tokenizer.model");
    if (!path)
        return fail_memory();
    int status;
    if (file_exists(path))
        status = tokenizer_open(path, &engine->tokenizer);
    else
        status = fail("%s has no tokenizer.model (SentencePiece), so text cannot be tokenized",
                      engine->dir);
    free(path);
    return status;
}

/* The tokenizer's ids must be rows of the embedding table. */
static int check_vocabulary(const struct engine *engine)
{
    const int32_t n = tokenizer_size(engine->tokenizer);
    if (n > engine->config.vocab_size)
        return fail("the tokenizer of %s has %d pieces, but the model has only %d", engine->dir, n,
                    engine->config.vocab_size);
    return STATUS_OK;
}

static int find_directory(const char *name, struct engine *engine)
{
    if (strcmp(name, "demo") == 0)
        return find_data("demo-model", &engine->dir);
    if (!is_directory(name))
        return fail("'%s' is neither a model directory nor one of demo, tiny, llama1b, llama2-7b, "
                    "llama2-13b and mistral-7b",
                    name);
    engine->dir = strdup(name);
    return engine->dir ? STATUS_OK : fail_memory();
}

int engine_open(const char *name, int parts, uint64_t seed, struct engine *engine)
{
    *engine = (struct engine){.eos = -1};
    engine->name = strdup(name);
    if (!engine->name)
        return fail_memory();
    if (is_preset(name)) {
        if (parts & ENGINE_TOKENIZER)
            return fail("%s is a shape without tokenizer; text needs a model directory, and a "
                        "shape a list of token counts such as --dataset mmlu",
                        name);
        const int status = read_preset(name, &engine->config);
        return status ? status : create_random(seed, engine);
    }
    int status = find_directory(name, engine);
    if (!status && parts & ENGINE_MODEL)
        status = open_directory(engine);
    if (!status && parts & ENGINE_TOKENIZER)
        status = open_tokenizer(engine);
    if (!status && parts == (ENGINE_MODEL | ENGINE_TOKENIZER))
        status = check_vocabulary(engine);
    if (status)
        return status;
    engine->eos = engine->model ? engine->config.eos_token : -1;
    if (engine->eos < 0 && engine->tokenizer)
        engine->eos = tokenizer_eos(engine->tokenizer);
    return STATUS_OK;
}

int engine_open_shape(const char *name, const struct options *options, int64_t longest,
                      struct engine *engine)
{
    const bool has_heads = options->heads.q > 0;
    if (!has_heads && options->head_dim == 0)
        return engine_open(name, ENGINE_MODEL, options->seed, engine);
    *engine = (struct engine){.eos = -1};
    if (!is_preset(name))
        return fail_usage("--heads and --head-dim are for shapes with random weights, such as "
                          "llama1b, not for the weights of '%s'",
                          name);
    engine->name = strdup(name);
    if (!engine->name)
        return fail_memory();
    const int status = read_preset(name, &engine->config);
    if (status)
        return status;
    pp_model_config *config = &engine->config;
    if (has_heads) {
        config->n_heads = (int32_t)options->heads.q;
        config->n_kv_heads = (int32_t)options->heads.kv;
    }
    if (options->head_dim > 0)
        config->head_dim = (int32_t)options->head_dim;
    if (config->max_position < longest)
        config->max_position = (int32_t)longest;
    return create_random(options->seed, engine);
}

void engine_close(struct engine *engine)
{
    pp_model_unref(engine->model);
    tokenizer_close(engine->tokenizer);
    free(engine->dir);
    free(engine->name);
    *engine = (struct engine){0};
}

/* max_pass_tokens: 0 leaves it to the library. */
static pp_session_params session_params(const struct options *options, int32_t max_pass_tokens)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = options->device;
    params.dtype = (int32_t)options->dtype;
    params.n_threads = (int32_t)options->threads;
    params.max_pass_tokens = max_pass_tokens;
    params.memory_limit = options->memory_limit;
    return params;
}

int engine_load_weights(struct engine *engine, const struct options *options)
{
    pp_error err = {.struct_size = sizeof err};
    pp_session *session;
    /* The smallest pass has the smallest workspace; no pass is run. */
    const pp_session_params params = session_params(options, 64);
    if (pp_session_create(engine->model, &params, &session, &err) < 0)
        return fail_library(&err);
    pp_session_destroy(session);
    return STATUS_OK;
}

int engine_session_open(struct engine *engine, const struct options *options,
                        int32_t max_pass_tokens, pp_session **session)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_session_params params = session_params(options, max_pass_tokens);
    if (pp_session_create(engine->model, &params, session, &err) < 0)
        return fail_library(&err);
    cancel_watch(*session);
    return STATUS_OK;
}

int engine_session_info(const pp_session *session, pp_session_info *info)
{
    pp_error err = {.struct_size = sizeof err};
    info->struct_size = sizeof *info;
    return pp_session_get_info(session, info, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

int engine_estimate(struct engine *engine, const struct options *options, pp_session_info *info)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_session_params params = session_params(options, 0);
    info->struct_size = sizeof *info;
    return pp_session_estimate(engine->model, &params, info, &err) < 0 ? fail_library(&err)
                                                                       : STATUS_OK;
}

bool is_on_gpu(const pp_session_info *info)
{
    return info->device_name[0] != '\0';
}

void describe_session(const pp_session_info *info, char *out, size_t out_bytes)
{
    const char *dtype = pp_dtype_name(info->dtype);
    if (is_on_gpu(info))
        snprintf(out, out_bytes, "%s (%s), %s, attention by %s", info->device, info->device_name,
                 dtype, info->attention);
    else
        snprintf(out, out_bytes, "%s, %s, %d thread%s", info->device, dtype, info->n_threads,
                 info->n_threads == 1 ? "" : "s");
}

void engine_session_close(pp_session *session)
{
    if (session)
        cancel_unwatch(session);
    pp_session_destroy(session);
}
