/*
 * normalizer_steps.h: what a normalizer is made of. Each step takes a text and writes a new one,
 * with origins as the Rust library tells them.
 */
#ifndef PPI_NORMALIZER_STEPS_H
#define PPI_NORMALIZER_STEPS_H

#include "tokenizer/pattern/pattern.h"

enum ppi_normal_kind {
    /* a character by itself becomes none or some */
    PPI_NORMAL_CLEAN,   /* Bert: controls go, white space is a space */
    PPI_NORMAL_CHINESE, /* Bert: spaces around */
    PPI_NORMAL_NO_NONSPACING,
    PPI_NORMAL_NO_COMBINING,
    PPI_NORMAL_LOWER,
    PPI_NORMAL_NMT,
    PPI_NORMAL_SPELLING, /* bytes as characters */
    /* the others */
    PPI_NORMAL_FORM,
    PPI_NORMAL_STRIP,
    PPI_NORMAL_REPLACE,
    PPI_NORMAL_PREPEND,
    PPI_NORMAL_CHARSMAP,
};

/* Bits of a form: NFC is COMPOSED, NFKD is COMPATIBLE. */
enum {
    PPI_FORM_COMPOSED = 1,
    PPI_FORM_COMPATIBLE = 2,
};

struct ppi_normal_step {
    enum ppi_normal_kind kind;
    uint32_t form;               /* FORM */
    bool left, right;            /* STRIP */
    bool keeps_ascii;            /* letters, digits, spaces and punctuation stay */
    struct ppi_pattern *pattern; /* REPLACE; the step's own, as what follows */
    char *content;               /* REPLACE, PREPEND: [content_bytes] */
    size_t content_bytes;
    struct ppi_charsmap *charsmap; /* CHARSMAP */
    bool longest;                  /* CHARSMAP: as SentencePiece itself looks things up */
};

/*
 * Characters that take the place of others, as Rust's NormalizedString::transform: a change of 0
 * stands for the next character of the old text, of -n for that and n more, of 1 for none: it comes
 * from where the one before came from.
 */
struct ppi_changes {
    const struct ppi_text *from;
    struct ppi_text *out;
    size_t at; /* in from */
};
void ppi_change(struct ppi_changes *changes, uint32_t code, int32_t change);

/* Writes the form of a text to `out`, which is empty. Memory: out->failed. (normalizer_forms.c) */
void ppi_normal_form(const struct ppi_text *text, uint32_t form, struct ppi_text *out);

/* "precompiled_charsmap" as SentencePiece writes it, in base64. *what: what is wrong with it when
 * NULL comes back; NULL: no memory. (normalizer_charsmap.c) */
struct ppi_charsmap *ppi_charsmap_create(const char *base64, size_t n, struct ppi_mem *mem,
                                         const char **what);
void ppi_charsmap_destroy(struct ppi_charsmap *charsmap);
/* The characters that it maps by themselves: whether one is in [first, last]. */
bool ppi_charsmap_maps(const struct ppi_charsmap *charsmap, unsigned char first,
                       unsigned char last);
void ppi_charsmap_apply(const struct ppi_charsmap *charsmap, const struct ppi_text *text,
                        struct ppi_text *out);
void ppi_charsmap_apply_longest(const struct ppi_charsmap *charsmap, const struct ppi_text *text,
                                struct ppi_text *out);

#endif
