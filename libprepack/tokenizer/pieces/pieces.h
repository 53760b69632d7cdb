/*
 * pieces.h: how a word becomes tokens: the "model" of tokenizer.json. One table of functions,
 * filled by bpe.c, wordpiece.c, unigram.c and wordlevel.c.
 */
#ifndef PPI_PIECES_H
#define PPI_PIECES_H

#include "tokenizer/reading.h"
#include "tokenizer/text.h"
#include "tokenizer/pieces/vocab.h"

/* Tokens of one text on their way; failed as in text.h. */
struct ppi_tokens {
    struct ppi_mem *mem;
    int32_t *ids;           /* [n] */
    struct ppi_span *spans; /* [n] bytes of the text that was split; only with `traced` */
    size_t n, room;
    bool traced, failed;
    bool first; /* the word begins the input: no special token stands before it */
};
/* Room for n more; false, and failed, without. */
bool ppi_tokens_reserve(struct ppi_tokens *tokens, size_t n);
void ppi_tokens_free(struct ppi_tokens *tokens);

static inline void ppi_tokens_put(struct ppi_tokens *tokens, int32_t id, uint32_t begin,
                                  uint32_t end)
{
    if (tokens->n == tokens->room && !ppi_tokens_reserve(tokens, 1))
        return;
    if (tokens->traced)
        tokens->spans[tokens->n] = (struct ppi_span){begin, end};
    tokens->ids[tokens->n++] = id;
}

/* PP_ERR_UNSUPPORTED: no token has what a word holds, and there is no unknown token. */
pp_status ppi_error_no_token(const char *bytes, size_t n, pp_error *err);

/* A model of one kind; its struct begins with this one. Immutable. */
struct ppi_pieces {
    const struct ppi_pieces_kind *kind;
    const struct ppi_vocab *vocab; /* the tokenizer's */
};

struct ppi_pieces_kind {
    int32_t id; /* PP_TOKENIZER_* */
    const char *type;
    /* What one thread keeps between words; NULL: no memory. */
    void *(*start_work)(const struct ppi_pieces *pieces, struct ppi_mem *mem);
    void (*free_work)(void *work);
    /* Appends the tokens of word bytes[0, n), which begins at `at` of its text. Errors:
     * PP_ERR_NOMEM (or tokens->failed), PP_ERR_UNSUPPORTED (no token has it and there is no unknown
     * token where the kind needs one). */
    pp_status (*encode)(const struct ppi_pieces *pieces, void *work, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err);
    void (*destroy)(struct ppi_pieces *pieces);
};

/* The vocabulary of "model" (an object of ids, or Unigram's list). Errors: PP_ERR_FORMAT (an id
 * twice, or no number), PP_ERR_LIMIT, PP_ERR_NOMEM. (vocab_json.c) */
pp_status ppi_vocab_read(const struct ppi_reading *reading, const struct ppi_json_value *model,
                         struct ppi_vocab *vocab);

/* object: "model". vocab holds its tokens and outlives *pieces. The JSON may go afterwards. */
pp_status ppi_bpe_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                       const struct ppi_vocab *vocab, bool byte_level, struct ppi_pieces **pieces);
pp_status ppi_wordpiece_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                             const struct ppi_vocab *vocab, struct ppi_pieces **pieces);
pp_status ppi_unigram_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           const struct ppi_vocab *vocab, struct ppi_pieces **pieces);
pp_status ppi_wordlevel_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                             const struct ppi_vocab *vocab, struct ppi_pieces **pieces);

/* The same from arrays, for formats that are no JSON. unk: -1: none. */
struct ppi_unigram_spec {
    const float *scores; /* [n_ids] copied */
    int32_t unk;
    bool byte_fallback;
};
pp_status ppi_unigram_create(const struct ppi_unigram_spec *spec, const struct ppi_vocab *vocab,
                             const char *label, struct ppi_mem *mem, struct ppi_pieces **pieces,
                             pp_error *err);
struct ppi_wordpiece_spec {
    int32_t unk;
    const char *prefix; /* of pieces that do not begin a word: "##" */
    int64_t max_chars;  /* of a word; longer ones are unknown */
};
pp_status ppi_wordpiece_create(const struct ppi_wordpiece_spec *spec, const struct ppi_vocab *vocab,
                               struct ppi_mem *mem, struct ppi_pieces **pieces, pp_error *err);

#endif
