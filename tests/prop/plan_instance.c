/*
 * plan_instance.c: plans an instance and checks, by definitions as plain as can be, everything that
 * a plan promises.
 */
#include "support/flat_params.h"
#include "plan_instance.h"

#define PASS(call)                                                                                 \
    do {                                                                                           \
        const char *wrong_ = (call);                                                               \
        if (wrong_)                                                                                \
            return wrong_;                                                                         \
    } while (0)

static int64_t rounded(int64_t a, int64_t multiple)
{
    return (a + multiple - 1) / multiple * multiple;
}

int32_t instance_token(const struct instance *instance, int32_t i, int64_t position)
{
    int32_t twin = instance->twin[i];
    return (twin < i && position < instance->lengths[twin] / 2) ? twin * 1000 + (int32_t)position
                                                                : i * 1000 + (int32_t)position;
}

static pp_status make_packer(const struct instance *instance, pp_packer **packer, pp_error *err)
{
    struct flat_params params;
    flat_init(&params);
    params.objective = instance->objective;
    params.policy = instance->policy;
    params.oversize = instance->oversize;
    params.keep_order = instance->keep_order;
    params.min_shared_prefix = instance->share_prefixes ? 2 : 0;
    params.capacity = instance->capacity;
    params.max_prompts = instance->max_prompts;
    params.bin_alignment = instance->bin_alignment;
    params.prompt_alignment = instance->prompt_alignment;
    params.n_bins = instance->n_bins;
    params.capacities = instance->capacities;
    params.n_capacities = instance->n_capacities;
    params.max_steps = 400000;
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    cost.per_square = 1e-3 * (double)instance->per_square;
    params.cost = instance->per_square ? &cost : NULL;
    return flat_create(&params, packer, err);
}

void instance_fill_prompts(const struct instance *instance, struct prompts *prompts)
{
    for (int32_t i = 0; i < instance->n; i++) {
        for (int64_t j = 0; j < instance->lengths[i]; j++)
            prompts->tokens[i][j] = instance_token(instance, i, j);
        prompts->prompts[i] =
            (pp_prompt){.tokens = prompts->tokens[i], .n_tokens = instance->lengths[i]};
    }
}

pp_status instance_plan(const struct instance *instance, pp_plan **plan, pp_error *err)
{
    pp_packer *packer = NULL;
    pp_status status = make_packer(instance, &packer, err);
    if (status < 0)
        return status;
    static struct prompts prompts;
    instance_fill_prompts(instance, &prompts);
    bool with_tokens = instance->share_prefixes;
    pp_plan_input input = {
        .struct_size = sizeof input,
        .n = instance->n,
        .lengths = with_tokens ? NULL : instance->lengths,
        .prompts = with_tokens ? prompts.prompts : NULL,
        .together = instance_has(instance->together, instance->n) ? instance->together : NULL,
        .apart = instance_has(instance->apart, instance->n) ? instance->apart : NULL};
    status = pp_packer_plan_input(packer, &input, plan, err);
    pp_packer_destroy(packer);
    return status;
}

/* ---- refusals ---- */

/* Prompts of one class are also to be apart, directly or, in order, by what lies between. */
static bool contradicts_itself(const struct instance *instance)
{
    bool runs = instance->keep_order;
    int item[MAX_N];
    for (int i = 0; i < instance->n; i++)
        item[i] = i;
    for (bool changed = true; changed;) { /* the lowest of the prompts that share i's bin */
        changed = false;
        for (int i = 0; i < instance->n; i++)
            for (int j = 0; j < i; j++) {
                bool joined =
                    instance->together[i] >= 0 && instance->together[i] == instance->together[j];
                for (int p = 0; runs && p <= j; p++) /* between two of a class */
                    for (int q = i; q < instance->n; q++)
                        joined = joined || (instance->together[p] >= 0 &&
                                            instance->together[p] == instance->together[q]);
                int low = item[j] < item[i] ? item[j] : item[i];
                if (joined && (item[i] != low || item[j] != low)) {
                    item[i] = item[j] = low;
                    changed = true;
                }
            }
    }
    for (int i = 0; i < instance->n; i++)
        for (int j = 0; j < i; j++)
            if (item[i] == item[j] && instance->apart[i] >= 0 &&
                instance->apart[i] == instance->apart[j])
                return true;
    return false;
}

