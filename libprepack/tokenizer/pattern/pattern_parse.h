/*
 * pattern_parse.h: a regular expression in Oniguruma's Ruby syntax, read into a list of items. What
 * a character may be is always a set with its ranges written out, so that nobody behind needs to
 * know classes, properties, options or the Unicode version.
 */
#ifndef PPI_PATTERN_PARSE_H
#define PPI_PATTERN_PARSE_H

#include "tokenizer/pattern/charset.h"

enum ppi_item_kind {
    PPI_ITEM_SET,    /* one character of a set */
    PPI_ITEM_OPEN,   /* a group begins; detail: PPI_GROUP_* */
    PPI_ITEM_BAR,    /* the next alternative of the innermost group, or of the whole */
    PPI_ITEM_CLOSE,  /* the group ends */
    PPI_ITEM_REPEAT, /* what stands before, a set or a group, [min, max] times; detail: PPI_REPEAT_*
                      */
    PPI_ITEM_ANCHOR, /* detail: PPI_ANCHOR_* */
};

enum {
    PPI_GROUP_PLAIN,
    PPI_GROUP_ATOMIC,
    PPI_GROUP_AHEAD,
    PPI_GROUP_NOT_AHEAD,
    PPI_GROUP_BEHIND,
    PPI_GROUP_NOT_BEHIND,
};

enum {
    PPI_REPEAT_GREEDY,
    PPI_REPEAT_LAZY,
    PPI_REPEAT_POSSESSIVE,
};

enum {
    PPI_ANCHOR_LINE_BEGIN,   /* ^ */
    PPI_ANCHOR_LINE_END,     /* $ */
    PPI_ANCHOR_BEGIN,        /* \A */
    PPI_ANCHOR_END,          /* \z */
    PPI_ANCHOR_LAST_END,     /* \Z: the end, or before a newline that ends the text */
    PPI_ANCHOR_WORD_EDGE,    /* \b */
    PPI_ANCHOR_NO_WORD_EDGE, /* \B */
};

#define PPI_REPEAT_FOREVER UINT32_MAX

struct ppi_item {
    int32_t kind, detail;
    uint32_t min, max;             /* of a repeat */
    uint32_t set_begin, set_count; /* of a set: ranges in parsed.sets */
};

struct ppi_parsed {
    struct ppi_mem *mem;
    struct ppi_item *items; /* [n] groups are closed, repeats have something before them */
    size_t n, room;
    struct ppi_spans sets;
    bool failed;
};

/* Most bytes of a regular expression, and groups open at once. */
#define PPI_PATTERN_MAX_BYTES 8192
#define PPI_PATTERN_MAX_DEPTH 60

/* label and where name the pattern in messages. *parsed may be freed whatever comes back. Errors:
 * PP_ERR_FORMAT, PP_ERR_UNSUPPORTED, PP_ERR_LIMIT, PP_ERR_NOMEM. */
pp_status ppi_pattern_parse(const char *bytes, size_t n, const char *label, const char *where,
                            struct ppi_mem *mem, struct ppi_parsed *parsed, pp_error *err);
void ppi_parsed_free(struct ppi_parsed *parsed);

#endif
