/*
 * sentencepiece_source.c: a tokenizer.model. SentencePiece itself makes the tokens, of the whole
 * text between special tokens; what stands here is what transformers puts around it.
 */
#include "tokenizer/decode/decoder_steps.h"
#include "tokenizer/source/spm_check.h"
#include "tokenizer/source/spm_library.h"
#include "tokenizer/tokenizer_impl.h"

#define MAX_BYTES ((int64_t)64 << 20)

/* ---- pieces ---- */

struct sentences {
    struct ppi_pieces pieces;
    struct ppi_pieces_kind kind;
    struct ppi_mem *mem;
    struct ppi_spm *spm;
    bool dummy_prefix; /* the model puts a space before a text */
    bool no_prefix;    /* but shall not */
    bool legacy;       /* it does behind a special token, too */
};

/* Work needs no memory of its own; but NULL says that there is none. */
static void *start_work(const struct ppi_pieces *pieces, struct ppi_mem *mem)
{
    (void)mem;
    return (void *)pieces;
}

static void free_work(void *work)
{
    (void)work;
}

struct putting {
    struct ppi_tokens *tokens;
    uint32_t at;
};

static void put(void *user, int32_t id, uint32_t begin, uint32_t end)
{
    const struct putting *putting = user;
    ppi_tokens_put(putting->tokens, id, putting->at + begin, putting->at + end);
}

static pp_status encode(const struct ppi_pieces *pieces, void *work, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err)
{
    const struct sentences *sentences = (const struct sentences *)pieces;
    const bool prefix =
        tokens->first ? !sentences->no_prefix : sentences->legacy && bytes[0] != ' ';
    struct putting putting = {tokens, at};
    struct ppi_spm_reason reason;
    (void)work;
    switch (ppi_spm_encode(sentences->spm, bytes, n, sentences->dummy_prefix && !prefix,
                           tokens->traced, put, &putting, &reason)) {
    case PPI_SPM_OK:
        return PP_OK;
    case PPI_SPM_NOMEM:
        return ppi_error_nomem(err, "the pieces of a text", n);
    default:
        return ppi_error(err, PP_ERR_LIMIT, "SentencePiece does not take a text of %zu bytes: %s",
                         n, reason.text);
    }
}

static void destroy(struct ppi_pieces *pieces)
{
    struct sentences *sentences = (struct sentences *)pieces;
    ppi_spm_close(sentences->spm);
    ppi_free(sentences->mem, sentences);
}

/* ---- the model ---- */

struct maker {
    const struct ppi_source_file *source;
    pp_tokenizer *tokenizer;
    struct ppi_spm_facts facts;
    struct ppi_spm *spm; /* NULL: the pieces have it */
    pp_error *err;
};

static pp_status open_model(struct maker *maker, const char *bytes, size_t n)
{
    const char *label = maker->source->file->label.text;
    struct ppi_spm_reason reason;
    PP_TRY(ppi_spm_check(label, bytes, n, &maker->tokenizer->mem, &maker->facts, maker->err));
    if (maker->facts.space_behind || maker->facts.denormalizes)
        return ppi_error(maker->err, PP_ERR_UNSUPPORTED, "%s has %s, which is not implemented",
                         label,
                         maker->facts.space_behind ? "the spaces of words behind them"
                                                   : "a table for text that was pieces");
    switch (ppi_spm_open(bytes, n, maker->facts.dummy_prefix, &maker->spm, &reason)) {
    case PPI_SPM_OK:
        return PP_OK;
    case PPI_SPM_NOMEM:
        return ppi_error_nomem(maker->err, "a SentencePiece model", n);
    default:
        return ppi_error(maker->err, PP_ERR_FORMAT, "%s is not a SentencePiece model: %s", label,
                         reason.text);
    }
}

static bool is_special(enum ppi_spm_type type)
{
    return type == PPI_SPM_CONTROL || type == PPI_SPM_UNKNOWN;
}

/* Special pieces are added tokens and no others. */
static pp_status make_vocab(const struct maker *maker)
{
    struct ppi_mem *mem = &maker->tokenizer->mem;
    const int32_t n = ppi_spm_count(maker->spm);
    size_t room = 0;
    for (int32_t id = 0; id < n; id++)
        room += ppi_spm_piece(maker->spm, id).n + 1;
    struct ppi_token *tokens = ppi_zalloc(mem, (size_t)n, sizeof *tokens);
    char *texts = ppi_alloc(mem, room, 1), *to = texts;
    if (!tokens || !texts) {
        ppi_free(mem, tokens);
        ppi_free(mem, texts);
        return ppi_error_nomem(maker->err, "a vocabulary", room);
    }
    for (int32_t id = 0; id < n; id++) {
        const struct ppi_spm_piece piece = ppi_spm_piece(maker->spm, id);
        if (is_special(piece.type))
            continue;
        memcpy(to, piece.text, piece.n + 1);
        tokens[id] = (struct ppi_token){to, (uint32_t)piece.n};
        to += piece.n + 1;
    }
    return ppi_vocab_build(&maker->tokenizer->vocab, mem, tokens, n, texts, maker->err);
}

