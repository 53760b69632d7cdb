/*
 * plan_from_json.c: a plan from JSON. The text's shape and types are checked here, what the numbers
 * say in plan_check.c; figures come from the checked plan, not from the text.
 */
#include "plan_check.h"
#include "plan_words.h"
#include "plan/plan.h"

#include "plan/cost/cost_impl.h"
#include "json/json_text.h"

#include <prepack/exchange.h>

#include <math.h>
#include <string.h>

/* ---- one value ---- */

/* An integer in [low, high]; where is the member's name in full. */
static pp_status read_integer(const struct ppi_json_value *value, const char *where, int64_t low,
                              int64_t high, int64_t *out, pp_error *err)
{
    if (!ppi_json_is(value, PPI_JSON_INTEGER) || value->integer < low || value->integer > high)
        return ppi_error(err, PP_ERR_FORMAT,
                         "plan: %s is %s, but must be an integer from %lld to %lld", where,
                         ppi_json_describe(value).text, (long long)low, (long long)high);
    *out = value->integer;
    return PP_OK;
}

/* Integers in [low, high], n of them, to out. */
static pp_status read_integers(const struct ppi_json_value *array, const char *where, int64_t n,
                               int64_t low, int64_t high, int64_t *out, pp_error *err)
{
    if (ppi_json_is(array, PPI_JSON_ARRAY) && array->len != n)
        return ppi_error(err, PP_ERR_FORMAT, "plan: %s has %u values, but needs %lld", where,
                         array->len, (long long)n);
    if (!ppi_json_is(array, PPI_JSON_ARRAY))
        return ppi_error(err, PP_ERR_FORMAT,
                         "plan: %s is %s, but must be an array of %lld integers", where,
                         ppi_json_describe(array).text, (long long)n);
    const struct ppi_json_value *item = ppi_json_first(array);
    for (int64_t i = 0; i < n; i++, item = ppi_json_next(array, item)) {
        if (!ppi_json_is(item, PPI_JSON_INTEGER) || item->integer < low || item->integer > high)
            return ppi_error_at(err, PP_ERR_FORMAT, i,
                                "plan: %s[%lld] is %s, but must be an integer from %lld to %lld",
                                where, (long long)i, ppi_json_describe(item).text, (long long)low,
                                (long long)high);
        out[i] = item->integer;
    }
    return PP_OK;
}

/* A string of fewer than `room` bytes, copied. */
static pp_status read_text(const struct ppi_json_value *value, const char *where, char *out,
                           size_t room, pp_error *err)
{
    const char *text = ppi_json_string(value);
    if (!text || value->len >= room)
        return ppi_error(err, PP_ERR_FORMAT,
                         "plan: %s is %s, but must be a string of at most %zu bytes", where,
                         ppi_json_describe(value).text, room - 1);
    memcpy(out, text, value->len + 1);
    return PP_OK;
}

static pp_status read_real(const struct ppi_json_value *value, const char *where, double *out,
                           pp_error *err)
{
    if (!ppi_json_number(value, out) || *out < 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "plan: %s is %s, but must be a number that is not negative", where,
                         ppi_json_describe(value).text);
    return PP_OK;
}

/* One of the words that of_word knows. */
static pp_status read_word(const struct ppi_json_value *value, const char *where,
                           int32_t (*of_word)(const char *), int32_t *out, pp_error *err)
{
    const char *word = ppi_json_string(value);
    *out = word ? of_word(word) : 0;
    if (*out == 0)
        return ppi_error(err, PP_ERR_FORMAT, "plan: %s is %s, which this library does not know",
                         where, ppi_json_describe(value).text);
    return PP_OK;
}

/* Refuses an object with members that this version does not have: they may mean something. */
static pp_status check_members(const struct ppi_json_value *object, const char *where,
                               const char *const *names, size_t n_names, pp_error *err)
{
    if (!ppi_json_is(object, PPI_JSON_OBJECT))
        return ppi_error(err, PP_ERR_FORMAT, "plan: %s is %s, but must be an object", where,
                         ppi_json_describe(object).text);
    for (const struct ppi_json_value *member = ppi_json_first(object); member;
         member = ppi_json_next(object, member)) {
        size_t i = 0;
        while (i < n_names && strcmp(member->name, names[i]) != 0)
            i++;
        if (i == n_names)
            return ppi_error(err, PP_ERR_FORMAT,
                             "plan: %s has a member \"%s\", which version %d of the format does "
                             "not have",
                             where, ppi_label(member->name).text, PPI_PLAN_VERSION);
    }
    return PP_OK;
}

