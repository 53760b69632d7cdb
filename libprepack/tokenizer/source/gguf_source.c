/*
 * gguf_source.c: the tokenizer in the keys of a GGUF file. tokenizer.ggml.model names one of a few
 * kinds; what a kind does to a text beside its tokens is known by its name and some flags, and is
 * written here as the parts of a tokenizer.json.
 */
#include "tokenizer/source/gguf_source.h"

#include <stdio.h>

#define KEY(name) "tokenizer.ggml." name

/* What stands around a text, and what else has an id by its use. */
struct uses {
    int32_t bos, eos, unk, pad, sep;
    bool add_bos, add_eos;
};

struct maker;

struct kind {
    const char *name;
    struct uses uses; /* where the file says nothing */
    bool add_space_prefix;
    pp_status (*make)(struct maker *maker);
};

struct maker {
    pp_tokenizer *tokenizer;
    const struct kind *kind;
    const struct ppi_gguf_words *words; /* of BPE */
    struct ppi_gguf_tokens tokens;
    struct uses uses;
    bool add_space_prefix, remove_extra_spaces;
    struct ppi_text charsmap; /* in base64; empty: none */
};

/* ---- parts of a tokenizer.json ---- */

static pp_status read_parts(struct maker *maker,
                            void (*write)(const struct maker *maker, struct ppi_json_out *out))
{
    struct ppi_gguf_tokens *tokens = &maker->tokens;
    struct ppi_json_out out = {0};
    write(maker, &out);
    const size_t room = out.bytes + 1;
    char *text = ppi_alloc(tokens->mem, room, 1);
    if (!text)
        return ppi_error_nomem(tokens->err, "parts of a tokenizer", room);
    out = (struct ppi_json_out){.text = text, .room = room};
    write(maker, &out);
    const pp_status status =
        ppi_tokenizer_read_parts(maker->tokenizer, text, tokens->label, tokens->log, tokens->err);
    ppi_free(tokens->mem, text);
    return status;
}

/* Spaces as SentencePiece normalises them. llama.cpp puts a space before words, too, where extra
 * ones are removed. */
