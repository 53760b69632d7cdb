/*
 * gguf_tokens.c: the tokens of a GGUF file with their types and scores, checked: see gguf_source.h.
 */
#include "tokenizer/source/gguf_source.h"

#include <math.h>
#include <stdio.h>

#define TOKENS "tokenizer.ggml.tokens"
#define TYPES  "tokenizer.ggml.token_type"
#define SCORES "tokenizer.ggml.scores"

pp_status ppi_gguf_tokens_refuse(const struct ppi_gguf_tokens *tokens, pp_status code,
                                 const char *key, const char *wanted)
{
    return ppi_error(tokens->err, code, "%s: \"%s\" is %s; %s", tokens->label, key,
                     ppi_gguf_describe(ppi_gguf_find(tokens->gguf, key)).text, wanted);
}

pp_status ppi_gguf_read_flag(const struct ppi_gguf_tokens *tokens, const char *key, bool *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_find(tokens->gguf, key);
    if (!value || ppi_gguf_bool(value, out))
        return PP_OK;
    return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, key, "true or false is needed");
}

pp_status ppi_gguf_read_id(const struct ppi_gguf_tokens *tokens, const char *key, int32_t *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_find(tokens->gguf, key);
    int64_t id = -1;
    if (!value)
        return PP_OK;
    if (!ppi_gguf_integer(value, &id) || id < -1 || (id >= tokens->n && id != UINT32_MAX))
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, key, "the id of a token is needed");
    *out = id == UINT32_MAX ? -1 : (int32_t)id;
    return PP_OK;
}

pp_status ppi_gguf_read_text(const struct ppi_gguf_tokens *tokens, const char *key,
                             const char **out)
{
    const struct ppi_gguf_value *value = ppi_gguf_find(tokens->gguf, key);
    *out = value ? ppi_gguf_string(value) : "";
    return *out ? PP_OK : ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, key, "a text is needed");
}

/* ---- types and scores ---- */

/* An array with one item for each token, of either type; NULL where the key is missing. */
static pp_status find_items(const struct ppi_gguf_tokens *tokens, const char *key,
                            enum ppi_gguf_type type, enum ppi_gguf_type other, const char *wanted,
                            const struct ppi_gguf_value **array)
{
    *array = ppi_gguf_find(tokens->gguf, key);
    if (!*array || (((*array)->type == PPI_GGUF_ARRAY) &&
                    ((*array)->item_type == type || (*array)->item_type == other) &&
                    (*array)->len == (uint64_t)tokens->n))
        return PP_OK;
    return ppi_error(tokens->err, PP_ERR_FORMAT, "%s: \"%s\" is %s; %s for each of the %d tokens",
                     tokens->label, key, ppi_gguf_describe(*array).text, wanted, tokens->n);
}

static pp_status read_types(struct ppi_gguf_tokens *tokens)
{
    const struct ppi_gguf_value *array;
    PP_TRY(find_items(tokens, TYPES, PPI_GGUF_I32, PPI_GGUF_U32, "a number is needed", &array));
    tokens->types = ppi_alloc(tokens->mem, (size_t)tokens->n, 1);
    if (!tokens->types)
        return ppi_error_nomem(tokens->err, "the types of tokens", (size_t)tokens->n);
    for (int32_t id = 0; id < tokens->n; id++) {
        int64_t type = PPI_GGUF_NORMAL;
        const struct ppi_gguf_value item =
            array ? ppi_gguf_item(array, (uint64_t)id) : (struct ppi_gguf_value){0};
        if (array && (!ppi_gguf_integer(&item, &type) || type < 0 || type > PPI_GGUF_BYTE))
            return ppi_error(tokens->err, PP_ERR_FORMAT,
                             "%s: \"" TYPES "\" of token %d is %lld; 0 to %d are known",
                             tokens->label, id, (long long)type, PPI_GGUF_BYTE);
        tokens->types[id] = (uint8_t)type;
    }
    return PP_OK;
}

static pp_status read_scores(struct ppi_gguf_tokens *tokens)
{
    const struct ppi_gguf_value *array;
    PP_TRY(find_items(tokens, SCORES, PPI_GGUF_F32, PPI_GGUF_I32, "a number is needed", &array));
    if (!array)
        return PP_OK;
    tokens->scores = ppi_alloc(tokens->mem, (size_t)tokens->n, sizeof *tokens->scores);
    if (!tokens->scores)
        return ppi_error_nomem(tokens->err, "the scores of tokens",
                               (size_t)tokens->n * sizeof *tokens->scores);
    for (int32_t id = 0; id < tokens->n; id++) {
        const struct ppi_gguf_value item = ppi_gguf_item(array, (uint64_t)id);
        double score = NAN;
        if (!ppi_gguf_number(&item, &score) || !isfinite(score))
            return ppi_error(tokens->err, PP_ERR_FORMAT,
                             "%s: \"" SCORES "\" of token %d is not a finite number", tokens->label,
                             id);
        tokens->scores[id] = (float)score;
    }
    return PP_OK;
}

/* ---- texts ---- */

/* Room for what a text may become: two more bytes than it has, or the name of an empty one. */
#define ROOM_BYTES 24

