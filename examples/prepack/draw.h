/* draw.h: a picture of bins for a terminal. */
#ifndef PREPACK_DRAW_H
#define PREPACK_DRAW_H

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stdio.h>

/* Draws each bin of a plan as a line. lengths: those the plan was made from. first_only: more
 * batches follow that are not drawn. Block characters where the locale has UTF-8, else ASCII. */
int draw_plan(FILE *out, const pp_plan *plan, const int64_t *lengths, bool first_only);

#endif
