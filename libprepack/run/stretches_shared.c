/*
 * stretches_shared.c: from what prompts have in common to the stretches of a run, in an order that
 * fills passes: always the first in the order of the tokens that need not wait. So the prompts of a
 * prefix run soon after it, and few prefixes are held at a time.
 */
#include "plan/bitset.h"
#include "plan/parts/prefix.h"
#include "run/stretches.h"

struct grower {
    struct ppi_stretches *out;
    struct prefix_tree tree;
    const int64_t *begins, *lengths;
    pp_prompt *prompts; /* [n_prompts] those that share, and which items they are */
    int64_t *items;
    int64_t n_prompts;
    int64_t *stretch_of; /* [prefixes], the first n_added */
    int32_t n_added;
    int64_t *order;    /* [stretches] as they shall run */
    int64_t *place_of; /* [stretches] in order */
    struct ppi_stretch *moved;
};

/* ---- in the order of the tokens ---- */

static int64_t add_stretch(struct grower *g, int64_t item, int64_t begin, int64_t end,
                           int64_t after)
{
    g->out->all[g->out->n] =
        (struct ppi_stretch){.i_item = item, .begin = begin, .end = end, .after = after};
    return g->out->n++;
}

/* The prefixes up to one, which come in the order of the tokens, each behind its parent. */
static void add_prefixes(struct grower *g, int32_t last)
{
    for (; g->n_added <= last; g->n_added++) {
        const struct prefix *prefix = &g->tree.prefixes[g->n_added];
        const struct prefix *parent =
            prefix->parent >= 0 ? &g->tree.prefixes[prefix->parent] : NULL;
        g->stretch_of[g->n_added] =
            add_stretch(g, g->items[prefix->prompt], parent ? parent->end : 0, prefix->end,
                        parent ? g->stretch_of[prefix->parent] : PPI_NO_STRETCH);
    }
}

/* What is left of a prompt behind its longest prefix; where nothing is, it ends there. */
static void add_rest(struct grower *g, int32_t prompt)
{
    int32_t longest = g->tree.longest[prompt];
    int64_t begin = longest >= 0 ? g->tree.prefixes[longest].end : 0;
    int64_t end = g->prompts[prompt].n_tokens, item = g->items[prompt];
    add_prefixes(g, longest);
    int64_t after = longest >= 0 ? g->stretch_of[longest] : PPI_NO_STRETCH;
    g->out->ends[item] = begin < end ? add_stretch(g, item, begin, end, after) : after;
}

static void add_all(struct grower *g, const pp_prompt *prompts)
{
    g->out->n = 0;
    for (int64_t i = 0; i < g->out->n_items; i++)
        if (prompts[i].n_tokens == 0) {
            int64_t end = g->begins[i] + g->lengths[i];
            g->out->ends[i] = add_stretch(g, i, g->begins[i], end, PPI_NO_STRETCH);
        }
    for (int64_t i = 0; i < g->n_prompts; i++)
        add_rest(g, g->tree.order[i]);
}

/* ---- in the order of passes ---- */

/* Those that continue what this pass has, from order[first] on, need not wait any more. */
static void free_children(const struct grower *g, int64_t first, int64_t n, struct bitset *ready)
{
    for (int64_t i = first; i < n; i++)
        for (int64_t c = g->out->all[g->order[i]].first_child; c != PPI_NO_STRETCH;
             c = g->out->all[c].next_child)
            ppi_bitset_add(ready, c);
}

/* Fills pass after pass with the first that are ready, as ppi_schedule_next will. */
static void choose_order(struct grower *g, int64_t max_pass_tokens, struct bitset *ready)
{
    const struct ppi_stretches *out = g->out;
    for (int64_t p = 0; p < out->n; p++)
        if (out->all[p].after == PPI_NO_STRETCH)
            ppi_bitset_add(ready, p);
    for (int64_t n = 0, first = 0, rows = 0; n < out->n;) {
        int64_t next = ppi_bitset_at_least(ready, 0);
        int64_t tokens = next >= 0 ? out->all[next].end - out->all[next].begin : 0;
        if (next < 0 || (rows > 0 && tokens > max_pass_tokens - rows)) {
            free_children(g, first, n, ready);
            first = n;
            rows = 0;
            continue;
        }
        ppi_bitset_remove(ready, next);
        g->order[n++] = next;
        rows += tokens;
        if (rows > max_pass_tokens) /* the end of a long one */
            rows %= max_pass_tokens;
    }
}

