/* plan_picture.h: a picture of bins for a terminal. */
#ifndef PREPACK_PLAN_PICTURE_H
#define PREPACK_PLAN_PICTURE_H

#include "plan_view.h"

#include <stdio.h>

enum { DRAWN_ROWS = 64 };

/* Draws each row as a line, both views at one scale. first_only: more batches follow that are not
 * drawn. Block characters where the locale has UTF-8, else ASCII. */
void draw_views(FILE *out, const struct view *before, const struct view *after, bool first_only);

#endif