/* Does every prompt fit into a bin, or every group, for those in order with what lies between? */
static bool has_misfit(const struct instance *instance)
{
    int64_t most = 0;
    for (int64_t i = 0; i < instance->n_capacities; i++)
        most = instance->capacities[i] > most ? instance->capacities[i] : most;
    if (instance->n_capacities == 0)
        most = instance->capacity;
    if (most == 0 && instance->max_prompts == 0)
        return false;
    most -= most % instance->bin_alignment;
    for (int i = 0; i < instance->n; i++) {
        int64_t room = 0, count = 0;
        for (int j = 0; j < instance->n; j++)
            if (j == i ||
                (instance->together[i] >= 0 && instance->together[j] == instance->together[i])) {
                room += rounded(instance->lengths[j], instance->prompt_alignment);
                count++;
            }
        bool own = instance->oversize == PP_OVERSIZE_OWN_BIN && count == 1;
        if ((most > 0 && room > most && !own) ||
            (instance->max_prompts > 0 && count > instance->max_prompts))
            return true;
    }
    return false;
}

/* Rows that are no multiple of the alignment. */
static bool has_odd_rows(const struct instance *instance)
{
    if (instance->objective == PP_OBJECTIVE_CHEAPEST)
        for (int64_t i = 0; i < instance->n_capacities; i++)
            if (instance->capacities[i] % instance->bin_alignment != 0)
                return true;
    return false;
}

/* Is the refusal one that has a reason? */
static const char *check_refusal(const struct instance *instance, pp_status status,
                                 const pp_error *err, char reason[REASON_BYTES])
{
    bool groups =
        instance_has(instance->together, instance->n) || instance_has(instance->apart, instance->n);
    int64_t room = instance->capacity - instance->capacity % instance->bin_alignment;
    bool runs = instance->keep_order || instance->policy == PP_POLICY_ARRIVAL;
    bool expected = false;
    if (status == PP_ERR_UNSUPPORTED)
        expected = (is_split(instance) && (groups || instance->n_capacities > 0 ||
                                           instance->objective != PP_OBJECTIVE_FEWEST_BINS ||
                                           instance->oversize == PP_OVERSIZE_OWN_BIN)) ||
                   (instance->objective != PP_OBJECTIVE_FEWEST_BINS &&
                    instance_has(instance->apart, instance->n));
    if (status == PP_ERR_ARG)
        expected =
            (instance->capacity > 0 && (instance->prompt_alignment > room || room == 0)) ||
            (instance->oversize == PP_OVERSIZE_OWN_BIN &&
             (instance->n_capacities > 0 || instance->objective != PP_OBJECTIVE_FEWEST_BINS)) ||
            contradicts_itself(instance) || has_odd_rows(instance) ||
            (instance->share_prefixes && instance->objective != PP_OBJECTIVE_FEWEST_BINS);
    if (status == PP_ERR_TOO_LONG) {
        bool few =
            (instance->n_capacities > 0 && instance->objective == PP_OBJECTIVE_FEWEST_BINS) ||
            (instance->objective == PP_OBJECTIVE_BALANCED &&
             (instance->capacity > 0 || instance->max_prompts > 0));
        expected =
            has_misfit(instance) || few || (runs && instance_has(instance->together, instance->n));
        bool online = runs || instance->policy == PP_POLICY_FIRST_FIT ||
                      instance->policy == PP_POLICY_BEST_FIT;
        if (expected && few && instance->n <= 7 && !online && !has_misfit(instance) &&
            instance->objective == PP_OBJECTIVE_FEWEST_BINS) {
            int64_t optimum = instance_optimum(instance, instance->capacity);
            if (optimum >= 0 && optimum < instance->n_capacities)
                WRONG("%lld of %lld bins are enough, but: %s", (long long)optimum,
                      (long long)instance->n_capacities, err->message);
        }
    }
    if (!expected)
        WRONG("refused: %s", err->message);
    return NULL;
}

/* ---- plans ---- */

/* What is gathered while the bins are walked. */
struct sums {
    int64_t placed, used, capacity, most_prompts;
    int32_t bin_of[MAX_N]; /* of whole prompts */
};

