/*
 * decoder_steps.h: the small steps that decoders are made of. What runs between them is text in
 * pieces: at first a token is a piece. Behind a step that joins all of them (`fused` is set from
 * there on) there is one piece, which comes in parts and whose end comes last.
 */
#ifndef PPI_DECODER_STEPS_H
#define PPI_DECODER_STEPS_H

#include "tokenizer/decode/decoder.h"

enum ppi_step_kind {
    PPI_STEP_FUSE,      /* joins all pieces */
    PPI_STEP_BYTES,     /* joins bytes, spelled as byte_level.h does or plain, and makes UTF-8 */
    PPI_STEP_BYTE_RUNS, /* <0xNN> beside one another become one piece */
    PPI_STEP_LITERAL,   /* puts `with` for `bytes` */
    PPI_STEP_BETWEEN,   /* puts `with` before, between and behind characters */
    PPI_STEP_REGEX,     /* puts `with` for what the pattern matches */
    PPI_STEP_STRIP,   /* takes away the character `bytes`, `start` times in front, `stop` behind */
    PPI_STEP_JOIN,    /* puts a space before a piece, but the first, or takes `bytes` from it */
    PPI_STEP_SUFFIX,  /* puts a space for `bytes`, nothing in the last piece */
    PPI_STEP_REPEATS, /* drops a piece that is as the one before */
    PPI_STEP_EMPTY,   /* drops empty pieces */
    PPI_STEP_SENTENCES, /* pieces of SentencePiece; `with` for the unknown one, `bytes` */
};

struct ppi_step {
    enum ppi_step_kind kind;
    bool fused;        /* see above */
    bool last;         /* of its decoder: nobody asks for the ends of pieces */
    bool spelled;      /* BYTES: by byte_level.h; SENTENCES: some pieces are bytes, <0xNN> */
    bool spares_first; /* LITERAL: the first piece gets nothing for `bytes` */
    bool empty_too;    /* BETWEEN: in empty pieces, too */
    uint32_t n_idle;   /* so many steps, from this one on, do nothing to pieces without what
                          ppi_step_is_idle looks for; 0 */
    bool has_prefix;   /* JOIN: has `bytes` */
    char *bytes, *with;
    size_t n, n_with;
    uint32_t *borders; /* [n + 1] LITERAL: how much of bytes[0, i) is both its beginning and end */
    uint64_t start, stop; /* SENTENCES: pieces that lose a space while there is no text */
    struct ppi_pattern *pattern;
};

/* A list of steps. Whoever fills it closes it with ppi_decoder_link. */
struct ppi_decoder {
    struct ppi_mem *mem;
    struct ppi_step *steps; /* [n] */
    size_t n, room;
};

/* A new, empty step at the end; NULL: no memory. */
struct ppi_step *ppi_decoder_add(struct ppi_decoder *decoder, enum ppi_step_kind kind);
/* Tells every step where it stands. Errors: PP_ERR_NOMEM. */
pp_status ppi_decoder_link(struct ppi_decoder *decoder, pp_error *err);

/* Text in pieces: `ends` are spans of `text`; bytes behind the last belong to a piece without an
 * end. too_long: it would have grown beyond 1 GiB. */
struct ppi_flow {
    struct ppi_text text;
    struct ppi_spans ends;
    bool too_long;
};

/* What a step remembers; all zero but for the memory at the beginning of a text. */
struct ppi_step_state {
    struct ppi_text held; /* of a piece that has not ended, for steps that need it whole */
    struct ppi_text kept; /* of pieces before */
    uint64_t i_piece, count, removed;
    size_t at;
    bool begun;
};

void ppi_flow_put(struct ppi_flow *flow, const char *bytes, size_t n);
void ppi_flow_end(struct ppi_flow *flow);
/* The same of bytes of any kind: U+FFFD stands for what is no UTF-8. Returns the bytes that were
 * looked at; with `more` to come, an unfinished character at the end is not. */
size_t ppi_flow_put_lossy(struct ppi_flow *flow, const char *bytes, size_t n, bool more);

/* Takes a piece, or a part of one: ends: it ends here. Errors: those of ppi_pattern_find. Failed
 * texts are for the caller to notice. */
pp_status ppi_step_take(const struct ppi_step *step, struct ppi_step_state *state,
                        struct ppi_pattern_work *work, const char *bytes, size_t n, bool ends,
                        struct ppi_flow *out, pp_error *err);
/* Whether text holds nothing that English is cleaned of: " ." and so on. */
bool ppi_step_is_idle(const struct ppi_text *text);
/* No more pieces. */
void ppi_step_finish(const struct ppi_step *step, struct ppi_step_state *state,
                     struct ppi_flow *out);

/* ---- SentencePiece (decoder_sentences.c) ---- */

struct ppi_sentence_decoding {
    const char *unk, *unk_surface; /* the unknown piece, and its text; copied */
    size_t n_unk, n_unk_surface;
    bool byte_fallback;     /* pieces <0xNN> are bytes */
    bool drops_first_space; /* with which a text begins */
    bool drops_spaces;      /* of each piece that stands before any text */
};
/* The decoder of a SentencePiece model. Special pieces reach it as empty ones, but the unknown one.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_decoder_create_sentences(const struct ppi_sentence_decoding *decoding,
                                       struct ppi_mem *mem, struct ppi_decoder **decoder,
                                       pp_error *err);
void ppi_sentence_step_take(const struct ppi_step *step, struct ppi_step_state *state,
                            const char *piece, size_t n, struct ppi_flow *out);
void ppi_sentence_step_finish(struct ppi_step_state *state, struct ppi_flow *out);

#endif
