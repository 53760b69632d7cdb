/*
 * plan.h: the plan object as the planner's files and the batch builder see it.
 */
#ifndef PPI_PLAN_H
#define PPI_PLAN_H

#include "internal.h"

#include <prepack/batch.h>

struct pp_plan {
    struct ppi_mem mem;
    pp_plan_info info;
    int32_t *prompts;    /* [n_prompts] indices, bin after bin */
    int64_t *bin_starts; /* [n_bins + 1] into prompts */
    int64_t *bin_tokens; /* [n_bins] */
};

/* PP_ERR_ARG unless prompts are n prompts with the lengths that the plan was made from: their
 * number, and each bin's sum of tokens. err->index names the bin, or the prompt where a length
 * alone is impossible. Their tokens are not looked at. */
pp_status ppi_plan_match(const struct pp_plan *plan, const pp_prompt *prompts, size_t n,
                         pp_error *err);
/* The two halves: the number of prompts, and the sum of one bin. */
pp_status ppi_plan_match_number(const struct pp_plan *plan, const pp_prompt *prompts, size_t n,
                                pp_error *err);
pp_status ppi_plan_match_bin(const struct pp_plan *plan, int64_t bin, const pp_prompt *prompts,
                             pp_error *err);

#endif
