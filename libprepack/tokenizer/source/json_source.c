/*
 * json_source.c: a tokenizer.json, and parts of one from texts of ours.
 */
#include "checkpoint/json_file.h"
#include "tokenizer/tokenizer_impl.h"

#define MAX_BYTES ((int64_t)1 << 30)

static const struct ppi_json_limits LIMITS = {
    .what = "value", .allow_nul = true, .nul_in_names = true, .any_number = true};

/* ---- added tokens ---- */

static pp_status read_added_token(const struct ppi_reading *reading,
                                  const struct ppi_json_value *object, pp_tokenizer *tokenizer)
{
    static const char where[] = "added_tokens";
    struct ppi_added_token token = {0};
    const char *content = NULL;
    size_t n = 0;
    int64_t id = -1;
    PP_TRY(ppi_reading_string(reading, where, object, "content", &content, &n));
    PP_TRY(ppi_reading_integer(reading, where, object, "id", 0, PPI_VOCAB_MAX_IDS - 1, &id));
    PP_TRY(ppi_reading_flag(reading, where, object, "special", &token.special));
    token.normalized = !token.special;
    PP_TRY(ppi_reading_flag(reading, where, object, "normalized", &token.normalized));
    PP_TRY(ppi_reading_flag(reading, where, object, "single_word", &token.single_word));
    PP_TRY(ppi_reading_flag(reading, where, object, "lstrip", &token.lstrip));
    PP_TRY(ppi_reading_flag(reading, where, object, "rstrip", &token.rstrip));
    if (!content || id < 0)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, where, object,
                                  "each needs a \"content\" and an \"id\"");
    /* where the vocabulary has the token, its id is that one */
    const int32_t known = ppi_vocab_find(&tokenizer->vocab, content, n);
    token.text = (char *)content;
    token.n = (uint32_t)n;
    token.id = known >= 0 ? known : (int32_t)id;
    return ppi_added_put(&tokenizer->added, &token, reading->err);
}

static pp_status read_added(const struct ppi_reading *reading, const struct ppi_json_value *list,
                            pp_tokenizer *tokenizer)
{
    if (!list || list->type == PPI_JSON_NULL)
        return PP_OK;
    if (list->type != PPI_JSON_ARRAY)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "added_tokens", list, "a list is needed");
    for (const struct ppi_json_value *token = ppi_json_first(list); token;
         token = ppi_json_next(list, token))
        PP_TRY(read_added_token(reading, token, tokenizer));
    return PP_OK;
}

/* ---- the model ---- */

/* Old files do not say: what they have does. */
static const char *type_of(const struct ppi_json_value *model)
{
    if (ppi_json_get(model, "type"))
        return ppi_reading_type(model);
    if (ppi_json_get(model, "merges"))
        return "BPE";
    if (ppi_json_is(ppi_json_get(model, "vocab"), PPI_JSON_ARRAY))
        return "Unigram";
    return ppi_json_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

static pp_status read_model(const struct ppi_reading *reading, const struct ppi_json_value *model,
                            pp_tokenizer *tokenizer)
{
    const char *type = type_of(model);
    const struct ppi_vocab *vocab = &tokenizer->vocab;
    const bool byte_level = ppi_splitter_is_byte_level(tokenizer->splitter);
    const char *unk = NULL;
    size_t n_unk = 0;
    int64_t unk_id = -1;
    if (!ppi_json_is(model, PPI_JSON_OBJECT))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model", model, "an object is needed");
    if (ppi_json_is(ppi_json_get(model, "vocab"), PPI_JSON_ARRAY) && strcmp(type, "Unigram") != 0)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model.vocab",
                                  ppi_json_get(model, "vocab"),
                                  "an object of tokens and ids is needed");
    PP_TRY(ppi_vocab_read(reading, model, &tokenizer->vocab));
    if (strcmp(type, "Unigram") == 0)
        PP_TRY(ppi_reading_integer(reading, "model", model, "unk_id", 0, PPI_VOCAB_MAX_IDS - 1,
                                   &unk_id));
    else
        PP_TRY(ppi_reading_string(reading, "model", model, "unk_token", &unk, &n_unk));
    tokenizer->unk = unk ? ppi_vocab_find(vocab, unk, n_unk) : (int32_t)unk_id;
    if (strcmp(type, "BPE") == 0)
        return ppi_bpe_read(reading, model, vocab, byte_level, &tokenizer->pieces);
    if (byte_level)
        return ppi_error(reading->err, PP_ERR_UNSUPPORTED,
                         "%s: the pre-tokenizer \"ByteLevel\" before a model of the type \"%s\" is "
                         "not implemented",
                         reading->label, ppi_label(type).text);
    if (strcmp(type, "WordPiece") == 0)
        return ppi_wordpiece_read(reading, model, vocab, &tokenizer->pieces);
    if (strcmp(type, "Unigram") == 0)
        return ppi_unigram_read(reading, model, vocab, &tokenizer->pieces);
    if (strcmp(type, "WordLevel") == 0)
        return ppi_wordlevel_read(reading, model, vocab, &tokenizer->pieces);
    return ppi_reading_unknown(reading, "model", model);
}

