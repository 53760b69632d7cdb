/* plan_figures.c: the figures of plans: summed, printed, as JSON. */
#include "plan_figures.h"
#include "plan_options.h"

#include <inttypes.h>

void plan_figures_add(struct plan_figures *figures, const pp_plan_info *info)
{
    const bool first = figures->batches == 0;
    figures->same_capacity =
        first || (figures->same_capacity && figures->capacity == info->capacity);
    if (figures->capacity < info->capacity)
        figures->capacity = info->capacity;
    figures->batches++;
    figures->batches_proven += info->proven_optimal;
    figures->prompts += info->n_prompts;
    figures->bins += info->n_bins;
    figures->segments += info->n_segments;
    figures->tokens += info->tokens;
    figures->placed_tokens += info->placed_tokens;
    figures->used += info->used;
    figures->total_capacity += (double)info->total_capacity;
    figures->padded_tokens += info->n_prompts * info->longest_prompt;
    figures->lower_bound += info->lower_bound;
    figures->bound_l1 += info->bound_l1;
    figures->bound_l2 += info->bound_l2;
    figures->bound_dff += info->bound_dff;
    figures->bound_lp += info->bound_lp;
    figures->has_l2 = (first || figures->has_l2) && info->bound_l2 > 0;
    figures->has_dff = (first || figures->has_dff) && info->bound_dff > 0;
    figures->has_lp = (first || figures->has_lp) && info->bound_lp > 0;
    if (figures->max_bin_prompts < info->max_bin_prompts)
        figures->max_bin_prompts = info->max_bin_prompts;
    const double sum = info->mean_cost * (double)info->n_bins;
    figures->cost_sum += sum;
    figures->cost += info->objective == PP_OBJECTIVE_BALANCED ? info->max_cost : sum;
    figures->cost_bound += info->cost_bound;
    if (figures->max_cost < info->max_cost)
        figures->max_cost = info->max_cost;
    figures->seconds += info->seconds;
    figures->objective = info->objective;
    figures->policy = first || figures->policy == info->policy ? info->policy : 0;
    if (figures->limit_reached < info->limit_reached)
        figures->limit_reached = info->limit_reached;
}

void plan_figures_finish(struct plan_figures *figures)
{
    const bool by_bins = figures->objective == PP_OBJECTIVE_FEWEST_BINS;
    const double reached = by_bins ? (double)figures->bins : figures->cost;
    const double bound = by_bins ? (double)figures->lower_bound : figures->cost_bound;
    figures->gap =
        bound > 0 && figures->batches_proven < figures->batches ? reached / bound - 1 : 0;
    figures->waste = figures->total_capacity > 0
                         ? 1 - (double)figures->placed_tokens / figures->total_capacity
                         : 0;
    if (figures->waste < 0)
        figures->waste = 0;
}

static void print_proof(const struct plan_figures *figures, FILE *out)
{
    if (figures->batches_proven == figures->batches)
        fputs(", proven optimal", out);
    else if (figures->batches_proven > 0)
        fprintf(out, ", proven optimal in %" PRId64 " of %" PRId64 " batches",
                figures->batches_proven, figures->batches);
    if (figures->limit_reached)
        fprintf(out, "; the search ended at its limit of %s",
                figures->limit_reached == 1 ? "steps" : "time");
    fputc('\n', out);
}

/* Bounds that were computed for every batch. */
static void print_bounds(const struct plan_figures *figures, FILE *out)
{
    fprintf(out, "bounds         L1 %" PRId64, figures->bound_l1);
    if (figures->has_l2)
        fprintf(out, ", L2 %" PRId64, figures->bound_l2);
    if (figures->has_dff)
        fprintf(out, ", dual feasible %" PRId64, figures->bound_dff);
    if (figures->has_lp)
        fprintf(out, ", LP %" PRId64, figures->bound_lp);
    fputc('\n', out);
}

