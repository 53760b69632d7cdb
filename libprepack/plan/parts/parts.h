/*
 * parts.h: plans whose bins hold parts of prompts: prompts longer than a bin, cut into chunks, and
 * prefixes that prompts share. A part that continues another needs that one's keys and values, so
 * it lies in a later bin. parts.c cuts the prompts and chooses, steps.c packs bin after bin, pour.c
 * cuts long prompts where bins end.
 */
#ifndef PPI_PARTS_H
#define PPI_PARTS_H

#include "plan/settings.h"
#include "plan/plan.h"

/* Segments that have no bins yet, each after the one that it continues. */
struct parts {
    int64_t n;             /* at most 2^31 - 1 */
    int32_t *prompts;      /* [n] the lowest of those that share the tokens */
    int64_t *first_tokens; /* [n] */
    int64_t *n_tokens;     /* [n] */
    int32_t *after;        /* [n] part that it continues, or -1 */
    int32_t *ends;         /* [n_prompts] part of the prompt's last token */
};

/* Tokens rounded up to a multiple of the alignment: the room that a part takes. */
static inline int64_t ppi_part_room(int64_t n_tokens, int64_t alignment)
{
    int64_t over = n_tokens % alignment;
    return over == 0 ? n_tokens : n_tokens - over + alignment;
}

/* What a bin may hold. */
struct step_limits {
    int64_t capacity;    /* tokens, a multiple of the bins' alignment */
    int64_t alignment;   /* each part's room is a multiple of this; no part's is above capacity */
    int64_t max_prompts; /* parts of a bin, at least 1 */
    bool keep_order;     /* bins are runs of the prompts in order of arrival */
    bool inner_first;    /* parts that others continue go first, whatever their size */
};

/* Parts in bins; the caller's arrays. */
struct schedule {
    int32_t *items;  /* [n] bin after bin */
    int64_t *starts; /* [n + 1] into items */
    int64_t n_bins;
};

/*
 * List scheduling (Graham 1969) in the manner of first-fit decreasing: bin after bin takes the
 * largest part that fits, of those whose predecessor lies in an earlier bin; first the parts with
 * so many to come after them that the remaining tokens would have been placed before. Ties go to
 * the part with more to come, then to the lower index. keep_order: next fit.
 * O(n log n). n is at least 1. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_schedule_parts(const struct parts *parts, const struct step_limits *limits,
                             struct schedule *schedule, struct ppi_mem *mem, pp_error *err);

/* Room for n parts of n_prompts prompts; n is set. Destroying accepts a zeroed or half-built one.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_parts_create(struct parts *parts, int64_t n, int64_t n_prompts, struct ppi_mem *mem,
                           pp_error *err);
void ppi_parts_destroy(struct parts *parts, struct ppi_mem *mem);
/* Room for n parts in bins; no bins yet. */
pp_status ppi_schedule_create(struct schedule *schedule, int64_t n, struct ppi_mem *mem,
                              pp_error *err);
void ppi_schedule_destroy(struct schedule *schedule, struct ppi_mem *mem);

/*
 * Cuts the prompts longer than `chunk`, which by_length has first, where the bins' room ends, and
 * makes and fills *parts and *schedule; both stay as they are where there would be 2^31 parts.
 * chunk: the capacity, rounded down to the alignment. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_pour_prompts(const int64_t *lengths, const int32_t *by_length, int64_t n,
                           int64_t chunk, const struct step_limits *limits, struct parts *parts,
                           struct schedule *schedule, struct ppi_mem *mem, pp_error *err);

/* Is there a prompt, the longest has so many tokens, that only fits into bins in parts? */
bool ppi_parts_needed(const struct settings *settings, int64_t longest);

/*
 * The best plan with parts: fewest bins, of those with the fewest tokens placed, of those with the
 * fewest segments. *plan is NULL where nothing can be shared nor cut, or where whole prompts are
 * better. Its bins, segments and bounds are set, the figures that follow from them are not.
 * *bound: no plan has fewer bins, whatever prefixes of min_prefix tokens it shares; 0 where nothing
 * can be shared nor cut.
 *
 * input: checked but for what parts need; lengths are not NULL, their sum is below 2^63; n is at
 * least 1. Errors: PP_ERR_UNSUPPORTED (together, apart), PP_ERR_ARG (shared prefixes without
 * tokens, or with lengths that are not the prompts'), PP_ERR_TOO_LONG (more than 2^31 - 1 parts;
 * alignments that leave no room), PP_ERR_NOMEM.
 */
pp_status ppi_plan_parts(const pp_packer *packer, const pp_plan_input *input, int64_t longest,
                         struct pp_plan **plan, int64_t *bound, pp_error *err);

#endif
