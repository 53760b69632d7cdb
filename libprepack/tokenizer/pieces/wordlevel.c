/*
 * wordlevel.c: a word is a token, or the unknown one.
 */
#include "tokenizer/pieces/pieces.h"

#include <prepack/tokenizer.h>

struct word_level {
    struct ppi_pieces pieces;
    struct ppi_mem *mem;
    int32_t unk; /* -1 */
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

static pp_status encode(const struct ppi_pieces *pieces, void *work, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err)
{
    const struct word_level *model = (const struct word_level *)pieces;
    int32_t id = ppi_vocab_find(pieces->vocab, bytes, n);
    (void)work;
    if (id < 0)
        id = model->unk;
    if (id < 0)
        return ppi_error_no_token(bytes, n, err);
    ppi_tokens_put(tokens, id, at, at + (uint32_t)n);
    return PP_OK;
}

static void destroy(struct ppi_pieces *pieces)
{
    if (pieces)
        ppi_free(((struct word_level *)pieces)->mem, pieces);
}

pp_status ppi_wordlevel_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                             const struct ppi_vocab *vocab, struct ppi_pieces **pieces)
{
    static const struct ppi_pieces_kind kind = {
        PP_TOKENIZER_WORDLEVEL, "WordLevel", start_work, free_work, encode, destroy};
    const char *unk = NULL;
    size_t n = 0;
    PP_TRY(ppi_reading_string(reading, "model", object, "unk_token", &unk, &n));
    if (!unk)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model.unk_token", NULL,
                                  "WordLevel needs a string");
    struct word_level *model = ppi_alloc(reading->mem, 1, sizeof *model);
    if (!model)
        return ppi_error_nomem(reading->err, "a vocabulary", sizeof *model);
    *model = (struct word_level){
        .pieces = {&kind, vocab}, .mem = reading->mem, .unk = ppi_vocab_find(vocab, unk, n)};
    *pieces = &model->pieces;
    return PP_OK;
}
