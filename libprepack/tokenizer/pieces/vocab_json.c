/*
 * vocab_json.c: the vocabulary of "model" in a tokenizer.json: names with ids, or for Unigram a
 * list in which a place is an id.
 */
#include "tokenizer/pieces/pieces.h"

/* What is read of one token. */
struct entry {
    const char *text;
    uint32_t n;
    int64_t id;
};

static pp_status refuse(const struct ppi_reading *reading, const struct entry *entry,
                        const char *wanted)
{
    return ppi_error(reading->err, PP_ERR_FORMAT, "%s: token \"%s\" of \"model.vocab\": %s",
                     reading->label, ppi_label(entry->text).text, wanted);
}

/* Unigram's list has [piece, score]; all others names with ids. */
static pp_status read_entry(const struct ppi_reading *reading, const struct ppi_json_value *value,
                            int64_t i, struct entry *entry)
{
    if (value->name) {
        *entry = (struct entry){value->name, value->name_len, 0};
        if (value->type != PPI_JSON_INTEGER || value->integer < 0 ||
            value->integer >= PPI_VOCAB_MAX_IDS)
            return refuse(reading, entry, "its id is no whole number from 0 to 16777215");
        entry->id = value->integer;
        return PP_OK;
    }
    const struct ppi_json_value *piece = ppi_json_first(value);
    if (!ppi_json_is(value, PPI_JSON_ARRAY) || value->len != 2 ||
        !ppi_json_is(piece, PPI_JSON_STRING))
        return ppi_error(
            reading->err, PP_ERR_FORMAT,
            "%s: entry %lld of \"model.vocab\" is %s; a piece with its score is needed",
            reading->label, (long long)i, ppi_json_describe(value).text);
    *entry = (struct entry){piece->string, piece->len, i};
    return PP_OK;
}

static pp_status measure(const struct ppi_reading *reading, const struct ppi_json_value *list,
                         int32_t *n_ids, size_t *n_bytes)
{
    int64_t i = 0;
    *n_ids = 0;
    *n_bytes = 0;
    for (const struct ppi_json_value *value = ppi_json_first(list); value;
         value = ppi_json_next(list, value), i++) {
        struct entry entry;
        PP_TRY(read_entry(reading, value, i, &entry));
        if (entry.id >= *n_ids)
            *n_ids = (int32_t)entry.id + 1;
        *n_bytes += (size_t)entry.n + 1;
    }
    /* ids are places in a table: few tokens must not make a large one */
    if (*n_ids > 1024 && *n_ids / 64 > i)
        return ppi_error(reading->err, PP_ERR_LIMIT,
                         "%s: \"model.vocab\" has %lld tokens, but ids up to %d", reading->label,
                         (long long)i, *n_ids - 1);
    return PP_OK;
}

static pp_status fill(const struct ppi_reading *reading, const struct ppi_json_value *list,
                      struct ppi_token *tokens, char *texts)
{
    int64_t i = 0;
    for (const struct ppi_json_value *value = ppi_json_first(list); value;
         value = ppi_json_next(list, value), i++) {
        struct entry entry;
        PP_TRY(read_entry(reading, value, i, &entry));
        if (tokens[entry.id].text)
            return refuse(reading, &entry, "another token has its id");
        memcpy(texts, entry.text, entry.n);
        texts[entry.n] = '\0';
        tokens[entry.id] = (struct ppi_token){texts, entry.n};
        texts += (size_t)entry.n + 1;
    }
    return PP_OK;
}

pp_status ppi_vocab_read(const struct ppi_reading *reading, const struct ppi_json_value *model,
                         struct ppi_vocab *vocab)
{
    const struct ppi_json_value *list = ppi_json_get(model, "vocab");
    int32_t n_ids;
    size_t n_bytes;
    if (!ppi_json_is(list, PPI_JSON_OBJECT) && !ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model.vocab", list,
                                  "an object of tokens and ids, or Unigram's list, is needed");
    PP_TRY(measure(reading, list, &n_ids, &n_bytes));
    struct ppi_token *tokens = ppi_zalloc(reading->mem, (size_t)n_ids, sizeof *tokens);
    char *texts = ppi_alloc(reading->mem, n_bytes, 1);
    pp_status status = tokens && texts ? fill(reading, list, tokens, texts)
                                       : ppi_error_nomem(reading->err, "a vocabulary", n_bytes);
    if (status < 0) {
        ppi_free(reading->mem, tokens);
        ppi_free(reading->mem, texts);
        return status;
    }
    return ppi_vocab_build(vocab, reading->mem, tokens, n_ids, texts, reading->err);
}