/* A token of WordPiece as it was before the converter: special ones were left as they are. */
static size_t put_word_piece(const struct ppi_gguf_tokens *tokens, int32_t id, const char *text,
                             size_t n, char *to)
{
    const uint8_t type = tokens->types[id];
    const bool in_brackets = n > 1 && text[0] == '[' && text[n - 1] == ']';
    if (in_brackets || (type != PPI_GGUF_NORMAL && type != PPI_GGUF_UNDEFINED)) {
        memcpy(to, text, n);
        return n;
    }
    if (n > 3 && memcmp(text, "\u2581", 3) == 0) {
        memcpy(to, text + 3, n - 3);
        return n - 3;
    }
    memcpy(to, "##", 2);
    memcpy(to + 2, text, n);
    return n + 2;
}

static pp_status put_text(struct ppi_gguf_tokens *tokens, int32_t id, const char *text, size_t n,
                          bool word_pieces, char **to)
{
    size_t n_put = n;
    if (ppi_utf8_check(text, n) != n)
        return ppi_error(tokens->err, PP_ERR_FORMAT, "%s: \"" TOKENS "\": token %d is not UTF-8",
                         tokens->label, id);
    if (n == 0)
        n_put = (size_t)snprintf(*to, ROOM_BYTES, "[EMPTY_%d]", id);
    else if (word_pieces)
        n_put = put_word_piece(tokens, id, text, n, *to);
    else
        memcpy(*to, text, n);
    (*to)[n_put] = '\0';
    tokens->texts[id] = (struct ppi_token){*to, (uint32_t)n_put};
    *to += n_put + 1;
    return PP_OK;
}

static pp_status read_texts(struct ppi_gguf_tokens *tokens, const struct ppi_gguf_value *array,
                            bool word_pieces)
{
    struct ppi_gguf_cursor cursor = {0};
    const char *text;
    size_t n;
    const size_t room = array->data_bytes + (size_t)tokens->n * ROOM_BYTES;
    tokens->texts = ppi_zalloc(tokens->mem, (size_t)tokens->n, sizeof *tokens->texts);
    tokens->bytes = ppi_alloc(tokens->mem, room, 1);
    if (!tokens->texts || !tokens->bytes)
        return ppi_error_nomem(tokens->err, "a vocabulary", room);
    char *to = tokens->bytes;
    for (int32_t id = 0; ppi_gguf_next_string(array, &cursor, &text, &n); id++)
        PP_TRY(put_text(tokens, id, text, n, word_pieces, &to));
    return PP_OK;
}

pp_status ppi_gguf_tokens_read(struct ppi_gguf_tokens *tokens, bool word_pieces)
{
    const struct ppi_gguf_value *array = ppi_gguf_find(tokens->gguf, TOKENS);
    if (!ppi_gguf_is_array(array, PPI_GGUF_STRING) || array->len == 0)
        return ppi_gguf_tokens_refuse(tokens, PP_ERR_FORMAT, TOKENS,
                                      "an array of tokens is needed");
    if (array->len >= PPI_VOCAB_MAX_IDS)
        return ppi_error(tokens->err, PP_ERR_LIMIT, "%s: more than %d tokens", tokens->label,
                         PPI_VOCAB_MAX_IDS - 1);
    tokens->n = (int32_t)array->len;
    PP_TRY(read_types(tokens));
    PP_TRY(read_scores(tokens));
    return read_texts(tokens, array, word_pieces);
}

void ppi_gguf_tokens_free(struct ppi_gguf_tokens *tokens)
{
    ppi_free(tokens->mem, tokens->texts);
    ppi_free(tokens->mem, tokens->bytes);
    ppi_free(tokens->mem, tokens->types);
    ppi_free(tokens->mem, tokens->scores);
}

/* ---- the vocabulary ---- */

/* Which of two tokens with one text an encoder would take is anybody's guess. */
static pp_status refuse_twins(const struct ppi_gguf_tokens *tokens, const struct ppi_vocab *vocab)
{
    for (int32_t id = 0; id < vocab->n_ids; id++) {
        const struct ppi_token *token = &vocab->tokens[id];
        const int32_t first = token->text ? ppi_vocab_find(vocab, token->text, token->n) : id;
        if (first != id)
            return ppi_error(tokens->err, PP_ERR_FORMAT,
                             "%s: \"" TOKENS "\": tokens %d and %d are both \"%s\"", tokens->label,
                             first, id, ppi_label(token->text).text);
    }
    return PP_OK;
}

pp_status ppi_gguf_tokens_vocab(struct ppi_gguf_tokens *tokens, bool whole, struct ppi_vocab *vocab)
{
    struct ppi_token *texts = tokens->texts;
    char *bytes = tokens->bytes;
    for (int32_t id = 0; id < tokens->n; id++)
        if (!whole &&
            (tokens->types[id] == PPI_GGUF_UNKNOWN || tokens->types[id] == PPI_GGUF_CONTROL))
            texts[id] = (struct ppi_token){NULL, 0};
    tokens->texts = NULL;
    tokens->bytes = NULL;
    PP_TRY(ppi_vocab_build(vocab, tokens->mem, texts, tokens->n, bytes, tokens->err));
    return refuse_twins(tokens, vocab);
}
