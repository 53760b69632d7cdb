/* by_prefix.c: sorts by tokens; equal prompts keep their order. */
#include "by_prefix.h"
#include "say.h"

#include <stdlib.h>

static int64_t common_tokens(const pp_prompt *a, const pp_prompt *b)
{
    const int64_t most = a->n_tokens < b->n_tokens ? a->n_tokens : b->n_tokens;
    int64_t n = 0;
    while (n < most && a->tokens[n] == b->tokens[n])
        n++;
    return n;
}

/* A prompt and its place before. */
struct entry {
    const pp_prompt *prompt;
    size_t index, place;
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int64_t n = common_tokens(x->prompt, y->prompt);
    const bool x_ends = n == x->prompt->n_tokens, y_ends = n == y->prompt->n_tokens;
    if (x_ends && y_ends)
        return x->place < y->place ? -1 : 1;
    if (x_ends || y_ends)
        return x_ends ? -1 : 1;
    return x->prompt->tokens[n] < y->prompt->tokens[n] ? -1 : 1;
}

/* Tokens of each prompt that are its own, given the one before it. */
static int64_t own_tokens(const struct entry *entries, size_t i, int64_t min_shared)
{
    const int64_t n = entries[i].prompt->n_tokens;
    const int64_t common = i > 0 ? common_tokens(entries[i - 1].prompt, entries[i].prompt) : 0;
    return common >= min_shared ? n - common : n;
}

int order_by_prefix(const pp_prompt *prompts, int64_t min_shared, size_t *order, size_t n,
                    size_t n_parts, size_t *cuts, size_t *n_steps)
{
    struct entry *entries = calloc(n, sizeof *entries);
    int64_t tokens = 0, all = 0;
    size_t steps = 0;
    if (!entries)
        return fail_memory();
    for (size_t i = 0; i < n; i++)
        entries[i] = (struct entry){&prompts[order[i]], order[i], i};
    qsort(entries, n, sizeof *entries, compare);
    for (size_t i = 0; i < n; i++)
        all += own_tokens(entries, i, min_shared);
    cuts[0] = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = entries[i].index;
        tokens += own_tokens(entries, i, min_shared);
        const double share = (double)tokens / (double)all * (double)n_parts;
        if (i + 1 == n || (share >= (double)(steps + 1) && steps + 1 < n_parts))
            cuts[++steps] = i + 1;
    }
    *n_steps = steps;
    free(entries);
    return STATUS_OK;
}
