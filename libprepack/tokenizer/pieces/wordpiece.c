/*
 * wordpiece.c: the longest piece that a word begins with, then the longest that follows, and so on;
 * a word in which that fails is unknown as a whole. Two tries: of pieces that begin a word, and of
 * those behind a prefix, without it. Finding the pieces of a word takes as long as looking it up in
 * a cache would, so that there is none.
 */
#include "tokenizer/pieces/pieces.h"
#include "tokenizer/pieces/trie.h"

#include <prepack/tokenizer.h>

struct word_piece {
    struct ppi_pieces pieces;
    struct ppi_mem *mem;
    struct ppi_trie first, rest;
    int32_t unk; /* -1 */
    uint64_t max_chars;
};

/* It keeps nothing; but NULL would say that memory ran out. */
static void *start_work(const struct ppi_pieces *pieces, struct ppi_mem *mem)
{
    (void)mem;
    return (void *)(uintptr_t)pieces;
}

static void free_work(void *work)
{
    (void)work;
}

/* Whether a word has more characters than a number. */
static bool is_longer(const char *bytes, size_t n, uint64_t max_chars)
{
    uint64_t n_chars = 0;
    if (n <= max_chars)
        return false;
    for (size_t i = 0; i < n; i++)
        n_chars += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return n_chars > max_chars;
}

/* Appends the pieces of a word; false where a part of it has none. */
static bool put_pieces(const struct word_piece *model, const char *bytes, size_t n, uint32_t at,
                       struct ppi_tokens *tokens)
{
    size_t n_piece = 0;
    for (size_t i = 0; i < n; i += n_piece) {
        int32_t id =
            ppi_trie_longest(i > 0 ? &model->rest : &model->first, bytes + i, n - i, &n_piece);
        if (id < 0)
            return false;
        ppi_tokens_put(tokens, id, at + (uint32_t)i, at + (uint32_t)(i + n_piece));
    }
    return true;
}

static pp_status encode(const struct ppi_pieces *pieces, void *work, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err)
{
    const struct word_piece *model = (const struct word_piece *)pieces;
    size_t begin = tokens->n;
    (void)work;
    if (!is_longer(bytes, n, model->max_chars) && put_pieces(model, bytes, n, at, tokens))
        return PP_OK;
    tokens->n = begin;
    if (model->unk < 0)
        return ppi_error_no_token(bytes, n, err);
    ppi_tokens_put(tokens, model->unk, at, at + (uint32_t)n);
    return PP_OK;
}

static void destroy(struct ppi_pieces *pieces)
{
    struct word_piece *model = (struct word_piece *)pieces;
    if (!model)
        return;
    ppi_trie_free(&model->first);
    ppi_trie_free(&model->rest);
    ppi_free(model->mem, model);
}

/* The trie of all tokens that begin with a prefix, without it. keys: [n_ids] */
static pp_status build(struct ppi_trie *trie, const struct ppi_vocab *vocab, const char *prefix,
                       size_t n_prefix, struct ppi_trie_key *keys, struct ppi_mem *mem,
                       pp_error *err)
{
    size_t n = 0;
    for (int32_t id = 0; id < vocab->n_ids; id++) {
        const struct ppi_token *token = &vocab->tokens[id];
        if (token->text && token->n > n_prefix && memcmp(token->text, prefix, n_prefix) == 0 &&
            ppi_vocab_find(vocab, token->text, token->n) == id)
            keys[n++] =
                (struct ppi_trie_key){token->text + n_prefix, token->n - (uint32_t)n_prefix, id};
    }
    return ppi_trie_build(trie, mem, keys, n, err);
}

static pp_status create(const struct ppi_wordpiece_spec *spec, size_t n_prefix,
                        const struct ppi_vocab *vocab, struct ppi_mem *mem,
                        struct ppi_pieces **pieces, pp_error *err)
{
    static const struct ppi_pieces_kind kind = {
        PP_TOKENIZER_WORDPIECE, "WordPiece", start_work, free_work, encode, destroy};
    struct word_piece *model = ppi_zalloc(mem, 1, sizeof *model);
    struct ppi_trie_key *keys = ppi_alloc(mem, (size_t)vocab->n_ids, sizeof *keys);
    pp_status status = PP_OK;
    if (model)
        *model = (struct word_piece){.pieces = {&kind, vocab},
                                     .mem = mem,
                                     .first = {.mem = mem},
                                     .rest = {.mem = mem},
                                     .unk = spec->unk,
                                     .max_chars = (uint64_t)spec->max_chars};
    if (!model || !keys)
        status = ppi_error_nomem(err, "a vocabulary", (size_t)vocab->n_ids * sizeof *keys);
    if (status >= 0)
        status = build(&model->first, vocab, "", 0, keys, mem, err);
    if (status >= 0)
        status = build(&model->rest, vocab, spec->prefix, n_prefix, keys, mem, err);
    ppi_free(mem, keys);
    if (status < 0)
        destroy((struct ppi_pieces *)model);
    else
        *pieces = &model->pieces;
    return status;
}

pp_status ppi_wordpiece_create(const struct ppi_wordpiece_spec *spec, const struct ppi_vocab *vocab,
                               struct ppi_mem *mem, struct ppi_pieces **pieces, pp_error *err)
{
    return create(spec, strlen(spec->prefix), vocab, mem, pieces, err);
}

pp_status ppi_wordpiece_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                             const struct ppi_vocab *vocab, struct ppi_pieces **pieces)
{
    const char *unk = NULL;
    size_t n_unk = 0, n_prefix = 0;
    struct ppi_wordpiece_spec spec = {.max_chars = -1};
    PP_TRY(ppi_reading_string(reading, "model", object, "unk_token", &unk, &n_unk));
    PP_TRY(ppi_reading_string(reading, "model", object, "continuing_subword_prefix", &spec.prefix,
                              &n_prefix));
    PP_TRY(ppi_reading_integer(reading, "model", object, "max_input_chars_per_word", 0, INT64_MAX,
                               &spec.max_chars));
    if (!unk || !spec.prefix || spec.max_chars < 0)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: a WordPiece \"model\" needs \"unk_token\", "
                         "\"continuing_subword_prefix\" and \"max_input_chars_per_word\"",
                         reading->label);
    spec.unk = ppi_vocab_find(vocab, unk, n_unk);
    return create(&spec, n_prefix, vocab, reading->mem, pieces, reading->err);
}
