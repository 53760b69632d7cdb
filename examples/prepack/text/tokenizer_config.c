/* tokenizer_config.c: the settings of transformers' tokenizers that matter to SentencePiece. */
#include "tokenizer_config.h"
#include "files.h"
#include "say.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_config_bytes = (size_t)32 << 20;

/* Keys that do not change the ids of a text: they are read here, or are about something else. */
static const char *const known_keys[] = {
    "add_bos_token",
    "add_eos_token",
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "added_tokens_decoder",
    "additional_special_tokens",
    "extra_special_tokens",
    "sep_token",
    "cls_token",
    "mask_token",
    "add_prefix_space",
    "legacy",
    "split_special_tokens",
    "sp_model_kwargs",
    "tokenizer_class",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "special_tokens_map_file",
    "name_or_path",
    "auto_map",
    "processor_class",
    "backend",
    "is_local",
    "use_fast",
    "chat_template",
    "default_chat_template",
    "use_default_system_prompt",
    "model_max_length",
    "max_length",
    "truncation",
    "truncation_side",
    "truncation_strategy",
    "stride",
    "padding",
    "padding_side",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "model_input_names",
    "return_token_type_ids",
    "return_attention_mask",
    "errors",
    "response_schema",
    "add_special_tokens",
    "image_token",
    "boi_token",
    "eoi_token",
    "local_files_only",
    "trust_remote_code",
    "model_specific_special_tokens",
};

/* Settings that change tokens or text where they are on. */
static const char *const off_keys[] = {"do_lower_case", "keep_accents", "remove_space",
                                       "clean_up_tokenization_spaces", "from_slow"};

/* Classes whose tokens are those of the SentencePiece model. */
static const char *const known_classes[] = {
    "LlamaTokenizer",    "LlamaTokenizerFast", "CodeLlamaTokenizer",     "CodeLlamaTokenizerFast",
    "GemmaTokenizer",    "GemmaTokenizerFast", "MistralCommonTokenizer", "PreTrainedTokenizerFast",
    "TokenizersBackend", "PreTrainedTokenizer"};

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(word, words) is_one_of(word, words, sizeof words / sizeof *words)

/* *json: NULL where there is no such file. The caller drops it. */
static int read_json(const char *path, json_t **json)
{
    json_error_t error;
    char *text;
    size_t n;
    *json = NULL;
    if (!file_exists(path))
        return STATUS_OK;
    const int status = read_file(path, max_config_bytes, &text, &n);
    if (status)
        return status;
    *json = json_loadb(text, n, JSON_DECODE_INT_AS_REAL, &error);
    free(text);
    if (!*json)
        return fail("line %d of %s is not JSON: %s", error.line, path, error.text);
    if (json_is_object(*json))
        return STATUS_OK;
    json_decref(*json);
    *json = NULL;
    return fail("%s is not a JSON object", path);
}

/* A key that must be true or false; null and nothing leave *value. */
static int read_flag(const char *path, const json_t *root, const char *key, bool *value, bool *said)
{
    const json_t *json = json_object_get(root, key);
    *said = json && !json_is_null(json);
    if (*said && !json_is_boolean(json))
        return fail("%s: \"%s\" must be true or false", path, key);
    if (*said)
        *value = json_is_true(json);
    return STATUS_OK;
}

/* A token is a string or an object with its "content". */
static const char *token_text(const json_t *json)
{
    return json_string_value(json_is_object(json) ? json_object_get(json, "content") : json);
}

static int read_edge(const char *path, const json_t *root, const char *token_key,
                     const char *add_key, struct edge_token *edge)
{
    const json_t *json = json_object_get(root, token_key);
    bool is_added = false, said;
    const int status = read_flag(path, root, add_key, &is_added, &said);
    if (status)
        return status;
    edge->is_added = said ? is_added : -1;
    edge->stated = json != NULL;
    if (!json || json_is_null(json))
        return STATUS_OK;
    const char *text = token_text(json);
    if (!text)
        return fail("%s: \"%s\" must be a string, an object with \"content\", or null", path,
                    token_key);
    edge->text = strdup(text);
    return edge->text ? STATUS_OK : fail_memory();
}

static bool is_on(const json_t *json, const char *key)
{
    return json_is_true(json_object_get(json, key));
}

