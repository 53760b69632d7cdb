/*
 * plan_to_json.c: a plan as JSON. One pass that counts, one that writes.
 */
#include "plan_words.h"
#include "plan/plan.h"

#include "json/json_write.h"

#include <prepack/exchange.h>

#include <math.h>
#include <string.h>

/* ---- words ---- */

static const char *const policies[] = {
    [PP_POLICY_FFD] = "ffd",           [PP_POLICY_BFD] = "bfd",
    [PP_POLICY_ARRIVAL] = "arrival",   [PP_POLICY_FIRST_FIT] = "first-fit",
    [PP_POLICY_BEST_FIT] = "best-fit", [PP_POLICY_EXACT] = "exact",
    [PP_POLICY_AUTO] = "auto",
};

static const char *const objectives[] = {
    [PP_OBJECTIVE_FEWEST_BINS] = "fewest",
    [PP_OBJECTIVE_BALANCED] = "balanced",
    [PP_OBJECTIVE_CHEAPEST] = "cheapest",
};

static const char *word_of(const char *const *words, size_t n, int32_t value)
{
    return value > 0 && (size_t)value < n ? words[value] : NULL;
}

static int32_t value_of(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 1; i < n; i++)
        if (words[i] && strcmp(words[i], word) == 0)
            return (int32_t)i;
    return 0;
}

const char *ppi_policy_word(int32_t policy)
{
    return word_of(policies, PPI_COUNT(policies), policy);
}

const char *ppi_objective_word(int32_t objective)
{
    return word_of(objectives, PPI_COUNT(objectives), objective);
}

int32_t ppi_policy_of_word(const char *word)
{
    return value_of(policies, PPI_COUNT(policies), word);
}

int32_t ppi_objective_of_word(const char *word)
{
    return value_of(objectives, PPI_COUNT(objectives), word);
}

/* ---- members; each but the first of an object is led by a comma ---- */

static void put_name(struct ppi_json_out *out, const char *separator, const char *name)
{
    ppi_json_put(out, separator);
    ppi_json_put_string(out, name);
    ppi_json_put(out, ": ");
}

static void put_integer(struct ppi_json_out *out, const char *separator, const char *name,
                        int64_t value)
{
    put_name(out, separator, name);
    ppi_json_put_integer(out, value);
}

/* JSON has no infinity: a figure that became one is null. */
static void put_real(struct ppi_json_out *out, const char *separator, const char *name,
                     double value)
{
    put_name(out, separator, name);
    if (isfinite(value))
        ppi_json_put_real(out, value);
    else
        ppi_json_put(out, "null");
}

static void put_string(struct ppi_json_out *out, const char *separator, const char *name,
                       const char *value)
{
    put_name(out, separator, name);
    ppi_json_put_string(out, value);
}

static void put_integers(struct ppi_json_out *out, const char *separator, const char *name,
                         const int64_t *values, int64_t n)
{
    put_name(out, separator, name);
    ppi_json_put(out, "[");
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            ppi_json_put(out, ",");
        ppi_json_put_integer(out, values[i]);
    }
    ppi_json_put(out, "]");
}

/* ---- the parts of a plan ---- */

static void put_cost(struct ppi_json_out *out, const pp_cost_model *cost)
{
    put_name(out, ",\n", "cost");
    put_real(out, "{", "per_pass", cost->per_pass);
    put_real(out, ", ", "per_token", cost->per_token);
    put_real(out, ", ", "per_square", cost->per_square);
    put_real(out, ", ", "per_prompt", cost->per_prompt);
    put_integer(out, ", ", "tile", cost->tile);
    put_real(out, ", ", "error", cost->error);
    put_integer(out, ", ", "max_tokens", cost->max_tokens);
    put_string(out, ", ", "device", cost->device);
    put_string(out, ", ", "model", cost->model);
    ppi_json_put(out, "}");
}

static void put_bins(struct ppi_json_out *out, const struct pp_plan *plan)
{
    put_name(out, ",\n", "bins");
    ppi_json_put(out, "[");
    for (int64_t bin = 0; bin < plan->info.n_bins; bin++) {
        ppi_json_put(out, bin > 0 ? ",\n  [" : "\n  [");
        for (int64_t i = plan->bin_starts[bin]; i < plan->bin_starts[bin + 1]; i++) {
            if (i > plan->bin_starts[bin])
                ppi_json_put(out, ",");
            ppi_json_put_integer(out, plan->prompts[i]);
        }
        ppi_json_put(out, "]");
    }
    ppi_json_put(out, "]");
}

