/* plan_file.h: plans in files: --save and --load. */
#ifndef PREPACK_PLAN_FILE_H
#define PREPACK_PLAN_FILE_H

#include <prepack/prepack.h>
#include <stddef.h>

/* Writes a plan as JSON; what the file held is replaced. */
int plan_save(const pp_plan *plan, const char *path);
/* Reads such a file. lengths: [*n], the prompts' tokens. The caller destroys *plan and frees
 * *lengths, both NULL before, also after a failure. */
int plan_load(const char *path, pp_plan **plan, int64_t **lengths, size_t *n);

#endif