static void write_spaces(const struct maker *maker, struct ppi_json_out *out)
{
    ppi_json_put(out, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (maker->charsmap.n) {
        ppi_json_put(out, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":");
        ppi_json_put_string(out, maker->charsmap.bytes);
        ppi_json_put(out, "},");
    }
    if (maker->remove_extra_spaces)
        ppi_json_put(out, "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},"
                          "\"content\":\" \"},"
                          "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\A | \\\\z\"},"
                          "\"content\":\"\"},");
    if (maker->add_space_prefix || maker->remove_extra_spaces)
        ppi_json_put(out, "{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},");
    ppi_json_put(out, "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                      "\"content\":\"\u2581\"}]},"
                      "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},"
                      "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}");
    if (maker->add_space_prefix)
        ppi_json_put(out, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}");
    ppi_json_put(out, "]}}");
}

static void write_patterns(const struct maker *maker, struct ppi_json_out *out)
{
    for (size_t i = 0; i < PPI_GGUF_MAX_PATTERNS && maker->words->patterns[i]; i++) {
        ppi_json_put(out, i ? "," : "");
        ppi_json_put(out, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        ppi_json_put_string(out, maker->words->patterns[i]);
        ppi_json_put(out, "},\"behavior\":\"Isolated\",\"invert\":false}");
    }
}

static void write_bytes(const struct maker *maker, struct ppi_json_out *out)
{
    ppi_json_put(out, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    write_patterns(maker, out);
    ppi_json_put(out, ",{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
                      "\"decoder\":{\"type\":\"ByteLevel\"}}");
}

static void write_chars(const struct maker *maker, struct ppi_json_out *out)
{
    ppi_json_put(out, "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                      "\"content\":\"\u2581\"},"
                      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    write_patterns(maker, out);
    ppi_json_put(out, "]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},"
                      "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}}");
}

/* ---- kinds ---- */

static pp_status make_llama(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    struct ppi_bpe_spec spec = {.byte_fallback = true, .fuse_unk = true, .unk = maker->uses.unk};
    struct ppi_merge *merges = NULL;
    if (!tokens->scores)
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, KEY("scores"),
                                      "the model \"llama\" needs the scores of its tokens");
    PP_TRY(read_parts(maker, write_spaces));
    ppi_normalizer_match_longest(maker->tokenizer->normalizer);
    PP_TRY(ppi_gguf_merges_by_score(tokens, &maker->tokenizer->vocab, &merges, &spec.n_merges));
    spec.merges = merges;
    const pp_status status = ppi_bpe_create(&spec, &maker->tokenizer->vocab, tokens->mem,
                                            &maker->tokenizer->pieces, tokens->err);
    ppi_free(tokens->mem, merges);
    return status;
}

static pp_status make_bpe(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const bool chars = maker->words->chars;
    struct ppi_bpe_spec spec = {.byte_level = !chars,
                                .byte_fallback = chars,
                                .fuse_unk = chars,
                                .ignore_merges = maker->words->ignore_merges,
                                .unk = chars ? maker->uses.unk : -1};
    struct ppi_merge *merges = NULL;
    PP_TRY(read_parts(maker, chars ? write_chars : write_bytes));
    PP_TRY(ppi_gguf_merges(tokens, &maker->tokenizer->vocab, &merges, &spec.n_merges));
    spec.merges = merges;
    const pp_status status = ppi_bpe_create(&spec, &maker->tokenizer->vocab, tokens->mem,
                                            &maker->tokenizer->pieces, tokens->err);
    ppi_free(tokens->mem, merges);
    return status;
}

static pp_status make_bert(struct maker *maker)
{
    static const char parts[] =
        "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
        "\"handle_chinese_chars\":true,\"strip_accents\":%s,\"lowercase\":%s},"
        "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
        "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}}";
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const struct ppi_wordpiece_spec spec = {
        .unk = maker->uses.unk, .prefix = "##", .max_chars = 100};
    char text[sizeof parts + 16];
    bool lowercase = true;
    PP_TRY(ppi_gguf_read_flag(tokens, KEY("normalizer.lowercase"), &lowercase));
    bool strip_accents = lowercase;
    PP_TRY(ppi_gguf_read_flag(tokens, KEY("normalizer.strip_accents"), &strip_accents));
    snprintf(text, sizeof text, parts, strip_accents ? "true" : "false",
             lowercase ? "true" : "false");
    PP_TRY(
        ppi_tokenizer_read_parts(maker->tokenizer, text, tokens->label, tokens->log, tokens->err));
    return ppi_wordpiece_create(&spec, &maker->tokenizer->vocab, tokens->mem,
                                &maker->tokenizer->pieces, tokens->err);
}

static pp_status make_t5(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const struct ppi_unigram_spec spec = {.scores = tokens->scores, .unk = maker->uses.unk};
    if (!tokens->scores)
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, KEY("scores"),
                                      "the model \"t5\" needs the scores of its tokens");
    PP_TRY(read_parts(maker, write_spaces));
    ppi_normalizer_match_longest(maker->tokenizer->normalizer);
    /* user-defined ones go before others where normalising makes them, too */
    for (int32_t id = 0; id < tokens->n; id++)
        if (tokens->types[id] == PPI_GGUF_USER_DEFINED)
            tokens->scores[id] = 0;
    return ppi_unigram_create(&spec, &maker->tokenizer->vocab, tokens->label, tokens->mem,
                              &maker->tokenizer->pieces, tokens->err);
}

/* ---- what all have ---- */

static pp_status find_words(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const char *name;
    PP_TRY(ppi_gguf_read_text(tokens, KEY("pre"), &name));
    if (strcmp(maker->kind->name, "gemma4") == 0)
        name = "gemma4";
    if (!*name) {
        ppi_log(tokens->log, PP_LOG_WARNING,
                "%s: \"" KEY("pre") "\" is missing: texts fall into words as \"default\" says",
                tokens->label);
        name = "default";
    }
    maker->words = ppi_gguf_find_words(name);
    if (!maker->words)
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_UNSUPPORTED, KEY("pre"),
                                      "this way to split texts into words is not implemented");
    maker->uses.add_bos = maker->words->add_bos;
    if (maker->words->no_usual_bos)
        maker->uses.bos = -1;
    return PP_OK;
}

static pp_status read_uses(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    struct uses *uses = &maker->uses;
    int32_t *const ids[] = {&uses->bos, &uses->eos, &uses->unk, &uses->pad, &uses->sep};
    for (size_t i = 0; i < PPI_COUNT(ids); i++)
        if (*ids[i] >= tokens->n)
            *ids[i] = -1;
    PP_TRY(ppi_gguf_read_id(tokens, KEY("cls_token_id"), &uses->bos));
    PP_TRY(ppi_gguf_read_id(tokens, KEY("bos_token_id"), &uses->bos));
    PP_TRY(ppi_gguf_read_id(tokens, KEY("eos_token_id"), &uses->eos));
    PP_TRY(ppi_gguf_read_id(tokens, KEY("unknown_token_id"), &uses->unk));
    PP_TRY(ppi_gguf_read_id(tokens, KEY("padding_token_id"), &uses->pad));
    PP_TRY(ppi_gguf_read_id(tokens, KEY("seperator_token_id"), &uses->sep)); /* spelled that way */
    PP_TRY(ppi_gguf_read_flag(tokens, KEY("add_bos_token"), &uses->add_bos));
    PP_TRY(ppi_gguf_read_flag(tokens, KEY("add_eos_token"), &uses->add_eos));
    PP_TRY(ppi_gguf_read_flag(tokens, KEY("add_space_prefix"), &maker->add_space_prefix));
    return ppi_gguf_read_flag(tokens, KEY("remove_extra_whitespaces"), &maker->remove_extra_spaces);
}

/* A WordPiece text always stands between [CLS] and [SEP], whatever the flags say. */
static pp_status set_edges(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const struct uses *uses = &maker->uses;
    struct ppi_edges *edges = &maker->tokenizer->edges;
    const bool bert = maker->kind->make == make_bert;
    const bool before = bert || uses->add_bos || (maker->words && maker->words->always_bos);
    const bool behind = bert || uses->add_eos;
    const int32_t end = bert ? uses->sep : uses->eos;
    if ((before && uses->bos < 0) || (behind && end < 0))
        return ppi_error(tokens->err, PP_ERR_FORMAT,
                         "%s: texts shall get a token before or behind them, but no "
                         "\"" KEY("%s_token_id") "\" says which",
                         tokens->label,
                         before && uses->bos < 0 ? "bos"
                         : bert                  ? "seperator"
                                                 : "eos");
    if (before)
        edges->before[edges->n_before++] = uses->bos;
    if (behind)
        edges->after[edges->n_after++] = end;
    maker->tokenizer->bos = uses->bos;
    maker->tokenizer->eos = uses->eos;
    maker->tokenizer->unk = uses->unk;
    maker->tokenizer->pad = uses->pad;
    return PP_OK;
}

/* SentencePiece's table of replacements, in base64 as a tokenizer.json has it. */
static pp_status read_charsmap(struct maker *maker)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char key[] = KEY("precompiled_charsmap");
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const struct ppi_gguf_value *array = ppi_gguf_find(tokens->gguf, key);
    struct ppi_text *text = &maker->charsmap;
    if (!array)
        return PP_OK;
    if (!ppi_gguf_is_array(array, PPI_GGUF_I8) && !ppi_gguf_is_array(array, PPI_GGUF_U8))
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, key, "an array of bytes is needed");
    const unsigned char *bytes = (const unsigned char *)array->data;
    ppi_text_reserve(text, array->len / 3 * 4 + 8);
    for (uint64_t i = 0; i < array->len; i += 3) {
        const uint64_t n = array->len - i < 3 ? array->len - i : 3;
        const uint32_t group = (uint32_t)bytes[i] << 16 |
                               (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (n > 2 ? bytes[i + 2] : 0u);
        char out[4];
        for (unsigned k = 0; k < 4; k++)
            out[k] = k <= n ? digits[group >> (18 - 6 * k) & 63] : '=';
        ppi_text_put(text, out, 4, (struct ppi_span){0, 0});
    }
    if (text->n)
        ppi_text_put(text, "", 1, (struct ppi_span){0, 0});
    return text->failed ? ppi_error_nomem(tokens->err, "a table of replacements", array->len)
                        : PP_OK;
}

