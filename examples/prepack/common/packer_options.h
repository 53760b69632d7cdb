/* packer_options.h: how the commands that run a model pack their prompts: as few bins as possible.
 */
#ifndef PREPACK_PACKER_OPTIONS_H
#define PREPACK_PACKER_OPTIONS_H

#include "option.h"

#include <prepack/prepack.h>

struct packer_options {
    int64_t policy;   /* PP_POLICY_* */
    int64_t capacity; /* 0: the longest prompt of what is packed */
};
#define PACKER_DEFAULTS                                                                            \
    {                                                                                              \
        .policy = PP_POLICY_FFD                                                                    \
    }

extern const struct option_rule packer_rules[];

/* Policies that pack into the fewest bins, as entries of a list of choices. */
#define FEWEST_POLICIES                                                                            \
    {"ffd", PP_POLICY_FFD, "first-fit decreasing"}, {"bfd", PP_POLICY_BFD, "best-fit decreasing"}, \
        {"arrival", PP_POLICY_ARRIVAL, "next fit, keeps the order of the prompts"},                \
        {"first-fit", PP_POLICY_FIRST_FIT, "in order of arrival, in the first bin with room"},     \
        {"best-fit", PP_POLICY_BEST_FIT, "in order of arrival, in the fullest bin with room"},     \
        {"exact", PP_POLICY_EXACT, "search until proven optimal"},                                 \
    {                                                                                              \
        "auto", PP_POLICY_AUTO, "ffd, then as exact for a short time"                              \
    }

const char *packer_policy_name(int64_t policy);

/* A packer with these settings. The caller destroys it. */
int packer_open(const struct packer_options *options, pp_packer **packer);

#endif
