/* page.h: what every man page of the program begins and ends with. */
#ifndef PREPACK_PAGE_H
#define PREPACK_PAGE_H

#include "command.h"
#include "roff.h"

/* "PREPACK-PLAN", and the line of its section NAME. command NULL: the program as a whole. */
void page_begin(struct roff *roff, const struct command *command, const char *summary);
/* The examples of a command, without a heading; follow: others stand before them. */
void page_examples(struct roff *roff, const struct command *command, bool follow);

#endif
