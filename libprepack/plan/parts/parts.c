/*
 * parts.c: from prompts to parts of prompts, and from parts in bins to a plan. Of several ways to
 * share prefixes, more tokens saved against fewer steps one after another, the best is kept.
 */
#include "parts.h"

#include "prefix.h"
#include "plan/fewest/bounds.h"
#include "plan/histogram.h"

#include <string.h>

#define NONE (-1)

/* One call of ppi_plan_parts. */
struct cutter {
    const int64_t *lengths;
    int64_t n;
    const struct prefix_tree *tree; /* NULL: nothing is shared */
    int32_t *by_length; /* [n] longest first; NULL where no prompt is longer than a part */
    int64_t chunk;      /* most tokens of a part */
    struct step_limits limits;
    int32_t *kept;       /* [n_prefixes] the prefix itself or the longest of its own that is kept */
    int32_t *last_parts; /* [n_prefixes] of kept ones */
    struct ppi_mem *mem;
};

/* Parts and their bins. */
struct candidate {
    struct parts parts;
    struct schedule schedule;
    int64_t placed; /* tokens */
};

static void destroy_candidate(struct candidate *candidate, struct ppi_mem *mem)
{
    ppi_parts_destroy(&candidate->parts, mem);
    ppi_schedule_destroy(&candidate->schedule, mem);
}

/* ---- prompts to parts ---- */

/* Which prefixes are kept: those of every stride-th level below n_levels, and identical prompts,
 * which cost no step. */
struct choice {
    int32_t n_levels;
    int32_t stride;
};

static void choose_prefixes(struct cutter *cutter, struct choice choice)
{
    const struct prefix_tree *tree = cutter->tree;
    for (int64_t i = 0; tree && i < tree->n_prefixes; i++) {
        const struct prefix *prefix = &tree->prefixes[i];
        bool keep = prefix->identical ||
                    (prefix->level < choice.n_levels && (prefix->level + 1) % choice.stride == 0);
        cutter->kept[i] = keep                     ? (int32_t)i
                          : prefix->parent == NONE ? NONE
                                                   : cutter->kept[prefix->parent];
    }
}

/* The longest kept prefix of a kept one. */
static int32_t parent_of(const struct cutter *cutter, int64_t prefix)
{
    int32_t parent = cutter->tree->prefixes[prefix].parent;
    return parent == NONE ? NONE : cutter->kept[parent];
}

/* The longest kept prefix of a prompt. */
static int32_t longest_of(const struct cutter *cutter, int64_t prompt)
{
    int32_t longest = cutter->tree ? cutter->tree->longest[prompt] : NONE;
    return longest == NONE ? NONE : cutter->kept[longest];
}

static int64_t end_of(const struct cutter *cutter, int32_t prefix)
{
    return prefix == NONE ? 0 : cutter->tree->prefixes[prefix].end;
}

/* Cuts tokens [begin, end) of a prompt, which continue part `after`, into parts; only counts them
 * while `parts` has no arrays. Returns the last part, or `after` if there are no tokens. */
static int32_t add_parts(const struct cutter *cutter, struct parts *parts, int32_t prompt,
                         int64_t begin, int64_t end, int32_t after)
{
    if (!parts->prompts) {
        int64_t n = ppi_bound_l1(end - begin, cutter->chunk);
        if (__builtin_add_overflow(parts->n, n, &parts->n))
            parts->n = INT64_MAX;
        return NONE;
    }
    while (begin < end) {
        int64_t i = parts->n++;
        parts->prompts[i] = prompt;
        parts->first_tokens[i] = begin;
        parts->n_tokens[i] = end - begin < cutter->chunk ? end - begin : cutter->chunk;
        parts->after[i] = after;
        after = (int32_t)i;
        begin += parts->n_tokens[i];
    }
    return after;
}

/* The prefixes in their order, then what is left of each prompt, in the order of the tokens or else
 * of the lengths: no tie depends on the prompts' indices unless the prompts are the same. */
static void cut_prompts(const struct cutter *cutter, struct parts *parts)
{
    const struct prefix_tree *tree = cutter->tree;
    parts->n = 0;
    for (int64_t i = 0; tree && i < tree->n_prefixes; i++) {
        if (cutter->kept[i] != i)
            continue;
        int32_t parent = parent_of(cutter, i);
        cutter->last_parts[i] =
            add_parts(cutter, parts, tree->prefixes[i].prompt, end_of(cutter, parent),
                      tree->prefixes[i].end, parent == NONE ? NONE : cutter->last_parts[parent]);
    }
    for (int64_t i = 0; i < cutter->n; i++) {
        int32_t prompt = tree ? tree->order[i] : cutter->by_length[i];
        int32_t prefix = longest_of(cutter, prompt);
        int32_t end =
            add_parts(cutter, parts, prompt, end_of(cutter, prefix), cutter->lengths[prompt],
                      prefix == NONE ? NONE : cutter->last_parts[prefix]);
        if (parts->prompts)
            parts->ends[prompt] = end;
    }
}

