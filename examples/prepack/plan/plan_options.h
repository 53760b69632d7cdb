/* plan_options.h: what the command line says about packing: names, contradictions, a packer. */
#ifndef PREPACK_PLAN_OPTIONS_H
#define PREPACK_PLAN_OPTIONS_H

#include "options.h"

#include <prepack/prepack.h>

/* The words of --policy, --objective and --oversize; each list ends with a NULL name. */
extern const struct choice policy_choices[], objective_choices[], oversize_choices[];

/* "ffd", "first-fit", ...; "unknown". */
const char *policy_name(int64_t policy);
/* "fewest", "balanced", "cheapest"; "unknown". */
const char *objective_name(int64_t objective);

/* Refuses options of `plan` that contradict one another. */
int check_plan_options(const struct options *options);

/* A packer with the command line's settings. The caller destroys it. */
int packer_open(const struct options *options, pp_packer **packer);

#endif