/* ---- the parts of a plan ---- */

static pp_status check_header(const struct ppi_json_value *root, pp_error *err)
{
    static const char *const names[] = {
        "format",           "version",       "objective", "policy",  "capacity",
        "prompt_alignment", "bin_alignment", "cost",      "lengths", "bins",
        "bin_capacities",   "segments",      "figures"};
    const char *format = ppi_json_string(ppi_json_get(root, "format"));
    if (!format || strcmp(format, PPI_PLAN_FORMAT) != 0)
        return ppi_error(err, PP_ERR_FORMAT, "plan: format is %s, but must be \"%s\"",
                         ppi_json_describe(ppi_json_get(root, "format")).text, PPI_PLAN_FORMAT);
    int64_t version = 0;
    PP_TRY(read_integer(ppi_json_get(root, "version"), "version", 1, INT32_MAX, &version, err));
    if (version != PPI_PLAN_VERSION)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "plan: version %lld of the format; this library reads version %d",
                         (long long)version, PPI_PLAN_VERSION);
    return check_members(root, "the plan", names, PPI_COUNT(names), err);
}

static pp_status read_cost(const struct ppi_json_value *object, pp_cost_model *cost, pp_error *err)
{
    static const char *const names[] = {"per_pass",   "per_token", "per_square",
                                        "per_prompt", "tile",      "error",
                                        "max_tokens", "device",    "model"};
    PP_TRY(check_members(object, "cost", names, PPI_COUNT(names), err));
    pp_cost_init(cost, sizeof *cost);
    PP_TRY(read_real(ppi_json_get(object, "per_pass"), "cost.per_pass", &cost->per_pass, err));
    PP_TRY(read_real(ppi_json_get(object, "per_token"), "cost.per_token", &cost->per_token, err));
    PP_TRY(
        read_real(ppi_json_get(object, "per_square"), "cost.per_square", &cost->per_square, err));
    PP_TRY(
        read_real(ppi_json_get(object, "per_prompt"), "cost.per_prompt", &cost->per_prompt, err));
    PP_TRY(read_integer(ppi_json_get(object, "tile"), "cost.tile", 1, INT64_MAX, &cost->tile, err));
    PP_TRY(read_real(ppi_json_get(object, "error"), "cost.error", &cost->error, err));
    if (ppi_json_get(object, "max_tokens"))
        PP_TRY(read_integer(ppi_json_get(object, "max_tokens"), "cost.max_tokens", 0, INT64_MAX,
                            &cost->max_tokens, err));
    PP_TRY(read_text(ppi_json_get(object, "device"), "cost.device", cost->device,
                     sizeof cost->device, err));
    return read_text(ppi_json_get(object, "model"), "cost.model", cost->model, sizeof cost->model,
                     err);
}

/* Everything that stands beside the arrays. */
static pp_status read_settings(const struct ppi_json_value *root, struct pp_plan *plan,
                               pp_error *err)
{
    pp_plan_info *info = &plan->info;
    PP_TRY(read_word(ppi_json_get(root, "objective"), "objective", ppi_objective_of_word,
                     &info->objective, err));
    PP_TRY(
        read_word(ppi_json_get(root, "policy"), "policy", ppi_policy_of_word, &info->policy, err));
    PP_TRY(read_integer(ppi_json_get(root, "capacity"), "capacity", 0, INT64_MAX, &info->capacity,
                        err));
    PP_TRY(read_integer(ppi_json_get(root, "prompt_alignment"), "prompt_alignment", 1,
                        INT64_MAX / 4, &plan->prompt_alignment, err));
    PP_TRY(read_integer(ppi_json_get(root, "bin_alignment"), "bin_alignment", 1, INT64_MAX / 4,
                        &plan->bin_alignment, err));
    return read_cost(ppi_json_get(root, "cost"), &plan->cost, err);
}

static pp_status read_lengths(const struct ppi_json_value *array, struct pp_plan *plan,
                              pp_error *err)
{
    pp_plan_info *info = &plan->info;
    PP_TRY(read_integers(array, "lengths", info->n_prompts, 1, INT64_MAX, plan->lengths, err));
    for (int64_t i = 0; i < info->n_prompts; i++) {
        if (__builtin_add_overflow(info->tokens, plan->lengths[i], &info->tokens))
            return ppi_error_at(err, PP_ERR_FORMAT, i,
                                "plan: prompts 0 to %lld have more than 2^63 - 1 tokens together",
                                (long long)i);
        if (plan->lengths[i] > info->longest_prompt)
            info->longest_prompt = plan->lengths[i];
    }
    return PP_OK;
}