static const char *check_bin(const struct instance *instance, const pp_plan *plan,
                             const pp_plan_info *info, int64_t bin, struct sums *sums,
                             char reason[REASON_BYTES])
{
    pp_bin_info found = {.struct_size = sizeof found};
    const int32_t *prompts;
    int64_t n, tokens, sum = 0, room = 0;
    if (pp_plan_get_bin(plan, bin, &prompts, &n, &tokens, NULL) < 0 ||
        pp_plan_get_bin_info(plan, bin, &found, NULL) < 0)
        WRONG("bin %lld cannot be read", (long long)bin);
    if (n == 0 && instance->objective != PP_OBJECTIVE_BALANCED)
        WRONG("bin %lld is empty", (long long)bin);
    for (int64_t i = 0; i < n; i++) {
        pp_segment segment;
        if (pp_plan_get_segment(plan, found.first_segment + i, &segment, NULL) < 0)
            WRONG("segment %lld cannot be read", (long long)(found.first_segment + i));
        if (segment.prompt != prompts[i] || segment.start != room)
            WRONG("segment %lld of bin %lld is of prompt %d at %lld, not of %d at %lld",
                  (long long)i, (long long)bin, segment.prompt, (long long)segment.start,
                  prompts[i], (long long)room);
        sum += segment.n_tokens;
        room += rounded(segment.n_tokens, instance->prompt_alignment);
        sums->bin_of[segment.prompt] = (int32_t)bin;
    }
    room = rounded(room, instance->bin_alignment);
    if (sum != tokens || sum != found.tokens || room != found.used || n != found.n_segments)
        WRONG("bin %lld has %lld tokens and uses %lld, says %lld, %lld and %lld", (long long)bin,
              (long long)sum, (long long)room, (long long)tokens, (long long)found.tokens,
              (long long)found.used);
    bool given = instance->n_capacities > 0 && instance->objective == PP_OBJECTIVE_FEWEST_BINS;
    bool is_choice = found.choice >= 0 && found.choice < instance->n_capacities;
    int64_t capacity = given && is_choice ? instance->capacities[found.choice] : instance->capacity;
    bool own =
        instance->oversize == PP_OVERSIZE_OWN_BIN && n == 1 && capacity > 0 && room > capacity;
    if (given && (!is_choice || found.capacity != capacity))
        WRONG("bin %lld is choice %d of %lld tokens", (long long)bin, found.choice,
              (long long)found.capacity);
    if (room > found.capacity || (capacity > 0 && !own && found.capacity != capacity) ||
        found.capacity > info->capacity || (own && found.capacity != room))
        WRONG("bin %lld uses %lld tokens of %lld, asked were %lld", (long long)bin, (long long)room,
              (long long)found.capacity, (long long)capacity);
    bool is_shape = instance->objective != PP_OBJECTIVE_CHEAPEST;
    for (int64_t i = 0; i < instance->n_capacities; i++)
        is_shape = is_shape || found.capacity == instance->capacities[i];
    if (!is_shape || (!given && found.choice != -1))
        WRONG("bin %lld is a row of %lld tokens, choice %d", (long long)bin,
              (long long)found.capacity, found.choice);
    if (instance->max_prompts > 0 && n > instance->max_prompts)
        WRONG("bin %lld has %lld prompts", (long long)bin, (long long)n);
    sums->placed += sum;
    sums->used += room;
    sums->capacity += found.capacity;
    sums->most_prompts = n > sums->most_prompts ? n : sums->most_prompts;
    return NULL;
}

/* Each prompt's tokens are in a chain of segments, each in a later bin than the one before, and no
 * token is in two segments. */
