/*
 * splitter_steps.h: what a splitter is made of: steps that cut words, or write them anew.
 */
#ifndef PPI_SPLITTER_STEPS_H
#define PPI_SPLITTER_STEPS_H

#include "tokenizer/pattern/pattern.h"

/* What becomes of what was found. In the order of ppi_behaviors. */
enum {
    PPI_REMOVED,
    PPI_ISOLATED,
    PPI_MERGED_WITH_PREVIOUS,
    PPI_MERGED_WITH_NEXT,
    PPI_CONTIGUOUS,
};

enum ppi_split_kind {
    PPI_SPLIT_PATTERN,  /* at what a pattern finds */
    PPI_SPLIT_CHARS,    /* at characters of a kind */
    PPI_SPLIT_RUNS,     /* words are runs of \w, and of what is neither that nor white */
    PPI_SPLIT_LENGTH,   /* words of so many characters */
    PPI_SPLIT_META,     /* writes a space as another character, and one before a word */
    PPI_SPLIT_PREFIX,   /* writes a space before a word without one */
    PPI_SPLIT_SPELLING, /* writes bytes as characters */
};

enum {
    PPI_PREPEND_ALWAYS,
    PPI_PREPEND_FIRST,
    PPI_PREPEND_NEVER,
};

struct ppi_split_step {
    enum ppi_split_kind kind;
    int32_t behavior;
    bool inverted;               /* what is not found counts as found */
    struct ppi_pattern *pattern; /* PATTERN: the step's own */
    bool (*wanted)(uint32_t);    /* CHARS; NULL: equal to `code` */
    uint32_t code;               /* CHARS, META */
    int32_t prepend;             /* META */
    int64_t length;              /* LENGTH */
};

/* Cuts every word of `words` into `out`, which is empty. Errors: as ppi_split. */
pp_status ppi_split_words(const struct ppi_split_step *step, const struct ppi_text *text,
                          const struct ppi_spans *words, struct ppi_spans *out,
                          struct ppi_pattern_work *work, pp_error *err);

/* Whether a step writes its words anew instead. */
bool ppi_split_rewrites(const struct ppi_split_step *step);
/* Writes them into `out`; new_words are where they are then. Both are empty. */
void ppi_split_rewrite(const struct ppi_split_step *step, const struct ppi_text *text, bool first,
                       const struct ppi_spans *words, struct ppi_text *out,
                       struct ppi_spans *new_words);

#endif
