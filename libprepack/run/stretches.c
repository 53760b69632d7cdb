/*
 * stretches.c: from a plan, or from what prompts have in common, to the stretches of a run.
 */
#include "run/stretches.h"

#include "plan/parts/prefix.h"

static pp_status take_arrays(struct ppi_stretches *stretches, int64_t n, int64_t n_bins,
                             int64_t n_items, struct ppi_mem *mem, pp_error *err)
{
    *stretches = (struct ppi_stretches){.n = n, .n_bins = n_bins, .n_items = n_items};
    stretches->all = ppi_zalloc(mem, (size_t)n, sizeof *stretches->all);
    stretches->bin_ends = ppi_alloc(mem, (size_t)n_bins, sizeof *stretches->bin_ends);
    stretches->sharers = ppi_alloc(mem, (size_t)n_items, sizeof *stretches->sharers);
    stretches->ends = ppi_alloc(mem, (size_t)n_items, sizeof *stretches->ends);
    if (stretches->all && stretches->bin_ends && stretches->sharers && stretches->ends)
        return PP_OK;
    ppi_stretches_free(stretches, mem);
    return ppi_error_nomem(err, "the stretches of a run", (size_t)n * sizeof *stretches->all);
}

void ppi_stretches_free(struct ppi_stretches *stretches, struct ppi_mem *mem)
{
    ppi_free(mem, stretches->all);
    ppi_free(mem, stretches->bin_ends);
    ppi_free(mem, stretches->sharers);
    ppi_free(mem, stretches->ends);
    *stretches = (struct ppi_stretches){0};
}

/* ---- who shares what ---- */

static void count_sharers(struct ppi_stretches *stretches)
{
    for (int64_t i = 0; i < stretches->n_items; i++) {
        struct ppi_stretch *end = &stretches->all[stretches->ends[i]];
        end->n_ending++;
        end->n_sharers++;
    }
    for (int64_t p = stretches->n - 1; p >= 0; p--) { /* `after` is an earlier one */
        const struct ppi_stretch *stretch = &stretches->all[p];
        if (stretch->after != PPI_NO_STRETCH)
            stretches->all[stretch->after].n_sharers += stretch->n_sharers;
    }
}

/* Links every stretch to those that continue it, in their order. */
static void link_children(struct ppi_stretches *stretches)
{
    for (int64_t p = 0; p < stretches->n; p++)
        stretches->all[p].first_child = PPI_NO_STRETCH;
    for (int64_t p = stretches->n - 1; p >= 0; p--) {
        struct ppi_stretch *stretch = &stretches->all[p];
        int64_t *first =
            stretch->after != PPI_NO_STRETCH ? &stretches->all[stretch->after].first_child : NULL;
        stretch->next_child = first ? *first : PPI_NO_STRETCH;
        if (first)
            *first = p;
    }
}

/* Places of the sharers: a stretch's own, then those of its children one after another. */
static void place_sharers(struct ppi_stretches *stretches)
{
    int64_t at = 0;
    for (int64_t p = 0; p < stretches->n; p++) {
        struct ppi_stretch *stretch = &stretches->all[p];
        if (stretch->after == PPI_NO_STRETCH) {
            stretch->first_sharer = at;
            at += stretch->n_sharers;
        }
        int64_t next = stretch->first_sharer + stretch->n_ending;
        for (int64_t c = stretch->first_child; c != PPI_NO_STRETCH;
             c = stretches->all[c].next_child) {
            stretches->all[c].first_sharer = next;
            next += stretches->all[c].n_sharers;
        }
        stretch->n_ending = 0; /* counted anew */
    }
    for (int64_t i = 0; i < stretches->n_items; i++) {
        struct ppi_stretch *end = &stretches->all[stretches->ends[i]];
        stretches->sharers[end->first_sharer + end->n_ending++] = i;
    }
}

/* What follows from the stretches and the items' ends. */
static void finish(struct ppi_stretches *stretches)
{
    count_sharers(stretches);
    link_children(stretches);
    place_sharers(stretches);
}