static pp_status make_parts(const struct cutter *cutter, struct parts *parts, pp_error *err)
{
    cut_prompts(cutter, parts);
    if (parts->n > INT32_MAX)
        return ppi_error(err, PP_ERR_TOO_LONG,
                         "the prompts have more than %d parts of at most %lld tokens", INT32_MAX,
                         (long long)cutter->chunk);
    PP_TRY(ppi_parts_create(parts, parts->n, cutter->n, cutter->mem, err));
    cut_prompts(cutter, parts);
    return PP_OK;
}

/* ---- candidates ---- */

/* Fewer bins, then fewer tokens, then fewer parts. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->schedule.n_bins != b->schedule.n_bins)
        return a->schedule.n_bins < b->schedule.n_bins;
    if (a->placed != b->placed)
        return a->placed < b->placed;
    return a->parts.n < b->parts.n;
}

/* Could bins of these parts be better than the best? Not where so many tokens, in as few bins as
 * their sum allows, are not. */
static bool is_hopeful(const struct cutter *cutter, const struct candidate *candidate,
                       const struct candidate *best)
{
    struct candidate dream = *candidate;
    dream.schedule.n_bins = ppi_bound_l1(candidate->placed, cutter->limits.capacity);
    return best->schedule.n_bins == 0 || is_better(&dream, best);
}

static void count_placed(struct candidate *candidate)
{
    for (int64_t i = 0; i < candidate->parts.n; i++)
        candidate->placed += candidate->parts.n_tokens[i];
}

/* *best becomes the better one, the candidate the other. */
static void keep_better(struct candidate *candidate, struct candidate *best)
{
    if (candidate->schedule.n_bins > 0 &&
        (best->schedule.n_bins == 0 || is_better(candidate, best))) {
        struct candidate worse = *best;
        *best = *candidate;
        *candidate = worse;
    }
}

/* Replaces *best if sharing these prefixes is better. */
static pp_status try_choice(struct cutter *cutter, struct choice choice, bool inner_first,
                            struct candidate *best, pp_error *err)
{
    struct candidate candidate = {0};
    choose_prefixes(cutter, choice);
    cutter->limits.inner_first = inner_first;
    pp_status status = make_parts(cutter, &candidate.parts, err);
    if (status < 0)
        goto done;
    count_placed(&candidate);
    if (!is_hopeful(cutter, &candidate, best))
        goto done;
    status = ppi_schedule_create(&candidate.schedule, candidate.parts.n, cutter->mem, err);
    if (status >= 0)
        status = ppi_schedule_parts(&candidate.parts, &cutter->limits, &candidate.schedule,
                                    cutter->mem, err);
    if (status >= 0)
        keep_better(&candidate, best);
done:
    destroy_candidate(&candidate, cutter->mem);
    return status;
}

/* Replaces *best if cutting where bins end, and sharing nothing, is better. */
static pp_status try_pouring(const struct cutter *cutter, struct candidate *best, pp_error *err)
{
    struct candidate candidate = {0};
    pp_status status =
        ppi_pour_prompts(cutter->lengths, cutter->by_length, cutter->n, cutter->chunk,
                         &cutter->limits, &candidate.parts, &candidate.schedule, cutter->mem, err);
    if (status >= 0) {
        count_placed(&candidate);
        keep_better(&candidate, best);
    }
    destroy_candidate(&candidate, cutter->mem);
    return status;
}

/* The most prefixes, one continuing another, of a prompt. */
static int32_t count_levels(const struct prefix_tree *tree)
{
    int32_t n_levels = 0;
    for (int64_t i = 0; tree && i < tree->n_prefixes; i++)
        if (!tree->prefixes[i].identical && tree->prefixes[i].level >= n_levels)
            n_levels = tree->prefixes[i].level + 1;
    return n_levels;
}

/* The more levels, the fewer tokens, but the more bins that run one after another. Tried are all
 * levels, every second or the first half, every fourth or the first quarter, down to none, and at
 * last cuts where bins end, until the bound is met. */