static pp_status read_bins(const struct ppi_json_value *array, struct pp_plan *plan, pp_error *err)
{
    pp_plan_info *info = &plan->info;
    int64_t n = 0; /* segments so far */
    for (const struct ppi_json_value *bin = ppi_json_first(array); bin;
         bin = ppi_json_next(array, bin)) {
        for (const struct ppi_json_value *prompt = ppi_json_first(bin); prompt;
             prompt = ppi_json_next(bin, prompt)) {
            if (!ppi_json_is(prompt, PPI_JSON_INTEGER) || prompt->integer < 0 ||
                prompt->integer >= info->n_prompts)
                return ppi_error_at(err, PP_ERR_FORMAT, info->n_bins,
                                    "plan: bin %lld holds prompt %s, but the prompts are 0 to %lld",
                                    (long long)info->n_bins, ppi_json_describe(prompt).text,
                                    (long long)info->n_prompts - 1);
            plan->prompts[n++] = (int32_t)prompt->integer;
        }
        plan->bin_starts[++info->n_bins] = n;
    }
    return PP_OK;
}

static pp_status read_capacities(const struct ppi_json_value *array, struct pp_plan *plan,
                                 pp_error *err)
{
    if (!array)
        return PP_OK;
    size_t n = (size_t)plan->info.n_bins;
    plan->bin_capacities = ppi_alloc(&plan->mem, n, sizeof *plan->bin_capacities);
    if (!plan->bin_capacities)
        return ppi_error_nomem(err, "the capacities of a plan", n * sizeof(int64_t));
    return read_integers(array, "bin_capacities", plan->info.n_bins, 0, INT64_MAX,
                         plan->bin_capacities, err);
}

static pp_status read_segments(const struct ppi_json_value *object, struct pp_plan *plan,
                               pp_error *err)
{
    static const char *const names[] = {"first_tokens", "n_tokens", "after", "ends"};
    if (!object)
        return PP_OK;
    PP_TRY(check_members(object, "segments", names, PPI_COUNT(names), err));
    PP_TRY(ppi_plan_add_segments(plan, err));
    const struct segments *segments = &plan->segments;
    int64_t n = plan->info.n_segments;
    PP_TRY(read_integers(ppi_json_get(object, "first_tokens"), "segments.first_tokens", n, 0,
                         INT64_MAX, segments->first_tokens, err));
    PP_TRY(read_integers(ppi_json_get(object, "n_tokens"), "segments.n_tokens", n, 1, INT64_MAX,
                         segments->n_tokens, err));
    PP_TRY(read_integers(ppi_json_get(object, "after"), "segments.after", n, -1, INT64_MAX,
                         segments->after, err));
    return read_integers(ppi_json_get(object, "ends"), "segments.ends", plan->info.n_prompts, 0,
                         INT64_MAX, segments->ends, err);
}

/* How the plan was made, which the plan itself does not tell, is taken from the figures; its sums
 * must be those of the bins, so that a plan that lost something on its way is noticed. */
static pp_status read_figures(const struct ppi_json_value *figures, pp_plan_info *info,
                              pp_error *err)
{
    const struct {
        const char *name;
        int64_t value;
    } sums[] = {
        {"n_prompts", info->n_prompts},
        {"n_bins", info->n_bins},
        {"n_segments", info->n_segments},
        {"tokens", info->tokens},
        {"used", info->used},
        {"placed_tokens", info->placed_tokens},
    };
    if (!figures)
        return PP_OK;
    if (!ppi_json_is(figures, PPI_JSON_OBJECT))
        return ppi_error(err, PP_ERR_FORMAT, "plan: figures is %s, but must be an object",
                         ppi_json_describe(figures).text);
    for (size_t i = 0; i < PPI_COUNT(sums); i++) {
        const struct ppi_json_value *value = ppi_json_get(figures, sums[i].name);
        if (value && (!ppi_json_is(value, PPI_JSON_INTEGER) || value->integer != sums[i].value))
            return ppi_error(err, PP_ERR_FORMAT, "plan: figures.%s is %s, but the bins have %lld",
                             sums[i].name, ppi_json_describe(value).text, (long long)sums[i].value);
    }
    const struct ppi_json_value *seconds = ppi_json_get(figures, "seconds");
    const struct ppi_json_value *limit = ppi_json_get(figures, "limit_reached");
    int64_t limit_reached = 0;
    if (seconds)
        PP_TRY(read_real(seconds, "figures.seconds", &info->seconds, err));
    if (limit)
        PP_TRY(read_integer(limit, "figures.limit_reached", 0, 2, &limit_reached, err));
    info->limit_reached = (int32_t)limit_reached;
    return PP_OK;
}