/* ---- of a plan ---- */

/* Segment i of the plan. */
static struct ppi_stretch part_of_segment(const struct pp_plan *plan, int64_t i,
                                          const int64_t *begins, const int64_t *lengths)
{
    int64_t item = plan->prompts[i], begin = begins ? begins[item] : 0;
    int64_t origin = begin + lengths[item] - plan->lengths[item]; /* of the plan's tokens */
    struct ppi_stretch stretch = {
        .i_item = item, .begin = begin, .end = begin + lengths[item], .after = PPI_NO_STRETCH};
    if (!ppi_plan_has_parts(plan))
        return stretch;
    const struct segments *segments = &plan->segments;
    if (segments->after[i] >= 0)
        stretch.begin = origin + segments->first_tokens[i];
    stretch.end = origin + segments->first_tokens[i] + segments->n_tokens[i];
    stretch.after = segments->after[i] >= 0 ? segments->after[i] : PPI_NO_STRETCH;
    return stretch;
}

static pp_status read_plan(struct ppi_stretches *stretches, const struct pp_plan *plan,
                           const int64_t *begins, const int64_t *lengths, struct ppi_mem *mem,
                           pp_error *err)
{
    int64_t n = plan->info.n_segments, n_bins = plan->info.n_bins;
    PP_TRY(take_arrays(stretches, n, n_bins, plan->info.n_prompts, mem, err));
    for (int64_t b = 0; b < n_bins; b++)
        stretches->bin_ends[b] = plan->bin_starts[b + 1];
    for (int64_t i = 0; i < n; i++) {
        stretches->all[i] = part_of_segment(plan, i, begins, lengths);
        stretches->ends[plan->prompts[i]] = i;
    }
    for (int64_t i = 0; ppi_plan_has_parts(plan) && i < stretches->n_items; i++)
        stretches->ends[i] = plan->segments.ends[i];
    return PP_OK;
}