/* ---- the whole ---- */

static pp_status read_parts(const struct ppi_reading *reading, const struct ppi_json_value *root,
                            pp_tokenizer *tokenizer)
{
    PP_TRY(ppi_normalizer_read(reading, ppi_json_get(root, "normalizer"), &tokenizer->normalizer));
    PP_TRY(ppi_splitter_read(reading, ppi_json_get(root, "pre_tokenizer"), &tokenizer->splitter));
    PP_TRY(ppi_edges_read(reading, ppi_json_get(root, "post_processor"), &tokenizer->edges));
    return ppi_decoder_read(reading, ppi_json_get(root, "decoder"), &tokenizer->decoder);
}

pp_status ppi_tokenizer_read_parts(pp_tokenizer *tokenizer, const char *text, const char *label,
                                   const struct ppi_log *log, pp_error *err)
{
    const struct ppi_reading reading = {label, &tokenizer->mem, log, err};
    struct ppi_json json;
    const size_t n = strlen(text);
    char *copy = ppi_reading_copy(&tokenizer->mem, text, n);
    if (!copy)
        return ppi_error_nomem(err, "parts of a tokenizer", n);
    pp_status status = ppi_json_parse(copy, n, label, &LIMITS, &tokenizer->mem, &json, err);
    if (status >= 0) {
        status = read_parts(&reading, json.root, tokenizer);
        ppi_json_free(&json, &tokenizer->mem);
    }
    ppi_free(&tokenizer->mem, copy);
    return status;
}

/* Settings for batches, which a caller makes by himself. */
static void note_batches(const struct ppi_reading *reading, const struct ppi_json_value *root)
{
    static const char *const keys[] = {"truncation", "padding"};
    for (size_t i = 0; i < PPI_COUNT(keys); i++) {
        const struct ppi_json_value *value = ppi_json_get(root, keys[i]);
        if (value && value->type != PPI_JSON_NULL)
            ppi_log(reading->log, PP_LOG_WARNING,
                    "%s: \"%s\" is set, and not applied: texts keep all their tokens and no more",
                    reading->label, keys[i]);
    }
}

static pp_status read_root(const struct ppi_reading *reading, const struct ppi_json_value *root,
                           pp_tokenizer *tokenizer)
{
    const struct ppi_json_value *model = ppi_json_get(root, "model");
    if (!model)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s has no \"model\": it is not a tokenizer.json", reading->label);
    note_batches(reading, root);
    PP_TRY(read_parts(reading, root, tokenizer));
    PP_TRY(read_model(reading, model, tokenizer));
    return read_added(reading, ppi_json_get(root, "added_tokens"), tokenizer);
}

static bool is_tekken(const struct ppi_json_value *root)
{
    return !ppi_json_get(root, "model") &&
           ppi_json_is(ppi_json_get(root, "config"), PPI_JSON_OBJECT) &&
           ppi_json_is(ppi_json_get(root, "vocab"), PPI_JSON_ARRAY);
}

pp_status ppi_tokenizer_from_json(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                  pp_error *err)
{
    const struct ppi_reading reading = {source->file->label.text, &tokenizer->mem, source->log,
                                        err};
    struct ppi_json json;
    PP_TRY(ppi_json_read(source->file, MAX_BYTES, &LIMITS, &tokenizer->mem, &json, err));
    const bool tekken = is_tekken(json.root);
    pp_status status = tekken ? PP_OK : read_root(&reading, json.root, tokenizer);
    ppi_json_free(&json, &tokenizer->mem);
    return tekken ? ppi_tokenizer_from_tekken(source, tokenizer, err) : status;
}