static int add_token(const char *path, const char *text, long long id, const json_t *rules,
                     struct tokenizer_config *config)
{
    if (!text || !*text || id < 0 || id > INT32_MAX)
        return fail("%s lists an added token without a text, or without an id from 0 to %d", path,
                    INT32_MAX);
    struct added_token *larger =
        realloc(config->added, (config->n_added + 1) * sizeof *config->added);
    if (!larger)
        return fail_memory();
    config->added = larger;
    struct added_token *added = &larger[config->n_added];
    *added = (struct added_token){.text = strdup(text),
                                  .id = (int32_t)id,
                                  .special = is_on(rules, "special"),
                                  .eats_space_left = is_on(rules, "lstrip"),
                                  .eats_space_right = is_on(rules, "rstrip")};
    if (!added->text)
        return fail_memory();
    config->n_added++;
    if (is_on(rules, "single_word"))
        note("%s: \"single_word\" of '%s' is not implemented; it is found inside words, too", path,
             text);
    return STATUS_OK;
}

/* {"32000": {"content": "<|x|>", "lstrip": false, ...}, ...} */
static int read_decoder(const char *path, json_t *decoder, struct tokenizer_config *config)
{
    const char *key;
    json_t *value;
    int status = STATUS_OK;
    json_object_foreach(decoder, key, value)
    {
        char *end;
        const long long id = strtoll(key, &end, 10);
        if (!status)
            status = add_token(path, token_text(value), *key && !*end ? id : -1, value, config);
    }
    return status;
}

static bool is_listed(const struct tokenizer_config *config, const char *text)
{
    for (size_t i = 0; i < config->n_added; i++)
        if (strcmp(config->added[i].text, text) == 0)
            return true;
    return false;
}

/* {"<|x|>": 32000, ...}; what tokenizer_config.json says of a token goes before. */
static int read_added(const char *path, struct tokenizer_config *config)
{
    const char *key;
    json_t *root, *value;
    int status = read_json(path, &root);
    json_object_foreach(root, key, value)
    {
        if (!status && !is_listed(config, key))
            status = add_token(path, key,
                               json_is_number(value) ? (long long)json_number_value(value) : -1,
                               NULL, config);
    }
    json_decref(root);
    return status;
}

/* Notes what is set and not implemented. */
static void note_unknown(const char *path, json_t *root)
{
    const char *class = json_string_value(json_object_get(root, "tokenizer_class"));
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const bool off = json_is_null(value) || json_is_false(value);
        if (!off && IS_ONE_OF(key, off_keys))
            note("%s: \"%s\" is not implemented; tokens and texts are those without it", path, key);
        else if (!IS_ONE_OF(key, known_keys) && !IS_ONE_OF(key, off_keys) && !off)
            note("%s: \"%s\" is not known and left out", path, key);
    }
    if (json_object_size(json_object_get(root, "sp_model_kwargs")) > 0)
        note("%s: \"sp_model_kwargs\" are not implemented and left out", path);
    if (class && !IS_ONE_OF(class, known_classes))
        note("%s: the tokenizer_class %s is not known; tokens are those of tokenizer.model", path,
             class);
}

static int read_config(const char *path, struct tokenizer_config *config)
{
    json_t *root;
    bool said, prefix = true;
    int status = read_json(path, &root);
    if (status || !root)
        return status;
    status = read_edge(path, root, "bos_token", "add_bos_token", &config->begin);
    if (!status)
        status = read_edge(path, root, "eos_token", "add_eos_token", &config->end);
    if (!status)
        status = read_flag(path, root, "add_prefix_space", &prefix, &said);
    if (!status)
        status = read_flag(path, root, "legacy", &config->legacy, &said);
    if (!status)
        status = read_flag(path, root, "split_special_tokens", &config->split_special, &said);
    config->no_prefix = !prefix;
    if (!status)
        status = read_decoder(path, json_object_get(root, "added_tokens_decoder"), config);
    if (!status)
        note_unknown(path, root);
    json_decref(root);
    return status;
}

int tokenizer_config_read(const char *dir, struct tokenizer_config *config)
{
    char *path = join_path(dir, "tokenizer_config.json");
    char *added_path = join_path(dir, "added_tokens.json");
    *config = (struct tokenizer_config){.begin = {.is_added = -1}, .end = {.is_added = -1}};
    int status = path && added_path ? read_config(path, config) : fail_memory();
    if (!status)
        status = read_added(added_path, config);
    free(path);
    free(added_path);
    return status;
}

void tokenizer_config_free(struct tokenizer_config *config)
{
    for (size_t i = 0; i < config->n_added; i++)
        free(config->added[i].text);
    free(config->added);
    free(config->begin.text);
    free(config->end.text);
    *config = (struct tokenizer_config){0};
}
