/* dry_run.h: the parts of `prepack profile --dry-run`. */
#ifndef PREPACK_DRY_RUN_H
#define PREPACK_DRY_RUN_H

#include "methods.h"
#include "profile_report.h"

#include <stdio.h>

/* Fills the methods of a report whose options and session are set. */
int dry_run_count(struct dry_run_report *report, const struct workload *work,
                  const struct packers *packers, const pp_model *model);
/* The table. */
int dry_run_print(const struct dry_run_report *report, FILE *out);
/* What a session takes, line by line. */
void dry_run_print_memory(const struct dry_run_report *report, FILE *out);
/* One sentence on --memory-limit if there is one; a failure if it is too low. */
int dry_run_compare(const struct dry_run_report *report, FILE *out);

#endif
