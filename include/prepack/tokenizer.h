/*
 * prepack/tokenizer.h: text to token ids and back, as the files that come with a model say. A
 * library of its own, libprepack-tokenizer; libprepack neither needs nor knows it.
 *
 *     pp_tokenizer_open("Qwen3-0.6B", NULL, &tokenizer, &err);
 *     pp_text text = {"Hello", 5};
 *     pp_tokenizer_encode(tokenizer, &text, 1, NULL, &encoding, &err);
 *     pp_encoding_get(encoding, 0, &tokens, &err);           tokens.ids, tokens.n
 *     ...
 *     pp_encoding_destroy(encoding);
 *     pp_tokenizer_destroy(tokenizer);
 *
 * The conventions are those of common.h, whose functions (pp_strerror and those of dtypes) are in
 * libprepack: a program that calls them links both. It follows the file: the ids are those that the
 * Hugging Face library `tokenizers` gives with the same tokenizer.json, whatever class transformers
 * would put before it; of other formats those of SentencePiece, mistral_common and llama.cpp
 * (docs/tokenizers.md). What a file asks for that is not implemented is refused by name when it is
 * opened.
 */
#ifndef PREPACK_TOKENIZER_H
#define PREPACK_TOKENIZER_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Thread-safety: immutable; may be used by any number of threads at once. */
typedef struct pp_tokenizer pp_tokenizer;
/* The tokens of texts. Thread-safety: immutable. */
typedef struct pp_encoding pp_encoding;
/* Text from tokens that come one by one. Thread-safety: one thread at a time. */
typedef struct pp_text_stream pp_text_stream;

/* A text: a slice, as pp_prompt is one. No NUL is needed behind it, and it may hold some. */
typedef struct pp_text {
    const char *bytes; /* UTF-8; may be NULL where n_bytes is 0 */
    size_t n_bytes;
} pp_text;

/* How words become tokens. Values are frozen. */
enum {
    PP_TOKENIZER_BPE = 1,       /* byte pair encoding (arXiv 1508.07909), of bytes or characters */
    PP_TOKENIZER_WORDPIECE = 2, /* the longest piece first */
    PP_TOKENIZER_UNIGRAM = 3,   /* the most likely pieces (arXiv 1804.10959) */
    PP_TOKENIZER_WORDLEVEL = 4, /* whole words */
    PP_TOKENIZER_INT32 = -1,    /* no value: see common.h */
};

typedef struct pp_tokenizer_params {
    uint32_t struct_size;
    const pp_allocator *allocator; /* of the tokenizer and its encodings; NULL: malloc */
    pp_log_fn log;                 /* told what is passed over; NULL: nobody */
    void *log_user;
} pp_tokenizer_params;

PP_API void pp_tokenizer_params_init(pp_tokenizer_params *params, size_t struct_size);

/*
 * Opens the tokenizer of a model: path is a directory, or a file that is a tokenizer.json, a
 * SentencePiece model, a tekken.json or a GGUF file; files are known by their content. In a
 * directory the first of tokenizer.json, tekken.json, tokenizer.model and a single GGUF file is
 * taken, and tokenizer_config.json, special_tokens_map.json and added_tokens.json beside it are
 * read: which tokens begin and end a text (add_bos_token, add_eos_token), and tokens that the file
 * itself lacks.
 *
 * Errors: PP_ERR_ARG, PP_ERR_IO, PP_ERR_PATH, PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_NOMEM,
 * PP_ERR_UNSUPPORTED (the sentence names what the file asks for). The caller destroys *tokenizer.
 */
PP_API pp_status pp_tokenizer_open(const char *path, const pp_tokenizer_params *params,
                                   pp_tokenizer **tokenizer, pp_error *err);
PP_API void pp_tokenizer_destroy(pp_tokenizer *tokenizer);

typedef struct pp_tokenizer_info {
    uint32_t struct_size;
    int32_t kind;             /* PP_TOKENIZER_* */
    int32_t vocab_size;       /* one more than the largest id; not every id below need be a token */
    int32_t n_special_tokens; /* see pp_tokenizer_get_special */
    int32_t bos_token;        /* begins a text; -1: none is named */
    int32_t eos_token;        /* ends a text; -1 */
    int32_t unk_token;        /* stands for what no token has; -1 */
    int32_t pad_token;        /* -1 */
    int32_t adds_bos;         /* 1: texts get their beginning unless the caller declines */
    int32_t adds_eos;         /* 1: and their end */
} pp_tokenizer_info;

/* Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_tokenizer_get_info(const pp_tokenizer *tokenizer, pp_tokenizer_info *info,
                                       pp_error *err);

/* A token that a text may spell out whole: <|im_start|>, [MASK]. */
typedef struct pp_special_token {
    uint32_t struct_size;
    int32_t id;
    int32_t is_special; /* 1: has no text when tokens become text, unless that is asked for */
    const char *text;   /* NUL-ended; the tokenizer's */
} pp_special_token;

