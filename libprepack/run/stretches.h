/*
 * stretches.h: what a run computes, as stretches: consecutive tokens that are computed once, for
 * one item or for several that begin with the same tokens. Parts form trees: one begins where the
 * stretch that it continues ends. An item that is alone and whole is one stretch.
 */
#ifndef PPI_STRETCHES_H
#define PPI_STRETCHES_H

#include "plan/plan.h"

#define PPI_NO_STRETCH (-1)

struct ppi_stretch {
    int64_t i_item;     /* whose tokens and cache are used: of those that share it the lowest, so
                           that what follows in the same item goes on in the same cache */
    int64_t begin, end; /* positions in its prompt */
    int64_t after;      /* the stretch that it continues, an earlier one; or PPI_NO_STRETCH */
    /* Who shares it: sharers[first_sharer ..], first the n_ending items that end with it. */
    int64_t first_sharer, n_sharers, n_ending;
    int64_t first_child, next_child; /* stretches that continue it, and the next that continues the
                                        same; or PPI_NO_STRETCH */
};

struct ppi_stretches {
    int64_t n, n_bins, n_items;
    struct ppi_stretch *all; /* [n] bin after bin */
    int64_t *bin_ends;       /* [n_bins]; stretches of a bin share a pass where they fit into one */
    int64_t *sharers;        /* [n_items] items, those of a stretch next to each other */
    int64_t *ends;           /* [n_items] the stretch of each item's last token */
};

/*
 * Parts of n items whose positions begins[i] .. begins[i] + lengths[i] - 1 are computed (begins
 * NULL: from 0). plan: its bins and segments, which are of the last tokens of each item; a first
 * segment takes in what is computed before it. NULL: every item is a bin of its own.
 * Errors: PP_ERR_NOMEM. Destroying accepts a zeroed one.
 */
pp_status ppi_stretches_of_plan(struct ppi_stretches *stretches, const struct pp_plan *plan,
                                const int64_t *begins, const int64_t *lengths, int64_t n,
                                struct ppi_mem *mem, pp_error *err);

/*
 * The same without a plan, where each prefix of at least min_prefix tokens that prompts share is
 * computed once. max_pass_tokens: of the passes that the order should fill. prompts: [n] the items'
 * tokens, of those that share; n_tokens 0: the item shares nothing. n is at least 1.
 */
pp_status ppi_stretches_of_prefixes(struct ppi_stretches *stretches, const pp_prompt *prompts,
                                    const int64_t *begins, const int64_t *lengths, int64_t n,
                                    int64_t min_prefix, int64_t max_pass_tokens,
                                    struct ppi_mem *mem, pp_error *err);

void ppi_stretches_free(struct ppi_stretches *stretches, struct ppi_mem *mem);

/* Whether the stretch goes on in the cache of the one that it continues. */
static inline bool ppi_stretch_goes_on(const struct ppi_stretches *stretches,
                                       const struct ppi_stretch *stretch)
{
    return stretch->after != PPI_NO_STRETCH &&
           stretches->all[stretch->after].i_item == stretch->i_item;
}

/* Whether states of linear layers behind it need room of their own: it begins a cache, or others
 * have those of what it continues. */
static inline bool ppi_stretch_needs_state(const struct ppi_stretches *stretches,
                                           const struct ppi_stretch *stretch)
{
    return !ppi_stretch_goes_on(stretches, stretch) ||
           stretches->all[stretch->after].n_sharers > stretch->n_sharers;
}

/* ---- for who makes stretches ---- */

/* Room for n stretches in n_bins bins, of n_items items. Errors: PP_ERR_NOMEM. */
pp_status ppi_stretches_create(struct ppi_stretches *stretches, int64_t n, int64_t n_bins,
                               int64_t n_items, struct ppi_mem *mem, pp_error *err);
/* Sets what follows from items, begins and ends, `after` and the items' ends. */
void ppi_stretches_finish(struct ppi_stretches *stretches);

#endif
