/*
 * packer_params.c: what a caller asks of a packer, checked.
 */
#include "packer_impl.h"

#include "plan/cost/cost_impl.h"

#define MAX_SHAPES (1 << 20)

static const pp_packer_params default_params = {.struct_size = sizeof(pp_packer_params),
                                                .objective = PP_OBJECTIVE_FEWEST_BINS,
                                                .oversize = PP_OVERSIZE_ERROR,
                                                .min_prefix = 16,
                                                .bin_alignment = 1,
                                                .prompt_alignment = 1};

void pp_packer_params_init(pp_packer_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &default_params, sizeof default_params);
}

/* The objectives that a policy serves, a bit for each. */
static unsigned objectives_of(int32_t policy)
{
    const unsigned fewest = 1u << PP_OBJECTIVE_FEWEST_BINS;
    const unsigned balanced = 1u << PP_OBJECTIVE_BALANCED;
    const unsigned cheapest = 1u << PP_OBJECTIVE_CHEAPEST;
    switch (policy) {
    case PP_POLICY_AUTO:
        return fewest | balanced | cheapest;
    case PP_POLICY_FFD:
        return fewest | cheapest;
    case PP_POLICY_BFD:
    case PP_POLICY_ARRIVAL:
    case PP_POLICY_FIRST_FIT:
    case PP_POLICY_BEST_FIT:
    case PP_POLICY_MBS:
    case PP_POLICY_EXACT:
        return fewest;
    case PP_POLICY_LPT:
    case PP_POLICY_KK:
        return balanced;
    case PP_POLICY_ORDERED:
        return cheapest;
    }
    return 0;
}

static const char *objective_name(int32_t objective)
{
    return objective == PP_OBJECTIVE_FEWEST_BINS ? "FEWEST_BINS"
           : objective == PP_OBJECTIVE_BALANCED  ? "BALANCED"
                                                 : "CHEAPEST";
}

static pp_status check_policy(pp_packer_params *chosen, pp_error *err)
{
    if (chosen->objective < PP_OBJECTIVE_FEWEST_BINS || chosen->objective > PP_OBJECTIVE_CHEAPEST)
        return ppi_error(err, PP_ERR_ARG,
                         "objective %d is unknown; there are %d (FEWEST_BINS) to %d (CHEAPEST)",
                         chosen->objective, PP_OBJECTIVE_FEWEST_BINS, PP_OBJECTIVE_CHEAPEST);
    if (chosen->policy == 0)
        chosen->policy =
            chosen->objective == PP_OBJECTIVE_FEWEST_BINS ? PP_POLICY_FFD : PP_POLICY_AUTO;
    unsigned objectives = objectives_of(chosen->policy);
    if (objectives == 0)
        return ppi_error(err, PP_ERR_ARG,
                         "policy %d is unknown; there are %d (FFD) to %d (ORDERED)", chosen->policy,
                         PP_POLICY_FFD, PP_POLICY_ORDERED);
    if ((objectives & 1u << chosen->objective) == 0)
        return ppi_error(err, PP_ERR_ARG, "policy %d does not serve the objective %s",
                         chosen->policy, objective_name(chosen->objective));
    return PP_OK;
}

static pp_status check_limits(const pp_packer_params *chosen, pp_error *err)
{
    if (chosen->capacity < 0)
        return ppi_error(
            err, PP_ERR_ARG,
            "capacity is %lld tokens; it must be positive, or 0 for the longest prompt",
            (long long)chosen->capacity);
    if (chosen->oversize < PP_OVERSIZE_ERROR || chosen->oversize > PP_OVERSIZE_SPLIT)
        return ppi_error(err, PP_ERR_ARG,
                         "oversize %d is unknown; there are %d (ERROR) to %d (SPLIT)",
                         chosen->oversize, PP_OVERSIZE_ERROR, PP_OVERSIZE_SPLIT);
    const struct {
        const char *name;
        int64_t value, least;
    } limits[] = {
        {"min_prefix", chosen->min_prefix, 1},
        {"max_prompts", chosen->max_prompts, 0},
        {"bin_alignment", chosen->bin_alignment, 1},
        {"prompt_alignment", chosen->prompt_alignment, 1},
        {"n_bins", chosen->n_bins, chosen->objective == PP_OBJECTIVE_BALANCED},
        {"n_capacities", chosen->n_capacities, chosen->objective == PP_OBJECTIVE_CHEAPEST},
        {"max_steps", chosen->max_steps, -1},
    };
    for (size_t i = 0; i < PPI_COUNT(limits); i++)
        if (limits[i].value < limits[i].least || limits[i].value > INT64_MAX / 4)
            return ppi_error(err, PP_ERR_ARG, "%s is %lld; it must be at least %lld",
                             limits[i].name, (long long)limits[i].value,
                             (long long)limits[i].least);
    if (!(chosen->max_seconds >= 0))
        return ppi_error(err, PP_ERR_ARG, "max_seconds is %g seconds; it must be at least 0",
                         chosen->max_seconds);
    for (int64_t i = 0; i < chosen->n_capacities; i++)
        if (!chosen->capacities || chosen->capacities[i] < 1)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "capacity %lld of %lld is %lld tokens; it must be at least 1",
                                (long long)i, (long long)chosen->n_capacities,
                                chosen->capacities ? (long long)chosen->capacities[i] : 0);
    return PP_OK;
}