/* The i-th of n_special_tokens, by id. Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_tokenizer_get_special(const pp_tokenizer *tokenizer, int32_t i,
                                          pp_special_token *special, pp_error *err);

/* The token as its file spells it ("Ġthe", "▁the", "<0x0A>"): *text is [n_bytes], NUL-ended, the
 * tokenizer's. NULL for an id that no token has. */
PP_API const char *pp_tokenizer_token(const pp_tokenizer *tokenizer, int32_t id, size_t *n_bytes);
/* The id of a token, spelled that way; -1 where there is none. */
PP_API int32_t pp_tokenizer_id(const pp_tokenizer *tokenizer, const char *text, size_t n_bytes);

/* What becomes of special tokens that a text spells out. Values are frozen. */
enum {
    PP_SPECIAL_PARSE = 0,  /* they become the token, as a chat template means them */
    PP_SPECIAL_TEXT = 1,   /* they are text like any other: for text that nobody vouches for */
    PP_SPECIAL_INT32 = -1, /* no value: see common.h */
};

typedef struct pp_encode_params {
    uint32_t struct_size;
    int32_t special;   /* PP_SPECIAL_* */
    int32_t no_edges;  /* 1: texts get no beginning and end (BOS, EOS, [CLS], [SEP]) */
    int32_t offsets;   /* 1: the encoding knows where in its text each token came from */
    int32_t n_threads; /* texts are shared out among so many; 0: 1 */
} pp_encode_params;

PP_API void pp_encode_params_init(pp_encode_params *params, size_t struct_size);

/*
 * The tokens of n texts, each by itself: the same whatever stands beside it. Texts are only read
 * during the call.
 *
 * Errors: PP_ERR_ARG (NULL; a text that is not UTF-8: err->index names it, the sentence the byte),
 * PP_ERR_UNSUPPORTED (no token has a word of the text, and the vocabulary has none for the
 * unknown), PP_ERR_LIMIT (a text of 1 GiB or more; a pattern that would run away), PP_ERR_NOMEM.
 * The caller destroys *encoding, before or after the tokenizer.
 */
PP_API pp_status pp_tokenizer_encode(pp_tokenizer *tokenizer, const pp_text *texts, int64_t n,
                                     const pp_encode_params *params, pp_encoding **encoding,
                                     pp_error *err);
PP_API void pp_encoding_destroy(pp_encoding *encoding);

/* Bytes [begin, end) of a text. */
typedef struct pp_text_range {
    int64_t begin, end;
} pp_text_range;

typedef struct pp_encoded {
    uint32_t struct_size;
    int64_t n;                    /* tokens */
    const int32_t *ids;           /* [n] the encoding's */
    const pp_text_range *offsets; /* [n]; NULL unless asked for; {0, 0} for a token of no text */
} pp_encoded;

/* The number of texts; 0 for NULL. */
PP_API int64_t pp_encoding_count(const pp_encoding *encoding);
/* Those of text i. Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_encoding_get(const pp_encoding *encoding, int64_t i, pp_encoded *encoded,
                                 pp_error *err);

typedef struct pp_decode_params {
    uint32_t struct_size;
    int32_t keep_special; /* 1: special tokens are spelled out, else they have no text */
} pp_decode_params;

PP_API void pp_decode_params_init(pp_decode_params *params, size_t struct_size);

/*
 * The text of n ids: UTF-8, in which U+FFFD stands for bytes that are none. Ids that no token has
 * have no text.
 *
 * text: [room] of the caller's, or NULL: only the size is told. *n_bytes: the length of the text
 * without the NUL that ends it, so that room must be at least *n_bytes + 1.
 * Errors: PP_ERR_ARG (room too small: nothing is written, *n_bytes is set all the same),
 * PP_ERR_NOMEM.
 */
PP_API pp_status pp_tokenizer_decode(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n,
                                     const pp_decode_params *params, char *text, size_t room,
                                     size_t *n_bytes, pp_error *err);

/* A stream: the pieces that push and finish give, one behind the other, are the text that
 * pp_tokenizer_decode gives for all the ids at once. It holds a reference to nothing but the
 * tokenizer, which must outlive it. Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM. */
PP_API pp_status pp_text_stream_create(const pp_tokenizer *tokenizer,
                                       const pp_decode_params *params, pp_text_stream **stream,
                                       pp_error *err);
PP_API void pp_text_stream_destroy(pp_text_stream *stream);
/* *piece becomes what the id completes: whole characters, often none. Its bytes are the stream's
 * until the next call. Errors: PP_ERR_ARG; PP_ERR_NOMEM and PP_ERR_LIMIT, after which the text is
 * not whole. */
PP_API pp_status pp_text_stream_push(pp_text_stream *stream, int32_t id, pp_text *piece,
                                     pp_error *err);
/* *piece becomes what was held back; the stream begins anew. Errors: as above. */
PP_API pp_status pp_text_stream_finish(pp_text_stream *stream, pp_text *piece, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
