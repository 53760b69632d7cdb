/*
 * items.h: from prompts to the items of a packing, and back. An item is a prompt, or prompts that
 * stay together; its size is the room that it takes: the lengths of its prompts, each rounded up to
 * the alignment. A prompt that is to have a bin of its own counts as long as a bin: it fills one.
 */
#ifndef PPI_ITEMS_H
#define PPI_ITEMS_H

#include "settings.h"
#include "packing.h"
#include "plan.h"

/* Lengths as they are. */
struct survey {
    int64_t shortest;
    int64_t longest;
    int64_t tokens;
};

struct items {
    struct packing packing; /* what the constraints on items say; the arrays are the items' */
    int64_t *starts;        /* [n + 1] into prompts; NULL: item i is prompt i */
    int32_t *prompts;       /* [n_prompts] item after item, in order of index */
    bool oversize;          /* prompts with bins of their own are there */
    int64_t *sizes;         /* memory of the packing's arrays; NULL: not needed */
    int64_t *tokens;
    double *squares;
    int32_t *n_prompts;
    int32_t *apart;
    int64_t *apart_starts;
    int64_t *capacities;
};

/* Does the packer take prompts as they are, whatever else is known of them? */
bool ppi_items_are_lengths(const struct settings *settings, const pp_plan_input *input);

/*
 * Fills items, whose packing has no cost yet. input: lengths are set and checked by survey_lengths;
 * n is at least 1. Destroyed by ppi_items_destroy whatever is returned; zeroed ones may be. Errors:
 * PP_ERR_TOO_LONG (a prompt, or prompts that belong together, that no bin holds), PP_ERR_ARG
 * (prompts that shall be together and apart; a sum above 2^63 - 1), PP_ERR_NOMEM.
 */
pp_status ppi_items_create(struct items *items, const struct settings *settings,
                           const pp_plan_input *input, const struct survey *survey,
                           struct ppi_mem *mem, pp_error *err);
void ppi_items_destroy(struct items *items, struct ppi_mem *mem);

/* Replaces the items of the bins in a plan, bin after bin, by their prompts. plan->bin_starts are
 * of the items. */
void ppi_items_expand(const struct items *items, const int32_t *in_bins, struct pp_plan *plan);

/* A plan of whole prompts; the figures that follow from bins and bounds are not set. input and
 * survey as above, n may be 0. Errors: those above, of the policies and of memory. */
pp_status ppi_plan_whole(const pp_packer *packer, const pp_plan_input *input,
                         const struct survey *survey, struct pp_plan **plan, pp_error *err);

#endif
