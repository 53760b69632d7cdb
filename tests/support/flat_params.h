/*
 * flat_params.h: all settings of a packer in one struct, for tests and benchmarks that vary them
 * without looking at whose they are. flat_create sorts them into the params of the objectives; what
 * the objective has no use for is passed on to be refused.
 *
 * A program that links the library's internals and defines FLAT_INNER may also ask for PPI_POLICY_*
 * and, with CHEAPEST, for PP_POLICY_FFD.
 */
#ifndef TEST_FLAT_PARAMS_H
#define TEST_FLAT_PARAMS_H

#include <prepack/packer.h>

#ifdef FLAT_INNER
#include "plan/packing.h"
#include "plan/settings.h"
#endif

struct flat_params {
    int32_t objective, policy, oversize, keep_order;
    int64_t capacity, max_prompts, bin_alignment, prompt_alignment, max_steps;
    double max_seconds;
    const pp_cost_model *cost;
    const pp_allocator *allocator;
    int64_t n_bins;
    const int64_t *capacities; /* of the bins there are, or of rows */
    int64_t n_capacities;
    int64_t min_shared_prefix;
};

static inline void flat_init(struct flat_params *flat)
{
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    *flat = (struct flat_params){.objective = params.objective,
                                 .oversize = params.oversize,
                                 .bin_alignment = params.bin_alignment,
                                 .prompt_alignment = params.prompt_alignment};
}

/* May callers ask for the policy, or is it for tests? AUTO is the only one of most objectives. */
static inline int flat_is_inner(const struct flat_params *flat)
{
#ifdef FLAT_INNER
    int fewest = flat->objective == PP_OBJECTIVE_FEWEST_BINS;
    return flat->policy >= PPI_POLICY_MBS || (!fewest && flat->policy != 0);
#else
    (void)flat;
    return 0;
#endif
}

static inline pp_status flat_create(const struct flat_params *flat, pp_packer **packer,
                                    pp_error *err)
{
    int balanced = flat->objective == PP_OBJECTIVE_BALANCED;
    int cheapest = flat->objective == PP_OBJECTIVE_CHEAPEST;
    pp_fewest_params for_fewest = {.struct_size = sizeof for_fewest,
                                   .policy = flat_is_inner(flat) ? 0 : flat->policy,
                                   .capacities = cheapest ? NULL : flat->capacities,
                                   .n_capacities = cheapest ? 0 : flat->n_capacities,
                                   .min_shared_prefix = flat->min_shared_prefix};
    pp_balanced_params for_balanced = {.struct_size = sizeof for_balanced, .n_bins = flat->n_bins};
    pp_cheapest_params for_cheapest = {.struct_size = sizeof for_cheapest,
                                       .row_lens = flat->capacities,
                                       .n_row_lens = flat->n_capacities};
    int policy = for_fewest.policy != 0 && (for_fewest.policy != PP_POLICY_AUTO ||
                                            flat->objective == PP_OBJECTIVE_FEWEST_BINS);
    int fewest = policy || for_fewest.n_capacities != 0 || for_fewest.min_shared_prefix != 0;
    pp_packer_params params = {.struct_size = sizeof params,
                               .objective = flat->objective,
                               .capacity = flat->capacity,
                               .oversize = flat->oversize,
                               .keep_order = flat->keep_order,
                               .max_prompts = flat->max_prompts,
                               .bin_alignment = flat->bin_alignment,
                               .prompt_alignment = flat->prompt_alignment,
                               .max_steps = flat->max_steps,
                               .max_seconds = flat->max_seconds,
                               .cost = flat->cost,
                               .allocator = flat->allocator,
                               .fewest = fewest ? &for_fewest : NULL,
                               .balanced = balanced || flat->n_bins != 0 ? &for_balanced : NULL,
                               .cheapest = cheapest ? &for_cheapest : NULL};
#ifdef FLAT_INNER
    struct settings settings;
    if (flat_is_inner(flat)) {
        PP_TRY(ppi_settings_read(&params, &settings, err));
        settings.policy = flat->policy;
        return ppi_packer_create(&settings, packer, err);
    }
#endif
    return pp_packer_create(&params, packer, err);
}

#endif