pp_status ppi_stretches_of_plan(struct ppi_stretches *stretches, const struct pp_plan *plan,
                                const int64_t *begins, const int64_t *lengths, int64_t n,
                                struct ppi_mem *mem, pp_error *err)
{
    if (plan) {
        PP_TRY(read_plan(stretches, plan, begins, lengths, mem, err));
        finish(stretches);
        return PP_OK;
    }
    PP_TRY(take_arrays(stretches, n, n, n, mem, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = begins ? begins[i] : 0;
        stretches->all[i] = (struct ppi_stretch){
            .i_item = i, .begin = begin, .end = begin + lengths[i], .after = PPI_NO_STRETCH};
        stretches->ends[i] = i;
        stretches->bin_ends[i] = i + 1;
    }
    finish(stretches);
    return PP_OK;
}

/* ---- of what prompts have in common ---- */

struct grower {
    struct ppi_stretches *stretches;
    struct prefix_tree tree;
    const int64_t *begins, *lengths;
    pp_prompt *prompts; /* [n_prompts] those that share, and which items they are */
    int64_t *items;
    int64_t n_prompts;
    int64_t *part_of; /* [prefixes] */
};

static int64_t add_part(struct grower *g, int64_t item, int64_t begin, int64_t end, int64_t after)
{
    struct ppi_stretches *stretches = g->stretches;
    stretches->bin_ends[stretches->n] = stretches->n + 1;
    stretches->all[stretches->n] =
        (struct ppi_stretch){.i_item = item, .begin = begin, .end = end, .after = after};
    return stretches->n++;
}

static void add_prefix(struct grower *g, int64_t i)
{
    const struct prefix *prefix = &g->tree.prefixes[i];
    const struct prefix *parent = prefix->parent >= 0 ? &g->tree.prefixes[prefix->parent] : NULL;
    g->part_of[i] = add_part(g, g->items[prefix->prompt], parent ? parent->end : 0, prefix->end,
                             parent ? g->part_of[prefix->parent] : PPI_NO_STRETCH);
}

/* What is left of a prompt behind its longest prefix; where nothing is, it ends there. */
static void add_rest(struct grower *g, int64_t prompt)
{
    int32_t longest = g->tree.longest[prompt];
    int64_t begin = longest >= 0 ? g->tree.prefixes[longest].end : 0;
    int64_t after = longest >= 0 ? g->part_of[longest] : PPI_NO_STRETCH;
    int64_t end = g->prompts[prompt].n_tokens, item = g->items[prompt];
    g->stretches->ends[item] = begin < end ? add_part(g, item, begin, end, after) : after;
}

static int32_t level_of(const struct prefix_tree *tree, int64_t prompt)
{
    int32_t longest = tree->longest[prompt];
    return longest >= 0 ? tree->prefixes[longest].level + 1 : 0;
}

/* Level by level, in each the prefixes and then what ends there, in the order of the tokens. */
static void add_levels(struct grower *g)
{
    const struct prefix_tree *tree = &g->tree;
    int32_t n_levels = 1;
    for (int64_t i = 0; i < tree->n_prefixes; i++)
        if (tree->prefixes[i].level + 2 > n_levels)
            n_levels = tree->prefixes[i].level + 2;
    for (int32_t level = 0; level < n_levels; level++) {
        for (int64_t i = 0; i < tree->n_prefixes; i++)
            if (tree->prefixes[i].level == level)
                add_prefix(g, i);
        for (int64_t i = 0; i < g->n_prompts; i++)
            if (level_of(tree, tree->order[i]) == level)
                add_rest(g, tree->order[i]);
    }
}

static void add_all(struct grower *g, const pp_prompt *prompts)
{
    g->stretches->n = 0;
    for (int64_t i = 0; i < g->stretches->n_items; i++) {
        int64_t begin = g->begins[i];
        if (prompts[i].n_tokens == 0)
            g->stretches->ends[i] = add_part(g, i, begin, begin + g->lengths[i], PPI_NO_STRETCH);
    }
    if (g->n_prompts > 0)
        add_levels(g);
    g->stretches->n_bins = g->stretches->n;
    finish(g->stretches);
}

static pp_status grow(struct grower *g, const pp_prompt *prompts, int64_t n, int64_t min_prefix,
                      struct ppi_mem *mem, pp_error *err)
{
    g->prompts = ppi_alloc(mem, (size_t)n, sizeof *g->prompts);
    g->items = ppi_alloc(mem, (size_t)n, sizeof *g->items);
    if (!g->prompts || !g->items)
        return ppi_error_nomem(err, "the prompts of a run", (size_t)n * sizeof *g->prompts);
    for (int64_t i = 0; i < n; i++)
        if (prompts[i].n_tokens > 0) {
            g->prompts[g->n_prompts] = prompts[i];
            g->items[g->n_prompts++] = i;
        }
    if (g->n_prompts > 0)
        PP_TRY(ppi_prefix_tree_create(&g->tree, g->prompts, g->n_prompts, min_prefix, mem, err));
    size_t n_prefixes = (size_t)g->tree.n_prefixes;
    int64_t most = n + g->tree.n_prefixes;
    g->part_of = ppi_alloc(mem, n_prefixes, sizeof *g->part_of);
    if (!g->part_of)
        return ppi_error_nomem(err, "the prefixes of a run", n_prefixes * sizeof *g->part_of);
    PP_TRY(take_arrays(g->stretches, most, most, n, mem, err));
    add_all(g, prompts);
    return PP_OK;
}

pp_status ppi_stretches_of_prefixes(struct ppi_stretches *stretches, const pp_prompt *prompts,
                                    const int64_t *begins, const int64_t *lengths, int64_t n,
                                    int64_t min_prefix, struct ppi_mem *mem, pp_error *err)
{
    struct grower grower = {.stretches = stretches, .begins = begins, .lengths = lengths};
    pp_status status = grow(&grower, prompts, n, min_prefix, mem, err);
    ppi_prefix_tree_destroy(&grower.tree, mem);
    ppi_free(mem, grower.prompts);
    ppi_free(mem, grower.items);
    ppi_free(mem, grower.part_of);
    return status;
}