static pp_status find_best(struct cutter *cutter, bool has_chunks, int64_t bound,
                           struct candidate *best, pp_error *err)
{
    int32_t n_levels = count_levels(cutter->tree);
    for (int32_t stride = 1;; stride = stride <= n_levels / 2 ? 2 * stride : n_levels + 1) {
        const struct choice choices[] = {{n_levels, stride}, {n_levels / stride, 1}};
        bool none = stride > n_levels;
        for (size_t i = 0; i < (stride > 1 && !none ? PPI_COUNT(choices) : 1); i++) {
            PP_TRY(try_choice(cutter, choices[i], true, best, err));
            if (best->schedule.n_bins > bound && (has_chunks || !none) &&
                !cutter->limits.keep_order)
                PP_TRY(try_choice(cutter, choices[i], false, best, err));
            if (best->schedule.n_bins == bound)
                return PP_OK;
        }
        if (none)
            break;
    }
    return has_chunks && !cutter->limits.keep_order ? try_pouring(cutter, best, err) : PP_OK;
}

/* ---- the plan ---- */

/* Fills by_length, and *tokens with the sum. */
static pp_status sort_by_length(struct cutter *cutter, int64_t longest, int64_t *tokens,
                                pp_error *err)
{
    int64_t shortest = longest;
    *tokens = 0;
    for (int64_t i = 0; i < cutter->n; i++) {
        shortest = cutter->lengths[i] < shortest ? cutter->lengths[i] : shortest;
        *tokens += cutter->lengths[i];
    }
    if (longest <= cutter->chunk)
        return PP_OK;
    struct histogram histogram;
    PP_TRY(ppi_histogram_create(&histogram, cutter->lengths, cutter->n, shortest, longest,
                                cutter->mem, err));
    cutter->by_length = ppi_alloc(cutter->mem, (size_t)cutter->n, sizeof *cutter->by_length);
    int32_t *next = cutter->by_length;
    for (int64_t slot = histogram.n_slots - 1; next && slot >= 0; slot--)
        for (int32_t i = histogram.buckets[slot].next; i < histogram.buckets[slot].end; i++)
            *next++ = histogram.order[i];
    ppi_histogram_destroy(&histogram, cutter->mem);
    return next ? PP_OK
                : ppi_error_nomem(err, "the prompts by length",
                                  (size_t)cutter->n * sizeof *cutter->by_length);
}

static pp_status make_plan(const struct cutter *cutter, const struct candidate *best,
                           const pp_allocator *allocator, struct pp_plan **plan, pp_error *err)
{
    const struct parts *parts = &best->parts;
    const struct schedule *schedule = &best->schedule;
    struct pp_plan *new_plan;
    PP_TRY(ppi_plan_create(allocator, cutter->n, parts->n, schedule->n_bins, &new_plan, err));
    int32_t *segment_of = ppi_alloc(cutter->mem, (size_t)parts->n, sizeof *segment_of);
    pp_status status = ppi_plan_add_segments(new_plan, err);
    if (status >= 0 && !segment_of)
        status = ppi_error_nomem(err, "the segments of the parts",
                                 (size_t)parts->n * sizeof *segment_of);
    if (status < 0) {
        ppi_free(cutter->mem, segment_of);
        pp_plan_destroy(new_plan);
        return status;
    }
    memcpy(new_plan->lengths, cutter->lengths, (size_t)cutter->n * sizeof *cutter->lengths);
    for (int64_t i = 0; i < parts->n; i++)
        segment_of[schedule->items[i]] = (int32_t)i;
    struct segments *segments = &new_plan->segments;
    for (int64_t bin = 0; bin < schedule->n_bins; bin++) {
        new_plan->bin_starts[bin] = schedule->starts[bin];
        new_plan->bin_tokens[bin] = 0;
        for (int64_t i = schedule->starts[bin]; i < schedule->starts[bin + 1]; i++) {
            int32_t part = schedule->items[i];
            new_plan->prompts[i] = parts->prompts[part];
            segments->first_tokens[i] = parts->first_tokens[part];
            segments->n_tokens[i] = parts->n_tokens[part];
            segments->after[i] = parts->after[part] == NONE ? NONE : segment_of[parts->after[part]];
            new_plan->bin_tokens[bin] += parts->n_tokens[part];
        }
    }
    new_plan->bin_starts[schedule->n_bins] = parts->n;
    for (int64_t i = 0; i < cutter->n; i++)
        segments->ends[i] = segment_of[parts->ends[i]];
    ppi_free(cutter->mem, segment_of);
    new_plan->info.n_bins = schedule->n_bins;
    *plan = new_plan;
    return PP_OK;
}

