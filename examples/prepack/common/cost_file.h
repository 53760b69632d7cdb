/* cost_file.h: the file of a cost model, as `prepack tune` writes it. */
#ifndef PREPACK_COST_FILE_H
#define PREPACK_COST_FILE_H

#include "output_files.h"

#include <prepack/prepack.h>

/* Reads the file of --cost; what is wrong with it is said with its name. */
int cost_read(const char *path, pp_cost_model *cost);
/* Writes a cost model where --json asked for it. */
int cost_write(struct outputs *outputs, const pp_cost_model *cost);

#endif
