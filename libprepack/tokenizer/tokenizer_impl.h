/*
 * tokenizer_impl.h: a tokenizer: what its files said, ready to run. The files *_source.c fill it,
 * each from one format; encode.c and decode_text.c run it.
 */
#ifndef PPI_TOKENIZER_IMPL_H
#define PPI_TOKENIZER_IMPL_H

#include "tokenizer/added.h"
#include "tokenizer/decode/decoder.h"
#include "tokenizer/edges.h"
#include "tokenizer/normalize/normalizer.h"
#include "tokenizer/pieces/pieces.h"
#include "tokenizer/tokenizer_settings.h"
#include "tokenizer/split/splitter.h"

#include <prepack/tokenizer.h>
#include <pthread.h>

struct ppi_encode_work;

struct pp_tokenizer {
    struct ppi_mem mem;
    struct ppi_vocab vocab; /* of the model: what words become */
    struct ppi_added
        added; /* found before a text falls into words; ids of the vocabulary and more */
    struct ppi_normalizer *normalizer; /* NULL: none */
    struct ppi_splitter *splitter;     /* NULL: none */
    struct ppi_pieces *pieces;
    struct ppi_edges edges;
    struct ppi_decoder *decoder;
    int32_t n_ids;
    int32_t bos, eos, unk, pad; /* -1: none */
    bool split_special;         /* special tokens in a text are text */
    bool usual_bos;             /* a text begins with bos unless the settings say otherwise */
    int32_t unk_piece; /* not -1: special tokens reach the decoder as empty pieces, but this one */

    pthread_mutex_t lock;
    struct ppi_encode_work *idle; /* work that no call uses now; behind the lock */
};

/* Where a tokenizer comes from. */
struct ppi_source_file {
    const struct ppi_file *file;
    const struct ppi_settings *settings; /* NULL: the file alone */
    const struct ppi_log *log;
};

/* Each fills everything up to unk and pad; what is half done is the caller's to free. Tokens of the
 * settings are not in `added` yet. The tokenizer's mem and lock are there. */
pp_status ppi_tokenizer_from_json(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                  pp_error *err);
pp_status ppi_tokenizer_from_tekken(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                    pp_error *err);
pp_status ppi_tokenizer_from_sentencepiece(const struct ppi_source_file *source,
                                           pp_tokenizer *tokenizer, pp_error *err);
pp_status ppi_tokenizer_from_gguf(const struct ppi_source_file *source, pp_tokenizer *tokenizer,
                                  pp_error *err);

/* Parts of a tokenizer.json from a text of ours, for the formats that state none: text is an object
 * with "normalizer", "pre_tokenizer", "post_processor", "decoder", each of which may be missing.
 * label names the file in messages. (json_source.c) */
pp_status ppi_tokenizer_read_parts(pp_tokenizer *tokenizer, const char *text, const char *label,
                                   const struct ppi_log *log, pp_error *err);

/* The id of a token by its text, added or of the vocabulary; -1. */
int32_t ppi_tokenizer_find(const pp_tokenizer *tokenizer, const char *text, size_t n);
/* The text of an id; NULL text where no token has it. */
struct ppi_token ppi_tokenizer_token(const pp_tokenizer *tokenizer, int32_t id);

/* What settings say over what the file says. Errors: PP_ERR_FORMAT. (handle.c) */
pp_status ppi_tokenizer_apply(pp_tokenizer *tokenizer, const struct ppi_settings *settings,
                              pp_error *err);

/* encode.c */
void ppi_encode_work_free_all(pp_tokenizer *tokenizer);

#endif