static void reorder(struct grower *g)
{
    struct ppi_stretches *out = g->out;
    for (int64_t i = 0; i < out->n; i++)
        g->place_of[g->order[i]] = i;
    for (int64_t i = 0; i < out->n; i++) {
        struct ppi_stretch stretch = out->all[g->order[i]];
        if (stretch.after != PPI_NO_STRETCH)
            stretch.after = g->place_of[stretch.after];
        g->moved[i] = stretch;
        out->bin_ends[i] = i + 1;
    }
    struct ppi_stretch *unordered = out->all;
    out->all = g->moved;
    g->moved = unordered;
    for (int64_t i = 0; i < out->n_items; i++)
        out->ends[i] = g->place_of[out->ends[i]];
    out->n_bins = out->n;
}

/* ---- memory ---- */

static pp_status find_prefixes(struct grower *g, const pp_prompt *prompts, int64_t n,
                               int64_t min_prefix, struct ppi_mem *mem, pp_error *err)
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
    return g->n_prompts > 0
               ? ppi_prefix_tree_create(&g->tree, g->prompts, g->n_prompts, min_prefix, mem, err)
               : PP_OK;
}

static pp_status grow(struct grower *g, const pp_prompt *prompts, int64_t n, int64_t min_prefix,
                      int64_t max_pass_tokens, struct ppi_mem *mem, pp_error *err)
{
    struct bitset ready = {0};
    PP_TRY(find_prefixes(g, prompts, n, min_prefix, mem, err));
    size_t n_prefixes = (size_t)g->tree.n_prefixes, most = (size_t)n + n_prefixes;
    g->stretch_of = ppi_alloc(mem, n_prefixes, sizeof *g->stretch_of);
    g->order = ppi_alloc(mem, most, sizeof *g->order);
    g->place_of = ppi_alloc(mem, most, sizeof *g->place_of);
    g->moved = ppi_alloc(mem, most, sizeof *g->moved);
    if (!g->stretch_of || !g->order || !g->place_of || !g->moved)
        return ppi_error_nomem(err, "the prefixes of a run", most * sizeof *g->moved);
    PP_TRY(ppi_stretches_create(g->out, (int64_t)most, (int64_t)most, n, mem, err));
    pp_status status = ppi_bitset_create(&ready, (int64_t)most, mem, err);
    if (status < 0) {
        ppi_stretches_free(g->out, mem);
        return status;
    }
    add_all(g, prompts);
    ppi_stretches_finish(g->out);
    choose_order(g, max_pass_tokens, &ready);
    reorder(g);
    ppi_stretches_finish(g->out);
    ppi_bitset_destroy(&ready, mem);
    return PP_OK;
}

pp_status ppi_stretches_of_prefixes(struct ppi_stretches *stretches, const pp_prompt *prompts,
                                    const int64_t *begins, const int64_t *lengths, int64_t n,
                                    int64_t min_prefix, int64_t max_pass_tokens,
                                    struct ppi_mem *mem, pp_error *err)
{
    struct grower grower = {.out = stretches, .begins = begins, .lengths = lengths};
    pp_status status = grow(&grower, prompts, n, min_prefix, max_pass_tokens, mem, err);
    ppi_prefix_tree_destroy(&grower.tree, mem);
    void *owned[] = {grower.prompts, grower.items,    grower.stretch_of,
                     grower.order,   grower.place_of, grower.moved};
    for (size_t i = 0; i < PPI_COUNT(owned); i++)
        ppi_free(mem, owned[i]);
    return status;
}
