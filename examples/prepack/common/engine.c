/* engine.c: opens models, tokenizers and sessions. */
#include "engine.h"
#include "interrupt.h"
#include "files.h"
#include "say.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pp_model_params model_params(const struct engine *engine)
{
    pp_model_params params;
    pp_model_params_init(&params, sizeof params);
    params.log = say_log;
    params.sliding_window = engine->sliding_window;
    return params;
}

static int open_model(struct engine *engine, uint64_t seed)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_model_params params = model_params(engine);
    const pp_status done =
        engine_is_shape(engine)
            ? pp_model_create_random(engine->shape, seed, &params, &engine->model, &err)
            : pp_model_open(engine->dir, &params, &engine->model, &err);
    engine->config.struct_size = sizeof engine->config;
    if (done < 0 && engine_is_shape(engine))
        return fail("the config.json of %s: %s", engine->name, err.message);
    if (done < 0 || pp_model_get_config(engine->model, &engine->config, &err) < 0)
        return fail_library(&err);
    return STATUS_OK;
}

/* Names without a '/' may have been meant as one of the program's own. */
static int fail_no_model(const char *name, const pp_error *err)
{
    char known[512] = "demo";
    if (*name == '\0' || strchr(name, '/') || file_exists(name))
        return fail_library(err);
    for (int64_t i = 0; pp_model_preset_name(i); i++) {
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", pp_model_preset_name(i + 1) ? ", " : " and ",
                 pp_model_preset_name(i));
    }
    return fail("%s (--model also takes %s)", err->message, known);
}

/* What is no model directory is the library's to explain. */
static int check_directory(const char *name)
{
    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    /* A folder with a tokenizer is enough to count tokens. */
    static const char *const wanted[] = {"config.json", "tokenizer.json", "tekken.json",
                                         "tokenizer.model"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char *path = join_path(name, wanted[i]);
        const bool good = path && is_directory(name) && file_exists(path);
        free(path);
        if (good)
            return STATUS_OK;
    }
    const pp_status done = pp_model_open(name, NULL, &model, &err);
    pp_model_unref(model);
    return done < 0 ? fail_no_model(name, &err) : STATUS_OK;
}

static int find_directory(const char *name, struct engine *engine)
{
    if (strcmp(name, "demo") == 0)
        return find_data("demo-model", &engine->dir);
    const int status = check_directory(name);
    if (status)
        return status;
    engine->dir = strdup(name);
    return engine->dir ? STATUS_OK : fail_memory();
}

/* The text of the directory's config.json. */
static int read_shape(struct engine *engine)
{
    enum { MAX_BYTES = 1 << 24 };
    size_t n;
    char *path = join_path(engine->dir, "config.json");
    if (!path)
        return fail_memory();
    const int status = read_file(path, MAX_BYTES, &engine->shape, &n);
    free(path);
    return status;
}

int engine_find(const struct model_options *options, struct engine *engine)
{
    const char *preset = pp_model_preset(options->name);
    *engine = (struct engine){.name = strdup(options->name),
                              .sliding_window = (int32_t)options->sliding_window};
    if (!engine->name)
        return fail_memory();
    if (preset) {
        engine->shape = strdup(preset);
        return engine->shape ? STATUS_OK : fail_memory();
    }
    const int status = find_directory(options->name, engine);
    return status || !options->random_weights ? status : read_shape(engine);
}

bool engine_is_shape(const struct engine *engine)
{
    return engine->shape != NULL;
}

/* Configs of models that also see keep the text's keys in an object of their own. */
static json_t *shape_keys(json_t *config)
{
    json_t *text = json_object_get(config, "text_config");
    return json_is_object(text) ? text : config;
}