static const char *check_coverage(const struct instance *instance, const pp_plan *plan,
                                  const pp_plan_info *info, char reason[REASON_BYTES])
{
    int64_t ends[MAX_N];
    if (pp_plan_get_ends(plan, ends, (size_t)instance->n, NULL) < 0)
        WRONG("the ends cannot be read");
    for (int32_t i = 0; i < instance->n; i++) {
        int64_t left = instance->lengths[i];
        for (int64_t at = ends[i]; at >= 0;) {
            pp_segment segment;
            if (pp_plan_get_segment(plan, at, &segment, NULL) < 0)
                WRONG("prompt %d ends in segment %lld", i, (long long)at);
            if (segment.first_token + segment.n_tokens != left || segment.n_tokens < 1 ||
                segment.prompt > i || (segment.prompt != i && !instance->share_prefixes))
                WRONG("prompt %d: segment %lld holds [%lld, +%lld) of prompt %d, not up to %lld", i,
                      (long long)at, (long long)segment.first_token, (long long)segment.n_tokens,
                      segment.prompt, (long long)left);
            for (int64_t j = segment.first_token; instance->share_prefixes && j < left; j++)
                if (instance_token(instance, i, j) != instance_token(instance, segment.prompt, j))
                    WRONG("prompt %d: token %lld is not that of prompt %d", i, (long long)j,
                          segment.prompt);
            left = segment.first_token;
            if (segment.after >= at)
                WRONG("segment %lld comes after %lld", (long long)at, (long long)segment.after);
            at = segment.after;
        }
        if (left != 0)
            WRONG("prompt %d lacks its first %lld tokens", i, (long long)left);
    }
    for (int64_t a = 0; a < info->n_segments; a++)
        for (int64_t b = 0; b < a; b++) {
            pp_segment x, y;
            pp_plan_get_segment(plan, a, &x, NULL);
            pp_plan_get_segment(plan, b, &y, NULL);
            if (x.prompt == y.prompt && x.first_token < y.first_token + y.n_tokens &&
                y.first_token < x.first_token + x.n_tokens)
                WRONG("segments %lld and %lld hold the same tokens", (long long)a, (long long)b);
        }
    return NULL;
}

static const char *check_constraints(const struct instance *instance, const struct sums *sums,
                                     char reason[REASON_BYTES])
{
    const int32_t *bin_of = sums->bin_of;
    bool runs = instance->keep_order || (instance->policy == PP_POLICY_ARRIVAL &&
                                         !instance_has(instance->together, instance->n));
    for (int32_t i = 0; i < instance->n && !is_split(instance); i++)
        for (int32_t j = 0; j < i; j++) {
            if (instance->together[i] >= 0 && instance->together[i] == instance->together[j] &&
                bin_of[i] != bin_of[j])
                WRONG("prompts %d and %d are not together", j, i);
            if (instance->apart[i] >= 0 && instance->apart[i] == instance->apart[j] &&
                bin_of[i] == bin_of[j])
                WRONG("prompts %d and %d are not apart", j, i);
            if (runs && bin_of[i] < bin_of[j])
                WRONG("prompts %d and %d are not in order", j, i);
        }
    return NULL;
}

static bool near(double a, double b)
{
    double difference = a > b ? a - b : b - a;
    return difference <= 1e-9 * (1 + (b > 0 ? b : -b));
}

static const char *check_figures(const struct instance *instance, const pp_plan_info *info,
                                 const struct sums *sums, char reason[REASON_BYTES])
{
    int64_t tokens = 0, longest = 0;
    for (int32_t i = 0; i < instance->n; i++) {
        tokens += instance->lengths[i];
        longest = instance->lengths[i] > longest ? instance->lengths[i] : longest;
    }
    if (info->tokens != tokens || info->longest_prompt != longest ||
        info->n_prompts != instance->n || info->placed_tokens != sums->placed ||
        info->used != sums->used || info->total_capacity != sums->capacity ||
        info->max_bin_prompts != sums->most_prompts || info->objective != instance->objective)
        WRONG("sums: %lld tokens placed of %lld, %lld used, of %lld; said: %lld, %lld, %lld, %lld",
              (long long)sums->placed, (long long)tokens, (long long)sums->used,
              (long long)sums->capacity, (long long)info->placed_tokens, (long long)info->tokens,
              (long long)info->used, (long long)info->total_capacity);
    if (!instance->share_prefixes && info->placed_tokens != tokens)
        WRONG("%lld of %lld tokens are placed", (long long)info->placed_tokens, (long long)tokens);
    double waste = info->n_bins > 0 ? 1 - (double)sums->placed / (double)sums->capacity : 0;
    if (!near(info->waste, waste))
        WRONG("waste is %g, not %g", info->waste, waste);
    const int64_t bounds[] = {info->bound_l1, info->bound_l2, info->bound_dff, info->bound_lp};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i] > info->lower_bound && instance->objective == PP_OBJECTIVE_FEWEST_BINS)
            WRONG("bound %zu is %lld, above lower_bound %lld", i, (long long)bounds[i],
                  (long long)info->lower_bound);
    double cost = instance->objective == PP_OBJECTIVE_BALANCED
                      ? info->max_cost
                      : info->mean_cost * (double)info->n_bins;
    if (instance->objective != PP_OBJECTIVE_FEWEST_BINS && cost < info->cost_bound * (1 - 1e-9))
        WRONG("the cost is %g, the bound %g", cost, info->cost_bound);
    if (instance->objective != PP_OBJECTIVE_FEWEST_BINS)
        return NULL;
    if (info->lower_bound > info->n_bins ||
        info->proven_optimal != (info->n_bins == info->lower_bound))
        WRONG("%lld bins, bound %lld, proven %d", (long long)info->n_bins,
              (long long)info->lower_bound, info->proven_optimal);
    return NULL;
}

