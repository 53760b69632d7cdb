/*
 * tekken_source.c: Mistral's tekken.json: byte pair encoding of bytes whose vocabulary ranks its
 * tokens, as tiktoken has it. The special tokens come before the vocabulary, whose tokens get the
 * spelling of byte level (byte_level.h): bytes need not be UTF-8.
 */
#include "checkpoint/json_file.h"
#include "json/json_write.h"
#include "tokenizer/pieces/bpe.h"
#include "tokenizer/split/byte_level.h"
#include "tokenizer/tokenizer_impl.h"

#include <stdio.h>

#define MAX_BYTES ((int64_t)1 << 30)

static const struct ppi_json_limits LIMITS = {
    .what = "value", .allow_nul = true, .nul_in_names = true};

/* The special tokens of files up to version 7 that list none. */
static const char *const OLD_SPECIAL[] = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
};

struct tekken {
    struct ppi_reading reading;
    const struct ppi_json_value *root, *config;
    pp_tokenizer *tokenizer;
    const char *pattern;
    int64_t n_special, n_vocab; /* n_vocab: those of the list that are used */
    int64_t version;
};

/* ---- config ---- */

static bool is_one_of(const char *key, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* A key of config is about tokens; others are about images, sounds and chats. */
static pp_status check_keys(const struct tekken *tekken)
{
    static const char *const in_config[] = {"pattern", "num_vocab_tokens", "default_vocab_size",
                                            "default_num_special_tokens", "version"};
    static const char *const in_root[] = {
        "config", "vocab", "special_tokens",         "version",       "type",
        "image",  "audio", "model_settings_builder", "chat_template", "multimodal"};
    const struct ppi_json_value *value;
    for (value = ppi_json_first(tekken->config); value;
         value = ppi_json_next(tekken->config, value))
        if (!is_one_of(value->name, in_config, PPI_COUNT(in_config)))
            return ppi_error(tekken->reading.err, PP_ERR_UNSUPPORTED,
                             "%s: \"config.%s\" is not implemented", tekken->reading.label,
                             ppi_label(value->name).text);
    for (value = ppi_json_first(tekken->root); value; value = ppi_json_next(tekken->root, value))
        if (!is_one_of(value->name, in_root, PPI_COUNT(in_root)))
            ppi_log(tekken->reading.log, PP_LOG_WARNING, "%s: \"%s\" is not known and left out",
                    tekken->reading.label, ppi_label(value->name).text);
    return PP_OK;
}

/* "v3" */
static pp_status read_version(struct tekken *tekken)
{
    const char *text = NULL;
    size_t n = 0;
    int end = 0, version = 0;
    PP_TRY(ppi_reading_string(&tekken->reading, "config", tekken->config, "version", &text, &n));
    if (!text || n > 6 || sscanf(text, "v%d%n", &version, &end) != 1 || (size_t)end != n)
        return ppi_reading_refuse(&tekken->reading, PP_ERR_FORMAT, "config.version",
                                  ppi_json_get(tekken->config, "version"),
                                  "a version such as \"v3\" is needed");
    tekken->version = version;
    return PP_OK;
}

static pp_status read_config(struct tekken *tekken)
{
    const struct ppi_reading *reading = &tekken->reading;
    const struct ppi_json_value *list = ppi_json_get(tekken->root, "vocab");
    int64_t n_all = -1;
    size_t n = 0;
    tekken->config = ppi_json_get(tekken->root, "config");
    if (!ppi_json_is(tekken->config, PPI_JSON_OBJECT) || !ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s has no \"config\" with a \"vocab\": it is not a tekken.json",
                         reading->label);
    PP_TRY(check_keys(tekken));
    PP_TRY(read_version(tekken));
    PP_TRY(ppi_reading_string(reading, "config", tekken->config, "pattern", &tekken->pattern, &n));
    if (!tekken->pattern || strlen(tekken->pattern) != n)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "config.pattern",
                                  ppi_json_get(tekken->config, "pattern"),
                                  "a regular expression is needed");
    tekken->n_special = -1;
    PP_TRY(ppi_reading_integer(reading, "config", tekken->config, "default_num_special_tokens", 0,
                               PPI_MAX_ADDED, &tekken->n_special));
    PP_TRY(ppi_reading_integer(reading, "config", tekken->config, "default_vocab_size", 0,
                               PPI_VOCAB_MAX_IDS - 1, &n_all));
    if (tekken->n_special < 0 || n_all < 0)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: \"config\" needs \"default_vocab_size\" and "
                         "\"default_num_special_tokens\"",
                         reading->label);
    tekken->n_vocab = n_all - tekken->n_special;
    if (tekken->n_vocab < 256 || tekken->n_vocab > list->len)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: \"config.default_vocab_size\" is %lld, of which %lld are special; "
                         "\"vocab\" must have the rest, at least 256, and has %u",
                         reading->label, (long long)n_all, (long long)tekken->n_special, list->len);
    return PP_OK;
}

