/*
 * settings.c: what a caller asks of a packer, checked.
 */
#include "settings.h"

#include "plan/cost/cost_impl.h"

#define MAX_SHAPES (1 << 20)

static const pp_packer_params default_params = {.struct_size = sizeof(pp_packer_params),
                                                .objective = PP_OBJECTIVE_FEWEST_BINS,
                                                .oversize = PP_OVERSIZE_ERROR,
                                                .bin_alignment = 1,
                                                .prompt_alignment = 1};

void pp_packer_params_init(pp_packer_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

static const char *objective_name(int32_t objective)
{
    return objective == PP_OBJECTIVE_FEWEST_BINS ? "FEWEST_BINS"
           : objective == PP_OBJECTIVE_BALANCED  ? "BALANCED"
                                                 : "CHEAPEST";
}

/* ---- the objective and its settings ---- */

static pp_status check_objective(const pp_packer_params *params, pp_error *err)
{
    int32_t objective = params->objective;
    if (objective < PP_OBJECTIVE_FEWEST_BINS || objective > PP_OBJECTIVE_CHEAPEST)
        return ppi_error(err, PP_ERR_ARG,
                         "objective %d is unknown; there are %d (FEWEST_BINS) to %d (CHEAPEST)",
                         objective, PP_OBJECTIVE_FEWEST_BINS, PP_OBJECTIVE_CHEAPEST);
    const struct {
        const char *name;
        int32_t objective;
        const void *given;
    } all[] = {{"fewest", PP_OBJECTIVE_FEWEST_BINS, params->fewest},
               {"balanced", PP_OBJECTIVE_BALANCED, params->balanced},
               {"cheapest", PP_OBJECTIVE_CHEAPEST, params->cheapest}};
    for (size_t i = 0; i < PPI_COUNT(all); i++) {
        bool chosen = all[i].objective == objective;
        if (all[i].given && !chosen)
            return ppi_error(
                err, PP_ERR_ARG, "pp_packer_params.%s is set, but the objective is %s, not %s",
                all[i].name, objective_name(objective), objective_name(all[i].objective));
        if (!all[i].given && chosen && objective != PP_OBJECTIVE_FEWEST_BINS)
            return ppi_error(err, PP_ERR_ARG, "the objective %s needs pp_packer_params.%s",
                             objective_name(objective), all[i].name);
    }
    return PP_OK;
}

static pp_status read_fewest(const pp_fewest_params *given, struct settings *settings,
                             pp_error *err)
{
    pp_fewest_params fewest = {.struct_size = sizeof fewest};
    PP_TRY(ppi_struct_read(&fewest, sizeof fewest, given, "pp_fewest_params", err));
    settings->policy = fewest.policy == 0 ? PP_POLICY_FFD : fewest.policy;
    if (settings->policy < PP_POLICY_FFD || settings->policy > PP_POLICY_AUTO)
        return ppi_error(err, PP_ERR_ARG, "policy %d is unknown; there are %d (FFD) to %d (AUTO)",
                         settings->policy, PP_POLICY_FFD, PP_POLICY_AUTO);
    settings->capacities = fewest.capacities;
    settings->n_capacities = fewest.n_capacities;
    settings->min_shared_prefix = fewest.min_shared_prefix;
    return PP_OK;
}

static pp_status read_balanced(const pp_balanced_params *given, struct settings *settings,
                               pp_error *err)
{
    pp_balanced_params balanced = {.struct_size = sizeof balanced};
    PP_TRY(ppi_struct_read(&balanced, sizeof balanced, given, "pp_balanced_params", err));
    settings->policy = PP_POLICY_AUTO;
    settings->n_bins = balanced.n_bins;
    return PP_OK;
}

static pp_status read_cheapest(const pp_cheapest_params *given, struct settings *settings,
                               pp_error *err)
{
    pp_cheapest_params cheapest = {.struct_size = sizeof cheapest};
    PP_TRY(ppi_struct_read(&cheapest, sizeof cheapest, given, "pp_cheapest_params", err));
    settings->policy = PP_POLICY_AUTO;
    settings->capacities = cheapest.row_lens;
    settings->n_capacities = cheapest.n_row_lens;
    return PP_OK;
}

/* ---- checks ---- */

static pp_status check_limits(const struct settings *settings, pp_error *err)
{
    bool rows = settings->objective == PP_OBJECTIVE_CHEAPEST;
    if (settings->capacity < 0)
        return ppi_error(
            err, PP_ERR_ARG,
            "capacity is %lld tokens; it must be positive, or 0 for the longest prompt",
            (long long)settings->capacity);
    if (settings->oversize < PP_OVERSIZE_ERROR || settings->oversize > PP_OVERSIZE_SPLIT)
        return ppi_error(err, PP_ERR_ARG,
                         "oversize %d is unknown; there are %d (ERROR) to %d (SPLIT)",
                         settings->oversize, PP_OVERSIZE_ERROR, PP_OVERSIZE_SPLIT);
    const struct {
        const char *name;
        int64_t value, least;
    } limits[] = {
        {"min_shared_prefix", settings->min_shared_prefix, 0},
        {"max_prompts", settings->max_prompts, 0},
        {"bin_alignment", settings->bin_alignment, 1},
        {"prompt_alignment", settings->prompt_alignment, 1},
        {"n_bins", settings->n_bins, settings->objective == PP_OBJECTIVE_BALANCED},
        {rows ? "n_row_lens" : "n_capacities", settings->n_capacities, rows},
        {"max_steps", settings->max_steps, -1},
    };
    for (size_t i = 0; i < PPI_COUNT(limits); i++)
        if (limits[i].value < limits[i].least || limits[i].value > INT64_MAX / 4)
            return ppi_error(err, PP_ERR_ARG, "%s is %lld; it must be at least %lld",
                             limits[i].name, (long long)limits[i].value,
                             (long long)limits[i].least);
    if (!(settings->max_seconds >= 0))
        return ppi_error(err, PP_ERR_ARG, "max_seconds is %g seconds; it must be at least 0",
                         settings->max_seconds);
    for (int64_t i = 0; i < settings->n_capacities; i++)
        if (!settings->capacities || settings->capacities[i] < 1)
            return ppi_error_at(
                err, PP_ERR_ARG, i, "%s %lld of %lld is %lld tokens; it must be at least 1",
                rows ? "row length" : "capacity", (long long)i, (long long)settings->n_capacities,
                settings->capacities ? (long long)settings->capacities[i] : 0);
    return PP_OK;
}

/* Parts of prompts need bins of one capacity, as many as it takes. */
static pp_status check_parts(const struct settings *settings, pp_error *err)
{
    bool share = settings->min_shared_prefix > 0;
    if (!share && settings->oversize != PP_OVERSIZE_SPLIT)
        return PP_OK;
    const char *asked = share ? "min_shared_prefix" : "oversize SPLIT";
    if (settings->objective != PP_OBJECTIVE_FEWEST_BINS)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s serves the objective FEWEST_BINS only, not %s", asked,
                         objective_name(settings->objective));
    if (settings->n_capacities > 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s needs bins of one capacity, but `capacities` has %lld", asked,
                         (long long)settings->n_capacities);
    if (share && settings->oversize == PP_OVERSIZE_OWN_BIN)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "min_shared_prefix does not go with oversize OWN_BIN, only with ERROR and "
                         "SPLIT");
    return PP_OK;
}

