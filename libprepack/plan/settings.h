/*
 * settings.h: what a packer was asked for, as the planner's files see it: the params of whatever
 * objective in one struct.
 */
#ifndef PPI_SETTINGS_H
#define PPI_SETTINGS_H

#include "internal.h"

#include <prepack/packer.h>

struct settings {
    int32_t objective;
    int32_t policy; /* PP_POLICY_*; of a test PPI_POLICY_*, too; never 0 */
    int32_t oversize;
    bool keep_order;
    int64_t capacity;
    int64_t max_prompts;
    int64_t bin_alignment, prompt_alignment; /* at least 1 */
    int64_t max_steps;
    double max_seconds;
    int64_t n_bins;            /* BALANCED */
    const int64_t *capacities; /* [n_capacities] FEWEST_BINS: of the bins there are; CHEAPEST: the
                                  lengths of rows */
    int64_t n_capacities;
    int64_t min_shared_prefix; /* FEWEST_BINS; 0: prefixes are not shared */
    pp_cost_model cost;
    const pp_allocator *allocator;
};

struct pp_packer {
    struct ppi_mem mem;
    struct settings settings;
    int64_t *capacities; /* settings.capacities, or NULL */
};

/* Reads and checks a caller's params; pointers are still the caller's. */
pp_status ppi_settings_read(const pp_packer_params *params, struct settings *settings,
                            pp_error *err);

/* A packer of settings that were read; tests may have changed the policy. */
pp_status ppi_packer_create(const struct settings *settings, pp_packer **packer, pp_error *err);

/* Are there no bins but those of the capacities? */
static inline bool ppi_has_given_bins(const struct settings *settings)
{
    return settings->n_capacities > 0 && settings->objective == PP_OBJECTIVE_FEWEST_BINS;
}

#endif
