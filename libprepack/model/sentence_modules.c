/*
 * sentence_modules.c: what the files of sentence-transformers say of a model directory:
 * modules.json lists what follows the model, and a config.json of its own says how hidden states
 * are pooled. Hints for whoever wants one vector of a text: nothing here changes what the model
 * computes.
 */
#include "model/sentence_modules.h"
#include "json/json_text.h"

#include <prepack/outputs.h>

#include <stdio.h>
#include <string.h>

#define MODULES_NAME "modules.json"
#define MAX_BYTES    (1 << 20)

static const struct ppi_json_limits LIMITS = {.what = "value", .any_number = true};

struct reading {
    const struct ppi_dir *dir;
    struct ppi_mem *mem;
    const struct ppi_log *log;
    pp_error *err;
};

/* ---- files ---- */

/* A file as "file" of an object, as modules.json is an array and the reader wants an object.
 * json->text is the text. */
static pp_status read_file(const struct reading *reading, const char *name, struct ppi_label *label,
                           struct ppi_json *json)
{
    static const char open[] = "{\"file\":", close[] = "}";
    struct ppi_file file;
    PP_TRY(ppi_dir_open_file(reading->dir, name, &file, reading->err));
    *label = file.label;
    size_t size = (size_t)file.size, len = sizeof open - 1 + size + sizeof close - 1;
    pp_status status = PP_OK;
    char *text = NULL;
    if (file.size > MAX_BYTES)
        status = ppi_error(reading->err, PP_ERR_LIMIT, "%s has %lld bytes; at most %d are accepted",
                           label->text, (long long)file.size, MAX_BYTES);
    else if (!(text = ppi_alloc(reading->mem, len, 1)))
        status = ppi_error_nomem(reading->err, label->text, len);
    if (status >= 0) {
        memcpy(text, open, sizeof open - 1);
        memcpy(text + len - 1, close, 1);
        status = ppi_file_read(&file, 0, text + sizeof open - 1, size, reading->err);
    }
    ppi_file_close(&file);
    if (status >= 0)
        status = ppi_json_parse(text, len, label->text, &LIMITS, reading->mem, json, reading->err);
    if (status < 0)
        ppi_free(reading->mem, text);
    else
        json->text = text;
    return status;
}

/* ---- pooling ---- */

static const struct mode {
    const char *flag, *name;
    int32_t pooling;
} MODES[] = {
    {"pooling_mode_mean_tokens", "mean", PP_POOLING_MEAN}, /* the first: where none is asked for */
    {"pooling_mode_cls_token", "cls", PP_POOLING_FIRST},
    {"pooling_mode_lasttoken", "lasttoken", PP_POOLING_LAST},
    {"pooling_mode_max_tokens", "max", -1},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", -1},
    {"pooling_mode_weightedmean_tokens", "weightedmean", -1},
};

/* Whether a mode is asked for: by its name, alone or in a list, or else by its flag. */
static bool is_asked(const struct ppi_json_value *config, const struct mode *mode)
{
    const struct ppi_json_value *named = ppi_json_get(config, "pooling_mode");
    if (!named)
        return ppi_json_is(ppi_json_get(config, mode->flag), PPI_JSON_TRUE);
    if (!ppi_json_is(named, PPI_JSON_ARRAY))
        return ppi_json_string(named) && strcmp(ppi_json_string(named), mode->name) == 0;
    const struct ppi_json_value *item = ppi_json_first(named);
    for (; item; item = ppi_json_next(named, item))
        if (ppi_json_string(item) && strcmp(ppi_json_string(item), mode->name) == 0)
            return true;
    return false;
}

/* The mean where nothing is asked for; -1, and a word about it, for other modes and for several. */
static int32_t pooling_of(const struct reading *reading, const char *label,
                          const struct ppi_json_value *config)
{
    const struct mode *found = NULL;
    int n = 0;
    for (size_t i = 0; i < PPI_COUNT(MODES); i++)
        if (is_asked(config, &MODES[i])) {
            found = &MODES[i];
            n++;
        }
    if (n == 0 && !ppi_json_get(config, "pooling_mode"))
        found = &MODES[0];
    if (n > 1 || !found || found->pooling < 0) {
        ppi_log(
            reading->log, PP_LOG_WARNING,
            "%s: one of the poolings cls, mean and lasttoken is supported, and %s is asked for; "
            "it is not used",
            label,
            n == 1   ? found->name
            : n == 0 ? "another one"
                     : "more than one");
        return -1;
    }
    if (ppi_json_is(ppi_json_get(config, "include_prompt"), PPI_JSON_FALSE) &&
        found->pooling != PP_POOLING_LAST)
        ppi_log(reading->log, PP_LOG_WARNING,
                "%s: \"include_prompt\" is false, but tokens of a prompt in front of a text are "
                "pooled with it",
                label);
    return found->pooling;
}