/* What the settings say of a token that the model has, too; its id is the model's. */
static void apply_settings(const struct ppi_settings *settings, struct ppi_added_token *token)
{
    for (size_t i = 0; settings && i < settings->added.n; i++) {
        const struct ppi_added_token *said = &settings->added.tokens[i];
        if (said->n != token->n || memcmp(said->text, token->text, said->n) != 0)
            continue;
        token->lstrip = said->lstrip;
        token->rstrip = said->rstrip;
        token->single_word = said->single_word;
    }
}

static pp_status put_special(const struct maker *maker)
{
    const int32_t n = ppi_spm_count(maker->spm);
    for (int32_t id = 0; id < n; id++) {
        const struct ppi_spm_piece piece = ppi_spm_piece(maker->spm, id);
        struct ppi_added_token token = {
            .text = (char *)piece.text, .n = (uint32_t)piece.n, .id = id, .special = true};
        if (!is_special(piece.type))
            continue;
        apply_settings(maker->source->settings, &token);
        PP_TRY(ppi_added_put(&maker->tokenizer->added, &token, maker->err));
    }
    return PP_OK;
}

/* A word or character model looks its pieces up whole, as a vocabulary of words is used. */
static int32_t kind_of(uint64_t model_type)
{
    return model_type == 1   ? PP_TOKENIZER_UNIGRAM
           : model_type == 2 ? PP_TOKENIZER_BPE
                             : PP_TOKENIZER_WORDLEVEL;
}

static pp_status make_pieces(struct maker *maker)
{
    pp_tokenizer *tokenizer = maker->tokenizer;
    const struct ppi_settings *settings = maker->source->settings;
    struct sentences *sentences = ppi_zalloc(&tokenizer->mem, 1, sizeof *sentences);
    if (!sentences)
        return ppi_error_nomem(maker->err, "a SentencePiece model", sizeof *sentences);
    *sentences = (struct sentences){.pieces = {&sentences->kind, &tokenizer->vocab},
                                    .kind = {.id = kind_of(maker->facts.model_type),
                                             .type = "SentencePiece",
                                             .start_work = start_work,
                                             .free_work = free_work,
                                             .encode = encode,
                                             .destroy = destroy},
                                    .mem = &tokenizer->mem,
                                    .spm = maker->spm,
                                    .dummy_prefix = maker->facts.dummy_prefix,
                                    .no_prefix = settings && settings->add_prefix_space == PPI_NO,
                                    .legacy = settings && settings->legacy == PPI_YES};
    maker->spm = NULL;
    tokenizer->pieces = &sentences->pieces;
    return PP_OK;
}

/* Texts get the beginning that the model has, unless the settings say otherwise. */
static void set_uses(const struct maker *maker)
{
    pp_tokenizer *tokenizer = maker->tokenizer;
    tokenizer->bos = ppi_spm_bos(maker->spm);
    tokenizer->eos = ppi_spm_eos(maker->spm);
    tokenizer->unk = tokenizer->unk_piece = ppi_spm_unk(maker->spm);
    tokenizer->pad = ppi_spm_pad(maker->spm);
    tokenizer->usual_bos = true;
    if (tokenizer->bos >= 0)
        tokenizer->edges.before[tokenizer->edges.n_before++] = tokenizer->bos;
}

static pp_status make(struct maker *maker, const char *bytes, size_t n)
{
    PP_TRY(open_model(maker, bytes, n));
    const struct ppi_spm_piece unk = ppi_spm_piece(maker->spm, ppi_spm_unk(maker->spm));
    const struct ppi_sentence_decoding decoding = {.unk = unk.text,
                                                   .n_unk = unk.n,
                                                   .unk_surface = maker->facts.unk_surface,
                                                   .n_unk_surface = maker->facts.n_unk_surface,
                                                   .byte_fallback = maker->facts.byte_fallback,
                                                   .drops_first_space = maker->facts.dummy_prefix ||
                                                                        maker->facts.drops_spaces,
                                                   .drops_spaces = maker->facts.drops_spaces};
    PP_TRY(make_vocab(maker));
    PP_TRY(put_special(maker));
    PP_TRY(ppi_decoder_create_sentences(&decoding, &maker->tokenizer->mem,
                                        &maker->tokenizer->decoder, maker->err));
    set_uses(maker);
    return make_pieces(maker);
}

pp_status ppi_tokenizer_from_sentencepiece(const struct ppi_source_file *source,
                                           pp_tokenizer *tokenizer, pp_error *err)
{
    const struct ppi_file *file = source->file;
    struct maker maker = {.source = source, .tokenizer = tokenizer, .err = err};
    if (file->size > MAX_BYTES)
        return ppi_error(err, PP_ERR_LIMIT, "%s has %lld bytes; at most %lld are accepted",
                         file->label.text, (long long)file->size, (long long)MAX_BYTES);
    char *bytes = ppi_alloc(&tokenizer->mem, (size_t)file->size, 1);
    if (!bytes)
        return ppi_error_nomem(err, "a SentencePiece model", (size_t)file->size);
    pp_status status = ppi_file_read(file, 0, bytes, (size_t)file->size, err);
    if (status >= 0)
        status = make(&maker, bytes, (size_t)file->size);
    if (maker.spm)
        ppi_spm_close(maker.spm);
    ppi_free(&tokenizer->mem, bytes);
    return status;
}
