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

static pp_model_params model_params(void)
{
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.log = say_log;
    return params;
}

static int read_preset(const char *name, pp_model_config *config)
{
    pp_error err = {.struct_size = sizeof err};
    config->struct_size = sizeof *config;
    return pp_model_config_preset(name, config, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

/* A preset of the name has been read; it may have been changed since. */
static int create_random(struct engine *engine, uint64_t seed)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_model_params params = model_params();
    if (pp_model_create_random(&engine->config, seed, &params, &engine->model, &err) < 0)
        return fail_library(&err);
    return STATUS_OK;
}

static int open_directory(struct engine *engine)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_model_params params = model_params();
    engine->config.struct_size = sizeof engine->config;
    if (pp_model_open(engine->dir, &params, &engine->model, &err) < 0 ||
        pp_model_get_config(engine->model, &engine->config, &err) < 0)
        return fail_library(&err);
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

int engine_find(const char *name, struct engine *engine)
{
    *engine = (struct engine){0};
    engine->name = strdup(name);
    if (!engine->name)
        return fail_memory();
    return is_preset(name) ? read_preset(name, &engine->config) : find_directory(name, engine);
}

bool engine_is_shape(const struct engine *engine)
{
    return engine->dir == NULL;
}

int engine_load(struct engine *engine, uint64_t seed)
{
    const int status =
        engine_is_shape(engine) ? create_random(engine, seed) : open_directory(engine);
    if (status)
        return status;
    if (engine->config.eos_token >= 0)
        engine->end_tokens[engine->n_end_tokens++] = engine->config.eos_token;
    return STATUS_OK;
}

int engine_open(const char *name, uint64_t seed, struct engine *engine)
{
    const int status = engine_find(name, engine);
    return status ? status : engine_load(engine, seed);
}

void engine_close(struct engine *engine)
{
    pp_model_unref(engine->model);
    free(engine->dir);
    free(engine->name);
    *engine = (struct engine){0};
}

/* max_pass_tokens: 0 leaves it to the library. */
static pp_session_params session_params(const struct device_options *options,
                                        int32_t max_pass_tokens)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = options->device;
    params.dtype = (int32_t)options->dtype;
    params.n_threads = (int32_t)options->threads;
    params.max_pass_tokens = max_pass_tokens;
    params.memory_limit = options->memory_limit;
    params.log = say_log;
    return params;
}

int engine_load_weights(struct engine *engine, const struct device_options *options)
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

int engine_session_open(struct engine *engine, const struct device_options *options,
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

int engine_estimate(struct engine *engine, const struct device_options *options,
                    pp_session_info *info)
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