/* Splits and shares, if there is something to and it is worth it: *plan stays NULL if not. */
static pp_status plan_parts(struct cutter *cutter, const struct settings *settings, int64_t longest,
                            struct pp_plan **plan, int64_t *bound, pp_error *err)
{
    const struct prefix_tree *tree = cutter->tree;
    size_t n_prefixes = tree ? (size_t)tree->n_prefixes : 0;
    if (n_prefixes == 0 && longest <= cutter->chunk)
        return PP_OK; /* no parts */
    int64_t tokens;
    PP_TRY(sort_by_length(cutter, longest, &tokens, err));
    *bound = ppi_bound_l1(tree ? tree->distinct : tokens, cutter->limits.capacity);
    struct candidate best = {0};
    cutter->kept = ppi_alloc(cutter->mem, n_prefixes, sizeof *cutter->kept);
    cutter->last_parts = ppi_alloc(cutter->mem, n_prefixes, sizeof *cutter->last_parts);
    pp_status status = PP_OK;
    if (!cutter->kept || !cutter->last_parts)
        status =
            ppi_error_nomem(err, "the prefixes of the prompts", n_prefixes * 2 * sizeof(int32_t));
    if (status >= 0)
        status = find_best(cutter, longest > cutter->chunk, *bound, &best, err);
    bool has_parts = best.parts.n != cutter->n || best.placed != tokens;
    if (status >= 0 && has_parts)
        status = make_plan(cutter, &best, &cutter->mem->allocator, plan, err);
    if (status >= 0 && has_parts) {
        pp_plan_info *info = &(*plan)->info;
        info->policy = cutter->limits.keep_order ? PP_POLICY_ARRIVAL : PP_POLICY_FFD;
        info->capacity = settings->capacity ? settings->capacity : cutter->limits.capacity;
        info->tokens = tokens;
        info->longest_prompt = longest;
        info->bound_l1 = info->lower_bound = *bound;
    }
    destroy_candidate(&best, cutter->mem);
    ppi_free(cutter->mem, cutter->last_parts);
    ppi_free(cutter->mem, cutter->kept);
    ppi_free(cutter->mem, cutter->by_length);
    return status;
}

/* ---- what the caller asked for ---- */

/* What a bin may hold; chunk, the most tokens of a part, is 0 where the alignments leave no room.
 */
static int64_t set_limits(struct step_limits *limits, const struct settings *settings,
                          int64_t longest)
{
    int64_t capacity = settings->capacity;
    if (capacity == 0) { /* the longest prompt fits */
        capacity = ppi_part_room(longest, settings->prompt_alignment);
        capacity = ppi_part_room(capacity, settings->bin_alignment);
    }
    *limits = (struct step_limits){
        .capacity = capacity - capacity % settings->bin_alignment,
        .alignment = settings->prompt_alignment,
        .max_prompts = settings->max_prompts ? settings->max_prompts : INT64_MAX,
        .keep_order = settings->keep_order || settings->policy == PP_POLICY_ARRIVAL,
    };
    return limits->capacity - limits->capacity % settings->prompt_alignment;
}

bool ppi_parts_needed(const struct settings *settings, int64_t longest)
{
    struct step_limits limits;
    return settings->oversize == PP_OVERSIZE_SPLIT && settings->capacity > 0 &&
           longest > set_limits(&limits, settings, longest);
}

static pp_status check_input(const struct settings *settings, const pp_plan_input *input,
                             pp_error *err)
{
    if (input->together || input->apart)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "prompts that are split or share prefixes cannot be kept %s",
                         input->together ? "together" : "apart");
    if (settings->min_shared_prefix == 0)
        return PP_OK;
    if (!input->prompts)
        return ppi_error(err, PP_ERR_ARG,
                         "min_shared_prefix needs the prompts' tokens, but prompts is NULL");
    for (int64_t i = 0; i < input->n; i++)
        if (!input->prompts[i].tokens)
            return ppi_error_at(err, PP_ERR_ARG, i, "prompt %lld: tokens is NULL", (long long)i);
    return PP_OK;
}

pp_status ppi_plan_parts(const pp_packer *packer, const pp_plan_input *input, int64_t longest,
                         struct pp_plan **plan, int64_t *bound, pp_error *err)
{
    const struct settings *settings = &packer->settings;
    *plan = NULL;
    *bound = 0;
    PP_TRY(check_input(settings, input, err));
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, &packer->mem.allocator, 0, err));
    struct cutter cutter = {.lengths = input->lengths, .n = input->n, .mem = &mem};
    cutter.chunk = set_limits(&cutter.limits, settings, longest);
    if (cutter.chunk == 0)
        return ppi_error(err, PP_ERR_TOO_LONG,
                         "bins of %lld tokens have no room for a part: bins are aligned to %lld "
                         "tokens, prompts to %lld",
                         (long long)settings->capacity, (long long)settings->bin_alignment,
                         (long long)settings->prompt_alignment);
    struct prefix_tree tree = {0};
    if (settings->min_shared_prefix > 0) {
        PP_TRY(ppi_prefix_tree_create(&tree, input->prompts, input->n, settings->min_shared_prefix,
                                      &mem, err));
        cutter.tree = &tree;
    }
    pp_status status = plan_parts(&cutter, settings, longest, plan, bound, err);
    ppi_prefix_tree_destroy(&tree, &mem);
    return status;
}