static pp_status check_capacities(const struct settings *settings, pp_error *err)
{
    bool rows = settings->objective == PP_OBJECTIVE_CHEAPEST;
    int64_t most = rows ? MAX_SHAPES : INT32_MAX;
    if (settings->n_capacities > most)
        return ppi_error(err, PP_ERR_ARG, "%s is %lld; it must be at most %lld",
                         rows ? "n_row_lens" : "n_capacities", (long long)settings->n_capacities,
                         (long long)most);
    if (settings->n_capacities > 0 && settings->capacity != 0)
        return ppi_error(err, PP_ERR_ARG, "capacity is %lld, but %s; capacity must be 0",
                         (long long)settings->capacity,
                         rows ? "rows have the lengths in row_lens"
                              : "the bins there are have those in `capacities`");
    return PP_OK;
}

/* Constraints that contradict one another or the objective. */
static pp_status check_constraints(const struct settings *settings, pp_error *err)
{
    const struct {
        const char *name;
        int64_t value;
    } alignments[] = {{"bin_alignment", settings->bin_alignment},
                      {"prompt_alignment", settings->prompt_alignment}};
    int64_t room = settings->capacity - settings->capacity % settings->bin_alignment;
    for (size_t i = 0; i < PPI_COUNT(alignments) && settings->capacity > 0; i++)
        if (alignments[i].value > room)
            return ppi_error(
                err, PP_ERR_ARG, "a bin of %lld tokens holds nothing with a %s of %lld",
                (long long)settings->capacity, alignments[i].name, (long long)alignments[i].value);
    for (int64_t i = 0; settings->objective == PP_OBJECTIVE_CHEAPEST && i < settings->n_capacities;
         i++)
        if (settings->capacities[i] % settings->bin_alignment != 0)
            return ppi_error_at(
                err, PP_ERR_ARG, i, "rows of %lld tokens are not a multiple of bin_alignment, %lld",
                (long long)settings->capacities[i], (long long)settings->bin_alignment);
    if (settings->oversize == PP_OVERSIZE_OWN_BIN &&
        (settings->n_capacities > 0 || settings->objective != PP_OBJECTIVE_FEWEST_BINS))
        return ppi_error(err, PP_ERR_ARG,
                         "oversize OWN_BIN adds bins as large as prompts need, but %s",
                         settings->objective == PP_OBJECTIVE_BALANCED
                             ? "BALANCED makes n_bins bins"
                             : "there are no bins but those of `capacities`");
    return PP_OK;
}

pp_status ppi_settings_read(const pp_packer_params *given, struct settings *settings, pp_error *err)
{
    pp_packer_params params = default_params;
    PP_TRY(ppi_struct_read(&params, sizeof params, given, "pp_packer_params", err));
    *settings = (struct settings){.objective = params.objective,
                                  .oversize = params.oversize,
                                  .keep_order = params.keep_order != 0,
                                  .capacity = params.capacity,
                                  .max_prompts = params.max_prompts,
                                  .bin_alignment = params.bin_alignment,
                                  .prompt_alignment = params.prompt_alignment,
                                  .max_steps = params.max_steps,
                                  .max_seconds = params.max_seconds,
                                  .allocator = params.allocator};
    PP_TRY(check_objective(&params, err));
    if (params.objective == PP_OBJECTIVE_FEWEST_BINS)
        PP_TRY(read_fewest(params.fewest, settings, err));
    else if (params.objective == PP_OBJECTIVE_BALANCED)
        PP_TRY(read_balanced(params.balanced, settings, err));
    else
        PP_TRY(read_cheapest(params.cheapest, settings, err));
    PP_TRY(check_limits(settings, err));
    PP_TRY(check_constraints(settings, err));
    PP_TRY(check_parts(settings, err));
    PP_TRY(check_capacities(settings, err));
    return ppi_cost_read(&settings->cost, params.cost, err);
}