/* ---- the vocabulary ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *place = c ? strchr(digits, c) : NULL;
    return place ? (int)(place - digits) : -1;
}

/* The bytes that text[0, n) stands for, in byte level's spelling at `to`: at most 3/2 n. The number
 * of bytes written; 0: it is not base64, or nothing. *first: the first byte, *n_bytes: how many. */
static size_t spell(const char *text, size_t n, char *to, unsigned char *first, size_t *n_bytes)
{
    size_t n_put = 0;
    *n_bytes = 0;
    if (n == 0 || n % 4)
        return 0;
    const size_t n_pad = (text[n - 1] == '=') + (size_t)(text[n - 1] == '=' && text[n - 2] == '=');
    for (size_t i = 0; i < n; i += 4) {
        const size_t n_digits = i + 4 == n ? 4 - n_pad : 4;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            const int digit = k < n_digits ? digit_of(text[i + k]) : 0;
            if (digit < 0)
                return 0;
            group = group << 6 | (uint32_t)digit;
        }
        for (size_t k = 0; k + 1 < n_digits; k++) {
            const unsigned char byte = (unsigned char)(group >> (16 - 8 * k));
            if (*n_bytes == 0)
                *first = byte;
            n_put += ppi_utf8_put(ppi_byte_level_char(byte), to + n_put);
            ++*n_bytes;
        }
    }
    return n_put;
}

static pp_status refuse_entry(const struct tekken *tekken, int64_t i, const char *wanted)
{
    return ppi_error(tekken->reading.err, PP_ERR_FORMAT, "%s: entry %lld of \"vocab\": %s",
                     tekken->reading.label, (long long)i, wanted);
}

/* {"rank": 256, "token_bytes": "ICA=", "token_str": "  "}, the last of which only repeats. */
static pp_status read_entry(const struct tekken *tekken, const struct ppi_json_value *entry,
                            int64_t i, char **to)
{
    const struct ppi_json_value *rank = ppi_json_get(entry, "rank");
    const struct ppi_json_value *bytes = ppi_json_get(entry, "token_bytes");
    const uint32_t n_known = 2 + (ppi_json_get(entry, "token_str") != NULL);
    unsigned char first = 0;
    size_t n_bytes;
    if (!ppi_json_is(rank, PPI_JSON_INTEGER) || !ppi_json_is(bytes, PPI_JSON_STRING) ||
        entry->len != n_known)
        return refuse_entry(tekken, i,
                            "\"rank\", \"token_bytes\" and \"token_str\" are needed, no others");
    if (rank->integer != i)
        return refuse_entry(tekken, i, "its \"rank\" is not its place in the list");
    const size_t n = spell(bytes->string, bytes->len, *to, &first, &n_bytes);
    if (n == 0)
        return refuse_entry(tekken, i, "its \"token_bytes\" are not base64");
    if (i < 256 && (n_bytes != 1 || first != i))
        return refuse_entry(tekken, i, "the first 256 tokens must be the bytes in order");
    (*to)[n] = '\0';
    tekken->tokenizer->vocab.tokens[tekken->n_special + i] = (struct ppi_token){*to, (uint32_t)n};
    *to += n + 1;
    return PP_OK;
}

static pp_status read_entries(const struct tekken *tekken, char *texts)
{
    const struct ppi_json_value *list = ppi_json_get(tekken->root, "vocab");
    const struct ppi_json_value *entry = ppi_json_first(list);
    for (int64_t i = 0; i < tekken->n_vocab; i++, entry = ppi_json_next(list, entry))
        PP_TRY(read_entry(tekken, entry, i, &texts));
    return PP_OK;
}