void plan_figures_print(const struct plan_figures *figures, const char *cost_unit, FILE *out)
{
    const double bins = figures->bins > 0 ? (double)figures->bins : 1;
    fprintf(out, "tokens         %" PRId64 "\n", figures->tokens);
    if (figures->placed_tokens < figures->tokens)
        fprintf(out, "placed         %" PRId64 " tokens; %.2f %% are prefixes that prompts share\n",
                figures->placed_tokens,
                100 * (1 - (double)figures->placed_tokens / (double)figures->tokens));
    if (figures->used > figures->placed_tokens)
        fprintf(out, "alignment      %" PRId64 " tokens more\n",
                figures->used - figures->placed_tokens);
    fprintf(out, "capacity       %" PRId64 " tokens%s\n", figures->capacity,
            figures->same_capacity ? "" : " at most (the longest prompt of each batch)");
    fprintf(out, "bins           %" PRId64 " (%s%s%s)\n", figures->bins,
            figures->policy ? policy_name(figures->policy) : "several policies",
            figures->objective == PP_OBJECTIVE_FEWEST_BINS ? "" : ", ",
            figures->objective == PP_OBJECTIVE_FEWEST_BINS ? ""
                                                           : objective_name(figures->objective));
    fprintf(out, "in a bin       %.2f prompts%s, %" PRId64 " at most\n",
            (double)figures->segments / bins,
            figures->segments > figures->prompts ? " and parts of prompts" : "",
            figures->max_bin_prompts);
    if (figures->objective == PP_OBJECTIVE_FEWEST_BINS) {
        fprintf(out, "lower bound    %" PRId64 " bins; %.2f %% above it", figures->lower_bound,
                100 * figures->gap);
        print_proof(figures, out);
        print_bounds(figures, out);
    } else {
        fprintf(out, "lower bound    %.6g %s; %.6g is %.2f %% above it", figures->cost_bound,
                cost_unit, figures->cost, 100 * figures->gap);
        print_proof(figures, out);
    }
    fprintf(out, "cost of a bin  mean %.6g %s, most %.6g\n", figures->cost_sum / bins, cost_unit,
            figures->max_cost);
    fprintf(out, "waste          %.2f %% of the capacity\n", 100 * figures->waste);
    fprintf(out, "full batching  %" PRId64 " tokens with padding, %.2f times the real ones\n",
            figures->padded_tokens,
            figures->tokens > 0 ? (double)figures->padded_tokens / (double)figures->tokens : 1.0);
    fprintf(out, "planned in     %.6f s\n", figures->seconds);
}

json_t *plan_figures_json(const struct plan_figures *figures)
{
    const double bins = figures->bins > 0 ? (double)figures->bins : 1;
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {
        {"batches", figures->batches},
        {"batches_proven", figures->batches_proven},
        {"segments", figures->segments},
        {"placed_tokens", figures->placed_tokens},
        {"used", figures->used},
        {"padded_tokens", figures->padded_tokens},
        {"bound_l1", figures->bound_l1},
        {"bound_l2", figures->bound_l2},
        {"bound_dff", figures->bound_dff},
        {"bound_lp", figures->bound_lp},
        {"max_bin_prompts", figures->max_bin_prompts},
        {"limit_reached", figures->limit_reached},
    };
    const struct {
        const char *key;
        double value;
    } reals[] = {
        {"mean_bin_prompts", (double)figures->segments / bins},
        {"max_cost", figures->max_cost},
        {"mean_cost", figures->cost_sum / bins},
        {"cost", figures->cost},
        {"cost_bound", figures->cost_bound},
    };
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:f, s:f, s:s, s:s}",     /**/
                             "prompts", (json_int_t)figures->prompts,                       /**/
                             "tokens", (json_int_t)figures->tokens,                         /**/
                             "capacity", (json_int_t)figures->capacity,                     /**/
                             "bins", (json_int_t)figures->bins,                             /**/
                             "lower_bound", (json_int_t)figures->lower_bound,               /**/
                             "gap", figures->gap,                                           /**/
                             "proven_optimal", figures->batches_proven == figures->batches, /**/
                             "waste", figures->waste,                                       /**/
                             "seconds", figures->seconds,                                   /**/
                             "objective", objective_name(figures->objective),               /**/
                             "policy", figures->policy ? policy_name(figures->policy) : "several");
    int failed = json == NULL;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && !failed; i++)
        failed = json_object_set_new(json, counts[i].key, json_integer(counts[i].value));
    for (size_t i = 0; i < sizeof reals / sizeof *reals && !failed; i++)
        failed = json_object_set_new(json, reals[i].key, json_real(reals[i].value));
    if (!failed)
        return json;
    json_decref(json);
    return NULL;
}