#define NONE -1
/* As llama.cpp has them where a file says nothing. */
static const struct kind KINDS[] = {
    {"llama", {1, 2, 0, NONE, NONE, true, false}, true, make_llama},
    {"gpt2", {11, 11, NONE, NONE, NONE, false, false}, false, make_bpe},
    {"gemma4", {NONE, NONE, NONE, NONE, NONE, false, false}, false, make_bpe},
    {"bert", {101, NONE, 100, 0, 102, true, false}, false, make_bert},
    {"t5", {NONE, 1, 2, 0, NONE, false, true}, false, make_t5},
};

static pp_status find_kind(struct maker *maker)
{
    const struct ppi_gguf_tokens *tokens = &maker->tokens;
    const char *name;
    PP_TRY(ppi_gguf_read_text(tokens, KEY("model"), &name));
    if (!*name || strcmp(name, "none") == 0 || strcmp(name, "no_vocab") == 0)
        return ppi_error(tokens->err, PP_ERR_FORMAT, "%s has no tokenizer", tokens->label);
    for (size_t i = 0; i < PPI_COUNT(KINDS); i++)
        if (strcmp(KINDS[i].name, name) == 0)
            maker->kind = &KINDS[i];
    if (!maker->kind)
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_UNSUPPORTED, KEY("model"),
                                      "llama, gpt2, gemma4, bert and t5 are implemented");
    return PP_OK;
}

