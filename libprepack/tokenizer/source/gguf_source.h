/*
 * gguf_source.h: between the files that make a tokenizer from the keys of a GGUF file: its tokens
 * with their types and scores, which of them are special, and how texts fall into words.
 */
#ifndef PPI_GGUF_SOURCE_H
#define PPI_GGUF_SOURCE_H

#include "checkpoint/gguf.h"
#include "json/json_write.h"
#include "tokenizer/pieces/bpe.h"
#include "tokenizer/tokenizer_impl.h"

/* As tokenizer.ggml.token_type numbers them. */
enum ppi_gguf_token_type {
    PPI_GGUF_UNDEFINED = 0,
    PPI_GGUF_NORMAL = 1,
    PPI_GGUF_UNKNOWN = 2,
    PPI_GGUF_CONTROL = 3,
    PPI_GGUF_USER_DEFINED = 4,
    PPI_GGUF_UNUSED = 5,
    PPI_GGUF_BYTE = 6,
};

/* What the file says of its tokens. */
struct ppi_gguf_tokens {
    const struct ppi_gguf *gguf;
    const char *label;
    struct ppi_mem *mem;
    const struct ppi_log *log;
    pp_error *err;
    int32_t n;
    struct ppi_token *texts; /* [n] */
    char *bytes;             /* what they point into */
    uint8_t *types;          /* [n] enum ppi_gguf_token_type */
    float *scores;           /* [n]; NULL: the file has none */
};

/* LABEL: "KEY" is VALUE; WANTED. Returns code. */
pp_status ppi_gguf_tokens_refuse(const struct ppi_gguf_tokens *tokens, pp_status code,
                                 const char *key, const char *wanted);

/* Each leaves *out where the key is missing. An id must be that of a token, or 2^32 - 1: none. */
pp_status ppi_gguf_read_flag(const struct ppi_gguf_tokens *tokens, const char *key, bool *out);
pp_status ppi_gguf_read_id(const struct ppi_gguf_tokens *tokens, const char *key, int32_t *out);
/* The text of a key; "" where it is missing. */
pp_status ppi_gguf_read_text(const struct ppi_gguf_tokens *tokens, const char *key,
                             const char **out);

/* Fills tokens from n on. word_pieces: the converter changed the tokens of a WordPiece vocabulary
 * (U+2581 before those that begin a word, no ## before others); they get the spelling that they
 * had. ppi_gguf_tokens_free, also after a failure. (gguf_tokens.c) */
pp_status ppi_gguf_tokens_read(struct ppi_gguf_tokens *tokens, bool word_pieces);
void ppi_gguf_tokens_free(struct ppi_gguf_tokens *tokens);
/* The vocabulary; the texts are its then. Unless it shall be whole, special tokens are none of
 * it: they are added ones. */
pp_status ppi_gguf_tokens_vocab(struct ppi_gguf_tokens *tokens, bool whole,
                                struct ppi_vocab *vocab);

/* Corrects types by the texts of tokens as llama.cpp does, and puts the special and user-defined
 * tokens into `added`. (gguf_special.c) */
void ppi_gguf_correct_types(struct ppi_gguf_tokens *tokens);
pp_status ppi_gguf_put_added(const struct ppi_gguf_tokens *tokens, struct ppi_added *added);

/* The merges of BPE; the caller frees *merges. By score: where the file lists none, and has scores.
 * Errors: PP_ERR_FORMAT (a merge of what are no tokens), PP_ERR_NOMEM. (gguf_merges.c) */
pp_status ppi_gguf_merges(const struct ppi_gguf_tokens *tokens, const struct ppi_vocab *vocab,
                          struct ppi_merge **merges, size_t *n);
pp_status ppi_gguf_merges_by_score(const struct ppi_gguf_tokens *tokens,
                                   const struct ppi_vocab *vocab, struct ppi_merge **merges,
                                   size_t *n);

/* How a name of tokenizer.ggml.pre says that texts fall into words. (gguf_patterns.c) */
#define PPI_GGUF_MAX_PATTERNS 6
struct ppi_gguf_words {
    const char *patterns[PPI_GGUF_MAX_PATTERNS]; /* one after another; NULL behind the last */
    bool chars;         /* tokens are characters, U+2581 for a space; else bytes */
    bool ignore_merges; /* a word that is a token is that token */
    bool add_bos;       /* where the file does not say */
    bool always_bos;    /* whatever the file says */
    bool no_usual_bos;  /* without its key there is no BOS */
};
/* NULL: the name is not known. */
const struct ppi_gguf_words *ppi_gguf_find_words(const char *name);

#endif