/* Fills an empty plan that has room for what the text counts. */
static pp_status read_plan(const struct ppi_json_value *root, struct pp_plan *plan,
                           struct ppi_mem *mem, pp_error *err)
{
    pp_plan_info *info = &plan->info;
    int64_t room;
    PP_TRY(read_settings(root, plan, err));
    PP_TRY(read_lengths(ppi_json_get(root, "lengths"), plan, err));
    PP_TRY(read_bins(ppi_json_get(root, "bins"), plan, err));
    PP_TRY(read_capacities(ppi_json_get(root, "bin_capacities"), plan, err));
    PP_TRY(read_segments(ppi_json_get(root, "segments"), plan, err));
    PP_TRY(ppi_plan_check_segments(plan, mem, err));
    PP_TRY(ppi_plan_check_bins(plan, &room, err));
    PP_TRY(ppi_plan_find_bounds(plan, room, mem, err));
    ppi_plan_set_figures(plan);
    return read_figures(ppi_json_get(root, "figures"), info, err);
}

/* How many prompts and places: *n_prompts, *n_segments. */
static pp_status count(const struct ppi_json_value *lengths, const struct ppi_json_value *bins,
                       int64_t *n_prompts, int64_t *n_segments, pp_error *err)
{
    if (!ppi_json_is(lengths, PPI_JSON_ARRAY) || !ppi_json_is(bins, PPI_JSON_ARRAY)) {
        bool has_lengths = ppi_json_is(lengths, PPI_JSON_ARRAY);
        return ppi_error(err, PP_ERR_FORMAT, "plan: %s is %s, but must be an array",
                         has_lengths ? "bins" : "lengths",
                         ppi_json_describe(has_lengths ? bins : lengths).text);
    }
    *n_prompts = lengths->len;
    *n_segments = 0;
    int64_t n_bins = 0;
    for (const struct ppi_json_value *bin = ppi_json_first(bins); bin;
         bin = ppi_json_next(bins, bin), n_bins++) {
        if (!ppi_json_is(bin, PPI_JSON_ARRAY))
            return ppi_error_at(err, PP_ERR_FORMAT, n_bins,
                                "plan: bin %lld is %s, but must be an array of prompts",
                                (long long)n_bins, ppi_json_describe(bin).text);
        *n_segments += bin->len;
    }
    return PP_OK;
}

static pp_status make_plan(const struct ppi_json_value *root, struct ppi_mem *mem,
                           struct pp_plan **plan, pp_error *err)
{
    int64_t n_prompts = 0, n_segments = 0;
    struct pp_plan *new_plan;
    const struct ppi_json_value *bins = ppi_json_get(root, "bins");
    PP_TRY(check_header(root, err));
    PP_TRY(count(ppi_json_get(root, "lengths"), bins, &n_prompts, &n_segments, err));
    PP_TRY(ppi_plan_create(&mem->allocator, n_prompts, n_segments, (int64_t)bins->len, &new_plan,
                           err));
    pp_status status = read_plan(root, new_plan, mem, err);
    if (status < 0)
        pp_plan_destroy(new_plan);
    else
        *plan = new_plan;
    return status;
}

pp_status pp_plan_from_json(const char *text, size_t n_bytes, const pp_allocator *allocator,
                            pp_plan **plan, pp_error *err)
{
    if (!text || !plan)
        return ppi_error(err, PP_ERR_ARG, "pp_plan_from_json: %s is NULL", text ? "plan" : "text");
    struct ppi_mem mem;
    struct ppi_json json;
    PP_TRY(ppi_mem_init(&mem, allocator, 0, err));
    char *copy = ppi_alloc(&mem, n_bytes, 1); /* the reader decodes strings in place */
    if (!copy)
        return ppi_error_nomem(err, "the text of a plan", n_bytes);
    memcpy(copy, text, n_bytes);
    pp_status status = ppi_json_parse(copy, n_bytes, "plan", NULL, &mem, &json, err);
    if (status >= 0) {
        status = make_plan(json.root, &mem, plan, err);
        ppi_json_free(&json, &mem);
    }
    ppi_free(&mem, copy);
    return status;
}