/* Sets a key to at least value, or to value. */
static int change_shape(struct engine *engine, const char *key, int64_t value, bool only_raise)
{
    json_error_t trouble;
    json_t *config = json_loads(engine->shape, 0, &trouble);
    if (!config)
        return fail("the config.json of %s cannot be changed: %s", engine->name, trouble.text);
    json_t *keys = shape_keys(config);
    int status = STATUS_OK;
    if (!only_raise || json_integer_value(json_object_get(keys, key)) < value) {
        json_object_set_new(keys, key, json_integer(value));
        char *text = json_dumps(config, JSON_COMPACT);
        if (text) {
            free(engine->shape);
            engine->shape = text;
        } else {
            status = fail_memory();
        }
    }
    json_decref(config);
    return status;
}

int engine_shape_raise(struct engine *engine, const char *key, int64_t least)
{
    return change_shape(engine, key, least, true);
}

int engine_shape_set(struct engine *engine, const char *key, int64_t value)
{
    return change_shape(engine, key, value, false);
}

int engine_load(struct engine *engine, uint64_t seed)
{
    const int status = open_model(engine, seed);
    if (status)
        return status;
    engine->n_end_tokens = engine->config.n_eos_tokens;
    memcpy(engine->end_tokens, engine->config.eos_tokens,
           (size_t)engine->n_end_tokens * sizeof *engine->end_tokens);
    return STATUS_OK;
}

int engine_open(const struct model_options *options, uint64_t seed, struct engine *engine)
{
    const int status = engine_find(options, engine);
    return status ? status : engine_load(engine, seed);
}

void engine_close(struct engine *engine)
{
    pp_model_unref(engine->model);
    free(engine->shape);
    free(engine->dir);
    free(engine->name);
    *engine = (struct engine){0};
}

/* The devices that there are, where it is one that failed. */
static int fail_device(const pp_error *err)
{
    char devices[512] = "";
    pp_device_info info = {.struct_size = sizeof info};
    if (err->code != PP_ERR_NO_BACKEND)
        return fail_library(err);
    for (int64_t i = 0; i < pp_device_count(); i++) {
        const size_t n = strlen(devices);
        if (pp_device_get(i, &info, NULL) < 0)
            continue;
        const bool named = info.device_name[0] != '\0';
        snprintf(devices + n, sizeof devices - n, "%s%s%s%s%s", n ? ", " : "", info.device,
                 named ? " (" : "", info.device_name, named ? ")" : "");
    }
    return fail("%s; devices here: %s", err->message, devices);
}

/* max_pass_tokens: 0 leaves it to the library. */
static pp_session_params session_params(const struct device_options *options,
                                        int32_t max_pass_tokens)
{
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.device = options->device;
    params.dtype = (int32_t)options->dtype;
    params.weights = (int32_t)options->weights;
    params.n_threads = (int32_t)options->threads;
    params.max_pass_tokens = max_pass_tokens;
    params.memory_limit = options->memory_limit;
    params.weights = (int32_t)options->weights;
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
        return fail_device(&err);
    pp_session_destroy(session);
    return STATUS_OK;
}

int engine_session_open(struct engine *engine, const struct device_options *options,
                        int32_t max_pass_tokens, pp_session **session)
{
    pp_error err = {.struct_size = sizeof err};
    pp_session_params params = session_params(options, max_pass_tokens);
    params.keep_window_pages = engine->keep_windows;
    if (pp_session_create(engine->model, &params, session, &err) < 0)
        return fail_device(&err);
    interrupt_watch(*session);
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
    return pp_session_estimate(engine->model, &params, info, &err) < 0 ? fail_device(&err)
                                                                       : STATUS_OK;
}

bool is_on_gpu(const pp_session_info *info)
{
    return info->device_name[0] != '\0';
}

void describe_session(const pp_session_info *info, char *out, size_t out_bytes)
{
    char dtype[48];
    const bool plain = info->weights == PP_WEIGHTS_AUTO ||
                       strcmp(pp_weights_name(info->weights), pp_dtype_name(info->dtype)) == 0;
    snprintf(dtype, sizeof dtype, "%s%s%s", pp_dtype_name(info->dtype), plain ? "" : ", weights ",
             plain ? "" : pp_weights_name(info->weights));
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
        interrupt_unwatch(session);
    pp_session_destroy(session);
}
