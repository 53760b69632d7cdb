/*
 * bin_completion.c: a complete search, bin after bin (Martello, Toth 1990; Korf 2002). The longest
 * item that waits is in some bin; every way to fill that bin up is tried, the longest items first.
 * A bin with room for an item that waits need not be tried: moving the item there costs nothing. A
 * branch ends when its bins leave more room empty than the wanted number of bins can spare, or when
 * L2 of what waits says so. Where it ends by itself, fewer bins are impossible.
 */
#include "search.h"
#include "plan/fewest/bounds.h"

#include <string.h>

#define MAX_ITEMS 1000 /* depth of the recursion */

struct completion {
    struct search *search;
    struct size_counts left; /* sizes of the search, counts of what waits */
    int32_t *path;           /* [n_items] sizes in the order of placing */
    int64_t *bin_ends;       /* [n_items] into the path */
    int64_t n_path;
    int64_t n_bins;
    int64_t wanted;  /* bins at most */
    int64_t stop_at; /* steps_left when it has to end */
    bool found;
};

static bool open_bin(struct completion *completion, int64_t spare);

static bool is_over(const struct completion *completion)
{
    return completion->found || completion->search->limit_reached != 0 ||
           completion->search->steps_left < completion->stop_at;
}

/* Goes on with the bin that is open, with sizes from i on. Returns false when all is over. */
static bool fill_bin(struct completion *completion, int32_t i, int64_t room, int64_t spare)
{
    int32_t *counts = completion->left.counts;
    const int64_t *sizes = completion->left.sizes;
    int64_t shortest = 0; /* that waits */
    for (int32_t j = completion->left.n - 1; j >= 0 && shortest == 0; j--)
        shortest = counts[j] > 0 ? sizes[j] : 0;
    ppi_search_spend(completion->search, 1 + completion->left.n / 16);
    if (is_over(completion))
        return false;
    if (shortest == 0 || shortest > room) { /* full */
        if (room > spare)
            return true;
        completion->bin_ends[completion->n_bins++] = completion->n_path;
        bool goes_on = open_bin(completion, spare - room);
        completion->n_bins -= completion->found ? 0 : 1;
        return goes_on;
    }
    for (; i < completion->left.n; i++) {
        if (counts[i] == 0 || sizes[i] > room)
            continue;
        counts[i]--;
        completion->path[completion->n_path++] = i;
        bool goes_on = fill_bin(completion, i, room - sizes[i], spare);
        if (completion->found)
            return false;
        counts[i]++;
        completion->n_path--;
        if (!goes_on)
            return false;
    }
    return true;
}

/* The next bin; `spare` is the room that may stay empty in all of them. */
static bool open_bin(struct completion *completion, int64_t spare)
{
    struct size_counts *left = &completion->left;
    int32_t first = 0;
    while (first < left->n && left->counts[first] == 0)
        first++;
    if (first == left->n) {
        completion->found = true;
        return false;
    }
    if (completion->n_bins + ppi_bound_l2(left) > completion->wanted)
        return true;
    left->counts[first]--;
    completion->path[completion->n_path++] = first;
    bool goes_on = fill_bin(completion, first, left->capacity - left->sizes[first], spare);
    if (completion->found)
        return false;
    left->counts[first]++;
    completion->n_path--;
    return goes_on;
}

/* Turns the path into patterns. */
static pp_status keep(const struct completion *completion, struct part *parts)
{
    struct search *search = completion->search;
    ppi_patterns_clear(&search->best);
    int64_t i = 0;
    for (int64_t bin = 0; bin < completion->n_bins; bin++) {
        int64_t n_parts = 0;
        for (; i < completion->bin_ends[bin]; i++) {
            if (n_parts > 0 && parts[n_parts - 1].size == completion->path[i])
                parts[n_parts - 1].count++;
            else
                parts[n_parts++] = (struct part){completion->path[i], 1};
        }
        PP_TRY(ppi_patterns_add(&search->best, parts, n_parts, 1, search->mem, search->err));
    }
    search->n_bins = completion->n_bins;
    return PP_OK;
}

pp_status ppi_pack_by_completion(struct search *search, int64_t max_steps)
{
    const struct size_counts *counts = search->counts;
    size_t n_items = (size_t)counts->n_items;
    if (n_items > MAX_ITEMS || counts->capacity > INT64_MAX / (counts->n_items + 1))
        return PP_OK;
    struct completion completion = {.search = search, .left = *counts};
    size_t n = (size_t)counts->n;
    pp_status status = PP_OK;
    completion.left.counts = ppi_alloc(search->mem, n + n_items, sizeof(int32_t));
    completion.bin_ends = ppi_alloc(search->mem, n_items, sizeof *completion.bin_ends);
    struct part *parts = ppi_alloc(search->mem, n, sizeof *parts);
    if (!completion.left.counts || !completion.bin_ends || !parts) {
        status = ppi_error_nomem(search->err, "a search over bins", (n + n_items) * 4);
        goto done;
    }
    completion.path = completion.left.counts + n;
    completion.stop_at = search->steps_left > max_steps ? search->steps_left - max_steps : 0;
    while (status == PP_OK && !ppi_search_done(search)) {
        memcpy(completion.left.counts, counts->counts, n * sizeof *counts->counts);
        completion.n_path = completion.n_bins = 0;
        completion.found = false;
        completion.wanted = search->n_bins - 1;
        open_bin(&completion, completion.wanted * counts->capacity - counts->total);
        if (completion.found)
            status = keep(&completion, parts);
        else if (is_over(&completion))
            break;
        else
            search->bound_search = search->lower_bound = search->n_bins;
    }
done:
    ppi_free(search->mem, parts);
    ppi_free(search->mem, completion.bin_ends);
    ppi_free(search->mem, completion.left.counts);
    return status;
}
