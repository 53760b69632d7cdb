/*
 * stretches.c: from a plan to the stretches of a run, and who shares them.
 */
#include "run/stretches.h"

pp_status ppi_stretches_create(struct ppi_stretches *stretches, int64_t n, int64_t n_bins,
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
    for (int64_t p = 0; p < stretches->n; p++)
        stretches->all[p].n_ending = stretches->all[p].n_sharers = 0;
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

void ppi_stretches_finish(struct ppi_stretches *stretches)
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
    PP_TRY(ppi_stretches_create(stretches, n, n_bins, plan->info.n_prompts, mem, err));
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
        ppi_stretches_finish(stretches);
        return PP_OK;
    }
    PP_TRY(ppi_stretches_create(stretches, n, n, n, mem, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = begins ? begins[i] : 0;
        stretches->all[i] = (struct ppi_stretch){
            .i_item = i, .begin = begin, .end = begin + lengths[i], .after = PPI_NO_STRETCH};
        stretches->ends[i] = i;
        stretches->bin_ends[i] = i + 1;
    }
    ppi_stretches_finish(stretches);
    return PP_OK;
}
