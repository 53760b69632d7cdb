/* packer_options.h: how the commands that run a model pack their prompts: as few bins as possible.
 */
#ifndef PREPACK_PACKER_OPTIONS_H
#define PREPACK_PACKER_OPTIONS_H

#include "option.h"

#include <prepack/prepack.h>

struct packer_options {
    int64_t policy;         /* PP_POLICY_* */
    int64_t capacity;       /* 0: the longest prompt of what is packed */
    int64_t share_prefixes; /* tokens that prompts must have in common to share them; 0: never */
};
#define PACKER_DEFAULTS                                                                            \
    {                                                                                              \
        .policy = PP_POLICY_FFD                                                                    \
    }
/* Of commands whose prompts mostly have a beginning in common. */
#define SHARING_DEFAULTS                                                                           \
    {                                                                                              \
        .policy = PP_POLICY_FFD, .share_prefixes = SHARED_TOKENS                                   \
    }

extern const struct option_rule packer_rules[];

/* What --share-prefixes means without a number. */
enum { SHARED_TOKENS = 16 };
/* Its place is an int64_t. */
extern const struct option_kind option_sharing;
#define SHARING_RULE(at)                                                                           \
    {                                                                                              \
        .name = "share-prefixes", .argument = "[N]", .kind = &option_sharing, .place = at,         \
        .help = "what prompts have in common in their first tokens is computed once where it is "  \
                "at least N tokens (16 if N is left out); 0: never"                                \
    }

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
/* A plan of n prompts, whose lengths are given beside them. The caller destroys *plan. */
pp_status packer_plan(const pp_packer *packer, const pp_prompt *prompts, const int64_t *lengths,
                      size_t n, pp_plan **plan, pp_error *err);

#endif
