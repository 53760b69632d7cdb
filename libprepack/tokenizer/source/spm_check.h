/*
 * spm_check.h: is a SentencePiece model file safe to hand to SentencePiece? Its library trusts what
 * it reads: a broken trie or an endless chain of pieces crashes the process.
 */
#ifndef PPI_SPM_CHECK_H
#define PPI_SPM_CHECK_H

#include "internal.h"

/* What a model says that its library does not tell. */
struct ppi_spm_facts {
    uint64_t model_type;     /* 1 unigram, 2 bpe, 3 word, 4 char */
    bool byte_fallback;      /* it has pieces for bytes */
    bool dummy_prefix;       /* a space is put before a text */
    bool drops_spaces;       /* of spaces beside one another, and at the ends */
    bool space_behind;       /* the space of a word stands behind it */
    bool denormalizes;       /* text from pieces goes through a table */
    const char *unk_surface; /* [n_unk_surface] the text of the unknown piece; the file's or ours */
    size_t n_unk_surface;
};

/* The sentence of a refusal begins with label. Errors: PP_ERR_FORMAT, PP_ERR_NOMEM. */
pp_status ppi_spm_check(const char *label, const char *bytes, size_t n_bytes, struct ppi_mem *mem,
                        struct ppi_spm_facts *facts, pp_error *err);

/* ---- between the files of the check ---- */

extern const char PPI_SPM_NO_MEMORY[];
/* A table of normalisations: NULL, or what is wrong with it. (spm_charsmap.c) */
const char *ppi_spm_check_charsmap(const unsigned char *blob, size_t n_bytes, struct ppi_mem *mem);

#endif
