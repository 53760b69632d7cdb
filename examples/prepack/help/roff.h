/* roff.h: plain text as the source of a man page. A dash is one that can be typed, everywhere. */
#ifndef PREPACK_ROFF_H
#define PREPACK_ROFF_H

#include <stdbool.h>
#include <stdio.h>

struct roff {
    FILE *out;
    size_t column; /* 0: at the beginning of a line */
    bool indented; /* what follows a list belongs to an item, not to the page's margin */
    bool glued;    /* the next word follows the last one without a space */
};

/* A request on a line of its own, with what stands behind it as it is: ".SH NAME". */
void roff_request(struct roff *roff, const char *request);

void roff_end_line(struct roff *roff);

/* Words on filled lines. Options in them become bold. */
void roff_words(struct roff *roff, const char *text);
/* A line of words in one font: 'B' or 'I'. */
void roff_font(struct roff *roff, char font, const char *text);

/*
 * Lines as the help has them. Those that begin at the margin are filled; of indented ones "  term
 * what it is" is an item of a list, whose definition goes on in lines that are further in; others
 * stay lines.
 */
void roff_text(struct roff *roff, const char *text);

#endif
