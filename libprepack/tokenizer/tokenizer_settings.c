/*
 * tokenizer_settings.c: the settings of transformers' tokenizers that matter to tokens; see
 * tokenizer_settings.h.
 */
#include "tokenizer/tokenizer_settings.h"
#include "checkpoint/json_file.h"

#include <stdlib.h>

#define MAX_BYTES (32 << 20)

static const struct ppi_json_limits LIMITS = {.what = "value", .any_number = true};

/* Keys that do not change the tokens of a text: they are read here, or are about something else. */
static const char *const KNOWN[] = {
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
    "audio_token",
    "video_token",
    "vision_bos_token",
    "vision_eos_token",
    "local_files_only",
    "trust_remote_code",
    "model_specific_special_tokens",
    "do_basic_tokenize",
    "do_lower_case",
    "tokenize_chinese_chars",
    "strip_accents",
    "never_split",
    "vocab_size",
    "clean_up_tokenization_spaces",
    "from_slow",
    "keep_accents",
    "remove_space",
    "sp_model_kwargs",
    "spaces_between_special_tokens",
    "special_tokens",
    "trim_offsets",
    "max_tokens_per_doc",
    "add_generation_prompt",
};

/* Of those, what changes tokens or text of a SentencePiece model where it is on. */
static const char *const OFF[] = {"do_lower_case", "keep_accents", "remove_space",
                                  "clean_up_tokenization_spaces", "from_slow"};

/* Classes whose tokens are those of the SentencePiece model. */
static const char *const CLASSES[] = {
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

struct settings_reader {
    struct ppi_reading reading;
    const struct ppi_json_value *root;
    struct ppi_settings *settings;
    bool sentencepiece; /* they are for a SentencePiece model */
};

/* A token is a string or an object with its "content". */
static const struct ppi_json_value *content_of(const struct ppi_json_value *value)
{
    return ppi_json_is(value, PPI_JSON_OBJECT) ? ppi_json_get(value, "content") : value;
}

static pp_status read_named(const struct settings_reader *reader, const char *key,
                            struct ppi_named *named)
{
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    if (!value || named->stated)
        return PP_OK;
    named->stated = true;
    if (value->type == PPI_JSON_NULL)
        return PP_OK;
    const struct ppi_json_value *text = content_of(value);
    if (!ppi_json_is(text, PPI_JSON_STRING))
        return ppi_reading_refuse(&reader->reading, PP_ERR_FORMAT, key, value,
                                  "a string, an object with \"content\", or null is needed");
    named->text = ppi_reading_copy(reader->settings->mem, text->string, text->len);
    return named->text ? PP_OK : ppi_error_nomem(reader->reading.err, "a token", text->len);
}

static pp_status read_said(const struct settings_reader *reader, const char *key,
                           enum ppi_said *said)
{
    const struct ppi_json_value *value = ppi_json_get(reader->root, key);
    bool flag = false;
    PP_TRY(ppi_reading_flag(&reader->reading, "", reader->root, key, &flag));
    if (value && value->type != PPI_JSON_NULL)
        *said = flag ? PPI_YES : PPI_NO;
    return PP_OK;
}

static pp_status put_token(const struct settings_reader *reader, const char *text, size_t n,
                           int64_t id, const struct ppi_json_value *rules)
{
    struct ppi_added_token token = {.text = (char *)text, .n = (uint32_t)n, .id = (int32_t)id};
    if (!text || n == 0 || id < 0 || id >= PPI_VOCAB_MAX_IDS)
        return ppi_error(reader->reading.err, PP_ERR_FORMAT,
                         "%s lists an added token without a text, or without an id from 0 to %d",
                         reader->reading.label, PPI_VOCAB_MAX_IDS - 1);
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"special", &token.special},
                 {"lstrip", &token.lstrip},
                 {"rstrip", &token.rstrip},
                 {"single_word", &token.single_word},
                 {"normalized", &token.normalized}};
    for (size_t i = 0; i < PPI_COUNT(flags); i++)
        PP_TRY(ppi_reading_flag(&reader->reading, "added_tokens_decoder", rules, flags[i].key,
                                flags[i].flag));
    return ppi_added_put(&reader->settings->added, &token, reader->reading.err);
}

/* {"32000": {"content": "<|x|>", "lstrip": false, ...}, ...} */
static pp_status read_decoder(const struct settings_reader *reader)
{
    const struct ppi_json_value *list = ppi_json_get(reader->root, "added_tokens_decoder");
    if (!ppi_json_is(list, PPI_JSON_OBJECT))
        return PP_OK;
    for (const struct ppi_json_value *rules = ppi_json_first(list); rules;
         rules = ppi_json_next(list, rules)) {
        const struct ppi_json_value *text = content_of(rules);
        char *end;
        const long long id = strtoll(rules->name, &end, 10);
        PP_TRY(put_token(reader, ppi_json_string(text), text ? text->len : 0,
                         *rules->name && !*end ? id : -1, rules));
    }
    return PP_OK;
}