static void put_segments(struct ppi_json_out *out, const struct pp_plan *plan)
{
    const struct segments *segments = &plan->segments;
    int64_t n = plan->info.n_segments;
    put_name(out, ",\n", "segments");
    put_integers(out, "{", "first_tokens", segments->first_tokens, n);
    put_integers(out, ",\n  ", "n_tokens", segments->n_tokens, n);
    put_integers(out, ",\n  ", "after", segments->after, n);
    put_integers(out, ",\n  ", "ends", segments->ends, plan->info.n_prompts);
    ppi_json_put(out, "}");
}

static void put_figures(struct ppi_json_out *out, const pp_plan_info *info)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {
        {"n_prompts", info->n_prompts},
        {"n_bins", info->n_bins},
        {"n_segments", info->n_segments},
        {"tokens", info->tokens},
        {"placed_tokens", info->placed_tokens},
        {"used", info->used},
        {"total_capacity", info->total_capacity},
        {"longest_prompt", info->longest_prompt},
        {"max_bin_prompts", info->max_bin_prompts},
        {"lower_bound", info->lower_bound},
        {"bound_l1", info->bound_l1},
        {"bound_l2", info->bound_l2},
        {"bound_dff", info->bound_dff},
        {"bound_lp", info->bound_lp},
        {"limit_reached", info->limit_reached},
    };
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"waste", info->waste},           {"gap", info->gap},
        {"max_cost", info->max_cost},     {"mean_cost", info->mean_cost},
        {"cost_bound", info->cost_bound}, {"mean_bin_prompts", info->mean_bin_prompts},
        {"seconds", info->seconds},
    };
    put_name(out, ",\n", "figures");
    for (size_t i = 0; i < PPI_COUNT(counts); i++)
        put_integer(out, i == 0 ? "{" : ", ", counts[i].name, counts[i].value);
    for (size_t i = 0; i < PPI_COUNT(reals); i++)
        put_real(out, ", ", reals[i].name, reals[i].value);
    put_name(out, ", ", "proven_optimal");
    ppi_json_put(out, info->proven_optimal ? "true" : "false");
    ppi_json_put(out, "}");
}

static void put_plan(struct ppi_json_out *out, const struct pp_plan *plan)
{
    const pp_plan_info *info = &plan->info;
    put_string(out, "{", "format", PPI_PLAN_FORMAT);
    put_integer(out, ",\n", "version", PPI_PLAN_VERSION);
    put_string(out, ",\n", "objective", ppi_objective_word(info->objective));
    put_string(out, ",\n", "policy", ppi_policy_word(info->policy));
    put_integer(out, ",\n", "capacity", info->capacity);
    put_integer(out, ",\n", "prompt_alignment", plan->prompt_alignment);
    put_integer(out, ",\n", "bin_alignment", plan->bin_alignment);
    put_cost(out, &plan->cost);
    put_integers(out, ",\n", "lengths", plan->lengths, info->n_prompts);
    put_bins(out, plan);
    if (plan->bin_capacities)
        put_integers(out, ",\n", "bin_capacities", plan->bin_capacities, info->n_bins);
    if (ppi_plan_has_parts(plan))
        put_segments(out, plan);
    put_figures(out, info);
    ppi_json_put(out, "}\n");
}

pp_status pp_plan_to_json(const pp_plan *plan, char *text, size_t room, size_t *bytes,
                          pp_error *err)
{
    if (!plan || !bytes)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_to_json: %s is NULL", plan ? "bytes" : "plan");
    const pp_plan_info *info = &plan->info;
    int64_t n_values = info->n_prompts + info->n_segments + info->n_bins;
    n_values += plan->bin_capacities ? info->n_bins : 0;
    n_values += ppi_plan_has_parts(plan) ? 3 * info->n_segments + info->n_prompts : 0;
    if (n_values > PPI_PLAN_MAX_VALUES)
        return ppi_error(err, PP_ERR_LIMIT,
                         "the plan has %lld prompts in %lld places and %lld bins, more than the %d "
                         "numbers that a plan's text may have",
                         (long long)info->n_prompts, (long long)info->n_segments,
                         (long long)info->n_bins, PPI_PLAN_MAX_VALUES);
    struct ppi_json_out out = {0};
    put_plan(&out, plan);
    if (text) {
        struct ppi_json_out written = {.text = text, .room = room};
        if (room <= out.bytes)
            return ppi_error(err, PP_ERR_ARG,
                             "room for %zu bytes, but the plan's text has %zu and a NUL", room,
                             out.bytes);
        put_plan(&written, plan);
    }
    *bytes = out.bytes;
    return PP_OK;
}