static pp_status make(struct maker *maker)
{
    struct ppi_gguf_tokens *tokens = &maker->tokens;
    PP_TRY(find_kind(maker));
    PP_TRY(ppi_gguf_tokens_read(tokens, maker->kind->make == make_bert));
    maker->uses = maker->kind->uses;
    maker->add_space_prefix = maker->kind->add_space_prefix;
    if (maker->kind->make == make_bpe)
        PP_TRY(find_words(maker));
    PP_TRY(read_uses(maker));
    PP_TRY(read_charsmap(maker));
    ppi_gguf_correct_types(tokens);
    PP_TRY(ppi_gguf_put_added(tokens, &maker->tokenizer->added));
    /* Unigram looks for every piece there is; others never come upon special ones */
    PP_TRY(ppi_gguf_tokens_vocab(tokens, maker->kind->make != make_t5, &maker->tokenizer->vocab));
    PP_TRY(maker->kind->make(maker));
    return set_edges(maker);
}

pp_status ppi_tokenizer_from_gguf(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                  pp_error *err)
{
    struct ppi_mem *mem = &tokenizer->mem;
    struct ppi_gguf gguf;
    PP_TRY(ppi_gguf_read(source->file, mem, &gguf, err));
    struct maker maker = {.tokenizer = tokenizer,
                          .tokens = {.gguf = &gguf,
                                     .label = source->file->label.text,
                                     .mem = mem,
                                     .log = source->log,
                                     .err = err},
                          .charsmap = ppi_text_start(mem, false)};
    const pp_status status = make(&maker);
    ppi_text_free(&maker.charsmap);
    ppi_gguf_tokens_free(&maker.tokens);
    ppi_gguf_free(&gguf, mem);
    return status;
}
