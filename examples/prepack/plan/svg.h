/* svg.h: the picture of a plan as a file. */
#ifndef PREPACK_SVG_H
#define PREPACK_SVG_H

#include "plan_view.h"

enum { SVG_ROWS = 100 };

/* Writes both views, one above the other at one scale, with axes in tokens and a legend. name: of
 * what was packed, any text; note: more of the title, or NULL. Replaces what the file held. */
int svg_write(const char *path, const char *name, const char *note, const struct view *before,
              const struct view *after);

#endif