/* {"<|x|>": 32000, ...} */
static pp_status read_added(const struct settings_reader *reader)
{
    const struct ppi_json_value *root = reader->root;
    for (const struct ppi_json_value *id = ppi_json_first(root); id; id = ppi_json_next(root, id))
        PP_TRY(put_token(reader, id->name, id->name_len,
                         ppi_json_is(id, PPI_JSON_INTEGER) ? id->integer : -1, NULL));
    return PP_OK;
}

static void note_unknown(const struct settings_reader *reader)
{
    const struct ppi_json_value *root = reader->root;
    for (const struct ppi_json_value *value = ppi_json_first(root); value;
         value = ppi_json_next(root, value)) {
        const bool off = value->type == PPI_JSON_NULL || value->type == PPI_JSON_FALSE ||
                         (value->type == PPI_JSON_OBJECT && value->len == 0);
        const bool changes =
            reader->sentencepiece && (is_one_of(value->name, OFF, PPI_COUNT(OFF)) ||
                                      strcmp(value->name, "sp_model_kwargs") == 0);
        if (!off && changes)
            ppi_log(reader->reading.log, PP_LOG_WARNING,
                    "%s: \"%s\" is not implemented; tokens and texts are those without it",
                    reader->reading.label, value->name);
        else if (!off && !is_one_of(value->name, KNOWN, PPI_COUNT(KNOWN)))
            ppi_log(reader->reading.log, PP_LOG_WARNING, "%s: \"%s\" is not known and left out",
                    reader->reading.label, ppi_label(value->name).text);
    }
    const char *class = ppi_json_string(ppi_json_get(root, "tokenizer_class"));
    if (reader->sentencepiece && class && !is_one_of(class, CLASSES, PPI_COUNT(CLASSES)))
        ppi_log(reader->reading.log, PP_LOG_WARNING,
                "%s: the tokenizer_class %s is not known; tokens are those of the SentencePiece "
                "model",
                reader->reading.label, ppi_label(class).text);
}

static pp_status read_names(const struct settings_reader *reader)
{
    struct ppi_settings *settings = reader->settings;
    PP_TRY(read_named(reader, "bos_token", &settings->bos));
    PP_TRY(read_named(reader, "eos_token", &settings->eos));
    PP_TRY(read_named(reader, "unk_token", &settings->unk));
    return read_named(reader, "pad_token", &settings->pad);
}

static pp_status read_config(const struct settings_reader *reader)
{
    struct ppi_settings *settings = reader->settings;
    PP_TRY(read_names(reader));
    PP_TRY(read_said(reader, "add_bos_token", &settings->add_bos));
    PP_TRY(read_said(reader, "add_eos_token", &settings->add_eos));
    PP_TRY(read_said(reader, "add_prefix_space", &settings->add_prefix_space));
    PP_TRY(read_said(reader, "legacy", &settings->legacy));
    PP_TRY(ppi_reading_flag(&reader->reading, "", reader->root, "split_special_tokens",
                            &settings->split_special));
    PP_TRY(read_decoder(reader));
    note_unknown(reader);
    return PP_OK;
}

/* Reads one of the files, if it is there. */
static pp_status read_file(const struct ppi_dir *dir, const char *name, bool sentencepiece,
                           const struct ppi_log *log, struct ppi_settings *settings,
                           pp_status (*read)(const struct settings_reader *reader), pp_error *err)
{
    struct ppi_file file;
    struct ppi_json json;
    if (!ppi_dir_has(dir, name))
        return PP_OK;
    PP_TRY(ppi_dir_open_file(dir, name, &file, err));
    pp_status status = ppi_json_read(&file, MAX_BYTES, &LIMITS, settings->mem, &json, err);
    if (status >= 0) {
        const struct settings_reader reader = {
            .reading = {file.label.text, settings->mem, log, err},
            .root = json.root,
            .settings = settings,
            .sentencepiece = sentencepiece};
        status = read(&reader);
        ppi_json_free(&json, settings->mem);
    }
    ppi_file_close(&file);
    return status;
}

pp_status ppi_settings_read(const struct ppi_dir *dir, bool sentencepiece, struct ppi_mem *mem,
                            const struct ppi_log *log, struct ppi_settings *settings, pp_error *err)
{
    *settings = (struct ppi_settings){.mem = mem,
                                      .add_bos = PPI_NOT_SAID,
                                      .add_eos = PPI_NOT_SAID,
                                      .add_prefix_space = PPI_NOT_SAID,
                                      .legacy = PPI_NOT_SAID,
                                      .added = {.mem = mem}};
    /* of tokens that two files list the last counts: tokenizer_config.json knows more of them */
    PP_TRY(read_file(dir, "added_tokens.json", sentencepiece, log, settings, read_added, err));
    PP_TRY(read_file(dir, "tokenizer_config.json", sentencepiece, log, settings, read_config, err));
    return read_file(dir, "special_tokens_map.json", sentencepiece, log, settings, read_names, err);
}

void ppi_settings_free(struct ppi_settings *settings)
{
    struct ppi_named *named[] = {&settings->bos, &settings->eos, &settings->unk, &settings->pad};
    for (size_t i = 0; i < PPI_COUNT(named); i++)
        ppi_free(settings->mem, named[i]->text);
    ppi_added_free(&settings->added);
    *settings = (struct ppi_settings){0};
}
