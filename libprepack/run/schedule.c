/*
 * schedule.c: one step of cutting at a time.
 */
#include "run/schedule.h"

/* Ends the pass. */
static enum ppi_step end_pass(struct ppi_schedule *s)
{
    s->n_rows = 0;
    s->n_complete = s->at;
    return PPI_STEP_PASS;
}

/* Begins the next bin; false when there is none. *n_tokens: what is in it. */
static bool begin_bin(struct ppi_schedule *s, int64_t *n_tokens)
{
    if (s->n_bins_begun == s->stretches->n_bins)
        return false;
    s->bin_end = s->stretches->bin_ends[s->n_bins_begun++];
    *n_tokens = 0;
    for (int64_t p = s->at; p < s->bin_end; p++)
        *n_tokens += s->stretches->all[p].end - s->stretches->all[p].begin;
    return true;
}

enum ppi_step ppi_schedule_next(struct ppi_schedule *s, struct ppi_piece *piece)
{
    while (s->at == s->bin_end) {
        int64_t n_tokens;
        if (!begin_bin(s, &n_tokens))
            return s->n_rows > 0 ? end_pass(s) : PPI_STEP_DONE;
        /* a bin that would fit into an empty pass, but not into what is left of this one */
        if (n_tokens <= s->max_pass_tokens && n_tokens > s->max_pass_tokens - s->n_rows)
            return end_pass(s);
    }
    const struct ppi_stretch *stretch = &s->stretches->all[s->at];
    if (s->done == 0 && stretch->after >= s->n_complete)
        return end_pass(s);
    int64_t begin = stretch->begin + s->done, left = stretch->end - begin;
    int64_t room = s->max_pass_tokens - s->n_rows;
    int64_t n = left <= room ? left : (begin + room) / s->chunk_tokens * s->chunk_tokens - begin;
    if (n <= 0)
        return end_pass(s);
    *piece = (struct ppi_piece){s->at, begin, n, n == left};
    s->n_rows += n;
    s->done = n == left ? 0 : s->done + n;
    s->at += n == left;
    return PPI_STEP_PIECE;
}