static pp_status refuse_twins(const struct tekken *tekken)
{
    const struct ppi_vocab *vocab = &tekken->tokenizer->vocab;
    for (int32_t id = (int32_t)tekken->n_special; id < vocab->n_ids; id++)
        if (ppi_vocab_find(vocab, vocab->tokens[id].text, vocab->tokens[id].n) != id)
            return refuse_entry(tekken, id - tekken->n_special, "an earlier token is the same");
    return PP_OK;
}

static pp_status read_vocab(const struct tekken *tekken)
{
    const struct ppi_reading *reading = &tekken->reading;
    const struct ppi_json_value *list = ppi_json_get(tekken->root, "vocab");
    struct ppi_vocab *vocab = &tekken->tokenizer->vocab;
    const size_t n_ids = (size_t)(tekken->n_special + tekken->n_vocab);
    size_t room = 0;
    for (const struct ppi_json_value *entry = ppi_json_first(list); entry;
         entry = ppi_json_next(list, entry)) {
        const struct ppi_json_value *bytes = ppi_json_get(entry, "token_bytes");
        room += bytes ? (size_t)bytes->len * 3 / 2 + 1 : 0;
    }
    struct ppi_token *tokens = ppi_zalloc(reading->mem, n_ids, sizeof *tokens);
    char *texts = ppi_alloc(reading->mem, room, 1);
    vocab->mem = reading->mem;
    vocab->tokens = tokens;
    vocab->texts = texts;
    if (!tokens || !texts)
        return ppi_error_nomem(reading->err, "a vocabulary", room);
    PP_TRY(read_entries(tekken, texts));
    PP_TRY(ppi_vocab_build(vocab, reading->mem, tokens, (int32_t)n_ids, texts, reading->err));
    return refuse_twins(tekken);
}

/* ---- special tokens ---- */

static pp_status put_special(const struct tekken *tekken, const char *text, size_t n, int64_t id)
{
    const struct ppi_added_token token = {
        .text = (char *)text, .n = (uint32_t)n, .id = (int32_t)id, .special = true};
    return ppi_added_put(&tekken->tokenizer->added, &token, tekken->reading.err);
}

static pp_status read_special(const struct tekken *tekken, const struct ppi_json_value *list,
                              int64_t *n)
{
    const struct ppi_reading *reading = &tekken->reading;
    for (const struct ppi_json_value *entry = ppi_json_first(list); entry;
         entry = ppi_json_next(list, entry), ++*n) {
        const struct ppi_json_value *rank = ppi_json_get(entry, "rank");
        const struct ppi_json_value *text = ppi_json_get(entry, "token_str");
        if (!ppi_json_is(rank, PPI_JSON_INTEGER) || rank->integer != *n ||
            !ppi_json_is(text, PPI_JSON_STRING) || text->len == 0)
            return ppi_error(reading->err, PP_ERR_FORMAT,
                             "%s: entry %lld of \"special_tokens\": its place as \"rank\" and a "
                             "\"token_str\" are needed",
                             reading->label, (long long)*n);
        PP_TRY(put_special(tekken, text->string, text->len, *n));
    }
    return PP_OK;
}

/* Ids that no special token has are named by number. */
static pp_status fill_special(const struct tekken *tekken, int64_t n)
{
    char text[40];
    for (; n < tekken->n_special; n++) {
        const int n_text = snprintf(text, sizeof text, "<SPECIAL_%lld>", (long long)n);
        PP_TRY(put_special(tekken, text, (size_t)n_text, n));
    }
    return PP_OK;
}

static pp_status read_specials(const struct tekken *tekken)
{
    const struct ppi_reading *reading = &tekken->reading;
    const struct ppi_json_value *list = ppi_json_get(tekken->root, "special_tokens");
    const bool missing = !list || list->type == PPI_JSON_NULL;
    int64_t n = 0;
    if (missing ? tekken->version > 7 : list->type != PPI_JSON_ARRAY)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "special_tokens", list,
                                  "a list is needed");
    const int64_t n_listed = missing ? (int64_t)PPI_COUNT(OLD_SPECIAL) : list->len;
    if (n_listed > tekken->n_special)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: \"config.default_num_special_tokens\" is %lld, but there are %lld",
                         reading->label, (long long)tekken->n_special, (long long)n_listed);
    if (missing)
        for (; n < n_listed; n++)
            PP_TRY(put_special(tekken, OLD_SPECIAL[n], strlen(OLD_SPECIAL[n]), n));
    else
        PP_TRY(read_special(tekken, list, &n));
    return fill_special(tekken, n);
}

