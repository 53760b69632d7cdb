/*
 * schedule.c: one step of cutting at a time.
 */
#include "run/schedule.h"

/* Ends the pass. */
static enum ppi_step end_pass(struct ppi_schedule *s)
{
    s->n_rows = 0;
    return PPI_STEP_PASS;
}

/* Begins the next bin; false when there is none. *n_tokens: what is in it. */
static bool begin_bin(struct ppi_schedule *s, int64_t *n_tokens)
{
    int64_t bin = s->n_bins_begun;
    if (bin == (s->plan ? s->plan->info.n_bins : s->n_items))
        return false;
    s->n_bins_begun++;
    s->at = s->plan ? s->plan->bin_starts[bin] : bin;
    s->bin_end = s->plan ? s->plan->bin_starts[bin + 1] : bin + 1;
    *n_tokens = s->plan ? s->plan->bin_tokens[bin] : s->lengths[bin];
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
    int64_t item = s->plan ? s->plan->prompts[s->at] : s->at;
    int64_t begin = (s->begins ? s->begins[item] : 0) + s->done;
    int64_t left = s->lengths[item] - s->done, room = s->max_pass_tokens - s->n_rows;
    int64_t n = left <= room ? left : (begin + room) / s->chunk_tokens * s->chunk_tokens - begin;
    if (n <= 0)
        return end_pass(s);
    *piece = (struct ppi_piece){item, begin, n, n == left};
    s->n_rows += n;
    s->done = n == left ? 0 : s->done + n;
    s->at += n == left;
    return PPI_STEP_PIECE;
}
