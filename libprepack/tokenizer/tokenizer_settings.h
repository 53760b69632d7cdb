/*
 * tokenizer_settings.h: what tokenizer_config.json, special_tokens_map.json and added_tokens.json
 * beside a tokenizer say of it.
 */
#ifndef PPI_TOKENIZER_SETTINGS_H
#define PPI_TOKENIZER_SETTINGS_H

#include "checkpoint/model_file.h"
#include "tokenizer/added.h"

/* yes, no, or not said */
enum ppi_said { PPI_NOT_SAID = -1, PPI_NO = 0, PPI_YES = 1 };

/* A special token by its use. */
struct ppi_named {
    bool stated; /* text NULL then: there is none */
    char *text;  /* NUL-ended; owned */
};

struct ppi_settings {
    struct ppi_mem *mem;
    struct ppi_named bos, eos, unk, pad;
    enum ppi_said add_bos, add_eos;
    enum ppi_said add_prefix_space, legacy; /* matter to SentencePiece models alone */
    bool split_special;     /* special tokens in a text are text, whatever the caller says */
    struct ppi_added added; /* not finished */
};

/* Reads the files of a folder; those that are not there say nothing. What would change tokens and
 * is not implemented is said to the log; sentencepiece: of a model that has no
 * normalizer and the like of its own. Errors: PP_ERR_FORMAT, PP_ERR_IO, PP_ERR_PATH,
 * PP_ERR_LIMIT, PP_ERR_NOMEM. ppi_settings_free releases what it made, also after a failure. */
pp_status ppi_settings_read(const struct ppi_dir *dir, bool sentencepiece, struct ppi_mem *mem,
                            const struct ppi_log *log, struct ppi_settings *settings,
                            pp_error *err);
void ppi_settings_free(struct ppi_settings *settings);

#endif