static int32_t find_special(const struct tekken *tekken, const char *text)
{
    const struct ppi_added *added = &tekken->tokenizer->added;
    for (size_t i = 0; i < added->n; i++)
        if (added->tokens[i].n == strlen(text) && strcmp(added->tokens[i].text, text) == 0)
            return added->tokens[i].id;
    return -1;
}

/* A text gets its beginning and no end. */
static pp_status set_uses(const struct tekken *tekken)
{
    pp_tokenizer *tokenizer = tekken->tokenizer;
    tokenizer->bos = find_special(tekken, "<s>");
    tokenizer->eos = find_special(tekken, "</s>");
    tokenizer->unk = find_special(tekken, "<unk>");
    tokenizer->pad = find_special(tekken, "<pad>");
    if (tokenizer->bos < 0)
        return ppi_error(tekken->reading.err, PP_ERR_FORMAT,
                         "%s: \"special_tokens\" lacks <s>, with which every text begins",
                         tekken->reading.label);
    tokenizer->edges.before[tokenizer->edges.n_before++] = tokenizer->bos;
    return PP_OK;
}

/* ---- the whole ---- */

/* What the pattern does not match is dropped. */
static void write_parts(const struct tekken *tekken, struct ppi_json_out *out)
{
    ppi_json_put(out, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
                      "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    ppi_json_put_string(out, tekken->pattern);
    ppi_json_put(out, "},\"behavior\":\"Removed\",\"invert\":true},"
                      "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
                      "\"decoder\":{\"type\":\"ByteLevel\"}}");
}

static pp_status read_parts(const struct tekken *tekken)
{
    const struct ppi_reading *reading = &tekken->reading;
    struct ppi_json_out out = {0};
    write_parts(tekken, &out);
    const size_t room = out.bytes + 1;
    char *text = ppi_alloc(reading->mem, room, 1);
    if (!text)
        return ppi_error_nomem(reading->err, "parts of a tokenizer", room);
    out = (struct ppi_json_out){.text = text, .room = room};
    write_parts(tekken, &out);
    const pp_status status = ppi_tokenizer_read_parts(tekken->tokenizer, text, reading->label,
                                                      reading->log, reading->err);
    ppi_free(reading->mem, text);
    return status;
}

static pp_status make_pieces(const struct tekken *tekken)
{
    const struct ppi_reading *reading = &tekken->reading;
    const struct ppi_vocab *vocab = &tekken->tokenizer->vocab;
    struct ppi_bpe_spec spec = {.byte_level = true, .ignore_merges = true, .unk = -1};
    struct ppi_merge *merges = NULL;
    uint32_t *ranks = ppi_alloc(reading->mem, (size_t)vocab->n_ids, sizeof *ranks);
    if (!ranks)
        return ppi_error_nomem(reading->err, "the ranks of tokens",
                               (size_t)vocab->n_ids * sizeof *ranks);
    for (int32_t id = 0; id < vocab->n_ids; id++)
        ranks[id] = vocab->tokens[id].text ? (uint32_t)id : UINT32_MAX;
    pp_status status =
        ppi_bpe_merges_by_rank(vocab, ranks, reading->mem, &merges, &spec.n_merges, reading->err);
    ppi_free(reading->mem, ranks);
    spec.merges = merges;
    if (status >= 0)
        status =
            ppi_bpe_create(&spec, vocab, reading->mem, &tekken->tokenizer->pieces, reading->err);
    ppi_free(reading->mem, merges);
    return status;
}

static pp_status make(struct tekken *tekken)
{
    PP_TRY(read_config(tekken));
    PP_TRY(read_vocab(tekken));
    PP_TRY(read_specials(tekken));
    PP_TRY(read_parts(tekken));
    PP_TRY(make_pieces(tekken));
    return set_uses(tekken);
}

pp_status ppi_tokenizer_from_tekken(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                    pp_error *err)
{
    struct ppi_json json;
    PP_TRY(ppi_json_read(source->file, MAX_BYTES, &LIMITS, &tokenizer->mem, &json, err));
    struct tekken tekken = {
        .reading = {source->file->label.text, &tokenizer->mem, source->log, err},
        .root = json.root,
        .tokenizer = tokenizer};
    const pp_status status = make(&tekken);
    ppi_json_free(&json, &tokenizer->mem);
    return status;
}