static const char *check_optimum(const struct instance *instance, const pp_plan_info *info,
                                 char reason[REASON_BYTES])
{
    if (instance->n == 0 || instance->n > 7 || is_split(instance) ||
        instance->objective != PP_OBJECTIVE_FEWEST_BINS)
        return NULL;
    int64_t optimum =
        instance_optimum(instance, instance->capacity ? instance->capacity : info->capacity);
    if (optimum < 0 || info->n_bins < optimum || info->lower_bound > optimum)
        WRONG("%lld bins, bound %lld, but the optimum is %lld", (long long)info->n_bins,
              (long long)info->lower_bound, (long long)optimum);
    return NULL;
}

static const char *check_plan(const struct instance *instance, const pp_plan *plan,
                              char reason[REASON_BYTES])
{
    pp_plan_info info = {.struct_size = sizeof info};
    if (pp_plan_get_info(plan, &info, NULL) < 0)
        WRONG("no info");
    if (instance->objective == PP_OBJECTIVE_BALANCED && instance->n > 0 &&
        info.n_bins != instance->n_bins)
        WRONG("%lld bins instead of %lld", (long long)info.n_bins, (long long)instance->n_bins);
    struct sums sums = {0};
    for (int64_t bin = 0; bin < info.n_bins; bin++)
        PASS(check_bin(instance, plan, &info, bin, &sums, reason));
    PASS(check_coverage(instance, plan, &info, reason));
    PASS(check_constraints(instance, &sums, reason));
    PASS(check_figures(instance, &info, &sums, reason));
    PASS(check_optimum(instance, &info, reason));
    return instance_check_batches(instance, plan, &info, reason);
}

static const char *check_again(const struct instance *instance, const pp_plan *plan,
                               char reason[REASON_BYTES])
{
    pp_plan *again = NULL;
    pp_plan_info info = {.struct_size = sizeof info}, info_again = {.struct_size = sizeof info};
    if (instance_plan(instance, &again, NULL) < 0)
        WRONG("no second plan");
    pp_plan_get_info(plan, &info, NULL);
    pp_plan_get_info(again, &info_again, NULL);
    bool equal = info.n_bins == info_again.n_bins && info.n_segments == info_again.n_segments;
    for (int64_t i = 0; i < info.n_segments && equal; i++) {
        pp_segment a, b;
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        pp_plan_get_segment(plan, i, &a, NULL);
        pp_plan_get_segment(again, i, &b, NULL);
        equal = memcmp(&a, &b, sizeof a) == 0;
    }
    pp_plan_destroy(again);
    if (!equal)
        WRONG("a second plan is another one");
    return NULL;
}

const char *instance_check(const struct instance *instance, char reason[REASON_BYTES])
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan *plan = NULL;
    pp_status status = instance_plan(instance, &plan, &err);
    if (status < 0)
        return check_refusal(instance, status, &err, reason);
    const char *wrong = check_plan(instance, plan, reason);
    if (!wrong)
        wrong = check_again(instance, plan, reason);
    pp_plan_destroy(plan);
    return wrong;
}
