/*
 * added.h: tokens that are found in a text before it is split into words: special tokens and those
 * that somebody added to a vocabulary ("added_tokens").
 */
#ifndef PPI_ADDED_H
#define PPI_ADDED_H

#include "tokenizer/normalize/normalizer.h"
#include "tokenizer/text.h"
#include "tokenizer/pieces/vocab.h"

#define PPI_MAX_ADDED 65536

struct ppi_added_token {
    char *text; /* [n], NUL-ended; owned */
    uint32_t n;
    char *shown; /* [n_shown] what is looked for, and what the token becomes as text, where that is
                    the normalised text; NULL: text. Owned; made by ppi_added_finish */
    uint32_t n_shown;
    int32_t id;
    bool special;     /* has no text when tokens become text */
    bool single_word; /* not inside of a word */
    bool lstrip;      /* takes the white space before it along */
    bool rstrip;      /* and behind it */
    bool normalized;  /* looked for in the normalised text */
};

/* What is looked for in one kind of text. */
struct ppi_added_set {
    struct ppi_added_entry *entries; /* [n] sorted by text */
    size_t n;
    uint8_t pairs[8192]; /* bits: pairs of bytes that some text begins with */
};

struct ppi_added {
    struct ppi_mem *mem;
    struct ppi_added_token *tokens; /* [n] by id */
    size_t n, room;
    struct ppi_vocab by_text; /* a place in tokens */
    struct ppi_added_set raw, normalized;
};

/* Adds a token, whose text is copied; the last of those with one text counts, and an empty text is
 * passed over. Errors: PP_ERR_NOMEM, PP_ERR_LIMIT. */
pp_status ppi_added_put(struct ppi_added *added, const struct ppi_added_token *token,
                        pp_error *err);
/* Once all are there: sorts them and prepares the search. Errors: PP_ERR_NOMEM, and those of
 * ppi_normalize. */
pp_status ppi_added_finish(struct ppi_added *added, const struct ppi_normalizer *normalizer,
                           pp_error *err);
void ppi_added_free(struct ppi_added *added);

/* NULL where no added token has the id, or the text. */
const struct ppi_added_token *ppi_added_find_id(const struct ppi_added *added, int32_t id);
const struct ppi_added_token *ppi_added_find_text(const struct ppi_added *added, const char *text,
                                                  size_t n);

/* Bytes of a text with the token that they are; NULL: text between tokens. */
struct ppi_added_match {
    struct ppi_span span;
    const struct ppi_added_token *token;
};

/* One after another, the parts of bytes[0, n): *match is the next. false: there are no more.
 * *cursor begins as zeroes. literal: special tokens are text. */
struct ppi_added_cursor {
    size_t at;      /* what lies before has been given out */
    size_t from;    /* where the search goes on */
    bool has_token; /* token is to be given out next */
    struct ppi_added_match token;
};
bool ppi_added_next(const struct ppi_added_set *set, const struct ppi_added *added,
                    const char *bytes, size_t n, bool literal, struct ppi_added_cursor *cursor,
                    struct ppi_added_match *match);

#endif