static pp_status read_pooling(const struct reading *reading, const char *path,
                              struct ppi_model_spec *spec)
{
    char name[PATH_MAX];
    struct ppi_label label;
    struct ppi_json json;
    int len = snprintf(name, sizeof name, "%s/config.json", path);
    if (len < 0 || len >= PATH_MAX)
        return ppi_error(reading->err, PP_ERR_FORMAT, "%s: the path of a module is too long",
                         ppi_label_path(reading->dir->label.text, MODULES_NAME).text);
    PP_TRY(read_file(reading, name, &label, &json));
    const struct ppi_json_value *config = ppi_json_get(json.root, "file");
    pp_status status = PP_OK;
    if (ppi_json_is(config, PPI_JSON_OBJECT))
        spec->pooling = pooling_of(reading, label.text, config);
    else
        status = ppi_error(reading->err, PP_ERR_FORMAT, "%s is no JSON object", label.text);
    ppi_json_free(&json, reading->mem);
    return status;
}

/* ---- modules ---- */

/* The class of a module, without the package's modules that it is in; one of another package is
 * named whole. */
static const char *class_of(const struct ppi_json_value *module)
{
    static const char package[] = "sentence_transformers.";
    const char *type = ppi_json_string(ppi_json_get(module, "type"));
    bool ours = type && strncmp(type, package, sizeof package - 1) == 0;
    return ours ? strrchr(type, '.') + 1 : type;
}

/* What the chain means: a model, a pooling and maybe a norm. */
struct chain {
    const char *pooling; /* path of its files; NULL: none */
    bool normalizes;
    const char *other; /* a class that is not supported in its place; NULL: none */
};

static pp_status read_chain(const struct reading *reading, const char *label,
                            const struct ppi_json_value *modules, struct chain *chain)
{
    const struct ppi_json_value *module = ppi_json_first(modules);
    *chain = (struct chain){0};
    if (!ppi_json_is(modules, PPI_JSON_ARRAY))
        return ppi_error(reading->err, PP_ERR_FORMAT, "%s is no JSON array", label);
    for (int64_t i = 0; module; module = ppi_json_next(modules, module), i++) {
        const char *name = class_of(module);
        const char *path = ppi_json_string(ppi_json_get(module, "path"));
        if (!name || !path)
            return ppi_error(reading->err, PP_ERR_FORMAT,
                             "%s: module %lld is %s; an object with a string \"type\" and a string "
                             "\"path\" is needed",
                             label, (long long)i, ppi_json_describe(module).text);
        if (i == 0 && strcmp(name, "Transformer") == 0)
            continue;
        if (i == 1 && strcmp(name, "Pooling") == 0)
            chain->pooling = path;
        else if (i == 2 && chain->pooling && strcmp(name, "Normalize") == 0)
            chain->normalizes = true;
        else if (!chain->other)
            chain->other = name;
    }
    return PP_OK;
}

static pp_status read_modules(const struct reading *reading, const char *label,
                              const struct ppi_json_value *modules, struct ppi_model_spec *spec)
{
    struct chain chain;
    PP_TRY(read_chain(reading, label, modules, &chain));
    if (chain.other) {
        ppi_log(
            reading->log, PP_LOG_WARNING,
            "%s: a model, a Pooling and a Normalize are supported, in this order; there is \"%s\" "
            "too, and so no pooling is recommended",
            label, ppi_label(chain.other).text);
        return PP_OK;
    }
    if (!chain.pooling)
        return PP_OK;
    PP_TRY(read_pooling(reading, chain.pooling, spec));
    spec->normalize = chain.normalizes;
    return PP_OK;
}

pp_status ppi_sentence_modules_read(const struct ppi_dir *dir, struct ppi_mem *mem,
                                    const struct ppi_log *log, struct ppi_model_spec *spec,
                                    pp_error *err)
{
    const struct reading reading = {dir, mem, log, err};
    struct ppi_label label;
    struct ppi_json json;
    if (!ppi_dir_has(dir, MODULES_NAME))
        return PP_OK;
    PP_TRY(read_file(&reading, MODULES_NAME, &label, &json));
    pp_status status = read_modules(&reading, label.text, ppi_json_get(json.root, "file"), spec);
    ppi_json_free(&json, mem);
    return status;
}

/* ---- writing ---- */

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

void ppi_sentence_modules_put(struct ppi_json_out *out, const struct ppi_model_spec *spec)
{
    ppi_json_put(out, "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":"
                      "\"sentence_transformers.models.Transformer\"},"
                      "{\"idx\":1,\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":"
                      "\"sentence_transformers.models.Pooling\"}");
    if (spec->normalize == 1)
        ppi_json_put(out, ",{\"idx\":2,\"name\":\"2\",\"path\":\"2_Normalize\",\"type\":"
                          "\"sentence_transformers.models.Normalize\"}");
    ppi_json_put(out, "]\n");
}

void ppi_sentence_pooling_put(struct ppi_json_out *out, const struct ppi_model_spec *spec)
{
    ppi_json_put(out, "{\"word_embedding_dimension\":");
    ppi_json_put_integer(out, spec->hidden_size);
    for (size_t i = 0; i < PPI_COUNT(MODES); i++) {
        ppi_json_put(out, ",\"");
        ppi_json_put(out, MODES[i].flag);
        ppi_json_put(out, "\":");
        ppi_json_put(out, truth(MODES[i].pooling >= 0 && MODES[i].pooling == spec->pooling));
    }
    ppi_json_put(out, ",\"include_prompt\":true}\n");
}