/* Parts of prompts need bins of one capacity, as many as it takes. */
static pp_status check_parts(const pp_packer_params *chosen, pp_error *err)
{
    bool share = chosen->share_prefixes != 0;
    if (!share && chosen->oversize != PP_OVERSIZE_SPLIT)
        return PP_OK;
    const char *asked = share ? "share_prefixes" : "oversize SPLIT";
    if (chosen->objective != PP_OBJECTIVE_FEWEST_BINS)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s serves the objective FEWEST_BINS only, not %s", asked,
                         objective_name(chosen->objective));
    if (chosen->n_capacities > 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s needs bins of one capacity, but `capacities` has %lld", asked,
                         (long long)chosen->n_capacities);
    if (share && chosen->oversize == PP_OVERSIZE_OWN_BIN)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "share_prefixes does not go with oversize OWN_BIN, only with ERROR and "
                         "SPLIT");
    return PP_OK;
}

static pp_status check_capacities(const pp_packer_params *chosen, pp_error *err)
{
    if (chosen->objective == PP_OBJECTIVE_CHEAPEST && chosen->capacity != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "CHEAPEST takes the lengths of its rows from capacities; capacity must be "
                         "0, not %lld",
                         (long long)chosen->capacity);
    if (chosen->objective == PP_OBJECTIVE_CHEAPEST && chosen->n_capacities > MAX_SHAPES)
        return ppi_error(err, PP_ERR_ARG, "n_capacities is %lld; rows have at most %d lengths",
                         (long long)chosen->n_capacities, MAX_SHAPES);
    if (chosen->objective == PP_OBJECTIVE_BALANCED && chosen->n_capacities != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "bins of BALANCED have one capacity, but n_capacities is %lld",
                         (long long)chosen->n_capacities);
    if (chosen->objective != PP_OBJECTIVE_BALANCED && chosen->n_bins != 0)
        return ppi_error(err, PP_ERR_ARG, "n_bins is %lld, but the objective is %s, not BALANCED",
                         (long long)chosen->n_bins, objective_name(chosen->objective));
    return PP_OK;
}

/* Constraints that contradict one another or the objective. */
static pp_status check_constraints(const pp_packer_params *chosen, pp_error *err)
{
    const struct {
        const char *name;
        int64_t value;
    } alignments[] = {{"bin_alignment", chosen->bin_alignment},
                      {"prompt_alignment", chosen->prompt_alignment}};
    int64_t room = chosen->capacity - chosen->capacity % chosen->bin_alignment;
    for (size_t i = 0; i < PPI_COUNT(alignments) && chosen->capacity > 0; i++)
        if (alignments[i].value > room)
            return ppi_error(
                err, PP_ERR_ARG, "a bin of %lld tokens holds nothing with a %s of %lld",
                (long long)chosen->capacity, alignments[i].name, (long long)alignments[i].value);
    if (chosen->n_capacities > INT32_MAX)
        return ppi_error(err, PP_ERR_ARG, "n_capacities is %lld; it must be at most %d",
                         (long long)chosen->n_capacities, INT32_MAX);
    for (int64_t i = 0; chosen->objective == PP_OBJECTIVE_CHEAPEST && i < chosen->n_capacities; i++)
        if (chosen->capacities[i] % chosen->bin_alignment != 0)
            return ppi_error_at(err, PP_ERR_ARG, i,
                                "rows of %lld tokens are not a multiple of bin_alignment, %lld",
                                (long long)chosen->capacities[i], (long long)chosen->bin_alignment);
    if (chosen->oversize == PP_OVERSIZE_OWN_BIN &&
        (chosen->n_capacities > 0 || chosen->objective != PP_OBJECTIVE_FEWEST_BINS))
        return ppi_error(err, PP_ERR_ARG,
                         "oversize OWN_BIN adds bins as large as prompts need, but %s",
                         chosen->objective == PP_OBJECTIVE_BALANCED
                             ? "BALANCED makes n_bins bins"
                             : "there are no bins but those of `capacities`");
    return PP_OK;
}

pp_status ppi_packer_params_read(const pp_packer_params *params, pp_packer_params *chosen,
                                 pp_cost_model *cost, pp_error *err)
{
    *chosen = default_params;
    PP_TRY(ppi_struct_read(chosen, sizeof *chosen, params, "pp_packer_params", err));
    PP_TRY(
        ppi_reserved_check(chosen->reserved, PPI_COUNT(chosen->reserved), "pp_packer_params", err));
    PP_TRY(check_policy(chosen, err));
    PP_TRY(check_limits(chosen, err));
    PP_TRY(check_constraints(chosen, err));
    PP_TRY(check_parts(chosen, err));
    PP_TRY(check_capacities(chosen, err));
    return ppi_cost_read(cost, chosen->cost, err);
}
